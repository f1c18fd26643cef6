"""What is in several stores, for operators who need not know which of them has what."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar

from events.causes import Cause
from events.client import time_of
from events.event import Event
from events.inspection import Ended, Inspection, Kept, Overview
from events.journal import Position, Wanted
from events.runs import Run
from events.searching import Page, Query, search_all
from events.shards import combine
from events.source_notes import Refused
from events.store import Store
from events.stories import HistoryEntry, Story
from events.usage import LetGo

Answer = TypeVar("Answer")


class AllShards:
    """The events and runs of all *stores*, with the methods of :class:`Inspection` and :class:`WorkflowRuns`.

    One store that does not answer makes a call fail, as with a single one: half an answer would look like a whole one.
    """

    def __init__(self, stores: Sequence[Store]) -> None:
        self.stores = stores
        self._shelves: list[Inspection] = [store.inspection for store in stores]
        self._runs = [store.runs for store in stores]

    async def overview(self) -> Overview:
        """The state of all queues as one. A worker counts once in each store that it serves."""
        return combine([await shelf.overview() for shelf in self._shelves])

    async def read_memory(self) -> None:
        """Update limits that depend on the memory of the servers."""
        for shelf in self._shelves:
            await shelf.memory()

    async def recent(self, most: int) -> list[Ended]:
        """The *most* events that ended last, newest first."""
        found = [ended for shelf in self._shelves for ended in await shelf.recent(most)]
        return sorted(found, key=lambda ended: ended.at, reverse=True)[:most]

    async def let_go(self) -> list[LetGo]:
        """What was dropped of work that nobody handles."""
        return [one for shelf in self._shelves for one in await shelf.let_go()]

    async def types_of(self, source: str, event_id: str) -> list[str]:
        """The types of the known events with this id."""
        found = [kind for shelf in self._shelves for kind in await shelf.types_of(source, event_id)]
        return list(dict.fromkeys(found))

    async def history(self, source: str, event_id: str, event_type: str) -> list[HistoryEntry]:
        """What happened to an event, in order; empty when it is not known."""
        found = [entry for shelf in self._shelves for entry in await shelf.history(source, event_id, event_type)]
        return sorted(found, key=lambda entry: entry.at)

    async def places(self, source: str, event_id: str, event_type: str) -> dict[str, str]:
        """Where the pieces of work of an event are."""
        found: dict[str, str] = {}
        for shelf in self._shelves:
            found |= await shelf.places(source, event_id, event_type)
        return found

    async def stored(self, source: str, event_id: str, event_type: str) -> Event | None:
        """An event that is not over."""
        return await _first(lambda shelf: shelf.stored(source, event_id, event_type), self._shelves)

    async def search(self, query: Query, size: int, cursor: str | None = None) -> Page:
        """A page of the accepted events that fit *query*, newest first. Raises :class:`ValueError` for no *cursor*."""
        return await search_all([store.search for store in self.stores], query, size, cursor)

    async def newest(self) -> list[Position]:
        """Where :meth:`newer` begins: behind the newest event of each store."""
        return [await store.search.end() for store in self.stores]

    async def newer(self, wanted: Wanted, positions: Sequence[Position]) -> tuple[list[str], list[Position]]:
        """The keys of events accepted behind *positions* that may be wanted, and where to go on."""
        pairs = zip(self.stores, positions, strict=True)
        answers = [await store.search.newer(wanted, position) for store, position in pairs]
        return [key for keys, _ in answers for key in keys], [end for _, end in answers]

    async def stories(self, keys: Sequence[str]) -> list[Story]:
        """What is known of the events with these *keys*."""
        return [story for store in self.stores for story in await store.search.read(keys)]

    async def story(self, source: str, event_id: str, event_type: str) -> Story | None:
        """What is known of an event; ``None`` if nothing is."""
        return await _first(lambda shelf: shelf.story(source, event_id, event_type), self._shelves)

    async def was_handled(self, source: str, event_id: str, event_type: str) -> bool:
        """Whether an event is remembered as handled."""
        return any([await shelf.was_handled(source, event_id, event_type) for shelf in self._shelves])

    async def known_as(self, source: str, event_id: str) -> list[str]:
        """The types under which *source* has an event with this id."""
        found = [kind for shelf in self._shelves for kind in await shelf.known_as(source, event_id)]
        return list(dict.fromkeys(found))

    async def refusals(self) -> list[Refused]:
        """The deliveries that were refused last."""
        return await self.stores[0].notes.refusals()

    async def now(self) -> datetime:
        """The time by the clock that decides every due time."""
        return time_of(await self.stores[0].now() * 1000)

    async def each_glanced(self, name: Literal["dead", "parked"], page: int) -> AsyncIterator[Kept]:
        """All dead letters, or all parked work, newest first and without payloads; *page* are read at a time."""
        streams = [_glanced(shelf, name, page) for shelf in self._shelves]
        heads = [await anext(stream, None) for stream in streams]
        while waiting := [(head.since, -number) for number, head in enumerate(heads) if head is not None]:
            number = -max(waiting)[1]
            head = heads[number]
            assert head is not None
            yield head
            heads[number] = await anext(streams[number], None)

    async def causes(self) -> list[Cause]:
        """All causes of dead letters, the most frequent first."""
        found: dict[str, Cause] = {}
        for store in self.stores:
            for cause in await store.causes.all():
                known = found.get(cause.fingerprint)
                found[cause.fingerprint] = _joined(known, cause) if known else cause
        return sorted(found.values(), key=lambda cause: cause.count, reverse=True)

    async def replay(self, members: Sequence[str], *, afresh: bool = False) -> int:
        """Run dead letters again; how many were there."""
        return sum([await shelf.replay(members, afresh=afresh) for shelf in self._shelves])

    async def unpark(self, members: Sequence[str]) -> int:
        """Run parked work again; how much was there."""
        return sum([await shelf.unpark(members) for shelf in self._shelves])

    async def discard(self, members: Sequence[str], why: str) -> int:
        """Discard dead letters; how many were there."""
        return sum([await shelf.discard(members, why) for shelf in self._shelves])

    async def run(self, run_id: str) -> Run | None:
        """A run of a workflow; ``None`` when it is not known."""
        return await _first(lambda runs: runs.get(run_id), self._runs)

    async def find_runs(self, most: int, *, where: Callable[[Run], bool]) -> list[Run]:
        """Up to *most* runs for which *where* holds: those that have not ended first, each newest first."""
        found = [run for runs in self._runs for run in await runs.find(most, where=where)]
        found.sort(key=lambda run: run.finished_at or run.started_at, reverse=True)
        return sorted(found, key=lambda run: run.finished_at is not None)[:most]


async def _glanced(shelf: Inspection, name: Literal["dead", "parked"], page: int) -> AsyncIterator[Kept]:
    async for members in shelf.pages(name).read(page):
        for kept in await shelf.glance(members):
            yield kept


def _joined(one: Cause, other: Cause) -> Cause:
    return Cause(
        one.fingerprint,
        one.count + other.count,
        sorted({*one.handlers, *other.handlers}),
        sorted({*one.types, *other.types}),
        max(one, other, key=lambda cause: cause.last).error,
        min(one.first, other.first),
        max(one.last, other.last),
        one.more or other.more,
    )


async def _first(ask: Callable[[Any], Coroutine[Any, Any, Answer | None]], parts: Sequence[Any]) -> Answer | None:
    for part in parts:
        if (answer := await ask(part)) is not None:
            return answer
    return None
