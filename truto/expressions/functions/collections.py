"""Arrays and objects the way lodash treats them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cmp_to_key
from itertools import pairwise
from typing import Any

from truto import javascript
from truto.expressions.evaluator import current
from truto.expressions.functions.iteratees import compare, getter, is_true
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

    Unless *lower_case*, the mapping's keys are lower-cased first. *default* is for null and undefined input only, and
    not for what is inside of it; a mapped ``null`` counts as no match.
    """
    if _is_nil(value) and default is not None:
        return default
    if _is_nil(mapping):
        return value
    known = _members(mapping)
    return _mapped(value, known if lower_case else {key.lower(): item for key, item in known.items()})


def to_number(value: Any) -> float:
    """Lodash ``toNumber``: ``""``, ``null`` and ``[]`` are 0, ``0x`` text works, what is no number is NaN."""
    return math.nan if value is UNDEFINED else javascript.to_number(value)


def group_by(values: Any, key: Any = UNDEFINED) -> dict[str, Any]:
    """Arrays of items by what *key* gives; undefined input makes a group named ``undefined`` (lib)."""
    groups: dict[str, Any] = {}
    of = getter(key)
    for item in _cast_array(values):
        groups.setdefault(_name(of(item)), []).append(item)
    return javascript.ordered(groups)


def key_by(values: Any, key: Any = UNDEFINED) -> dict[str, Any]:
    """The last item for each thing that *key* gives."""
    of = getter(key)
    return javascript.ordered({_name(of(item)): item for item in _cast_array(values)})


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
    """An object without *keys*; dotted paths reach inside. Undefined gives ``{}``, an array its items by index."""
    result = dict(_members(value))
    for key in _key_list(keys):
        if key in result:
            del result[key]
        else:
            _drop(result, javascript.split_path(key))
    return result


def compact(values: Any) -> list[Any]:
    """Without what JavaScript calls false; empty objects and arrays stay."""
    return [item for item in _cast_array(values) if is_true(item)]


def order_by(values: Any, keys: Any = UNDEFINED, orders: Any = UNDEFINED) -> list[Any]:
    """Sorted by *keys*, each ``asc`` (the default) or ``desc`` in *orders*; undefined values come last, ascending."""
    paths = [getter(_path(key)) for key in _list_of(keys)] or [getter(UNDEFINED)]
    signs = [-1 if order == "desc" else 1 for order in _list_of(orders)]
    signs += [1] * (len(paths) - len(signs))
    items = [(item, [of(item) for of in paths]) for item in _cast_array(values)]

    def compared(left: tuple[Any, list[Any]], right: tuple[Any, list[Any]]) -> int:
        current().meter.step()
        found = (sign * compare(*pair) for sign, *pair in zip(signs, left[1], right[1], strict=False))
        return next((each for each in found if each), 0)

    return [item for item, _ in sorted(items, key=cmp_to_key(compared))]


def find(values: Any, wanted: Any = UNDEFINED) -> Any:
    """The first item that has *wanted*: a key with a true value, or an object whose members all match."""
    of = getter(wanted)
    return next((item for item in _cast_array(values) if is_true(of(item))), UNDEFINED)


def lofilter(values: Any, wanted: Any = UNDEFINED) -> list[Any]:
    """All items that have *wanted*, as in :func:`find`. A function as *wanted* matches everything (lib)."""
    of = getter(wanted)
    return [item for item in _cast_array(values) if is_true(of(item))]


def values_of(value: Any) -> list[Any]:
    """The values of an object, the items of an array, the characters of text; undefined gives ``[]``."""
    return list(_members(value).values())


def chunk(values: Any, size: Any = UNDEFINED) -> list[Any]:
    """Arrays of *size* items each, one by default, the last one shorter."""
    items, length = _cast_array(values), javascript.whole(size, 1)
    if length < 1:
        return []
    step = int(min(length, max(1, len(items))))
    return [items[start : start + step] for start in range(0, len(items), step)]


def difference(values: Any, without: Any = UNDEFINED) -> list[Any]:
    """The items of the first array that are not in the second; objects are the same only as themselves (lib).

    NaN is NaN. What is no array has no items.
    """
    unwanted = {_same_value(item) for item in without} if isinstance(without, list) else set()
    return [item for item in values if _same_value(item) not in unwanted] if isinstance(values, list) else []


difference.takes_internal = True  # type: ignore[attr-defined]  # a copy of an object would be another one


def flatten(values: Any) -> list[Any]:
    """One level of arrays less."""
    return flatten_depth(values, 1)


def flatten_deep(values: Any) -> list[Any]:
    """No arrays inside at all."""
    return flatten_depth(values, math.inf)


def flatten_depth(values: Any, depth: Any = UNDEFINED) -> list[Any]:
    """*depth* levels of arrays less, one by default."""
    result: list[Any] = []
    _flatten_into(result, _cast_array(values), javascript.whole(depth, 1))
    return result


def join(values: Any, separator: Any = UNDEFINED) -> str:
    """The items as text between separators; null and undefined are empty (lib: lodash, replaces JSONata's)."""
    texts = ["" if _is_nil(item) else javascript.text(item) for item in _cast_array(values)]
    between = "," if separator is UNDEFINED else javascript.text(separator)
    current().meter.make_text(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


def _is_nil(value: Any) -> bool:
    return value is None or value is UNDEFINED


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _cast_array(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _members(value: Any) -> Mapping[str, Any]:
    """What JavaScript lists of a value: an object's members, an array's items and a text's characters by index."""
    if isinstance(value, Mapping):
        return value
    return {str(index): item for index, item in enumerate(value)} if isinstance(value, list | str) else {}


def _list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if _is_nil(value) else [value]


def _path(key: Any) -> Any:
    # Inside of the list of keys, a list is a path.
    return ".".join(map(javascript.text, key)) if isinstance(key, list) else key


def _name(value: Any) -> str:
    return "undefined" if value is UNDEFINED else javascript.text(value)


def _mapped(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_mapped(item, known) for item in value]
    if isinstance(value, Mapping):
        return {key: _mapped(item, known) for key, item in value.items()}
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    found = known.get(javascript.text(value).lower())
    return value if found is None else found


def _key_list(keys: Any) -> list[str]:
    return [javascript.text(key) for key in flatten(keys)] if keys is not UNDEFINED else []


_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")


def _put(target: Any, path: list[str], value: Any) -> None:
    """Put *value* at *path*, making objects on the way, and arrays where a place in one is named."""
    for key, after in pairwise(path):
        inner = _member(target, key)
        if not isinstance(inner, dict | list):
            inner = [] if _INDEX.fullmatch(after) else {}
            _set(target, key, inner)
        target = inner
    _set(target, path[-1], value)


def _member(target: Any, key: str) -> Any:
    if isinstance(target, list):
        return target[int(key)] if _INDEX.fullmatch(key) and int(key) < len(target) else None
    return target.get(key)


def _set(target: Any, key: str, value: Any) -> None:
    if not isinstance(target, list):
        target[key] = value
    elif _INDEX.fullmatch(key):
        missing = int(key) + 1 - len(target)
        if missing > 0:
            current().meter.make_elements(missing)
            target.extend([None] * missing)
        target[int(key)] = value


def _drop(target: Any, path: list[str]) -> None:
    for key in path[:-1]:
        inner = _member(target, key)
        if not isinstance(inner, Mapping | list):
            return
        # A copy on the way down: the argument itself is not ours to change.
        copied = list(inner) if isinstance(inner, list) else dict(inner)
        _set(target, key, copied)
        target = copied
    if isinstance(target, list):
        if path and _member(target, path[-1]) is not None:
            _set(target, path[-1], None)
    elif path:
        target.pop(path[-1], None)


def _same_value(value: Any) -> Any:
    """A hashable that two values share when lodash calls them the same (SameValueZero)."""
    if isinstance(value, str | int | float) and not _is_nan(value):
        return (isinstance(value, bool), value)
    return "NaN" if _is_nan(value) else ("object", id(value))


def _flatten_into(result: list[Any], values: list[Any], depth: float) -> None:
    for item in values:
        if isinstance(item, list) and depth >= 1:
            _flatten_into(result, item, depth - 1)
        else:
            result.append(item)


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
