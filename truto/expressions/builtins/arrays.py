"""JSONata's functions for arrays and objects."""

from __future__ import annotations

from typing import Any

from truto.expressions.evaluator import current
from truto.expressions.library import Functions, Utils
from truto.expressions.patterns import Pattern
from truto.expressions.values import Wrapped, copied


def clone(arg: Any) -> Any:
    """``$clone(arg)``: a deep copy as through JSON."""
    return None if arg is None else copied(arg, current().meter)


def distinct(arg: Any) -> Any:
    """``$distinct(array)``: deep equality, first ones stay."""
    if not isinstance(arg, list) or len(arg) < 2:
        return arg
    meter, seen, results = current().meter, set(), Utils.create_sequence()
    for item in arg:
        key = _identity(item, meter)
        if key not in seen:
            seen.add(key)
            results.append(item)
    return results


def spread(arg: Any) -> Any:
    """``$spread(arg)``: objects as arrays of objects with one key."""
    if not isinstance(arg, list | dict):
        return arg
    results: list[Any] = [] if isinstance(arg, list) else Utils.create_sequence()
    for item in arg if isinstance(arg, list) else [arg]:
        current().meter.step()
        if isinstance(item, dict):
            results.extend({key: value} for key, value in item.items())
        elif item is not None:
            results.extend(item if isinstance(item, list) else [item])
    return results


def keys(arg: Any) -> Any:
    """``$keys(arg)``: of one object, or of all objects of an array."""
    found: dict[str, None] = {}
    for item in arg if isinstance(arg, list) else [arg]:
        current().meter.step()
        if isinstance(item, dict):
            found.update(dict.fromkeys(item))
    if len(found) < 2:
        return next(iter(found), None)
    return Utils.create_sequence_from_iter(found)


def zip_(*arrays: Any) -> Any:
    """``$zip(array, …)``: as long as the shortest."""
    if any(array is None for array in arrays):
        return []
    current().meter.make_elements(len(arrays) * min(map(len, arrays), default=0))
    return [list(items) for items in zip(*arrays, strict=False)]


def type_(arg: Any) -> Any:
    """``$type(arg)``; a regular expression is a function."""
    if isinstance(arg, Pattern):
        return "function"
    return Functions.type(arg)


def _identity(value: Any, meter: Any) -> Any:
    """A hashable that two values share when JSONata calls them equal."""
    meter.step()
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, list):
        return ("array", *(_identity(item, meter) for item in value))
    if isinstance(value, dict) and not isinstance(value, Wrapped):
        return ("object", frozenset((key, _identity(item, meter)) for key, item in value.items()))
    return value if isinstance(value, str | int | float) else ("other", id(value))


FUNCTIONS = {
    "clone": ("<(oa)-:o>", clone),
    "distinct": ("<x:x>", distinct),
    "spread": ("<x-:a<o>>", spread),
    "keys": ("<x-:a<s>>", keys),
    "type": ("<x:s>", type_),
}
