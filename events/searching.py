"""Search the events that were accepted within ``SEARCH_TTL``, newest first, a page at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from events.client import StoreClient, time_of
from events.journal import ANYTHING, HOUR_MS, Journal, Mark, Position, Stretch, Wanted
from events.stories import Story, read_stories

STATES = ("waiting", "running", "held", "parked", "dead", "over")
"""Where an event can be: the last is what has ended."""

OUTCOMES = ("done", "discarded", "dead", "parked", "retried", "released", "let_go")
"""How an event, or its last attempt, can have ended."""

_MAX_MARKS = 100_000
_MAX_STORIES = 500
_STORIES_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Query:
    """What to find; ``None`` is anything. Times are of the acceptance; ``pending`` as a state is all but ``over``."""

    wanted: Wanted = ANYTHING
    state: str | None = None
    outcome: str | None = None
    handler: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def fits(self, story: Story) -> bool:
        """Whether *story* is wanted. Its account and tenant have been compared before."""
        beginning = story.beginning
        return (
            self.wanted.source in (None, beginning.get("source"))
            and _is_type(self.wanted.type, str(beginning.get("type")))
            and (self.state in (None, story.state) or (self.state == "pending" and story.state != "over"))
            and (self.outcome is None or (story.end is not None and story.end.what == self.outcome))
            and (self.handler is None or self.handler in story.handlers)
        )


class Page(NamedTuple):
    """What was found, newest first, how far back the search has come, and where the next page begins.

    ``cursor`` is ``None`` at the end. A page may be empty before the end: each looks at a bounded number of events.
    ``cursors`` are those after each that was found.
    """

    found: list[Story]
    back_to: datetime | None
    cursor: str | None
    cursors: Sequence[str] = ()


_OVER = "-"
_BETWEEN = "/"


async def search_all(searches: Sequence[Search], query: Query, size: int, cursor: str | None = None) -> Page:
    """A page of several stores as one, newest first. Raises :class:`ValueError` for what is no *cursor* of theirs."""
    begins = cursor.split(_BETWEEN) if cursor else [""] * len(searches)
    if len(begins) != len(searches):
        raise ValueError("a cursor is what a search of the same stores has given")
    pages = [
        Page([], None, None) if begin == _OVER else await search.page(query, size, begin or None)
        for search, begin in zip(searches, begins, strict=True)
    ]
    # Beyond how far the last store has come, it may have newer events than the others.
    back_to = max((page.back_to for page in pages if page.cursor and page.back_to), default=None)
    ready = sorted(
        (-story.received_at.timestamp(), number, place)
        for number, page in enumerate(pages)
        for place, story in enumerate(page.found)
        if story.received_at is not None and (back_to is None or story.received_at >= back_to)
    )[:size]
    taken = [sum(number == one for _, one, _ in ready) for number in range(len(pages))]
    ends = [_cursor_after(page, count, begin) for page, count, begin in zip(pages, taken, begins, strict=True)]
    found = [pages[number].found[place] for _, number, place in ready]
    is_over = all(end == _OVER for end in ends)
    return Page(found, back_to or _oldest(found), None if is_over else _BETWEEN.join(ends))


def _cursor_after(page: Page, taken: int, begin: str) -> str:
    """Where a store goes on of whose *page* so many were *taken*."""
    if taken == len(page.found):
        return page.cursor or _OVER
    return page.cursors[taken - 1] if taken else begin


def _oldest(found: Sequence[Story]) -> datetime | None:
    return found[-1].received_at if found else None


class Search:
    """Finds events of a store, and follows new ones."""

    def __init__(self, client: StoreClient, search_ms: int) -> None:
        self._client = client
        self._journal = Journal(client)
        self._search_ms = search_ms

    async def page(self, query: Query, size: int, cursor: str | None = None) -> Page:
        """At most *size* events that fit. Raises :class:`ValueError` for what is no *cursor*."""
        now = await self._client.now() * 1000
        oldest = max(now - self._search_ms - HOUR_MS, query.since.timestamp() * 1000 if query.since else 0.0)
        newest = query.until.timestamp() * 1000 if query.until else now + HOUR_MS
        begin = Position.parse(cursor) if cursor else await self._journal.end()
        if newest < begin.hour * HOUR_MS:
            begin = Position(int(newest // HOUR_MS) + 1, 0)
        walk = _Walk(begin)
        found: list[Story] = []
        cursors: list[str] = []
        async for marks in self._marks(walk, query.wanted, oldest, newest):
            told = {story.key: story for story in await read_stories(self._client, [mark.key for mark, _ in marks])}
            for mark, after in marks:
                walk.position, walk.at = after, mark.at
                if (story := told.get(mark.key)) and query.fits(story):
                    found.append(story)
                    cursors.append(str(walk.position))
                    if len(found) == size:
                        return Page(found, time_of(walk.at), str(walk.position), cursors)
            walk.stories += len(marks)
            if walk.stories >= _MAX_STORIES:
                return Page(found, time_of(walk.at), str(walk.position), cursors)
        cursor = None if walk.at_the_end else str(walk.position)
        return Page(found, time_of(walk.at) if walk.at else None, cursor, cursors)

    async def _marks(
        self, walk: _Walk, wanted: Wanted, oldest: float, newest: float
    ) -> AsyncIterator[Sequence[tuple[Mark, Position]]]:
        """What may be wanted, newest first, some at a time; ends also when enough was looked at."""
        while walk.marks < _MAX_MARKS:
            stretch = await self._journal.before(walk.position, int(oldest // HOUR_MS))
            if stretch is None:
                walk.at_the_end = True
                return
            walk.marks += stretch.size
            batch: list[tuple[Mark, Position]] = []
            for mark, after in stretch.matching(wanted):
                if mark.at < oldest:
                    break
                if mark.at <= newest:
                    batch.append((mark, after))
                if len(batch) == _STORIES_AT_ONCE:
                    yield batch
                    batch = []
            if batch:
                yield batch
            walk.position, walk.at = stretch.begin, stretch.begun_at
            if walk.at < oldest:
                walk.at_the_end = True
                return

    async def end(self) -> Position:
        """Where :meth:`newer` begins: behind the newest event."""
        return await self._journal.end()

    async def newer(self, wanted: Wanted, position: Position) -> tuple[list[str], Position]:
        """The keys of events accepted behind *position* that may be wanted, oldest first, and where to go on."""
        stretches, end = await self._journal.after(position)
        return [key for stretch in stretches for key in _keys(stretch, wanted)], end

    async def read(self, keys: Sequence[str]) -> list[Story]:
        """The stories of the events with these *keys*."""
        return await read_stories(self._client, keys)


@dataclass(slots=True)
class _Walk:
    """How far a search has come."""

    position: Position
    at: int = 0
    marks: int = 0
    stories: int = 0
    at_the_end: bool = False


def _keys(stretch: Stretch, wanted: Wanted) -> list[str]:
    return [mark.key for mark, _ in stretch.matching(wanted)][::-1]


def _is_type(wanted: str | None, kind: str) -> bool:
    if wanted is None or wanted == kind:
        return True
    return wanted.endswith(":*") and kind.startswith(wanted[:-1])
