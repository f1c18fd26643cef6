"""Arrays and objects the way lodash treats them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from truto import javascript
from truto.expressions.evaluator import current
from truto.expressions.native import refused
from truto.expressions.values import UNDEFINED


def first_non_empty(*values: Any) -> Any:
    """The first argument that is neither null nor undefined; ``""``, 0, ``false`` and ``[]`` count as values."""
    return next((value for value in values if not _is_nil(value)), UNDEFINED)


def remove_empty(value: Any) -> Any:
    """*value* when it has a length, else undefined; so is any object without a ``length`` (lib)."""
    if _is_nil(value):
        raise refused("the value is null or undefined")
    length = value.get("length") if isinstance(value, Mapping) else len(value) if isinstance(value, str | list) else 0
    return value if length else UNDEFINED


def remove_empty_items(values: Any) -> Any:
    """Drop falsy items, and objects and arrays without keys; what is not an array stays as it is."""
    return [item for item in values if item and not _is_nan(item)] if isinstance(values, list) else values


def map_values(value: Any, mapping: Any = UNDEFINED, lower_case: Any = False, default: Any = None) -> Any:
    """Look up text and numbers, lower-cased, in *mapping*; what has no match stays as it is (lib).

    Unless *lower_case*, the mapping's keys are lower-cased first. *default* is for null and undefined input only; a
    mapped ``null`` counts as no match.
    """
    if _is_nil(mapping):
        return value
    known = mapping if lower_case else {key.lower(): item for key, item in mapping.items()}
    return _mapped(value, known, default)


def to_number(value: Any) -> float:
    """Lodash ``toNumber``: ``""``, ``null`` and ``[]`` are 0, ``0x`` text works, what is no number is NaN."""
    return math.nan if value is UNDEFINED else javascript.to_number(value)


def group_by(values: Any, key: Any = UNDEFINED) -> dict[str, Any]:
    """Arrays of items by the value at *key*; undefined input makes a group named ``undefined`` (lib)."""
    groups: dict[str, Any] = {}
    for item in _cast_array(values):
        groups.setdefault(_name(_get(item, key)), []).append(item)
    return groups


def key_by(values: Any, key: Any = UNDEFINED) -> dict[str, Any]:
    """The last item for each value at *key*."""
    return {_name(_get(item, key)): item for item in _cast_array(values)}


def pick(value: Any, keys: Any = UNDEFINED) -> dict[str, Any]:
    """An object with only *keys*; dotted paths reach inside. Undefined gives ``{}``."""
    result: dict[str, Any] = {}
    for key in _key_list(keys):
        found = javascript.get_path(value, key, UNDEFINED)
        if found is not UNDEFINED:
            path = [key] if isinstance(value, Mapping) and key in value else javascript.split_path(key)
            _put(result, path, found)
    return result


def omit(value: Any, keys: Any = UNDEFINED) -> dict[str, Any]:
    """An object without *keys*; dotted paths reach inside. Undefined gives ``{}``."""
    if not isinstance(value, Mapping):
        return {}
    result = dict(value)
    for key in _key_list(keys):
        if key in result:
            del result[key]
        else:
            _drop(result, javascript.split_path(key))
    return result


def compact(values: Any) -> list[Any]:
    """Without what JavaScript calls false; empty objects and arrays stay."""
    return [item for item in _cast_array(values) if _js_true(item)]


def order_by(values: Any, keys: Any = UNDEFINED, orders: Any = UNDEFINED) -> list[Any]:
    """Sorted by *keys*, each ``asc`` (the default) or ``desc`` in *orders*; undefined values come last, ascending."""
    paths = _cast_array(keys) if keys is not UNDEFINED else [UNDEFINED]
    directions = _cast_array(orders) if orders is not UNDEFINED else []
    result = list(_elements(values))
    for position in reversed(range(len(paths))):
        path = paths[position]
        descending = position < len(directions) and directions[position] == "desc"
        result.sort(key=lambda item, path=path: _rank(_get(item, path)), reverse=descending)
    return result


def find(values: Any, wanted: Any = UNDEFINED) -> Any:
    """The first item that has *wanted*: a key with a true value, or an object whose members all match."""
    matches = _matcher(wanted)
    return next((item for item in _elements(values) if matches(item)), UNDEFINED)


def lofilter(values: Any, wanted: Any = UNDEFINED) -> list[Any]:
    """All items that have *wanted*, as in :func:`find`. A function as *wanted* matches everything (lib)."""
    matches = _matcher(wanted)
    return [item for item in _elements(values) if matches(item)]


def values_of(value: Any) -> list[Any]:
    """The values of an object, the items of an array, the characters of text; undefined gives ``[]``."""
    return list(_elements(value))


def chunk(values: Any, size: Any = 1) -> list[Any]:
    """Arrays of *size* items each, the last one shorter."""
    items, length = _cast_array(values), int(size)
    return [items[start : start + length] for start in range(0, len(items), length)] if length >= 1 else []


def difference(values: Any, without: Any = UNDEFINED) -> list[Any]:
    """The items of the first array that are not in the second; objects are never the same (lib: by identity)."""
    unwanted = {_same_value(item) for item in _cast_array(without)}
    return [item for item in _cast_array(values) if _same_value(item) not in unwanted]


def flatten(values: Any) -> list[Any]:
    """One level of arrays less."""
    return flatten_depth(values, 1)


def flatten_deep(values: Any) -> list[Any]:
    """No arrays inside at all."""
    return flatten_depth(values, math.inf)


def flatten_depth(values: Any, depth: Any = 1) -> list[Any]:
    """*depth* levels of arrays less."""
    result: list[Any] = []
    _flatten_into(result, _cast_array(values), depth)
    return result


def join(values: Any, separator: Any = ",") -> str:
    """The items as text between separators; null and undefined are empty (lib: lodash, replaces JSONata's)."""
    texts = [_joinable(item) for item in _cast_array(values)]
    between = javascript.text(separator)
    current().meter.make_text(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


def _is_nil(value: Any) -> bool:
    return value is None or value is UNDEFINED


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _js_true(value: Any) -> bool:
    return isinstance(value, list | Mapping) or (bool(value) and not _is_nan(value))


def _cast_array(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _elements(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list | str) else []


def _get(item: Any, key: Any) -> Any:
    return item if key is UNDEFINED else javascript.get_path(item, javascript.text(key), UNDEFINED)


def _name(value: Any) -> str:
    return "undefined" if value is UNDEFINED else javascript.text(value)


def _mapped(value: Any, known: Mapping[str, Any], default: Any) -> Any:
    if _is_nil(value):
        return default
    if isinstance(value, list):
        return [_mapped(item, known, default) for item in value]
    if isinstance(value, Mapping):
        return {key: _mapped(item, known, default) for key, item in value.items()}
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    found = known.get(javascript.text(value).lower())
    return value if found is None else found


def _key_list(keys: Any) -> list[str]:
    return [javascript.text(key) for key in flatten(keys)] if keys is not UNDEFINED else []


def _put(target: dict[str, Any], path: list[str], value: Any) -> None:
    for key in path[:-1]:
        target = target.setdefault(key, {})
    target[path[-1]] = value


def _drop(target: dict[str, Any], path: list[str]) -> None:
    for key in path[:-1]:
        inner = target.get(key)
        if not isinstance(inner, Mapping):
            return
        # A copy on the way down: the argument itself is not ours to change.
        target[key] = target = dict(inner)
    if path:
        target.pop(path[-1], None)


def _rank(value: Any) -> tuple[int, Any]:
    match value:
        case bool():
            return 0, float(value)
        case int() | float():
            return (0, value) if not _is_nan(value) else (5, 0)
        case str():
            return 1, value
        case None:
            return 3, 0
        case _ if value is UNDEFINED:
            return 4, 0
        case _:
            return 2, javascript.text(value)


def _matcher(wanted: Any) -> Callable[[Any], bool]:
    if isinstance(wanted, str | int | float) and not isinstance(wanted, bool):
        return lambda item: (found := _get(item, wanted)) is not UNDEFINED and _js_true(found)
    if isinstance(wanted, Mapping):
        return lambda item: _contains(item, wanted)
    return lambda item: True


def _contains(item: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(item, Mapping) and all(
            key in item and _contains(item[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(item, list) and all(any(_contains(each, value) for each in item) for value in wanted)
    return bool(item == wanted) and isinstance(item, bool) == isinstance(wanted, bool)


def _same_value(value: Any) -> Any:
    if isinstance(value, list | Mapping):
        return ("object", id(value))
    return (isinstance(value, bool), value)


def _flatten_into(result: list[Any], values: list[Any], depth: float) -> None:
    for item in values:
        if isinstance(item, list) and depth >= 1:
            _flatten_into(result, item, depth - 1)
        else:
            result.append(item)


def _joinable(value: Any) -> str:
    if _is_nil(value):
        return ""
    return ",".join(map(_joinable, value)) if isinstance(value, list) else javascript.text(value)


FUNCTIONS = {
    "firstNonEmpty": first_non_empty,
    "removeEmpty": remove_empty,
    "removeEmptyItems": remove_empty_items,
    "mapValues": map_values,
    "toNumber": to_number,
    "groupBy": group_by,
    "keyBy": key_by,
    "pick": pick,
    "omit": omit,
    "compact": compact,
    "orderBy": order_by,
    "find": find,
    "lofilter": lofilter,
    "values": values_of,
    "chunk": chunk,
    "difference": difference,
    "flatten": flatten,
    "flattenDeep": flatten_deep,
    "flattenDepth": flatten_depth,
    "join": join,
}
