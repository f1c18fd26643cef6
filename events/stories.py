"""What is known of events: what happened to them, and where their pieces of work are now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

import orjson

from events.client import StoreClient, confirmed, time_of
from events.errors import CorruptEvent
from events.event import Event, head_of, read_stored

Place = Literal["waiting", "running", "held", "dead", "parked"]

_PLACES = ("queue", "held", "dead", "parked")
_MAX_HEAD = 16_384
_STORIES_READ = 50
_ENDS = frozenset({"done", "discarded", "dead", "parked", "retried", "released", "let_go"})
_WORK = ["handler", "attempts", "claims", "token", "lane", "note"]


class HistoryEntry(NamedTuple):
    """One thing that happened to an event."""

    at: datetime
    what: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of work, and where it is *since*, or until it is *due*.

    ``waiting`` is in the queue, due now or later. ``running`` has a lease, which ends when it is due.
    """

    member: str
    place: Place
    moment: datetime
    handler: str | None
    attempts: int
    crashes: int
    lane: str | None
    note: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Story:
    """What is known of one event. ``pieces`` is empty when it is over, ``event`` then ``None``; no payload is read."""

    key: str
    history: list[HistoryEntry]
    pieces: list[Piece]
    event: Event | None = None
    unreadable: bool = field(default=False)

    @property
    def beginning(self) -> dict[str, Any]:
        """Source, type and id, as the event was received."""
        if self.event is not None:
            return {"source": self.event.source, "type": self.event.type, "id": self.event.id}
        return self.history[0].detail if self.history else {}

    @property
    def received_at(self) -> datetime | None:
        """When it was accepted."""
        return self.event.received_at if self.event is not None else self.history[0].at if self.history else None

    @property
    def state(self) -> str:
        """Where it is, in one word: the place that most needs someone to act, or ``over``."""
        places = {piece.place for piece in self.pieces}
        return next((place for place in ("dead", "parked", "held", "running", "waiting") if place in places), "over")

    @property
    def end(self) -> HistoryEntry | None:
        """How the last attempt ended, or the event; ``None`` before the first end."""
        return next((entry for entry in reversed(self.history) if entry.what in _ENDS), None)

    @property
    def handlers(self) -> set[str]:
        """The handlers that had or have a piece of it."""
        told = {entry.detail.get("handler") for entry in self.history} | {piece.handler for piece in self.pieces}
        return {name for name in told if isinstance(name, str)}


async def read_stories(client: StoreClient, keys: Sequence[str]) -> list[Story]:
    """The stories of the events with these *keys*, in their order; what is not known any more is left out."""
    found: list[Story] = []
    for start in range(0, len(keys), _STORIES_READ):
        found += await _read(client, keys[start : start + _STORIES_READ])
    return found


async def _read(client: StoreClient, keys: Sequence[str]) -> list[Story]:
    async with confirmed(), client.redis.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.lrange(client.key(f"history:{key}"), 0, -1)
            pipe.getrange(client.key(f"event:{key}"), 0, _MAX_HEAD)
        rows = await pipe.execute()
    lines, stored = rows[::2], rows[1::2]
    histories = [_history(told, head) for told, head in zip(lines, stored, strict=True)]
    members = {key: _members(key, history) for key, history in zip(keys, histories, strict=True)}
    pieces = await _pieces(
        client, [one for key, head in zip(keys, stored, strict=True) if head for one in members[key]]
    )
    return [
        _story(client, key, history, head, [pieces[one] for one in members[key] if one in pieces])
        for key, history, head in zip(keys, histories, stored, strict=True)
        if history or head
    ]


def _members(key: str, history: Iterable[HistoryEntry]) -> list[str]:
    """Where its pieces may be: the event is one, or each of its handlers has one."""
    handlers = dict.fromkeys(entry.detail.get("handler") for entry in history)
    return [key, *(f"{key}|{handler}" for handler in handlers if isinstance(handler, str))]


async def _pieces(client: StoreClient, members: Sequence[str]) -> dict[str, Piece]:
    now = await client.now() * 1000
    async with confirmed(), client.redis.pipeline(transaction=False) as pipe:
        for member in members:
            for place in _PLACES:
                pipe.zscore(client.key(place), member)
            pipe.hmget(client.key(f"work:{member}"), _WORK)
        rows = await pipe.execute()
    found = {}
    size = len(_PLACES) + 1
    for member, start in zip(members, range(0, len(rows), size), strict=True):
        scores, work = rows[start : start + len(_PLACES)], rows[start + len(_PLACES)]
        for place, score in zip(_PLACES, scores, strict=True):
            if score is not None:
                found[member] = _piece(member, place, score, work, now)
                break
    return found


def _piece(member: str, place: str, score: float, work: Sequence[bytes | None], now: float) -> Piece:
    handler, attempts, claims, token, lane, note = work
    queued: Place = "running" if token and score > now else "waiting"
    return Piece(
        member=member,
        place=queued if place == "queue" else place,  # type: ignore[arg-type]  # one of the others
        moment=time_of(score),
        handler=handler.decode() if handler else None,
        attempts=int(attempts or 0),
        crashes=int(claims or 0),
        lane=lane.decode() if lane else None,
        note=orjson.loads(note) if note else {},
    )


def _history(lines: Sequence[bytes], stored: bytes) -> list[HistoryEntry]:
    if not lines and stored.count(b"\n") > 1:
        received, meta, _ = stored.split(b"\n", 2)
        lines = [received + b" received " + meta]
    try:
        return [read_entry(line) for line in lines]
    except ValueError:
        return []


def read_entry(line: bytes) -> HistoryEntry:
    """An entry as the scripts write it. Raises :class:`ValueError`."""
    at, what, *detail = line.split(b" ", 2)
    told = orjson.loads(detail[0]) if detail else {}
    return HistoryEntry(time_of(int(at)), what.decode(), told if isinstance(told, dict) else {})


def _story(client: StoreClient, key: str, history: list[HistoryEntry], stored: bytes, pieces: list[Piece]) -> Story:
    if not stored:
        return Story(key, history, [])
    try:
        event = read_stored(head_of(stored), client.platform_sources)
    except CorruptEvent:
        return Story(key, history, pieces, unreadable=True)
    return Story(key, history, pieces, event)
