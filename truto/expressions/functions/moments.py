"""Computing with dates as Luxon does: calendar units in local time, time units as elapsed time."""

from __future__ import annotations

import calendar
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from truto import javascript
from truto.expressions.functions import durations
from truto.expressions.native import refused
from truto.expressions.values import Wrapped

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_UNITS = {"hours": 3_600_000, "minutes": 60_000, "seconds": 1000, "milliseconds": 1}
_UNITS = ("years", "quarters", "months", "weeks", "days", *_TIME_UNITS)


def within(compute: Callable[[], datetime]) -> datetime | None:
    """What *compute* gives, or ``None`` where the years 1 to 9999 do not hold it."""
    try:
        return compute()
    except (OverflowError, ValueError):
        return None


def units_of(value: Any, sign: int = 1) -> dict[str, float]:
    """Amounts by unit (``years`` … ``milliseconds``); a number is milliseconds. Unknown units raise."""
    if isinstance(value, Wrapped):
        value = value.native
    if isinstance(value, int | float):
        value = {"milliseconds": value}
    if not isinstance(value, Mapping):
        raise refused("a duration is an object or a number")
    found = {}
    for key, amount in value.items():
        number = javascript.to_number(amount)
        if not math.isfinite(number):
            raise refused("a duration holds something that is not a number")
        found[unit_of(key)] = sign * number
    return found


def unit_of(name: Any) -> str:
    """The plural name of a unit."""
    plural = str(name).lower().removesuffix("s") + "s"
    if plural not in _UNITS:
        raise refused("the unit is not known")
    return plural


def shifted(moment: datetime, amounts: Mapping[str, float]) -> datetime | None:
    """Add calendar units in local time, with the day cut to the month, then time units as elapsed time."""

    def compute() -> datetime:
        whole = {unit: math.trunc(amount) for unit, amount in amounts.items()}
        months = 12 * whole.get("years", 0) + 3 * whole.get("quarters", 0) + whole.get("months", 0)
        count = moment.year * 12 + moment.month - 1 + months
        year, month = divmod(count, 12)
        day = min(moment.day, calendar.monthrange(year, month + 1)[1])
        days = 7 * whole.get("weeks", 0) + whole.get("days", 0)
        local = moment.replace(year=year, month=month + 1, day=day) + timedelta(days=days)
        # What is left of a unit is time, by Luxon's casual lengths: a month has 30 days.
        rest = sum(
            (amount - math.trunc(amount)) * durations.LENGTH[unit]
            for unit, amount in amounts.items()
            if unit not in _TIME_UNITS
        )
        elapsed = rest + sum(amounts.get(unit, 0) * each for unit, each in _TIME_UNITS.items())
        return (local.astimezone(UTC) + timedelta(milliseconds=math.trunc(elapsed))).astimezone(moment.tzinfo)

    return within(compute)


def start_of(moment: datetime, unit: str) -> datetime:
    """The first millisecond of the unit that *moment* is in; weeks begin on Monday."""
    order = ("milliseconds", "seconds", "minutes", "hours", "days")
    if unit in order:
        fields = ("microsecond", "second", "minute", "hour")[: order.index(unit)]
        return moment.replace(**dict.fromkeys(fields, 0))  # type: ignore[arg-type]
    midnight = start_of(moment, "days")
    if unit == "weeks":
        return midnight - timedelta(days=moment.weekday())
    month = {"months": moment.month, "quarters": (moment.month - 1) // 3 * 3 + 1, "years": 1}[unit]
    return midnight.replace(month=month, day=1)


def end_of(moment: datetime, unit: str) -> datetime | None:
    """The last millisecond of the unit that *moment* is in."""
    following = shifted(start_of(moment, unit), {unit: 1})
    return following and shifted(following, {"milliseconds": -1})


def replaced(moment: datetime, fields: Mapping[str, Any]) -> datetime | None:
    """*moment* with some of its fields set; what is too much (a 13th month) runs over into the next field."""
    values = {str(key).lower().removesuffix("s"): int(value) for key, value in fields.items()}
    if unknown := values.keys() - {*_SETTABLE, "weekday", "weeknumber", "weekyear", "ordinal"}:
        raise refused(f"the field {min(unknown)!r} is not known")

    def compute() -> datetime:
        result = moment
        if values.keys() & {"weekday", "weeknumber", "weekyear"}:
            now = moment.isocalendar()
            names = zip(("weekyear", "weeknumber", "weekday"), now, strict=True)
            day = datetime.fromisocalendar(*(values.get(name, default) for name, default in names))
            result = result.replace(year=day.year, month=day.month, day=day.day)
        result = _overflowing(result, values)
        if "ordinal" in values:
            result = result.replace(month=1, day=1) + timedelta(days=values["ordinal"] - 1)
        return result

    return within(compute)


def _overflowing(moment: datetime, values: Mapping[str, int]) -> datetime:
    year, month = divmod(values.get("year", moment.year) * 12 + values.get("month", moment.month) - 1, 12)
    day = values.get("day", min(moment.day, calendar.monthrange(year, month + 1)[1]))
    clock = {name: values.get(name, getattr(moment, name)) for name in ("hour", "minute", "second")}
    milli = values.get("millisecond", moment.microsecond // 1000)
    start = moment.replace(year=year, month=month + 1, day=1, hour=0, minute=0, second=0, microsecond=0)
    since = timedelta(
        days=day - 1, hours=clock["hour"], minutes=clock["minute"], seconds=clock["second"], milliseconds=milli
    )
    return start + since


_SETTABLE = ("year", "month", "day", "hour", "minute", "second", "millisecond")


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def difference(later: datetime, earlier: datetime, units: list[str]) -> dict[str, float]:
    """What lies between two moments in *units*, from the largest; the smallest one takes the fraction."""
    sign = 1 if later >= earlier else -1
    start, end = (earlier, later) if sign > 0 else (later, earlier)
    end = end.astimezone(start.tzinfo)
    ordered = sorted(units, key=_UNITS.index)
    result: dict[str, float] = {}
    for position, unit in enumerate(ordered):
        count, start = _whole_units(start, end, unit)
        if position == len(ordered) - 1:
            count += _fraction(start, end, unit)
        result[unit] = javascript.tidy(sign * float(count))
    return result


def _whole_units(start: datetime, end: datetime, unit: str) -> tuple[float, datetime]:
    length = {"years": 366, "quarters": 92, "months": 31, "weeks": 7, "days": 1}.get(unit)
    elapsed = milliseconds(end) - milliseconds(start)
    if length is None:
        count = elapsed // _TIME_UNITS[unit]
        return count, shifted(start, {unit: count}) or start
    count = max(0, elapsed // (length * 86_400_000) - 1)
    reached = shifted(start, {unit: count}) or start
    while (following := shifted(start, {unit: count + 1})) is not None and following <= end:
        count, reached = count + 1, following
    return count, reached


def _fraction(start: datetime, end: datetime, unit: str) -> float:
    following = shifted(start, {unit: 1})
    if following is None or following == start:
        return 0.0
    return (end - start) / (following.astimezone(UTC) - start.astimezone(UTC))
