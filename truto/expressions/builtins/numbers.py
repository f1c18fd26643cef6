"""JSONata's functions for numbers."""

from __future__ import annotations

import math
import re
from typing import Any

from truto import javascript
from truto.errors import ExpressionError
from truto.expressions.builtins.dates import bounded_picture, bounded_text
from truto.expressions.builtins.number_pictures import format_by_picture, round_half_even
from truto.expressions.library import Functions, JException
from truto.expressions.values import truthy


def number(arg: Any) -> Any:
    """``$number(arg)``: JSON's notation, ``0x``, ``0o`` and ``0b``, and booleans."""
    if arg is None or (isinstance(arg, int | float) and not isinstance(arg, bool)):
        return arg
    if isinstance(arg, bool):
        return int(arg)
    if not isinstance(arg, str) or not re.fullmatch(
        r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?|0[xXoObB][0-9a-fA-F]+", arg
    ):
        raise JException("D3030", -1)
    number = javascript.to_number(arg)
    if not math.isfinite(number):
        raise JException("D3030", -1)
    return number


def round_(arg: Any, precision: Any) -> Any:
    """``$round(arg, precision)``: half to even."""
    if arg is None:
        return None
    places = 0 if precision is None else int(precision)
    if abs(places) > 300:
        raise ExpressionError("$round takes a precision between -300 and 300", code="function")
    return round_half_even(arg, places)


def format_number(value: Any, picture: Any, options: Any) -> Any:
    """``$formatNumber(number, picture, options)``."""
    return None if value is None else format_by_picture(value, bounded_picture(picture), options)


def format_base(value: Any, radix: Any) -> Any:
    """``$formatBase(number, radix)``; the library fails on large numbers and writes nothing for zero."""
    if value is None:
        return None
    base = 10 if radix is None else int(radix)
    if not 2 <= base <= len(_DIGITS):
        raise JException("D3100", -1)
    rest, written = abs(int(round_half_even(value, 0))), ""
    while rest:
        rest, digit = divmod(rest, base)
        written = _DIGITS[digit] + written
    return ("-" if value < 0 and written else "") + (written or "0")


def format_integer(value: Any, picture: Any) -> Any:
    """``$formatInteger(number, picture)``; numbers up to 1e15, Roman ones up to 1e6."""
    if value is None:
        return None
    if abs(value) > (1e6 if re.search("[iI]", bounded_picture(picture)) else 1e15):
        raise ExpressionError("$formatInteger: the number is too large for its picture", code="function")
    return Functions.format_integer(math.floor(value), picture)


def parse_integer(value: Any, picture: Any) -> Any:
    """``$parseInteger(text, picture)``."""
    return None if value is None else Functions.parse_integer(bounded_text(value), bounded_picture(picture))


_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def boolean(arg: Any) -> bool | None:
    """``$boolean(arg)``: NaN is false."""
    return None if arg is None else truthy(arg)


def not_(arg: Any) -> bool | None:
    """``$not(arg)``."""
    return None if arg is None else not truthy(arg)


FUNCTIONS = {
    "boolean": ("<x-:b>", boolean),
    "not": ("<x-:b>", not_),
    "number": ("<(nsb)-:n>", number),
    "round": ("<n-n?:n>", round_),
    "formatNumber": ("<n-so?:s>", format_number),
    "formatBase": ("<n-n?:s>", format_base),
    "formatInteger": ("<n-s:s>", format_integer),
    "parseInteger": ("<s-s:n>", parse_integer),
}
