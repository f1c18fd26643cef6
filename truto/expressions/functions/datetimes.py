"""``$dtFromIso``, ``$dtFromFormat``: dates with Luxon's fields and methods.

The host's zone is UTC here, as on Truto's own platform, so that results do not change with the machine (own; lib: the
process's zone). Texts are English. A date that cannot be read gives an object with ``isValid = false``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from truto import javascript
from truto.expressions.functions import durations, luxon
from truto.expressions.functions.moments import (
    EPOCH,
    difference,
    end_of,
    milliseconds,
    replaced,
    shifted,
    start_of,
    unit_of,
    units_of,
    within,
)
from truto.expressions.native import refused, wrapped
from truto.expressions.values import UNDEFINED, Wrapped

_ISO_SHAPE = re.compile(r"\d{4}(?:-?W?\d[\dW-]{0,8})?(?:T[\d:.,]{1,30}(?:Z|[+-]\d{2}(?::?\d{2})?)?)?", re.ASCII)
_ISO_TIME = re.compile(r"\d{2}(?::\d{2}(?::?\d{2}(?:[.,]\d{1,30})?)?)?(?:Z|[+-]\d{2}(?::?\d{2})?)?", re.ASCII)
_ISO_MIDNIGHT = re.compile(r"T24(?=(?::?00(?::?00(?:[.,]0+)?)?)?(?:Z|[+-]|$))")
_ISO_ORDINAL = re.compile(r"(\d{4})-?(\d{3})(?=T|$)")
_ISO_MONTH = re.compile(r"(\d{4})(?:-(\d{2}))?(?=T|$)")
_OFFSET_ZONE = re.compile(r"(?:UTC|GMT)([+-]\d{1,2})(?::?(\d{2}))?", re.IGNORECASE)


# -- reading -----------------------------------------------------------------------------------------------------------


def dt_from_iso(text: Any = UNDEFINED, zone: Any = UNDEFINED) -> Any:
    """An ISO 8601 date, moved to *zone*, else to UTC. What cannot be read, also ``null``, is invalid."""
    moment = _read_iso(text) if isinstance(text, str) else None
    return _in_zone(moment, zone)


def dt_from_format(text: Any = UNDEFINED, form: Any = UNDEFINED, options: Any = UNDEFINED) -> Any:
    """A date by Luxon's tokens, or ``RFC2822``, ``ISO``, ``fromSeconds``; *options* such as ``{'zone': 'UTC'}``."""
    zone = options.get("zone", UNDEFINED) if isinstance(options, Mapping) else UNDEFINED
    read_in = luxon.HOST if zone is UNDEFINED else zone_of(zone)
    if not isinstance(form, str) or read_in is None:
        return invalid("unsupported zone" if read_in is None else "unparsable")
    if form == "ISO":
        return dt_from_iso(text, zone)
    if form == "fromSeconds":
        seconds = javascript.leading_integer(javascript.text(text))
        return _in_zone(None if seconds is None else _at(seconds * 1000), zone)
    if not isinstance(text, str):
        return invalid("unparsable")
    moment = luxon.parse_rfc2822(text) if form == "RFC2822" else luxon.parse(text, form, read_in, zone_of)
    return _in_zone(moment, zone)


def iso_to_format(text: str, form: str) -> str:
    """An ISO date written in *form*, or as ISO when *form* is empty; what is no date becomes ``Invalid DateTime``."""
    moment = _read_iso(text)
    if moment is None:
        return "Invalid DateTime"
    return luxon.write(moment, form) if form else luxon.iso(moment.astimezone(luxon.HOST))


def zone_of(name: Any) -> tzinfo | None:
    """A zone by its IANA name, ``UTC+5:30``, ``utc``, ``local`` or minutes; ``None`` when there is none such."""
    if isinstance(name, int | float) and not isinstance(name, bool):
        return timezone(timedelta(minutes=name)) if abs(name) < 1440 else None
    if not isinstance(name, str):
        return None
    if name.lower() in ("local", "system", "default"):
        return luxon.HOST
    if name.lower() in ("utc", "gmt"):
        return UTC
    if found := _OFFSET_ZONE.fullmatch(name):
        sign = -1 if found[1].startswith("-") else 1
        minutes = int(found[1]) * 60 + sign * int(found[2] or 0)
        return timezone(timedelta(minutes=minutes)) if abs(minutes) < 1440 else None
    return _named_zone(name)


@cache
def _zones() -> dict[str, str]:
    names = files("tzdata").joinpath("zones").read_text("ascii").split()
    return {name.lower(): name for name in names}


def _named_zone(name: str) -> tzinfo | None:
    # A name from outside must not become a path: ZoneInfo looks for files.
    found = _zones().get(name.lower())
    return ZoneInfo(found) if found else None


def _read_iso(text: str) -> datetime | None:
    if len(text) > 50:
        return None
    if _ISO_TIME.fullmatch(text):
        text = f"{datetime.now(UTC).date().isoformat()}T{text}"
    if not _ISO_SHAPE.fullmatch(text):
        return None
    text, midnights = _ISO_MIDNIGHT.subn("T00", text)  # the end of a day
    try:
        if found := _ISO_ORDINAL.match(text):
            day = datetime(int(found[1]), 1, 1) + timedelta(days=int(found[2]) - 1)  # noqa: DTZ001 (zone below)
            text = day.date().isoformat() + text[found.end() :] if day.year == int(found[1]) else ""
        elif found := _ISO_MONTH.match(text):
            text = f"{found[1]}-{found[2] or '01'}-01{text[found.end() :]}"
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return within(lambda: _whole_milliseconds(moment.astimezone(UTC)) + timedelta(days=midnights))


def _whole_milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _at(milliseconds: float) -> datetime | None:
    return within(lambda: EPOCH + timedelta(milliseconds=milliseconds))


def _in_zone(moment: datetime | None, zone: Any) -> Any:
    target = luxon.HOST if zone is UNDEFINED or not zone else zone_of(zone)
    if target is None:
        return invalid("unsupported zone")
    moved = within(lambda: moment.astimezone(target)) if moment is not None else None
    return invalid("unparsable") if moved is None else as_object(moved)


# -- the object --------------------------------------------------------------------------------------------------------


def native_of(value: Any) -> datetime | None:
    """The moment behind an object of ours; ``None`` for an invalid one. Anything else raises."""
    if isinstance(value, Wrapped) and (value.native is None or isinstance(value.native, datetime)):
        return value.native
    raise refused("the argument is not a date")


def _or_invalid(moment: datetime | None) -> Any:
    return invalid("out of range") if moment is None else as_object(moment)


def as_object(moment: datetime) -> Wrapped:
    """The object that an expression sees."""
    methods = {**_changing(moment), **_writing(moment), **_comparing(moment)}
    return wrapped(luxon.fields(moment), methods, native=moment, to_json=lambda: luxon.iso(moment))


def invalid(reason: str) -> Wrapped:
    """The object of a date that is none: methods give ``null`` or it again."""
    dead: dict[str, Callable[..., Any]] = {}
    for name in (*_changing(EPOCH), "diff", "diffNow", "until"):
        dead[name] = lambda *_: invalid(reason)
    for name in (*_writing(EPOCH), "hasSame", "equals"):
        dead[name] = lambda *_: None
    for name, value in {"toFormat": "Invalid DateTime", "hasSame": False, "equals": False}.items():
        dead[name] = lambda *_, value=value: value
    members = {**dict.fromkeys(luxon.fields(EPOCH)), "isValid": False, "invalidReason": reason}
    return wrapped(members, dead, native=None, to_json=lambda: None)


def _changing(moment: datetime) -> dict[str, Callable[..., Any]]:
    def set_zone(zone: Any = "local", options: Any = UNDEFINED) -> Any:
        target = zone_of(zone)
        if target is None:
            return invalid("unsupported zone")
        if isinstance(options, Mapping) and options.get("keepLocalTime"):
            return as_object(moment.replace(tzinfo=target))
        return _or_invalid(within(lambda: moment.astimezone(target)))

    return {
        "plus": lambda amounts: _or_invalid(shifted(moment, units_of(amounts))),
        "minus": lambda amounts: _or_invalid(shifted(moment, units_of(amounts, -1))),
        "set": lambda fields: _or_invalid(replaced(moment, fields)),
        "startOf": lambda unit: as_object(start_of(moment, unit_of(unit))),
        "endOf": lambda unit: _or_invalid(end_of(moment, unit_of(unit))),
        "setZone": set_zone,
        "setLocale": lambda *_: as_object(moment),
        "reconfigure": lambda *_: as_object(moment),
        "toUTC": lambda *_: set_zone("UTC"),
        "toLocal": lambda *_: set_zone("local"),
    }


def _writing(moment: datetime) -> dict[str, Callable[..., Any]]:
    return {
        "toFormat": lambda form: luxon.write(moment, form),
        "toISO": lambda options=UNDEFINED: luxon.iso(moment, options),
        "toISODate": lambda *_: luxon.write(moment, "yyyy-MM-dd"),
        "toISOTime": lambda options=UNDEFINED: luxon.iso(moment, options).partition("T")[2],
        "toISOWeekDate": lambda: luxon.write(moment, "kkkk-'W'WW-c"),
        "toRFC2822": lambda: luxon.write(moment, "ccc, dd LLL yyyy HH:mm:ss ZZZ"),
        "toHTTP": lambda: luxon.write(moment.astimezone(UTC), "ccc, dd LLL yyyy HH:mm:ss 'GMT'"),
        "toSQL": lambda options=UNDEFINED: luxon.sql(moment, "yyyy-MM-dd HH:mm:ss.SSS", options),
        "toSQLDate": lambda: luxon.write(moment, "yyyy-MM-dd"),
        "toSQLTime": lambda options=UNDEFINED: luxon.sql(moment, "HH:mm:ss.SSS", options),
        "toJSDate": lambda: luxon.write(moment.astimezone(UTC), "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"),
        "toMillis": lambda: milliseconds(moment),
        "valueOf": lambda: milliseconds(moment),
        "toSeconds": lambda: javascript.tidy(milliseconds(moment) / 1000),
        "toUnixInteger": lambda: milliseconds(moment) // 1000,
        "toRelative": lambda *_: luxon.relative(_since_now(moment)),
        "toRelativeCalendar": lambda *_: luxon.relative_days((moment.date() - datetime.now(moment.tzinfo).date()).days),
        "toLocaleString": _locale_string(moment),
    }


def _since_now(moment: datetime) -> dict[str, float]:
    now = datetime.now(UTC)
    for unit in ("years", "months", "days", "hours", "minutes"):
        count = difference(moment, now, [unit])[unit]
        if abs(count) >= 1:
            return {unit: count}
    return difference(moment, now, ["seconds"])


def _locale_string(moment: datetime) -> Callable[..., str]:
    def to_locale_string(options: Any = UNDEFINED) -> str:
        if options is not UNDEFINED and options:
            raise refused("toLocaleString takes no options here; use toFormat")
        return luxon.write(moment, "D")

    return to_locale_string


def _comparing(moment: datetime) -> dict[str, Callable[..., Any]]:
    def diff(other: Any, units: Any = "milliseconds", options: Any = UNDEFINED) -> Any:
        del options
        end = native_of(other)
        if end is None:
            return invalid("invalid argument")
        names = [unit_of(unit) for unit in (units if isinstance(units, list) else [units])]
        return durations.as_object(difference(moment, end, names))

    def has_same(other: Any, unit: Any) -> bool:
        end = native_of(other)
        name = unit_of(unit)
        return end is not None and start_of(moment, name) == start_of(end.astimezone(moment.tzinfo), name)

    def equals(other: Any) -> bool:
        end = native_of(other)
        return end is not None and moment == end and luxon.zone_name(moment) == luxon.zone_name(end)

    def until(other: Any) -> Any:
        end = native_of(other)
        if end is None or end < moment:
            return invalid("the end is before the start")
        return _interval(moment, end)

    return {
        "diff": diff,
        "diffNow": lambda units="milliseconds", options=UNDEFINED: diff(as_object(_now()), units, options),
        "hasSame": has_same,
        "equals": equals,
        "until": until,
    }


def _now() -> datetime:
    return _whole_milliseconds(datetime.now(UTC))


def _interval(start: datetime, end: datetime) -> Wrapped:
    def contains(other: Any) -> bool:
        moment = native_of(other)
        return moment is not None and start <= moment < end

    def to_duration(units: Any = "milliseconds") -> Any:
        names = [unit_of(unit) for unit in (units if isinstance(units, list) else [units])]
        return durations.as_object(difference(end, start, names))

    text = f"{luxon.iso(start)}/{luxon.iso(end)}"
    methods: dict[str, Callable[..., Any]] = {
        "contains": contains,
        "length": lambda unit="milliseconds": difference(end, start, [unit_of(unit)])[unit_of(unit)],
        "toDuration": to_duration,
        "toISO": lambda: text,
    }
    members = {"start": as_object(start), "end": as_object(end), "isValid": True}
    return wrapped(members, methods, native=(start, end), to_json=lambda: text)


FUNCTIONS = {"dtFromIso": dt_from_iso, "dtFromFormat": dt_from_format}
