"""JSON that is not quite JSON, written anew: what other libraries write, and would read again."""

from __future__ import annotations

import codecs
import json
import math
import re
from typing import Any

from events.errors import MalformedEvent

REPLACEMENT = "\ufffd"
"""What stands for each character that cannot be read."""

_MAX_DIGITS = 308
_SURROGATE = re.compile("[\ud800-\udfff]")  # pairs have become one character by then
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


def rewritten(body: bytes) -> bytes:
    """The JSON in *body* as every reader takes it. Raises :class:`MalformedEvent` where there is none.

    Byte order marks go, and UTF-16 or UTF-32 behind one becomes UTF-8. Half a surrogate pair (a text cut inside of an
    emoji) and bytes that are no UTF-8 become U+FFFD; ``NaN``, ``Infinity`` and numbers that no double holds ``null``.
    Whole numbers keep their digits. Who needs what is lost keeps *body*.
    """
    encoding = next((name for mark, name in _MARKS if body.startswith(mark)), "utf-8")
    try:
        text = body.decode(encoding, "surrogateescape" if encoding.startswith("utf-8") else "surrogatepass")
        value = json.loads(text, parse_constant=_no_number, parse_float=_fraction, parse_int=_whole)
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError) as exc:
        raise MalformedEvent("not_json", "the body is not JSON") from exc
    return _SURROGATE.sub(REPLACEMENT, text).encode()


def _no_number(name: str) -> None:
    del name


def _fraction(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


def _whole(digits: str) -> Any:
    return int(digits) if len(digits) <= _MAX_DIGITS else None
