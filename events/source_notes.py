"""What is known of sources: what their handshakes have left, who may leave something, what was refused."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

import orjson

from events.client import StoreClient, confirmed, time_of

_MAX_REFUSALS = 500
# The event loop, and Redis, do nothing else while thousands are asked for at once.
_MAX_ASKED_AT_ONCE = 100


class Enrolment(NamedTuple):
    """What the handshakes of a source have left, and whether the next one may leave something.

    ``since`` is ``None`` when nothing was enrolled, or by a version that did not note when; ``open_until`` is ``None``
    while no window is open.
    """

    context: dict[str, Any]
    since: datetime | None
    open_until: datetime | None


class Refused(NamedTuple):
    """A delivery that was not taken: when (by the clock of the ingress), from which source, and why; never its body."""

    at: datetime
    source: str
    status: int
    reason: str
    detail: str = ""


class SourceNotes:
    """What the ingress and its operator need of a store besides deliveries."""

    def __init__(self, client: StoreClient) -> None:
        self._client = client

    async def source_context(self, source: str) -> dict[str, Any]:
        """What the handshakes of *source* have left here."""
        async with confirmed():
            found = await cast(
                "Awaitable[dict[bytes, bytes]]", self._client.redis.hgetall(self._client.key(f"context:{source}"))
            )
        return _source_context(found)

    async def keep_in_context(self, source: str, values: Mapping[str, Any], *, overwrite: bool) -> bool:
        """Keep *values* for *source*, all or none; false when one would change what is there and must not."""
        pairs = [part for name, value in values.items() for part in (name, orjson.dumps(value))]
        return bool(await self._client.run("keep", [source, int(overwrite), *pairs]))

    async def open_enrolment(self, source: str, seconds: float) -> datetime:
        """Let the next handshake of *source* leave something, for *seconds*; until when. A second call starts anew."""
        return time_of(await self._client.run("open_enrolment", [source, round(seconds * 1000)]))

    async def enrol(self, source: str, values: Mapping[str, Any]) -> bool:
        """Keep *values* for *source* and close its window, or say that none is open.

        Values that are kept already need no window. They replace what is there under their names.
        """
        pairs = [part for name, value in values.items() for part in (name, orjson.dumps(value))]
        return bool(await self._client.run("enrol", [source, *pairs]))

    async def enrolments(self, sources: Sequence[str]) -> list[Enrolment]:
        """The state of each of *sources*."""
        found = []
        for first in range(0, len(sources), _MAX_ASKED_AT_ONCE):
            found += await self._enrolments(sources[first : first + _MAX_ASKED_AT_ONCE])
        return found

    async def _enrolments(self, sources: Sequence[str]) -> list[Enrolment]:
        async with confirmed(), self._client.redis.pipeline(transaction=True) as pipe:
            for source in sources:
                pipe.hgetall(self._client.key(f"context:{source}"))
                pipe.mget(self._client.key(f"enrolled:{source}"), self._client.key(f"enrolment:{source}"))
            answers = await pipe.execute()
        return [
            Enrolment(_source_context(found), *(None if at is None else time_of(int(at)) for at in times))
            for found, times in zip(answers[::2], answers[1::2], strict=True)
        ]

    async def forget_source(self, source: str) -> list[str]:
        """Remove what the handshakes of *source* have left, and close its window; the names of what is gone."""
        context = self._client.key(f"context:{source}")
        async with confirmed(), self._client.redis.pipeline(transaction=True) as pipe:
            pipe.hkeys(context)
            pipe.delete(context, self._client.key(f"enrolled:{source}"), self._client.key(f"enrolment:{source}"))
            names, _ = await pipe.execute()
        return sorted(name.decode() for name in names)

    async def note_refusals(self, refusals: Sequence[Refused]) -> None:
        """Remember deliveries that were refused, oldest first; only the last ones are kept."""
        lines = [orjson.dumps(refused._asdict() | {"at": refused.at.timestamp()}) for refused in refusals]
        async with confirmed(), self._client.redis.pipeline(transaction=True) as pipe:
            pipe.lpush(self._client.key("refusals"), *lines)
            pipe.ltrim(self._client.key("refusals"), 0, _MAX_REFUSALS - 1)
            await pipe.execute()

    async def refusals(self, most: int = 50) -> list[Refused]:
        """The deliveries that were refused last, newest first."""
        if most <= 0:
            return []
        async with confirmed():
            lines = await cast(
                "Awaitable[list[bytes]]", self._client.redis.lrange(self._client.key("refusals"), 0, most - 1)
            )
        rows = [orjson.loads(line) for line in lines]
        return [Refused(**{**line, "at": datetime.fromtimestamp(line["at"], UTC)}) for line in rows]


def _source_context(found: Mapping[bytes, bytes]) -> dict[str, Any]:
    return {name.decode(): _value(text) for name, text in found.items()}


def _value(text: bytes) -> Any:
    """What is kept under a name; nothing where it cannot be read, for that must not stop what reads the others."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
