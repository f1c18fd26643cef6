"""JSONata's functions for dates."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from truto.errors import ExpressionError
from truto.expressions.library import Functions, JException

_MAX_PICTURE = 200
_MAX_NUMBER_TEXT = 1_000
_MAX_ATTEMPTS = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIELDS = {"year": 1, "month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0}
_ISO = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>[01]\d))?(?:-(?P<day>[0-3]\d))?"
    r"(?:T(?P<hour>[0-2]\d):(?P<minute>[0-5]\d):(?P<second>[0-5]\d))?(?:\.(?P<fraction>\d+))?"
    r"(?:(?P<sign>[+-])(?P<offset_hours>[0-2]\d):?(?P<offset_minutes>[0-5]\d)|Z)?",
    re.ASCII,
)


def to_millis(value: Any, picture: Any) -> Any:
    """``$toMillis(text, picture)``; the library matches with backtracking, so adjacent parts are bounded."""
    if value is None:
        return None
    if picture is not None:
        # Parts that follow each other without a separator can share the text in this many ways.
        runs = re.findall(r"(?:\[[^\]]*\]\w*)+", bounded_picture(picture))
        adjacent = max((run.count("[") for run in runs), default=0)
        if math.comb(len(bounded_text(value)), max(0, adjacent - 1)) > _MAX_ATTEMPTS:
            raise ExpressionError("$toMillis: the picture needs separators", code="function")
        return Functions.datetime_to_millis(value, picture)
    return _iso_millis(bounded_text(value))


def from_millis(value: Any, picture: Any, timezone: Any) -> Any:
    """``$fromMillis(number, picture, timezone)``."""
    if value is None:
        return None
    return Functions.datetime_from_millis(value, picture and bounded_picture(picture), timezone)


def bounded_picture(picture: Any) -> Any:
    """The picture itself, if it is not too long."""
    if picture is not None and len(picture) > _MAX_PICTURE:
        raise ExpressionError(f"a picture has at most {_MAX_PICTURE} characters", code="function")
    return picture


def bounded_text(value: str) -> str:
    """The text of a number or date itself, if it is not too long."""
    if len(value) > _MAX_NUMBER_TEXT:
        raise ExpressionError(f"a number or date has at most {_MAX_NUMBER_TEXT} characters", code="function")
    return value


def _iso_millis(text: str) -> int:
    """What ``Date.parse`` makes of the form that JSONata takes; a day that its month does not have is in the next."""
    found = _ISO.fullmatch(text)
    if found is None:
        raise JException("D3110", -1)
    year, month, day, hour, minute, second = (int(found[name] or first) for name, first in _FIELDS.items())
    if not 1 <= month <= 12 or not 1 <= day <= 31 or hour > 24 or (hour == 24 and (minute or second)):
        raise JException("D3110", -1)
    moment = datetime(year, month, 1, tzinfo=UTC) + timedelta(days=day - 1, hours=hour, minutes=minute, seconds=second)
    offset = timedelta(0)
    if found["sign"]:
        offset = timedelta(hours=int(found["offset_hours"]), minutes=int(found["offset_minutes"])) * int(
            f"{found['sign']}1"
        )
    whole = (moment - offset - _EPOCH) // timedelta(milliseconds=1)
    return whole + int((found["fraction"] or "").ljust(3, "0")[:3])


FUNCTIONS = {
    "toMillis": ("<s-s?:n>", to_millis),
    "fromMillis": ("<n-s?s?:s>", from_millis),
}
