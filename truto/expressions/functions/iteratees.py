"""How lodash reads what is to be looked up, matched, or ordered by."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from truto import javascript
from truto.expressions.values import UNDEFINED


def is_true(value: Any) -> bool:
    """What JavaScript takes for true: every array and object, no NaN."""
    if isinstance(value, list | Mapping):
        return True
    return bool(value) and not (isinstance(value, float) and math.isnan(value))


def getter(wanted: Any) -> Callable[[Any], Any]:
    """What an item is looked up by: a path, an object to match, ``[path, value]``, or nothing for the item itself."""
    if wanted is None or wanted is UNDEFINED:
        return lambda item: item
    if isinstance(wanted, Mapping):
        # A function of JSONata gives a promise in JavaScript, which is true.
        return lambda item: contains(item, wanted)
    if isinstance(wanted, list):
        path, value = [*wanted, UNDEFINED, UNDEFINED][:2]
        return lambda item: value is not UNDEFINED and contains(get(item, path), value)
    if isinstance(wanted, str | int | float):
        return lambda item: get(item, wanted)
    return lambda item: True


def get(item: Any, path: Any) -> Any:
    """The value at a path of lodash, undefined for none."""
    return javascript.get_path(item, javascript.text(path), UNDEFINED)


def contains(item: Any, wanted: Any) -> bool:
    """Lodash's partial deep comparison: every member of *wanted* is in *item*, every element in some element."""
    if isinstance(wanted, Mapping):
        return (not wanted or isinstance(item, Mapping)) and all(
            key in item and contains(item[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(item, list) and all(any(contains(each, value) for each in item) for value in wanted)
    if isinstance(item, float) and isinstance(wanted, float) and math.isnan(item) and math.isnan(wanted):
        return True
    return bool(item == wanted) and isinstance(item, bool) == isinstance(wanted, bool)


def compare(left: Any, right: Any) -> int:
    """Ascending order of two values: undefined and NaN last, ``null`` before them, the others as ``<`` tells."""
    if _absence(left) or _absence(right):
        return (_absence(left) > _absence(right)) - (_absence(left) < _absence(right))
    if javascript.less(right, left):
        return 1
    return -1 if javascript.less(left, right) else 0


def _absence(value: Any) -> int:
    if value is None:
        return 1
    if value is UNDEFINED:
        return 2
    return 3 if isinstance(value, float) and math.isnan(value) else 0
