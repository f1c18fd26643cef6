"""JSONata's functions that take functions: each is called with what its signature says, as JSONata does."""

from __future__ import annotations

import math
from typing import Any

from truto.expressions.evaluator import arity, call, current
from truto.expressions.library import NULL, JException, Utils
from truto.expressions.values import truthy


def map_(arg: Any, function: Any) -> Any:
    """``$map(array, function)``."""
    if arg is None:
        return None
    found = (call(function, item, index, arg) for index, item in enumerate(arg))
    return Utils.create_sequence_from_iter(item for item in found if item is not None)


def filter_(arg: Any, function: Any) -> Any:
    """``$filter(array, function)``."""
    if arg is None:
        return None
    kept = (item for index, item in enumerate(arg) if truthy(call(function, item, index, arg)))
    return Utils.create_sequence_from_iter(kept)


def single(arg: Any, function: Any) -> Any:
    """``$single(array, function)``: the one item that fits; none and several are errors."""
    if arg is None:
        return None
    found = []
    for index, item in enumerate(arg):
        if function is None or truthy(call(function, item, index, arg)):
            found.append(item)
            if len(found) > 1:
                raise JException("D3138", -1)
    if not found:
        raise JException("D3139", -1)
    return found[0]


def reduce(arg: Any, function: Any, init: Any) -> Any:
    """``$reduce(array, function, init)``."""
    if arg is None:
        return None
    if arity(function) < 2:
        raise JException("D3050", -1)
    items = list(enumerate(arg))
    result = init
    if init is None and items:
        result = items.pop(0)[1]
    for index, item in items:
        result = call(function, result, item, index, arg)
    return result


def each(arg: Any, function: Any) -> Any:
    """``$each(object, function)``; nothing gives undefined (lib)."""
    if not isinstance(arg, dict):
        return None
    found = [item for key, value in arg.items() if (item := call(function, value, key, arg)) is not None]
    return Utils.create_sequence_from_iter(found) if len(found) > 1 else found[0] if found else None


def sift(arg: Any, function: Any) -> Any:
    """``$sift(object, function)``; an empty result is undefined (lib)."""
    if not isinstance(arg, dict):
        return None
    return {key: value for key, value in arg.items() if truthy(call(function, value, key, arg))} or None


def sort(arg: Any, comparator: Any) -> Any:
    """``$sort(array, function)``; without a function only numbers or only text."""
    if arg is None or len(arg) < 2:
        return arg
    if comparator is not None:
        return _merge_sorted(list(arg), comparator)
    if not (Utils.is_array_of_numbers(arg) or Utils.is_array_of_strings(arg)):
        raise JException("D3070", -1)
    return sorted(arg)


def _merge_sorted(items: list[Any], comparator: Any) -> list[Any]:
    """Halves merged as JSONata merges them: what *comparator* does not tell to swap keeps its order."""
    if len(items) < 2:
        return items
    middle = len(items) // 2
    left, right = _merge_sorted(items[:middle], comparator), _merge_sorted(items[middle:], comparator)
    running, merged = current(), []
    first, second = 0, 0
    while first < len(left) and second < len(right):
        running.meter.step()
        if _holds(running.apply(comparator, [left[first], right[second]], None, running.environment)):
            merged.append(right[second])
            second += 1
        else:
            merged.append(left[first])
            first += 1
    return merged + left[first:] + right[second:]


def _holds(value: Any) -> bool:
    """What JavaScript takes for true, which every array and object is."""
    if value is None or value is NULL or (isinstance(value, float) and math.isnan(value)):
        return False
    return isinstance(value, list | dict) or bool(value)


FUNCTIONS = {
    "map": ("<af>", map_),
    "filter": ("<af>", filter_),
    "single": ("<af?>", single),
    "reduce": ("<afj?:j>", reduce),
    "each": ("<o-f:a>", each),
    "sift": ("<o-f?:o>", sift),
    "sort": ("<af?:a>", sort),
}
