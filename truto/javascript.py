"""How JavaScript turns values into text and numbers, as far as Truto's two expression languages show it.

Numbers print as they do in a browser (``1e+21``, ``5`` for ``5.0``); everything else is a small table. Integers beyond
2**53 keep all their digits, which JavaScript would round: an id must not change on its way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

_WHITE_SPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
    "\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
)
_INTEGER = re.compile(r"([+-]?[0-9]{1,300})(?![0-9])")
_HEXADECIMAL = re.compile(r"([+-]?)0[xX]([0-9a-fA-F]{0,300})(?![0-9a-fA-F])")
_DECIMAL = re.compile(r"([+-]?(?:[0-9]{1,300}(?:\.[0-9]{0,300})?|\.[0-9]{1,300})(?:[eE][+-]?[0-9]{1,3})?)")
_ELEMENT = re.compile(r"0|[1-9][0-9]{0,8}")
_PATH = re.compile(r"[^.\[\]]+|\[(?:(-?\d+(?:\.\d+)?)|([\"'])((?:(?!\2)[^\\]|\\.)*?)\2)\]|(?=(?:\.|\[\])(?:\.|\[\]|$))")
_RADIX = {"0x": 16, "0o": 8, "0b": 2}


def number_text(value: float) -> str:
    """A number as JavaScript prints it: the shortest digits that read back the same."""
    if isinstance(value, int) and abs(value) < 10**21:
        return str(int(value))
    try:
        value = float(value)
    except OverflowError:
        return "Infinity" if value > 0 else "-Infinity"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    return ("-" if sign else "") + _place_point("".join(map(str, digits)), exponent)


def _place_point(digits: str, exponent: int) -> str:
    point = len(digits) + exponent  # where the decimal point falls, counted from the first digit
    if len(digits) <= point <= 21:
        return digits + "0" * exponent
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    mantissa = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{mantissa}e{point - 1:+d}"


def text(value: object) -> str:
    """``String(value)``: arrays joined by commas (``null`` inside is nothing), objects as ``[object Object]``."""
    match value:
        case str():
            return value
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return number_text(value)
        case list():
            return ",".join("" if item is None else text(item) for item in value)
        case _:
            return "[object Object]"


def lodash_text(value: object) -> str:
    """Lodash's ``toString``: like :func:`text`, but ``null`` in an array stays a word, and ``-0`` keeps its sign."""
    if isinstance(value, list):
        return ",".join(map(lodash_text, value))
    return "-0" if isinstance(value, float) and value == 0 and math.copysign(1, value) < 0 else text(value)


def trimmed(value: str) -> str:
    """``value.trim()``: JavaScript's white space has the byte order mark, and not the separators of ASCII."""
    return value.strip(_WHITE_SPACE)


def leading_integer(value: str) -> int | None:
    """``parseInt``: the integer that *value* begins with, hexadecimal after ``0x``; ``None`` for none."""
    value = trimmed(value)
    if found := _HEXADECIMAL.match(value):
        return int(found[1] + found[2], 16) if found[2] else None
    found = _INTEGER.match(value)
    return int(found[1]) if found else None


def leading_number(value: str) -> float | None:
    """``parseFloat``: the number that *value* begins with, integral ones as ``int``; ``None`` for none or infinity."""
    found = _DECIMAL.match(trimmed(value))
    return tidy(float(found[1])) if found and math.isfinite(float(found[1])) else None


def tidy(value: float) -> float:
    """The same number, as ``int`` where it is integral and exact, so that JSON shows no ``.0``."""
    return int(value) if float(value).is_integer() and abs(value) <= 2**53 else value


def to_number(value: object) -> float:
    """``Number(value)``: ``""``, ``null`` and ``[]`` are 0, ``0x`` text works, what is no number is NaN."""
    match value:
        case None:
            return 0
        case bool() | int():
            return int(value)
        case float():
            return value
        case str():
            return _number_of_text(trimmed(value))
        case list():
            return _number_of_text(trimmed(text(value)))
        case _:
            return math.nan


def _number_of_text(value: str) -> float:
    if not value:
        return 0
    if (radix := _RADIX.get(value[:2].lower())) is not None:
        digits = value[2:]
        return int(digits, radix) if re.fullmatch("[0-9a-fA-F]{1,200}", digits) and _fits(digits, radix) else math.nan
    if value in ("Infinity", "+Infinity"):
        return math.inf
    if value == "-Infinity":
        return -math.inf
    found = _DECIMAL.fullmatch(value)
    return tidy(float(found[1])) if found else math.nan


def _fits(digits: str, radix: int) -> bool:
    return all(int(digit, 16) < radix for digit in digits)


def get_path(value: Any, path: str, default: Any = None) -> Any:
    """Follow a dotted *path* (``a.b``, ``a[0].b``) the way lodash's ``get`` does; own keys only."""
    if isinstance(value, Mapping) and path in value:
        return value[path]
    for key in split_path(path):
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list | str) and key == "length":
            value = len(value)
        elif isinstance(value, list | str) and _ELEMENT.fullmatch(key) and int(key) < len(value):
            value = value[int(key)]
        else:
            return default
    return value


def split_path(path: str) -> list[str]:
    """The keys of a lodash path: ``a.b[0]`` names ``a``, ``b`` and ``0``; between two points is an empty one."""
    keys = [found[1] or found[3] or found[0] for found in _PATH.finditer(path)]
    return ["", *keys] if path.startswith(".") or not keys else keys


def less(left: object, right: object) -> bool:
    """``left < right``: texts by their characters, anything else as numbers, of which NaN is never less."""
    if isinstance(left, list | Mapping):
        left = text(left)
    if isinstance(right, list | Mapping):
        right = text(right)
    if isinstance(left, str) and isinstance(right, str):
        return left < right
    return to_number(left) < to_number(right)


def whole(value: object, default: float) -> float:
    """Lodash's ``toInteger``: cut towards zero, 0 for what is no number; *default* for undefined."""
    if value is None or isinstance(value, str | int | float | list):
        number = to_number(value)
        return 0 if math.isnan(number) else number if math.isinf(number) else math.trunc(number)
    return 0 if isinstance(value, Mapping) else default


def ordered(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members in the order in which JavaScript keeps them: indexes first, by their size."""
    indexes = sorted((key for key in members if _ELEMENT.fullmatch(key)), key=int)
    return {key: members[key] for key in (*indexes, *(key for key in members if not _ELEMENT.fullmatch(key)))}
