"""The journal of accepted events, by which they are found again: 32 bytes for each, in one list an hour.

The accept script writes it, in one step for all events of a batch. Account, tenant, type and source of an event are
there as some bytes of a digest: enough to leave out nearly all that was not asked for, and the rest is read. Looking
through a million events means reading 32 MB, and nothing else of what is stored.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

from events.client import StoreClient, confirmed
from events.errors import MalformedEvent
from events.event import Verified, json_object, subject_of

HOUR_MS = 3_600_000
_SIZE = 32  # ms within the hour 3, key 16, account 5, tenant 5, family and type 1 each, source 1
_KEY, _ACCOUNT, _TENANT, _FAMILY, _TYPE, _SOURCE = 3, 19, 24, 29, 30, 31
_SUBJECT_BYTES = 5
_HEX = 32
_CURSOR = re.compile(r"([0-9]{1,9})\.([0-9]{1,12})\.([0-9]{1,9})")
_ELEMENTS_READ = 512
_HOURS_ASKED = 200


def mark_of(verified: Verified, keys: str) -> bytes:
    """What the journal keeps of an event besides its time; *keys* are its own."""
    account, tenant = find_subject(verified)
    return bytes.fromhex(keys[:_HEX]) + _digest(account) + _digest(tenant) + _names(verified.source, verified.type)


def find_subject(verified: Verified) -> tuple[str | None, str | None]:
    """The account and the tenant of an event: as they were found already, or read from its body."""
    if verified.subject is not None:
        return verified.subject
    try:
        return subject_of(verified.type, json_object(verified.body))
    except MalformedEvent:  # it becomes a dead letter when it is read
        return None, None


@lru_cache(maxsize=8192)
def _digest(text: str | None) -> bytes:
    # No checksum: whoever may choose ids must not be able to make them look alike.
    if text is None:
        return bytes(_SUBJECT_BYTES)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_SUBJECT_BYTES).digest()


@lru_cache(maxsize=4096)
def _names(source: str, kind: str) -> bytes:
    return bytes([_byte(kind.partition(":")[0]), _byte(kind), _byte(source)])


def _byte(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "surrogatepass")) & 0xFF


class Wanted(NamedTuple):
    """What to look for; ``None`` is anything. A type that ends with ``:*`` stands for its whole family."""

    account: str | None = None
    tenant: str | None = None
    type: str | None = None
    source: str | None = None

    @property
    def columns(self) -> list[tuple[int, bytes]]:
        """Places in a mark, and what has to be there; the rarest first."""
        found: list[tuple[int, bytes]] = []
        if self.account is not None:
            found.append((_ACCOUNT, _digest(self.account)))
        if self.tenant is not None:
            found.append((_TENANT, _digest(self.tenant)))
        if self.type is not None:
            family, _, name = self.type.partition(":")
            found.append((_FAMILY, bytes([_byte(family)])))
            if name != "*":
                found.append((_TYPE, bytes([_byte(self.type)])))
        if self.source is not None:
            found.append((_SOURCE, bytes([_byte(self.source)])))
        return found


ANYTHING = Wanted()


class Mark(NamedTuple):
    """An event in the journal: when it was accepted (ms), and its key."""

    at: int
    key: str


class Position(NamedTuple):
    """A place in the journal: everything before it has yet to be read, newest first."""

    hour: int
    element: int
    mark: int = 0

    def __str__(self) -> str:
        """The cursor of a page."""
        return ".".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> Position:
        """The position that a cursor names. Raises :class:`ValueError`."""
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise ValueError("a cursor is what a search has given")
        return cls(*map(int, found.groups()))


class Stretch(NamedTuple):
    """Marks next to each other in the journal, as they are stored; ``begin`` is where they begin."""

    begin: Position
    elements: Sequence[bytes]

    @property
    def size(self) -> int:
        """The number of marks."""
        return sum(map(len, self.elements)) // _SIZE

    @property
    def begun_at(self) -> int:
        """When the first of them was accepted (ms)."""
        return self.begin.hour * HOUR_MS + int.from_bytes(self.elements[0][:_KEY], "big")

    def matching(self, wanted: Wanted) -> Iterator[tuple[Mark, Position]]:
        """Those that may be wanted, newest first, each with the position from which reading goes on after it."""
        marks = b"".join(self.elements)
        places = list(_places(marks, wanted.columns))
        element, first = len(self.elements), len(marks) // _SIZE
        for place in reversed(places):
            while place < first:
                element -= 1
                first -= len(self.elements[element]) // _SIZE
            one = marks[place * _SIZE : (place + 1) * _SIZE]
            at = self.begin.hour * HOUR_MS + int.from_bytes(one[:_KEY], "big")
            after = Position(self.begin.hour, self.begin.element + element, place - first)
            yield Mark(at, one[_KEY:_ACCOUNT].hex()), after


def _places(marks: bytes, columns: Sequence[tuple[int, bytes]]) -> Iterator[int]:
    if not columns:
        yield from range(len(marks) // _SIZE)
        return
    (offset, text), *others = columns
    column = marks[offset::_SIZE]
    place = column.find(text[0])
    while place >= 0:
        start = place * _SIZE
        if all(marks.startswith(text, start + offset) for offset, text in ((offset, text), *others)):
            yield place
        place = column.find(text[0], place + 1)


class Journal:
    """Reads the journal of a store, newest first, in steps that are small for Redis."""

    def __init__(self, client: StoreClient) -> None:
        self._client = client

    async def end(self) -> Position:
        """The position behind the newest event."""
        hour = int(await self._client.now() * 1000) // HOUR_MS
        return Position(hour, await self._length(hour))

    async def before(self, position: Position, oldest_hour: int) -> Stretch | None:
        """The next marks before *position*; ``None`` when there are none from *oldest_hour* on."""
        hour, element, mark = position
        if not element and not mark:
            hour, element = await self._newest_before(hour, oldest_hour)
            if not element:
                return None
        start = max(0, element - _ELEMENTS_READ)
        found = await self._read(hour, start, element if mark else element - 1)
        if not found:  # it has expired meanwhile
            return await self.before(Position(hour, 0), oldest_hour)
        if mark and len(found) == element - start + 1:
            found[-1] = found[-1][: mark * _SIZE]
        return Stretch(Position(hour, start), found)

    async def after(self, position: Position) -> tuple[list[Stretch], Position]:
        """The marks behind *position*, which has to be an :meth:`end`, and the new end."""
        end = await self.end()
        found = []
        for hour in range(position.hour, end.hour + 1):
            start = position.element if hour == position.hour else 0
            stop = end.element if hour == end.hour else await self._length(hour)
            if start < stop:
                found.append(Stretch(Position(hour, start), await self._read(hour, start, stop - 1)))
        return found, end

    async def _newest_before(self, hour: int, oldest_hour: int) -> tuple[int, int]:
        """The newest hour before *hour* with events, and its length; zeros without one."""
        while hour > oldest_hour:
            hours = range(hour - 1, max(oldest_hour, hour - _HOURS_ASKED) - 1, -1)
            async with confirmed(), self._client.redis.pipeline(transaction=False) as pipe:
                for one in hours:
                    pipe.llen(self._key(one))
                lengths = await pipe.execute()
            if found := next(((one, length) for one, length in zip(hours, lengths, strict=True) if length), None):
                return found
            hour = hours[-1]
        return 0, 0

    async def _read(self, hour: int, start: int, last: int) -> list[bytes]:
        async with confirmed():
            return list(await cast("Any", self._client.redis.lrange(self._key(hour), start, last)))

    async def _length(self, hour: int) -> int:
        async with confirmed():
            return int(await cast("Any", self._client.redis.llen(self._key(hour))))

    def _key(self, hour: int) -> str:
        return self._client.key(f"journal:{hour}")
