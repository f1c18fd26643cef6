"""The pictures of ``$formatNumber``, read and applied as JSONata does: XPath's ``format-number``, with quirks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from truto import javascript
from truto.expressions.library import JException

_SYMBOLS = {
    "decimal-separator": ".",
    "grouping-separator": ",",
    "exponent-separator": "e",
    "minus-sign": "-",
    "percent": "%",
    "per-mille": "\u2030",
    "zero-digit": "0",
    "digit": "#",
    "pattern-separator": ";",
}


_SEPARATORS = ("decimal", "grouping", "exponent")


class _Symbols:
    """The characters of one call: the usual ones and what its options replace."""

    def __init__(self, options: Mapping[str, Any] | None) -> None:
        chosen = {**_SYMBOLS, **(options or {})}
        self.point, self.comma, self.exponent = (str(chosen[f"{name}-separator"]) for name in _SEPARATORS)
        self.minus, self.percent, self.per_mille = (
            str(chosen[name]) for name in ("minus-sign", "percent", "per-mille")
        )
        self.zero, self.hash, self.semicolon = (
            str(chosen[name]) for name in ("zero-digit", "digit", "pattern-separator")
        )
        self.digits = "".join(chr(ord(self.zero[0]) + offset) for offset in range(10))
        self.active = {*self.digits, self.point, self.exponent, self.comma, self.hash, self.semicolon}

    def required(self, part: str) -> int:
        return sum(character in self.digits for character in part)

    def places(self, part: str) -> int:
        return sum(character in self.digits or character == self.hash for character in part)

    def written(self, number: float, places: int) -> str:
        text = f"{abs(number):.{places}f}" if abs(number) < 1e21 else javascript.number_text(abs(number))
        return text.translate(str.maketrans("0123456789", self.digits))


@dataclass(frozen=True, slots=True)
class _Parts:
    text: str
    prefix: str
    suffix: str
    active: str
    mantissa: str
    exponent: str | None
    whole: str
    fraction: str


def format_by_picture(number: float, picture: str, options: Mapping[str, Any] | None) -> str:
    """*number* as *picture* shows it; a picture that is not valid raises JSONata's code for what is wrong."""
    symbols = _Symbols(options)
    pictures = picture.split(symbols.semicolon)
    if len(pictures) > 2:
        raise JException("D3080", -1)
    parts = [_split(each, symbols) for each in pictures]
    for each in parts:
        _check(each, symbols)
    if number >= 0 or len(parts) == 1:
        shown = parts[0] if number >= 0 else replace(parts[0], prefix=symbols.minus + parts[0].prefix)
    else:
        shown = parts[1]
    return _written(number, shown, symbols)


def round_half_even(number: float, places: int) -> float:
    """*number* with *places* digits behind the point, of two that are as near the even one."""
    try:
        rounded = Decimal(str(number)).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
    except InvalidOperation:
        return number  # more digits than a number has
    return javascript.tidy(float(rounded))


def _split(text: str, symbols: _Symbols) -> _Parts:
    at = [i for i, character in enumerate(text) if character in symbols.active and character != symbols.exponent]
    prefix, suffix = (text[: at[0]], text[at[-1] + 1 :]) if at else ("", "")
    active = text[len(prefix) : len(text) - len(suffix)]
    place = text.find(symbols.exponent, len(prefix))
    mantissa, exponent = active, None
    if place != -1 and place <= len(text) - len(suffix):
        mantissa, exponent = active[:place], active[place + 1 :]
    whole, found, fraction = mantissa.partition(symbols.point)
    return _Parts(text, prefix, suffix, active, mantissa, exponent, whole, fraction if found else suffix)


def _check(parts: _Parts, symbols: _Symbols) -> None:
    text, point = parts.text, parts.text.find(symbols.point)
    percents, per_milles = text.count(symbols.percent), text.count(symbols.per_mille)
    neighbours = {text[point - 1 : point], text[point + 1 : point + 2]} if point != -1 else set()
    optional, last = parts.whole.find(symbols.hash), parts.fraction.rfind(symbols.hash)
    wrong = {
        "D3081": text.count(symbols.point) > 1,
        "D3082": percents > 1,
        "D3083": per_milles > 1,
        "D3084": bool(percents and per_milles),
        "D3085": not symbols.places(parts.mantissa),
        "D3086": not set(parts.active) <= symbols.active,
        "D3087": symbols.comma in neighbours,
        "D3088": point == -1 and parts.whole.endswith(symbols.comma),
        "D3089": symbols.comma * 2 in text,
        "D3090": optional != -1 and symbols.required(parts.whole[:optional]) > 0,
        "D3091": last != -1 and symbols.required(parts.fraction[last:]) > 0,
        "D3092": bool(parts.exponent and (percents or per_milles)),
        "D3093": parts.exponent is not None and not (parts.exponent and set(parts.exponent) <= set(symbols.digits)),
    }
    # JSONata looks for all of them and tells the last.
    if found := [code for code, holds in wrong.items() if holds]:
        raise JException(found[-1], -1)


def _sizes(parts: _Parts, symbols: _Symbols) -> tuple[int, int, int]:
    """Digits before the point at least, and behind it at least and at most."""
    least_whole = symbols.required(parts.whole)
    least, most = symbols.required(parts.fraction), symbols.places(parts.fraction)
    if least_whole == 0 and most == 0:
        if parts.exponent is None:
            least_whole = 1
        else:
            least = most = 1
    if parts.exponent is not None and least_whole == 0 and symbols.hash in parts.whole:
        least_whole = 1
    if least_whole == 0 and least == 0:
        least = 1
    return least_whole, least, most


def _written(number: float, parts: _Parts, symbols: _Symbols) -> str:
    least_whole, least, most = _sizes(parts, symbols)
    if symbols.percent in parts.text:
        number *= 100
    elif symbols.per_mille in parts.text:
        number *= 1000
    exponent = None
    if parts.exponent is not None:
        number, exponent = _scaled(number, symbols.required(parts.whole))
    text = symbols.written(round_half_even(number, most), most)
    whole, _, fraction = text.partition(".")
    whole = whole.lstrip(symbols.zero).rjust(least_whole, symbols.zero)
    fraction = fraction.rstrip(symbols.zero).ljust(least, symbols.zero)
    whole, fraction = _grouped(whole, fraction, parts, symbols)
    shown = whole + symbols.point + fraction if fraction and symbols.point in parts.text else whole + fraction
    if exponent is not None:
        sign = symbols.minus if exponent < 0 else ""
        shown += symbols.exponent + sign + symbols.written(exponent, 0).rjust(len(parts.exponent or ""), symbols.zero)
    return parts.prefix + shown + parts.suffix


def _scaled(number: float, digits: int) -> tuple[float, int]:
    """A mantissa with *digits* digits before its point, and the power of ten that it is to be multiplied by."""
    exponent = 0
    if number:
        while abs(number) < math.pow(10, digits - 1):
            number, exponent = number * 10, exponent - 1
        while abs(number) > math.pow(10, digits):
            number, exponent = number / 10, exponent + 1
    return number, exponent


def _grouped(whole: str, fraction: str, parts: _Parts, symbols: _Symbols) -> tuple[str, str]:
    positions = [symbols.places(parts.whole[i:]) for i, each in enumerate(parts.whole) if each == symbols.comma]
    if size := _regular(positions):
        positions = list(range(size, len(whole), size))
    length = len(whole)
    for position in sorted(positions):  # from the right: the places before it stay what they are
        whole = _with_comma(whole, length - position, symbols.comma)
    inner = [symbols.places(parts.fraction[:i]) for i, each in enumerate(parts.fraction) if each == symbols.comma]
    for position in reversed(inner):
        fraction = _with_comma(fraction, position, symbols.comma)
    return whole, fraction


def _with_comma(text: str, place: int, comma: str) -> str:
    return text[:place] + comma + text[place:] if 0 < place < len(text) else text


def _regular(positions: list[int]) -> int:
    """The distance between commas, where it is the same everywhere; else 0."""
    size = math.gcd(*positions)
    return size if positions and all(index * size in positions for index in range(1, len(positions) + 1)) else 0
