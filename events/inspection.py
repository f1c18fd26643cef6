"""Inspect a store, and act on dead letters and parked work."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, cast

import orjson
from redis.exceptions import ResponseError

from events.bodies import Bodies
from events.client import StoreClient, confirmed, time_of
from events.errors import CorruptEvent
from events.event import MAX_INLINE_BYTES, Event, head_of, read_stored
from events.identity import OWN_IDS, event_key
from events.pages import Pages, Scored
from events.queue import Retention
from events.stories import HistoryEntry, Story, read_entry, read_stories
from events.usage import LetGo, Memory, SourceUsage, read_let_go, read_usage

_ALIVE_MS = 15_000
_PAGE = 100
_LAST_ENTRIES = 10
_MAX_LOOKED_AT = 5000
_HEAD_BYTES = 8192
_MAX_HEAD = 16_384
_WITH_DIGEST = re.compile(rb'^(\{"source":"[^"\\]*","bytes":[0-9]+,)"digest":[0-9]+,')
_DELIVERED_AGAIN = frozenset({"duplicate", "conflict"})
_MAX_STORED = 2 * MAX_INLINE_BYTES  # with its head; only earlier versions stored more in one piece


class Ended(NamedTuple):
    """An event that is over: when and how. Source, type and id are empty if its start was not recorded."""

    at: datetime
    source: str
    type: str
    id: str
    outcome: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """A dead letter, or parked work: stored with its payload until someone acts.

    ``event`` is ``None`` when the stored event cannot be read; ``stored`` then holds the bytes. A large event comes
    without its body, which :meth:`Bodies.whole` reads.
    """

    member: str
    since: datetime
    handler: str | None
    attempts: int
    note: dict[str, Any]
    event: Event | None
    stored: bytes = field(repr=False, default=b"")


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of the queue. ``oldest_ready_seconds`` is the age of the oldest ready work.

    ``waiting`` is leased, or due later; ``held`` is out of the queue until its key is free.
    """

    ready: int
    oldest_ready_seconds: float
    waiting: int
    dead: int
    parked: int
    workers: int
    totals: dict[str, int]
    held: int = 0
    sources: dict[str, SourceUsage] = field(default_factory=dict)


class Inspection:
    """The part of a store that operators use."""

    def __init__(self, client: StoreClient, retention: Retention, bodies: Bodies) -> None:
        self._client = client
        self._bodies = bodies
        self._retention = retention

    async def history(self, source: str, event_id: str, event_type: str = "") -> list[HistoryEntry]:
        """The history of an event, oldest entry first; empty if it is unknown or has expired.

        Where several types have this id (:meth:`types_of`), *event_type* says which; else it is the first of them.
        Raises :class:`CorruptEvent` when what is stored cannot be read.
        """
        key = await self._key_of(source, event_id, event_type)
        async with confirmed(), self._client.redis.pipeline(transaction=True) as pipe:
            pipe.lrange(self._client.key(f"history:{key}"), 0, -1)
            pipe.get(self._client.key(f"event:{key}"))
            lines, stored = await pipe.execute()
        try:
            if not lines and stored:
                received, meta, _ = stored.split(b"\n", 2)
                lines = [received + b" received " + _WITH_DIGEST.sub(rb"\1", meta)]
            return [read_entry(line) for line in lines]
        except ValueError as exc:
            raise CorruptEvent(f"{type(exc).__name__} while reading a history") from exc

    async def stored(self, source: str, event_id: str, event_type: str = "") -> Event | None:
        """A pending event; ``None`` if it is over, or was never accepted. Its type as for :meth:`history`.

        Raises :class:`CorruptEvent` when it cannot be read.
        """
        key = await self._key_of(source, event_id, event_type)
        async with confirmed():
            found = await self._client.redis.get(self._client.key(f"event:{key}"))
        return await self._bodies.whole(read_stored(found, self._client.platform_sources)) if found else None

    async def places(self, source: str, event_id: str, event_type: str = "") -> dict[str, str]:
        """Where an event's pieces of work are: member to ``queue``, ``held``, ``dead`` or ``parked``.

        Empty if it is over. A piece is left out until the history names its handler: it is in the queue.
        Its type as for :meth:`history`.
        """
        key = await self._key_of(source, event_id, event_type)
        handlers = {entry.detail.get("handler") for entry in await self.history(source, event_id, event_type)}
        members = [key, *(f"{key}|{handler}" for handler in handlers if handler)]
        wanted = [(member, place) for member in members for place in ("queue", "held", "dead", "parked")]
        async with confirmed(), self._client.redis.pipeline(transaction=True) as pipe:
            for member, place in wanted:
                pipe.zscore(self._client.key(place), member)
            scores = await pipe.execute()
        return {member: place for (member, place), score in zip(wanted, scores, strict=True) if score is not None}

    async def story(self, source: str, event_id: str, event_type: str = "") -> Story | None:
        """What is known of an event, without its payload; ``None`` if nothing is. Its type as for :meth:`history`."""
        stories = await read_stories(self._client, [await self._key_of(source, event_id, event_type)])
        return stories[0] if stories else None

    async def was_handled(self, source: str, event_id: str, event_type: str = "") -> bool:
        """Whether an event is remembered as handled, for ``DEDUP_TTL``, though its history has expired."""
        keys = {event_key(source, event_id, event_type), event_key(source, event_id)}
        async with confirmed():
            return bool(await self._client.redis.exists(*(self._client.key(f"done:{key}") for key in keys)))

    async def known_as(self, source: str, event_id: str) -> list[str]:
        """The types under which *source* has an event with this id; an empty one where its ids need no type."""
        if source not in OWN_IDS:
            return await self.types_of(source, event_id)
        return [""] if await read_stories(self._client, [event_key(source, event_id)]) else []

    async def _key_of(self, source: str, event_id: str, event_type: str) -> str:
        """The key of an event: with its type, or without for events of Truto and of older versions."""
        typed, plain = event_key(source, event_id, event_type), event_key(source, event_id)
        for key in dict.fromkeys((typed, plain)) if source not in OWN_IDS else ():
            async with confirmed():
                if await self._client.redis.exists(
                    self._client.key(f"history:{key}"), self._client.key(f"event:{key}")
                ):
                    return key
        if event_type or not (types := await self.types_of(source, event_id)):
            return typed
        return event_key(source, event_id, types[0])

    async def types_of(self, source: str, event_id: str, most: int = _MAX_LOOKED_AT) -> list[str]:
        """The types of the events of *source* with this id, among the *most* newest in each place.

        Empty for Truto's own source and workflows, whose ids are unique without the type.
        """
        if source in OWN_IDS:
            return []
        async with confirmed():
            pages = [
                await self._client.redis.zrange(self._client.key(place), 0, most - 1, desc=True)
                for place in ("queue", "held", "dead", "parked", "recent")
            ]
        keys = list(dict.fromkeys(member.decode().partition("|")[0] for page in pages for member in page))
        types: set[str] = set()
        for start in range(0, len(keys), _PAGE):
            async with confirmed(), self._client.redis.pipeline(transaction=False) as pipe:
                for key in keys[start : start + _PAGE]:
                    pipe.lindex(self._client.key(f"history:{key}"), 0)
                    pipe.getrange(self._client.key(f"event:{key}"), 0, _HEAD_BYTES)
                rows = await pipe.execute()
            heads = [head_of_event(first, stored) for first, stored in zip(rows[::2], rows[1::2], strict=True)]
            types.update(
                str(head.get("type")) for head in heads if (head.get("source"), head.get("id")) == (source, event_id)
            )
        return sorted(types)

    async def recent(self, most: int = 10) -> list[Ended]:
        """The events that ended last, newest first. They expire with their history."""
        if most <= 0:
            return []
        async with confirmed():
            ended = await self._client.redis.zrange(self._client.key("recent"), 0, most - 1, desc=True, withscores=True)
            async with self._client.redis.pipeline(transaction=False) as pipe:
                for key, _ in ended:
                    pipe.lindex(self._client.key(f"history:{key.decode()}"), 0)
                    pipe.lrange(self._client.key(f"history:{key.decode()}"), -_LAST_ENTRIES, -1)
                rows = await pipe.execute()
        pairs = zip(ended, rows[::2], rows[1::2], strict=True)
        return [_ended(at, first, last) for (_, at), first, last in pairs if first]

    async def dead_letters(self, most: int = 100) -> list[Kept]:
        """The newest dead letters, newest first."""
        return await self._kept("dead", most)

    async def parked(self, most: int = 100) -> list[Kept]:
        """The newest parked work, newest first."""
        return await self._kept("parked", most)

    async def each_kept(self, name: Literal["dead", "parked"], page: int = _PAGE) -> AsyncIterator[Kept]:
        """All dead letters, or all parked work, newest first, read *page* at a time.

        Yields each piece that is there from start to end once; pieces that are added meanwhile are left out.
        """
        async for members in self.pages(name).read(page):
            for kept in await self._read_kept(members):
                yield kept

    def pages(self, name: Literal["dead", "parked"]) -> Pages:
        """All dead letters, or all parked work, by member."""
        return Pages(self._client, name)

    async def glance(self, members: Sequence[Scored]) -> list[Kept]:
        """Dead letters or parked work without payloads: reads no body, so that many can be looked at."""
        return await self._read_kept(members, heads_only=True)

    async def _kept(self, name: str, most: int) -> list[Kept]:
        if most <= 0:
            return []
        async with confirmed():
            members = await self._client.redis.zrange(self._client.key(name), 0, most - 1, desc=True, withscores=True)
        return await self._read_kept(members)

    async def _read_kept(self, members: Sequence[Scored], *, heads_only: bool = False) -> list[Kept]:
        most = _MAX_HEAD if heads_only else _MAX_STORED
        async with confirmed(), self._client.redis.pipeline(transaction=False) as pipe:
            for member, _ in members:
                pipe.hgetall(self._client.key(f"work:{member.decode()}"))
                pipe.getrange(self._client.key(f"event:{member.decode().partition('|')[0]}"), 0, most)
            rows = await pipe.execute()
        return [
            _kept(
                member.decode(),
                since,
                work,
                head_of(stored) if heads_only or len(stored) > most else stored,
                self._client.platform_sources,
            )
            for (member, since), work, stored in zip(members, rows[::2], rows[1::2], strict=True)
        ]

    async def overview(self) -> Overview:
        """The state of the queue."""
        answer = await self._client.run("overview", [_ALIVE_MS])
        ready, oldest, waiting, dead, parked, workers, totals, held, counts, unhandled = answer
        return Overview(
            ready=ready,
            oldest_ready_seconds=oldest / 1000,
            waiting=waiting,
            dead=dead,
            parked=parked,
            workers=workers,
            totals={n.decode(): int(c) for n, c in zip(totals[::2], totals[1::2], strict=True)},
            held=held,
            sources=read_usage(counts, unhandled, self._retention.parked, self._client.maxmemory),
        )

    async def memory(self) -> Memory:
        """Redis' memory and its limit; zeros if the user may not read them. Limits that depend on it are updated."""
        async with confirmed():
            try:
                answer = await self._client.redis.info("memory")
            except ResponseError:  # an ACL user without INFO
                return Memory(0, 0)
        memory = Memory(int(answer.get("used_memory", 0)), int(answer.get("maxmemory", 0)))
        self._client.maxmemory = memory.limit
        return memory

    async def bound_parked(self) -> tuple[int, dict[str, float]]:
        """Drop the oldest work parked without a handler, beyond its limits of number, bytes and age.

        Returns how much was dropped since the store was created, and for each source the used part of its limits.
        """
        await self.memory()
        limit, size = self._retention.parked, self._retention.parked.bytes_of(self._client.maxmemory)
        limits = [
            self._retention.dedup_ms,
            self._retention.history_ms,
            limit.events,
            size,
            round(limit.seconds * 1000),
            _PAGE,
        ]
        while True:
            gone, ever, *rows = await self._client.run("bound_parked", limits)
            if gone < _PAGE:
                break
        fullness = {}
        for source, held, taken, age in zip(*[iter(rows)] * 4, strict=True):
            fullness[source.decode()] = max(held / limit.events, taken / size, age / 1000 / limit.seconds)
        return ever, fullness

    async def index_parked(self, pieces: Sequence[Kept]) -> None:
        """Add work that an earlier version parked without a handler to what :meth:`bound_parked` bounds."""
        named = [part for kept in pieces if kept.event for part in (kept.member, kept.event.source)]
        if named:
            await self._client.run("index_parked", named)

    async def let_go(self) -> list[LetGo]:
        """What :meth:`bound_parked` has dropped, by source and type, the most first."""
        async with confirmed():
            return read_let_go(
                await cast("Awaitable[dict[bytes, bytes]]", self._client.redis.hgetall(self._client.key("let_go")))
            )

    async def replay(self, members: Sequence[str], *, afresh: bool = False) -> int:
        """Run dead letters again, with all their attempts, and return their number. Duplicates are not checked.

        Finished steps are not repeated, unless *afresh*.
        """
        return int(await self._client.run("requeue", ["dead", "replayed", int(afresh), *members]))

    async def unpark(self, members: Sequence[str]) -> int:
        """Run parked work, and return the number of pieces."""
        return int(await self._client.run("requeue", ["parked", "unparked", 0, *members]))

    async def discard(self, members: Sequence[str], why: str) -> int:
        """Discard dead letters for good, with a reason for the history, and return their number."""
        note = orjson.dumps({"why": why})
        return int(await self._client.run("discard", ["dead", *self._retention.ttls, note, *members]))


def head_of_event(first: bytes | None, stored: bytes) -> dict[str, Any]:
    """The meta of an event: of the first line of its history or, before there is one, of what is stored."""
    line = first.split(b" ", 2)[-1] if first else stored.split(b"\n", 2)[1] if stored.count(b"\n") > 1 else b"{}"
    try:
        head = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return head if isinstance(head, dict) else {}


def _ended(at: float, first: bytes, last: Sequence[bytes]) -> Ended:
    beginning = read_entry(first).detail
    entries = [read_entry(line) for line in last]
    # Duplicates may follow the end of the event.
    end = next((entry for entry in reversed(entries) if entry.what not in _DELIVERED_AGAIN), entries[-1])
    source, kind, event_id = (str(beginning.get(name, "")) for name in ("source", "type", "id"))
    return Ended(time_of(at), source, kind, event_id, end.what, end.detail)


def _kept(
    member: str, since: float, work: dict[bytes, bytes], stored: bytes, platform_sources: Collection[str]
) -> Kept:
    try:
        event = read_stored(stored, platform_sources)
    except CorruptEvent:
        event = None
    handler = work.get(b"handler")
    return Kept(
        member=member,
        since=time_of(since),
        handler=handler.decode() if handler else None,
        attempts=int(work.get(b"attempts", 0)),
        note=orjson.loads(work.get(b"note", b"{}")),
        event=event,
        stored=b"" if event else stored,
    )
