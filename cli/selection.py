"""Which dead letters, or which parked work, a command is about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from events import Kept, Store
from events.all_shards import AllShards
from events.causes import error_of
from events.inspection import Inspection
from events.pages import Pages

Shelf = Literal["dead", "parked"]

NO_FINGERPRINT = "none"
"""The fingerprint of work that has none, such as an unreadable event."""

MAX_PAGE = 250
"""A script needs some milliseconds for so many, and nothing else runs in Redis meanwhile."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Members or event ids by name, or filters that must all fit, or everything.

    Raises ``ValueError`` when it selects nothing, or in more than one of these ways.
    """

    names: tuple[str, ...] = ()
    fingerprint: str | None = None
    type: str | None = None
    handler: str | None = None
    everything: bool = False

    def __post_init__(self) -> None:
        filters = (self.fingerprint, self.type, self.handler)
        ways = sum((bool(self.names), any(f is not None for f in filters), self.everything))
        if ways == 0:
            raise ValueError("name members or event ids, use a filter, or use --all")
        if ways > 1:
            raise ValueError("use only one of names, filters and --all")

    def wants(self, kept: Kept) -> bool:
        """Whether *kept* is selected."""
        if self.names:
            return not _names_of(kept).isdisjoint(self.names)
        return (
            self.fingerprint in (None, fingerprint_of(kept))
            and self.type in (None, kept.event.type if kept.event else "")
            and self.handler in (None, kept.handler or "")
        )

    def missing(self, found: Collection[str]) -> list[str]:
        """The names that are not among those *found*."""
        return [name for name in self.names if name not in found]

    def without_fingerprint(self) -> Selection:
        """What is left to look at where the fingerprint fits."""
        everything = self.type is None and self.handler is None
        return replace(self, fingerprint=None, everything=everything)


class _Part(NamedTuple):
    """What a selection is about in one store: the *place* to look at, as it was at a moment (ms)."""

    inspection: Inspection
    place: Pages
    selection: Selection
    until: float


class Selected:
    """What a selection is about, as it was when :func:`select` was called, read a page at a time, store by store.

    ``walked`` counts what was looked at so far, of ``total``; ``names`` are those that were found.
    """

    def __init__(self, parts: Sequence[_Part], total: int) -> None:
        self._parts = parts
        self.total = total
        self.walked = 0
        self.names: set[str] = set()

    @property
    def takes_all(self) -> bool:
        """Whether everything that is walked is selected, so that ``total`` are."""
        return all(part.selection.everything for part in self._parts)

    async def kept(self, *, newest_first: bool = False) -> AsyncIterator[list[Kept]]:
        """What is selected, without payloads, in pages that may be empty."""
        for part in self._parts:
            async for page in self._kept_in(part, newest_first=newest_first):
                yield page

    async def _kept_in(self, part: _Part, *, newest_first: bool = False) -> AsyncIterator[list[Kept]]:
        async for page in part.place.read(MAX_PAGE, newest_first=newest_first, until=part.until):
            kept = [one for one in await part.inspection.glance(page) if part.selection.wants(one)]
            self.walked += len(page)
            for one in kept:
                self.names |= _names_of(one)
            yield kept

    async def members(self, size: int) -> AsyncIterator[list[str]]:
        """The members alone, oldest first, at most *size* at once. Where all are selected, nothing else is read."""
        for part in self._parts:
            if part.selection.everything:
                async for page in part.place.read(min(size, MAX_PAGE), newest_first=False, until=part.until):
                    self.walked += len(page)
                    yield [member.decode() for member, _ in page]
                continue
            async for kept in self._kept_in(part):
                for start in range(0, len(kept), size):
                    yield [one.member for one in kept[start : start + size]]


async def select(shards: AllShards, shelf: Shelf, selection: Selection) -> Selected:
    """What *selection* is about on this *shelf* now. What is added later is left out, also what fails again."""
    parts = [await _part_of(store, shelf, selection) for store in shards.stores]
    return Selected(parts, sum([await part.place.count() for part in parts]))


async def _part_of(store: Store, shelf: Shelf, selection: Selection) -> _Part:
    place = store.inspection.pages(shelf)
    if shelf == "dead" and selection.fingerprint is not None:
        place, is_apart = await store.causes.place_of(selection.fingerprint)
        if is_apart:
            selection = selection.without_fingerprint()
    return _Part(store.inspection, place, selection, await store.now() * 1000)


def fingerprint_of(kept: Kept) -> str:
    """The fingerprint that all work with the same cause has."""
    return str(kept.note.get("fingerprint") or NO_FINGERPRINT)


def cause_of(kept: Kept) -> str:
    """The cause, in one line."""
    return error_of(kept.note)


def name_of(kept: Kept) -> str:
    """A name for people: the event's id, or the member if the event cannot be read."""
    return kept.event.id if kept.event else kept.member


def described(kept: Kept) -> dict[str, Any]:
    """The JSON form, without the payload."""
    event = kept.event
    return {
        "member": kept.member,
        "id": event.id if event else None,
        "type": event.type if event else None,
        "source": event.source if event else None,
        "handler": kept.handler,
        "attempts": kept.note.get("attempts", kept.attempts),
        "since": kept.since,
        "error": cause_of(kept),
        "fingerprint": fingerprint_of(kept),
        "traceback": kept.note.get("traceback", []),
    }


def _names_of(kept: Kept) -> set[str]:
    return {kept.member, kept.member.partition("|")[0], kept.event.id if kept.event else ""}
