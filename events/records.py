"""How deliveries lie in a spool file: framed, checksummed, and found again around damage. Performs no I/O.

A frame is: four fixed bytes, the payload's length, a digest of the payload, a digest of these two; then the payload.
Both digests are keyed with a secret of the file's own. So a frame that a sender puts into its body is never taken for
one of ours when the search for the next record passes over it, and the length can be trusted on its own: a tail that
was torn in the middle of an append is told apart from a record that was whole once and is damaged now.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from hmac import compare_digest
from typing import Any

import orjson

from events.errors import CorruptEvent
from events.event import Verified

KEY_BYTES = 16
"""The length of a file's key."""

_MARK = b"\xf5tw\x01"  # 0xf5 occurs in no UTF-8 text, so JSON bodies hold no false marks
_DIGEST_BYTES = 8
_HEAD = struct.Struct(f">4sI{_DIGEST_BYTES}s{_DIGEST_BYTES}s")

HEAD_BYTES = _HEAD.size
"""What a frame is longer than its payload."""


class Kind(Enum):
    """What a stretch of a spool file is."""

    RECORD = "record"
    DAMAGED = "damaged"
    """Was appended once, perhaps confirmed, and is not what it was."""
    TORN = "torn"
    """The beginning of an append that never came to its end, and so was never confirmed."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The bytes from *start* up to *end* of a spool file."""

    kind: Kind
    start: int
    end: int

    @property
    def payload(self) -> slice:
        """Where a record's payload lies."""
        return slice(self.start + HEAD_BYTES, self.end)


def pack(events: Sequence[Verified]) -> bytes:
    """One delivery as a payload: a line of JSON, then the bodies one after the other."""
    heads = [
        {
            "source": verified.source,
            "type": verified.type,
            "id": verified.id,
            "headers": dict(verified.headers),
            "secret_position": verified.secret_position,
            "platform": verified.platform,
            "about": verified.about,
            "lengths": [len(verified.body), len(verified.raw)],
        }
        for verified in events
    ]
    bodies = [part for verified in events for part in (verified.body, verified.raw)]
    return b"".join([orjson.dumps(heads), b"\n", *bodies])


def unpack(payload: bytes) -> list[Verified]:
    """The delivery that :func:`pack` made *payload* of. Raises :class:`CorruptEvent` when it did not."""
    line, _, bodies = payload.partition(b"\n")
    events = []
    position = 0
    try:
        for head in orjson.loads(line):
            middle = position + _natural(head["lengths"][0])
            end = middle + _natural(head["lengths"][1])
            events.append(_verified(head, bodies[position:middle], bodies[middle:end]))
            position = end
    except (ValueError, KeyError, TypeError, IndexError) as exc:
        raise CorruptEvent(f"{type(exc).__name__} while reading a spooled delivery") from exc
    if position != len(bodies):
        raise CorruptEvent("the lengths of a spooled delivery do not add up")
    return events


def _verified(head: dict[str, Any], body: bytes, raw: bytes) -> Verified:
    words = head["source"], head["type"], head["id"]
    headers = head["headers"]
    if not isinstance(headers, dict) or not all(isinstance(text, str) for text in (*words, *headers.values())):
        raise TypeError("a field of another kind")
    source, kind, event_id = words
    position = _natural(head["secret_position"])
    about = head.get("about", "")  # versions before did not write it
    if not isinstance(about, str):
        raise TypeError("a field of another kind")
    return Verified(source, kind, event_id, body, headers, raw, position, head.get("platform") is True, about=about)


def _natural(number: object) -> int:
    if type(number) is not int or number < 0:
        raise TypeError("not a natural number")
    return number


def frame(payload: bytes, key: bytes) -> bytes:
    """What stands before *payload* in the file whose key is *key*."""
    digest = _digest(payload, key)
    return _HEAD.pack(_MARK, len(payload), digest, _digest(len(payload).to_bytes(4, "big") + digest, key))


def scan(data: bytes, key: bytes) -> Iterator[Stretch]:
    """All of *data*, stretch by stretch. Damage in one record hides no other; ``TORN`` comes last, if at all."""
    position = 0
    while position < len(data):
        stretch = _stretch_at(data, position, key)
        yield stretch
        position = stretch.end


def _stretch_at(data: bytes, start: int, key: bytes) -> Stretch:
    head = _head_at(data, start, key)
    if head is not None:
        length, digest = head
        end = start + HEAD_BYTES + length
        if end > len(data):
            return Stretch(Kind.TORN, start, len(data))
        whole = compare_digest(_digest(memoryview(data)[start + HEAD_BYTES : end], key), digest)
        return Stretch(Kind.RECORD if whole else Kind.DAMAGED, start, end)
    # After a power cut a file may have grown while what was to fill it had not yet come.
    if len(data) - start < HEAD_BYTES or not data[start:].strip(b"\0"):
        return Stretch(Kind.TORN, start, len(data))
    return Stretch(Kind.DAMAGED, start, _next_head(data, start + 1, key))


def _next_head(data: bytes, start: int, key: bytes) -> int:
    while (found := data.find(_MARK, start)) >= 0:
        if _head_at(data, found, key) is not None:
            return found
        start = found + 1
    return len(data)


def _head_at(data: bytes, start: int, key: bytes) -> tuple[int, bytes] | None:
    """The payload's length and digest; ``None`` where no intact head begins."""
    if len(data) - start < HEAD_BYTES:
        return None
    mark, length, digest, check = _HEAD.unpack_from(data, start)
    expected = _digest(length.to_bytes(4, "big") + digest, key)
    return (length, digest) if mark == _MARK and compare_digest(expected, check) else None


def _digest(data: bytes | memoryview, key: bytes) -> bytes:
    return blake2b(data, digest_size=_DIGEST_BYTES, key=key).digest()
