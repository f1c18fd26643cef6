"""Refuse JSON that would block the process, or fill it, while it is parsed."""

from __future__ import annotations

from events import MalformedEvent

MAX_PARTS = 200_000
"""Arrays, objects and keys in one body."""

MAX_VALUES = 1_000_000
"""Members and elements in one body."""

_CONTAINERS = (b"[", b"{")
_PARTING = b"[{:,"
_WORTH_COUNTING = 200_000
_PIECE_BYTES = 65_536
_WHITESPACE = b" \t\r\n"


def check_complexity(body: bytes) -> None:
    """Refuse a body of hundreds of thousands of arrays, objects or keys, or of a million values.

    Ten megabytes of ``[],`` take three seconds to parse, and of ``"a",`` 150 MB; counting takes ten milliseconds.
    JSON needs a bracket for each container, a quote and a colon for each key, and a comma for each further value, so
    that no spelling gets past; such characters inside of texts count too. Raises :class:`MalformedEvent`.
    """
    if len(body) <= _WORTH_COUNTING or _parting(body) < MAX_PARTS:
        return
    containers = sum(map(body.count, _CONTAINERS))
    # Most colons stand in texts (times, URLs), so keys are told from them only where it matters.
    if containers + body.count(b":") >= MAX_PARTS and containers + _keys(body) >= MAX_PARTS:
        raise MalformedEvent("too_complex", f"the body has {MAX_PARTS} arrays, objects and keys, or more")
    if body.count(b",") >= MAX_VALUES:
        raise MalformedEvent("too_complex", f"the body has {MAX_VALUES} values, or more")


def _parting(body: bytes) -> int:
    """How many characters begin a part or a value: all at once, in a third of the time of counting each."""
    pieces = (body[start : start + _PIECE_BYTES] for start in range(0, len(body), _PIECE_BYTES))
    return sum([len(piece) - len(piece.translate(None, _PARTING)) for piece in pieces])


def _keys(body: bytes) -> int:
    return body.translate(None, _WHITESPACE).count(b'":')
