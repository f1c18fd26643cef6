"""Luxon's texts: fields, format tokens both ways, ISO and relative times, in English."""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from truto.expressions.native import refused
from truto.expressions.patterns import Pattern

_LONGEST = 200
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_TOKEN = re.compile(r"'(?:[^']*)'|([a-zA-Z])\1*|[\s\S]")
_OFFSET = r"[+-]\d{1,2}(?::?\d{2})?"


HOST = timezone(timedelta(0), "UTC")
"""The zone of the host, which is UTC by another name: ISO 8601 says ``+00:00`` there, and ``Z`` in UTC itself (lib)."""


def zone_name(moment: datetime) -> str:
    """The IANA name of a moment's zone, or ``UTC+5:30`` for a fixed offset."""
    key = getattr(moment.tzinfo, "key", None)
    if isinstance(key, str):
        return key
    return "UTC" if moment.tzinfo is UTC or not moment.utcoffset() else "UTC" + offset_text(moment, "narrow")


def offset_minutes(moment: datetime) -> int:
    """The offset from UTC in minutes."""
    return (moment.utcoffset() or timedelta()) // timedelta(minutes=1)


def offset_text(moment: datetime, style: str) -> str:
    """The offset as ``+5:30`` or ``+5`` (narrow), ``+05:30`` (short) or ``+0530`` (techie)."""
    minutes = offset_minutes(moment)
    sign, hours, rest = "-" if minutes < 0 else "+", abs(minutes) // 60, abs(minutes) % 60
    match style:
        case "narrow":
            return f"{sign}{hours}:{rest:02}" if rest else f"{sign}{hours}"
        case "short":
            return f"{sign}{hours:02}:{rest:02}"
        case _:
            return f"{sign}{hours:02}{rest:02}"


def fields(moment: datetime) -> dict[str, Any]:
    """What an expression reads from a date without calling anything."""
    week_year, week, weekday = moment.isocalendar()
    days_in_year = 366 if calendar.isleap(moment.year) else 365
    winter = min(moment.replace(month=month, day=1).utcoffset() or timedelta() for month in (1, 7))
    fixed = getattr(moment.tzinfo, "key", None) is None and moment.tzinfo is not HOST
    return {
        "year": moment.year,
        "quarter": (moment.month + 2) // 3,
        "month": moment.month,
        "day": moment.day,
        "hour": moment.hour,
        "minute": moment.minute,
        "second": moment.second,
        "millisecond": moment.microsecond // 1000,
        "weekYear": week_year,
        "weekNumber": week,
        "weekday": weekday,
        "ordinal": moment.timetuple().tm_yday,
        "monthShort": _month(moment)[:3],
        "monthLong": _month(moment),
        "weekdayShort": _DAYS[weekday - 1][:3],
        "weekdayLong": _DAYS[weekday - 1],
        "offset": offset_minutes(moment),
        "offsetNameShort": _zone_label(moment),
        "offsetNameLong": _zone_label(moment),
        "zoneName": zone_name(moment),
        "zone": zone_name(moment),
        "daysInMonth": calendar.monthrange(moment.year, moment.month)[1],
        "daysInYear": days_in_year,
        "weeksInWeekYear": _weeks_in_year(week_year),
        "isInLeapYear": days_in_year == 366,
        "isInDST": not fixed and (moment.utcoffset() or timedelta()) > winter,
        "isOffsetFixed": fixed,
        "isValid": True,
        "invalidReason": None,
        "invalidExplanation": None,
        "locale": "en-US",
        "numberingSystem": None,
        "outputCalendar": None,
    }


def _month(moment: datetime) -> str:
    return _MONTH_NAMES[moment.month - 1]


_MONTH_NAMES = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def _weeks_in_year(year: int) -> int:
    # The 28th of December is in the last week.
    return datetime(min(max(year, 1), 9999), 12, 28, tzinfo=UTC).isocalendar().week


_AMERICAN = {"UTC": 0, "GMT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}
_AMERICAN |= {"AKST": -9, "AKDT": -8, "HST": -10}


def iso(moment: datetime, options: Any = None) -> str:
    """ISO 8601 with milliseconds; Luxon's options ``suppress…``, ``includeOffset`` and ``format`` change that."""
    chosen = options if isinstance(options, Mapping) else {}
    basic = chosen.get("format") == "basic"
    date, time = ("yyyyMMdd", "HHmm") if basic else ("yyyy-MM-dd", "HH:mm")
    second = "" if basic else ":"
    if not (chosen.get("suppressSeconds") and not moment.second and not moment.microsecond):
        time += f"{second}ss"
        if moment.microsecond or not chosen.get("suppressMilliseconds"):
            time += ".SSS"
    text = write(moment, f"{date}'T'{time}")
    if chosen.get("includeOffset") is False:
        return text
    return text + ("Z" if _is_utc(moment) else offset_text(moment, "techie" if basic else "short"))


def sql(moment: datetime, form: str, options: Any = None) -> str:
    """As SQL wants it, with the offset, or with the zone (``includeZone``), or neither (``includeOffset``)."""
    chosen = options if isinstance(options, Mapping) else {}
    text = write(moment, form)
    if chosen.get("includeZone"):
        return f"{text} {zone_name(moment)}"
    if chosen.get("includeOffset") is False:
        return text
    return f"{text} {'Z' if _is_utc(moment) else offset_text(moment, 'short')}"


def _is_utc(moment: datetime) -> bool:
    return zone_name(moment) == "UTC" and moment.tzinfo is not HOST


def _zone_label(moment: datetime) -> str | None:
    """The zone's short name, where one is usual in the United States, else the hours that it is away."""
    label, hours = moment.tzname(), offset_minutes(moment) / 60
    if _AMERICAN.get(label or "") == hours:
        return label
    return "GMT" if hours == 0 else f"GMT{offset_text(moment, 'narrow')}"


# -- writing -----------------------------------------------------------------------------------------------------------


def write(moment: datetime, form: Any) -> str:
    """*moment* by Luxon's tokens; text in single quotes and characters that are no tokens stay."""
    if not isinstance(form, str) or len(form) > _LONGEST:
        raise refused(f"a format is a text of at most {_LONGEST} characters")
    writers = _writers(moment)
    pieces = []
    for found in _TOKEN.finditer(form):
        token = found[0]
        if len(token) > 1 and token[0] == "'":
            pieces.append(token[1:-1])
        elif token in _MACROS:
            pieces.append(write(moment, _MACROS[token]))
        else:
            pieces.append(str(writers[token]) if token in writers else token)
    return "".join(pieces)


# The presets of Intl for en-US.
_MACROS = {
    "D": "L/d/yyyy",
    "DD": "LLL d, yyyy",
    "DDD": "LLLL d, yyyy",
    "DDDD": "cccc, LLLL d, yyyy",
    "t": "h:mm a",
    "tt": "h:mm:ss a",
    "ttt": "h:mm:ss a ZZZZ",
    "tttt": "h:mm:ss a ZZZZZ",
    "T": "HH:mm",
    "TT": "HH:mm:ss",
    "TTT": "HH:mm:ss ZZZZ",
    "TTTT": "HH:mm:ss ZZZZZ",
    "f": "L/d/yyyy, h:mm a",
    "ff": "LLL d, yyyy, h:mm a",
    "fff": "LLLL d, yyyy 'at' h:mm a ZZZZ",
    "ffff": "cccc, LLLL d, yyyy 'at' h:mm a ZZZZZ",
    "F": "L/d/yyyy, h:mm:ss a",
    "FF": "LLL d, yyyy, h:mm:ss a",
    "FFF": "LLLL d, yyyy 'at' h:mm:ss a ZZZZ",
    "FFFF": "cccc, LLLL d, yyyy 'at' h:mm:ss a ZZZZZ",
}


def _writers(moment: datetime) -> dict[str, object]:
    week_year, week, weekday = moment.isocalendar()
    day, month, milli = _DAYS[weekday - 1], _month(moment), moment.microsecond // 1000
    hour12, ordinal = moment.hour % 12 or 12, moment.timetuple().tm_yday
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    found: dict[str, object] = {
        "S": milli, "SSS": f"{milli:03}", "u": f"{milli:03}", "uu": f"{milli // 10:02}", "uuu": milli // 100,
        "a": "PM" if moment.hour >= 12 else "AM", "G": "AD", "GG": "Anno Domini", "GGGGG": "A",
        "Z": offset_text(moment, "narrow"), "ZZ": offset_text(moment, "short"), "ZZZ": offset_text(moment, "techie"),
        "ZZZZ": _zone_label(moment), "ZZZZZ": _zone_label(moment), "z": zone_name(moment),
        "X": seconds // 1000, "x": seconds, "y": moment.year, "yy": f"{moment.year % 100:02}",
        "yyyy": f"{moment.year:04}", "yyyyyy": f"{moment.year:06}", "q": (moment.month + 2) // 3,
        "qq": f"{(moment.month + 2) // 3:02}", "kk": f"{week_year % 100:02}", "kkkk": f"{week_year:04}",
        "o": ordinal, "ooo": f"{ordinal:03}",
    }  # fmt: skip
    pairs = {"s": moment.second, "m": moment.minute, "h": hour12, "H": moment.hour, "d": moment.day, "W": week}
    pairs |= {"n": week, "L": moment.month, "M": moment.month}
    for letter, number in pairs.items():
        found[letter] = number
        found[letter * 2] = f"{number:02}"
    for letter in "cE":
        found |= {letter: weekday, letter * 3: day[:3], letter * 4: day, letter * 5: day[0]}
    for letter in "LM":
        found |= {letter * 3: month[:3], letter * 4: month, letter * 5: month[0]}
    return found


# -- reading -----------------------------------------------------------------------------------------------------------

_ONE_OR_TWO, _TWO = r"\d{1,2}", r"\d{2}"
_READERS = {
    "y": r"\d{1,6}", "yy": r"\d{2,4}", "yyyy": r"\d{4}", "yyyyy": r"\d{4,6}", "yyyyyy": r"\d{6}",
    "L": _ONE_OR_TWO, "LL": _TWO, "M": _ONE_OR_TWO, "MM": _TWO, "d": _ONE_OR_TWO, "dd": _TWO,
    "H": _ONE_OR_TWO, "HH": _TWO, "h": _ONE_OR_TWO, "hh": _TWO, "m": _ONE_OR_TWO, "mm": _TWO,
    "s": _ONE_OR_TWO, "ss": _TWO, "S": r"\d{1,3}", "SSS": r"\d{3}", "u": r"\d{1,9}", "uu": _ONE_OR_TWO, "uuu": r"\d",
    "o": r"\d{1,3}", "ooo": r"\d{3}", "q": r"\d", "qq": _TWO, "kkkk": r"\d{4}", "W": _ONE_OR_TWO, "WW": _TWO,
    "E": "[1-7]", "c": "[1-7]", "a": "[ap]\\.?m\\.?", "X": r"-?\d{1,12}(?:\.\d{1,3})?", "x": r"-?\d{1,15}",
    "Z": _OFFSET, "ZZ": _OFFSET, "ZZZ": _OFFSET, "z": r"[a-z_+-]{1,256}?(?:/[a-z0-9_+-]{1,256}){0,2}",
}  # fmt: skip
for _letter in "LM":
    _READERS[_letter * 3] = "|".join(name[:3] for name in _MONTH_NAMES)
    _READERS[_letter * 4] = "|".join(_MONTH_NAMES)
for _letter in "cE":
    _READERS[_letter * 3] = "|".join(name[:3] for name in _DAYS)
    _READERS[_letter * 4] = "|".join(_DAYS)


@lru_cache(maxsize=256)
def _compiled(form: str) -> tuple[Pattern, tuple[str, ...]]:
    source, tokens = [], []
    for found in _TOKEN.finditer(form):
        token = found[0]
        if token in _READERS:
            tokens.append(token)
            source.append(f"({_READERS[token]})")
        elif found[1]:
            raise refused(f"the token {token!r} is not known for reading")
        else:
            literal = token[1:-1] if len(token) > 1 else token
            source.append(r"\s+" if literal.isspace() else re.escape(literal))
    return Pattern("".join(source), "i"), tuple(tokens)


def parse(text: str, form: str, zone: tzinfo, zone_of: Callable[[Any], tzinfo | None]) -> datetime | None:
    """The moment that *text* writes in *form*; local times are in *zone*. ``None`` when it does not fit."""
    if len(text) > _LONGEST or len(form) > _LONGEST:
        return None
    pattern, tokens = _compiled_bounded(form)
    found = pattern.fullmatch(text)
    if found is None:
        return None
    # Tokens of one letter differ only in width, but for the year of two digits.
    letters = [form if form == "yy" else form[0] for form in tokens]
    values = dict(zip(letters, found.groups(), strict=True))
    try:
        return _moment(values, zone, zone_of)
    except (ValueError, OverflowError):
        return None


def _compiled_bounded(form: str) -> tuple[Pattern, tuple[str, ...]]:
    expanded = re.sub(r"'[^']*'|[DtTfF]+", lambda hit: _MACROS.get(hit[0], hit[0]), form)
    return _compiled(expanded)


def _moment(values: Mapping[str, str], zone: tzinfo, zone_of: Callable[[Any], tzinfo | None]) -> datetime | None:
    if "X" in values:
        return datetime.fromtimestamp(float(values["X"]), UTC)
    if "x" in values:
        return datetime.fromtimestamp(int(values["x"]) / 1000, UTC)
    if "z" in values:
        named = zone_of(values["z"])
        if named is None:
            return None
        zone = named
    elif "Z" in values:
        zone = timezone(_offset_of(values["Z"]))
    now = datetime.now(zone)
    year, month, day = _date(values, now)
    hour = int(values.get("H") or values.get("h") or 0)
    if "a" in values and "h" in values:
        hour = hour % 12 + (12 if values["a"].lower().startswith("p") else 0)
    micro = int((values.get("S") or "0").rjust(3, "0")) * 1000 if "S" in values else _fraction(values.get("u"))
    minute, second = int(values.get("m", 0)), int(values.get("s", 0))
    return datetime(year, month, day, hour, minute, second, micro // 1000 * 1000, tzinfo=zone)


def _fraction(digits: str | None) -> int:
    return int((digits or "0").ljust(6, "0")[:6])


def _offset_of(text: str) -> timedelta:
    digits = text[1:].replace(":", "")
    hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return -offset if text.startswith("-") else offset


def _date(values: Mapping[str, str], now: datetime) -> tuple[int, int, int]:
    if "k" in values:
        weekday = values.get("E") or values.get("c") or "1"
        number = int(weekday) if weekday.isdigit() else _index(weekday, _DAYS)
        day = datetime.fromisocalendar(int(values["k"]), int(values.get("W", 1)), number)
        return day.year, day.month, day.day
    year = _year(values, now)
    if "o" in values:
        day = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=int(values["o"]) - 1)
        if day.year != year:
            raise ValueError
        return year, day.month, day.day
    written = values.get("L") or values.get("M")
    has_year = "y" in values or "yy" in values
    month = 1 if has_year else now.month
    if written:
        month = int(written) if written.isdigit() else _index(written, _MONTH_NAMES)
    elif "q" in values:
        month = int(values["q"]) * 3 - 2
    return year, month, int(values["d"]) if "d" in values else 1 if has_year or written else now.day


def _year(values: Mapping[str, str], now: datetime) -> int:
    if "yy" in values:
        year = int(values["yy"])
        return year if year > 99 else 1900 + year if year > 60 else 2000 + year
    return int(values["y"]) if "y" in values else now.year


def _index(text: str, names: tuple[str, ...]) -> int:
    return next(index for index, name in enumerate(names, 1) if name.lower().startswith(text.lower()))


def parse_rfc2822(text: str) -> datetime | None:
    """The moment of an e-mail's date, or ``None``."""
    if len(text) > _LONGEST:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# -- relative ----------------------------------------------------------------------------------------------------------


def relative(amount: Mapping[str, float]) -> str:
    """``in 2 days``, ``1 hour ago``."""
    unit, count = next(iter(amount.items()))
    number = math.trunc(abs(count))
    noun = unit.removesuffix("s") if number == 1 else unit
    return f"in {number} {noun}" if count >= 0 else f"{number} {noun} ago"


def relative_days(days: int) -> str:
    """``today``, ``tomorrow``, ``in 3 days``, ``2 days ago``."""
    words = {0: "today", 1: "tomorrow", -1: "yesterday"}
    return words.get(days) or relative({"days": days})
