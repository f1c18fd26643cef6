"""The result of ``diff``: amounts by unit, with Luxon's casual conversions (a month has 30 days, a year 365)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from truto import javascript
from truto.expressions.native import refused, wrapped
from truto.expressions.values import UNDEFINED, Wrapped

LENGTH = {
    "years": 365 * 86_400_000,
    "quarters": 91 * 86_400_000,
    "months": 30 * 86_400_000,
    "weeks": 7 * 86_400_000,
    "days": 86_400_000,
    "hours": 3_600_000,
    "minutes": 60_000,
    "seconds": 1000,
    "milliseconds": 1,
}
# Years and months among each other are exact.
_MONTHS = {"years": 12, "quarters": 3, "months": 1}
_TOKENS = {"y": "years", "M": "months", "w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def as_object(amounts: Mapping[str, float]) -> Wrapped:
    """The object that an expression sees."""
    kept = {unit: javascript.tidy(amount) for unit, amount in amounts.items()}
    methods: dict[str, Callable[..., Any]] = {
        "as": lambda unit: _shifted(kept, [_unit(unit)])[_unit(unit)],
        "get": lambda unit: kept.get(_unit(unit), 0),
        "plus": lambda other: as_object(_sum(kept, _amounts(other), 1)),
        "minus": lambda other: as_object(_sum(kept, _amounts(other), -1)),
        "shiftTo": lambda *units: as_object(_shifted(kept, [_unit(unit) for unit in units])),
        "normalize": lambda: as_object(_shifted(kept, list(kept))),
        "negate": lambda: as_object({unit: -amount for unit, amount in kept.items()}),
        "toFormat": lambda form, options=UNDEFINED: _written(kept, form, options),
        "toISO": lambda: iso(kept),
        "toMillis": lambda: javascript.tidy(_milliseconds(kept)),
        "toObject": lambda: dict(kept),
    }
    return wrapped({**kept, "isValid": True}, methods, native=kept, to_json=lambda: iso(kept))


def iso(amounts: Mapping[str, float]) -> str:
    """ISO 8601, such as ``P1DT2H``; nothing is ``PT0S``."""
    date = {"Y": amounts.get("years", 0), "M": amounts.get("months", 0) + 3 * amounts.get("quarters", 0)}
    date |= {"W": amounts.get("weeks", 0), "D": amounts.get("days", 0)}
    seconds = amounts.get("seconds", 0) + amounts.get("milliseconds", 0) / 1000
    time = {"H": amounts.get("hours", 0), "M": amounts.get("minutes", 0), "S": round(seconds, 3)}
    first, second = (
        "".join(f"{_number(amount)}{letter}" for letter, amount in each.items() if amount) for each in (date, time)
    )
    return f"P{first}{'T' + second if second else ''}" if first or second else "PT0S"


def _number(value: float) -> str:
    return javascript.number_text(javascript.tidy(float(value)))


def _unit(name: Any) -> str:
    plural = str(name).lower().removesuffix("s") + "s"
    if plural not in LENGTH:
        raise refused("the unit is not known")
    return plural


def _amounts(value: Any) -> dict[str, float]:
    if isinstance(value, Wrapped):
        value = value.native
    if isinstance(value, int | float):
        return {"milliseconds": value}
    if not isinstance(value, Mapping):
        raise refused("the argument is not a duration")
    return {_unit(unit): javascript.to_number(amount) for unit, amount in value.items()}


def _sum(left: Mapping[str, float], right: Mapping[str, float], sign: int) -> dict[str, float]:
    units = [unit for unit in LENGTH if unit in left or unit in right]
    return {unit: left.get(unit, 0) + sign * right.get(unit, 0) for unit in units}


def _milliseconds(amounts: Mapping[str, float]) -> float:
    return sum(amount * LENGTH[unit] for unit, amount in amounts.items())


def _shifted(amounts: Mapping[str, float], units: list[str]) -> dict[str, float]:
    """The same length in other units, the smallest one with the fraction."""
    ordered = [unit for unit in LENGTH if unit in units]
    months = sum(amount * _MONTHS[unit] for unit, amount in amounts.items() if unit in _MONTHS)
    rest = sum(amount * LENGTH[unit] for unit, amount in amounts.items() if unit not in _MONTHS)
    result: dict[str, float] = {}
    for unit in ordered:
        if unit in _MONTHS:
            result[unit], months = _take(months, _MONTHS[unit], last=unit == ordered[-1])
            continue
        if months:
            years = math.trunc(months / 12)
            rest += years * LENGTH["years"] + (months - 12 * years) * LENGTH["months"]
            months = 0
        result[unit], rest = _take(rest, LENGTH[unit], last=unit == ordered[-1])
    if rest and ordered and ordered[-1] in _MONTHS:
        result[ordered[-1]] += rest / (LENGTH["months"] * _MONTHS[ordered[-1]])
    return {unit: javascript.tidy(amount) for unit, amount in result.items()}


def _take(amount: float, size: int, *, last: bool) -> tuple[float, float]:
    if last:
        return amount / size, 0
    whole = math.trunc(amount / size)
    return whole, amount - whole * size


def _written(amounts: Mapping[str, float], form: str, options: Any) -> str:
    """Luxon's tokens ``y M w d h m s S``, repeated for a minimum width; the rest is text."""
    if options is not UNDEFINED and options:
        raise refused("toFormat takes no options here")
    tokens = [found[0] for found in re.finditer(r"'[^']*'|([yMwdhmsS])\1*|.", form[:200], re.DOTALL)]
    names = {**_TOKENS, "S": "milliseconds"}
    used = {names[token[0]] for token in tokens if token[0] in names}
    shown = _shifted(amounts, list(used)) if used else {}
    return "".join(
        str(math.trunc(shown[names[token[0]]])).zfill(len(token)) if token[0] in names else token.strip("'")
        for token in tokens
    )
