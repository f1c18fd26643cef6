"""Dead letters by cause, as the scripts count them: scripts/causes.lua."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from events.client import StoreClient, confirmed, time_of
from events.pages import Pages, Scored

OTHER_CAUSES = "other-causes"
"""The fingerprint under which the causes count that are beyond the first thousand."""

_CAUSES_READ = 200
_INDEXED = 500


@dataclass(frozen=True, slots=True)
class Cause:
    """The dead letters with one fingerprint: their number, handlers, types, newest error, first and last time.

    Of more than some hundred handlers and types, the others are left out, and ``more`` is true.
    """

    fingerprint: str
    count: int
    handlers: list[str]
    types: list[str]
    error: str
    first: datetime
    last: datetime
    more: bool


class Causes:
    """The part of a store that knows why dead letters are dead."""

    def __init__(self, client: StoreClient) -> None:
        self._client = client

    async def index(self) -> None:
        """Find the causes of dead letters that an earlier version has added. Usually there is nothing to do.

        Takes steps of some milliseconds, and may be interrupted: whoever calls next goes on.
        """
        while not await self._client.run("index_causes", [_INDEXED]):
            pass

    async def all(self) -> list[Cause]:
        """All causes, the most frequent first. Reads no dead letter but the newest of each cause."""
        await self.index()
        async with confirmed():
            counted = await self._client.redis.zrange(self._client.key("causes"), 0, -1, desc=True, withscores=True)
        found: list[Cause] = []
        for start in range(0, len(counted), _CAUSES_READ):
            found += await self._read(counted[start : start + _CAUSES_READ])
        return found

    async def _read(self, counted: Sequence[Scored]) -> list[Cause]:
        names = [name.decode() for name, _ in counted]
        async with confirmed(), self._client.redis.pipeline(transaction=False) as pipe:
            for name in names:
                members = self._client.key(f"cause:{name}")
                pipe.zrange(members, 0, 0, withscores=True)
                pipe.zrange(members, 0, 0, desc=True, withscores=True)
                pipe.hgetall(self._client.key(f"cause_names:{name}"))
            rows = await pipe.execute()
            for newest in rows[1::3]:
                pipe.hget(self._client.key(f"work:{newest[0][0].decode() if newest else ''}"), "note")
            notes = await pipe.execute()
        return [
            _cause(name, int(count), oldest[0][1], newest[0][1], told, note)
            for name, (_, count), oldest, newest, told, note in zip(
                names, counted, rows[::3], rows[1::3], rows[2::3], notes, strict=True
            )
            if oldest and newest  # it was emptied meanwhile
        ]

    async def place_of(self, fingerprint: str) -> tuple[Pages, bool]:
        """Where the dead letters with this fingerprint are, and whether they are all that is there."""
        await self.index()
        async with confirmed():
            own = await self._client.redis.exists(self._client.key(f"cause:{fingerprint}"))
            others = not own and await self._client.redis.exists(self._client.key(f"cause:{OTHER_CAUSES}"))
        return Pages(self._client, f"cause:{OTHER_CAUSES if others else fingerprint}"), not others


def error_of(note: Mapping[str, object]) -> str:
    """The cause that a note tells, in one line."""
    return str(note.get("error") or note.get("why") or "unknown")


def _cause(
    name: str, count: int, oldest: float, newest: float, told: Mapping[bytes, bytes], note: bytes | None
) -> Cause:
    words = [field.decode() for field in told]
    handlers = sorted(word[1:] for word in words if word.startswith("h") and len(word) > 1)
    types = sorted(word[1:] for word in words if word.startswith("t") and len(word) > 1)
    error = error_of(orjson.loads(note)) if note else "unknown"
    more = not {"h", "t"}.isdisjoint(words)
    return Cause(name, count, handlers, types, error, time_of(oldest), time_of(newest), more)
