"""The two forms of a value: plain JSON outside, and what jsonata-python computes with inside.

Inside, ``None`` is JSONata's *undefined* and ``NULL`` is JSON's ``null``. Outside, ``None`` is ``null`` and
:data:`UNDEFINED` is undefined.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from truto.errors import ExpressionError
from truto.expressions.library import NULL
from truto.expressions.limits import Limits, Meter

_MAX_NESTING = 200
_SHARED_DEPTH = 4
_AS_IT_IS = frozenset({str, int, bool})


class Undefined:
    """The type of :data:`UNDEFINED`."""

    _only: Undefined | None = None

    def __new__(cls) -> Undefined:
        """The one instance, also after copying."""
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def __repr__(self) -> str:
        return "UNDEFINED"

    def __bool__(self) -> bool:
        return False


UNDEFINED: Final = Undefined()
"""What an expression gives that finds nothing; ``None`` is JSON's ``null``. It is false."""


class Blob:
    """Binary data inside an expression. It is not JSON: ``$getDataUri`` and ``$bufferToString`` make text of it."""

    def __init__(self, content: bytes, mime_type: str = "") -> None:
        self.content = content
        self.mime_type = mime_type


class Wrapped(dict[str, Any]):
    """An object with methods: a date, an URL. ``native`` is what it stands for.

    ``to_json`` gives what it is as JSON, or is ``None`` when it cannot be JSON.
    """

    opaque = True

    def __init__(self, members: Mapping[str, Any], *, native: Any, to_json: Callable[[], Any] | None) -> None:
        super().__init__(members)
        self.native = native
        self.to_json = to_json


def truthy(value: object) -> bool:
    """JSONata's cast to boolean: undefined, ``null``, ``""``, 0, ``{}`` and arrays without a true member are false."""
    match value:
        case None | Undefined():
            return False
        case bool():
            return value
        case int() | float():
            return value != 0 and not math.isnan(value)
        case list():
            return any(truthy(item) for item in value)
        case str() | Mapping():
            return bool(value)
        case _:
            return False


def to_internal(value: Any, meter: Meter) -> Any:
    """A deep copy of plain JSON in the form jsonata-python computes with; what is not JSON raises.

    What stands under several names near the top, as a body does, is copied and counted once.
    """
    meter.take_input(1)
    copied = _internal(value, meter, 0, {})
    meter.weigh_input(copied)
    return copied


def _internal(value: Any, meter: Meter, depth: int, shared: dict[int, Any]) -> Any:
    if depth > _MAX_NESTING:
        raise ExpressionError(f"the input is nested deeper than {_MAX_NESTING} levels", code="input")
    match value:
        case None:
            return NULL
        case str() | bool() | int():
            return value
        case float():
            if math.isfinite(value):
                return value
            raise ExpressionError("the input holds a number that is not JSON", code="input")
        case list() | tuple() | Mapping():
            is_near = depth <= _SHARED_DEPTH and bool(value)
            if is_near and id(value) in shared:
                return shared[id(value)]
            copied = _internal_members(value, meter, depth + 1, shared)
            if is_near:
                shared[id(value)] = copied
            return copied
        case _:
            raise ExpressionError(f"the input holds a {type(value).__name__}, which is not JSON", code="input")


def _internal_members(value: Any, meter: Meter, depth: int, shared: dict[int, Any]) -> Any:
    meter.take_input(len(value))
    if isinstance(value, Mapping):
        return {
            key if type(key) is str else _key(key): item
            if type(item) in _AS_IT_IS
            else _internal(item, meter, depth, shared)
            for key, item in value.items()
        }
    return [item if type(item) in _AS_IT_IS else _internal(item, meter, depth, shared) for item in value]


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    raise ExpressionError("the input holds an object with a key that is not text", code="input")


def to_argument(value: Any, meter: Meter) -> Any:
    """A value on its way into one of Truto's functions: undefined is :data:`UNDEFINED`, ``null`` is ``None``."""
    if value is None:
        return UNDEFINED
    if isinstance(value, list):
        return [None if (plain := to_argument(item, meter)) is UNDEFINED else plain for item in _stepping(value, meter)]
    if isinstance(value, dict) and not isinstance(value, Wrapped):
        return {key: to_argument(item, meter) for key, item in _stepping_items(value, meter)}
    return None if value is NULL else value


def from_function(value: Any, meter: Meter) -> Any:
    """The reverse of :func:`to_argument`."""
    if isinstance(value, list | tuple):
        return [NULL if item is UNDEFINED else from_function(item, meter) for item in _stepping(value, meter)]
    if isinstance(value, dict) and not isinstance(value, Wrapped):
        items = _stepping_items(value, meter)
        return {key: from_function(item, meter) for key, item in items if item is not UNDEFINED}
    if value is UNDEFINED:
        return None
    return NULL if value is None else value


def copied(value: Any, meter: Meter) -> Any:
    """A deep copy of a value in internal form; objects with methods stay as they are."""
    meter.step()
    if isinstance(value, list):
        return [copied(item, meter) for item in value]
    if isinstance(value, dict) and not isinstance(value, Wrapped):
        return {key: copied(item, meter) for key, item in value.items()}
    return value


def _stepping(values: Any, meter: Meter) -> Any:
    for value in values:
        meter.step()
        yield value


def _stepping_items(value: Mapping[str, Any], meter: Meter) -> Any:
    return _stepping(value.items(), meter)


def to_json(value: Any, limits: Limits, meter: Meter) -> Any:
    """A result as plain JSON, in fresh lists and dicts; raises for functions, binary data and sheer size."""
    if value is None:
        return UNDEFINED
    plain = _plain(value, meter, 0)
    try:
        size = len(orjson.dumps(plain))
    except (orjson.JSONEncodeError, RecursionError) as error:
        # The encoder's text may quote the value.
        raise ExpressionError("the result cannot be written as JSON", code="result") from error
    if size > limits.output_bytes:
        raise ExpressionError(f"the result is larger than {limits.output_bytes} bytes", code="limit_size")
    return plain


def _plain(value: Any, meter: Meter, depth: int) -> Any:
    if depth > _MAX_NESTING:
        raise ExpressionError(f"the result is nested deeper than {_MAX_NESTING} levels", code="result")
    match value:
        case None:
            return None
        case bool() | str():
            return value
        case int() if abs(value) < 2**63:
            return value
        case int() | float():
            # An integer beyond 64 bits is a double in JavaScript, and what is no number is null in its JSON.
            return float(value) if math.isfinite(value) else None
        case list():
            return [_plain(item, meter, depth + 1) for item in _stepping(value, meter)]
        case Wrapped():
            if value.to_json is None:
                raise ExpressionError("the result holds functions, which are not JSON", code="result")
            return value.to_json()
        case dict():
            items = _stepping_items(value, meter)
            return {key: _plain(item, meter, depth + 1) for key, item in items if item is not None}
        case _ if value is NULL:
            return None
        case Blob():
            raise ExpressionError("the result holds binary data, which is not JSON", code="result")
        case _:
            raise ExpressionError("the result holds a function, which is not JSON", code="result")
