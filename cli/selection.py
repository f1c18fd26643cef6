"""Which dead letters, or which parked work, a command is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from events import Kept, Store

Shelf = Literal["dead", "parked"]

NO_FINGERPRINT = "none"
"""The fingerprint of work that has none, such as an unreadable event."""


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
            return not {kept.member, _key(kept), kept.event.id if kept.event else ""}.isdisjoint(self.names)
        return (
            self.fingerprint in (None, fingerprint_of(kept))
            and self.type in (None, kept.event.type if kept.event else "")
            and self.handler in (None, kept.handler or "")
        )

    def missing(self, found: Sequence[Kept]) -> list[str]:
        """The names that none of *found* has."""
        known = {n for kept in found for n in (kept.member, _key(kept), kept.event.id if kept.event else "")}
        return [name for name in self.names if name not in known]


async def select(store: Store, shelf: Shelf, selection: Selection) -> list[Kept]:
    """The current members of *selection* on this *shelf*, newest first, without payloads."""
    return [_light(kept) async for kept in store.inspection.each_kept(shelf) if selection.wants(kept)]


def fingerprint_of(kept: Kept) -> str:
    """The fingerprint that all work with the same cause has."""
    return str(kept.note.get("fingerprint") or NO_FINGERPRINT)


def cause_of(kept: Kept) -> str:
    """The cause, in one line."""
    return str(kept.note.get("error") or kept.note.get("why") or "unknown")


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


def _light(kept: Kept) -> Kept:
    event = kept.event and replace(kept.event, payload={}, raw=b"")
    return replace(kept, event=event, stored=b"")


def _key(kept: Kept) -> str:
    return kept.member.partition("|")[0]
