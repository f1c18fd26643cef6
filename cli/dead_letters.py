"""``truto-worker dead-letters``: show and discard dead letters."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cli.opening import with_store
from cli.printing import at, counted, print_json, printable
from cli.selection import NO_FINGERPRINT, Selection, cause_of, described, fingerprint_of, name_of, select
from events import Kept, Store

_CHUNK = 100


def list_dead_letters(*, limit: int, as_json: bool) -> int:
    """Print the newest dead letters, *limit* of them (0: all)."""

    async def work(store: Store) -> int:
        letters: list[dict[str, Any]] = []
        async for kept in store.inspection.each_kept("dead"):
            if limit and len(letters) >= limit:
                break
            if as_json:
                letters.append(described(kept))
            else:
                letters.append({})
                print_kept(kept)
        if as_json:
            print_json(letters)
        else:
            _print_rest(len(letters), (await store.inspection.overview()).dead)
        return 0

    return with_store(work)


def group_dead_letters(*, as_json: bool) -> int:
    """Print the causes of all dead letters, the most frequent first."""

    async def work(store: Store) -> int:
        groups: dict[str, Group] = {}
        async for kept in store.inspection.each_kept("dead"):
            groups.setdefault(fingerprint_of(kept), Group()).add(kept)
        ordered = sorted(groups.items(), key=lambda item: item[1].count, reverse=True)
        if as_json:
            print_json([{"fingerprint": fingerprint, **group.described()} for fingerprint, group in ordered])
        else:
            _print_groups(ordered)
        return 0

    return with_store(work)


def discard_dead_letters(selection: Selection, *, why: str, as_json: bool) -> int:
    """Discard the dead letters of *selection*; returns 0 if there were any, and every named one was found."""

    async def work(store: Store) -> int:
        letters = await select(store, "dead", selection)
        members = [kept.member for kept in letters]
        gone = 0
        for start in range(0, len(members), _CHUNK):
            gone += await store.inspection.discard(members[start : start + _CHUNK], why)
        missing = selection.missing(letters)
        if as_json:
            print_json({"discarded": gone, "missing": missing})
        else:
            print(f"Discarded {counted(gone, 'dead letter')}.")
        if missing or not letters:
            print_missing(missing, "dead letter")
        return 1 if missing or not letters else 0

    return with_store(work)


@dataclass(slots=True)
class Group:
    """Dead letters with one cause."""

    count: int = 0
    handlers: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    error: str = ""
    first: datetime | None = None
    last: datetime | None = None

    def add(self, kept: Kept) -> None:
        """Count *kept* in. The newest comes first."""
        self.count += 1
        self.first = kept.since
        if self.last is None:
            self.last, self.error = kept.since, cause_of(kept)
        if kept.handler:
            self.handlers.add(kept.handler)
        if kept.event:
            self.types.add(kept.event.type)

    def described(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "count": self.count,
            "handlers": sorted(self.handlers),
            "types": sorted(self.types),
            "error": self.error,
            "first": self.first,
            "last": self.last,
        }


def print_kept(kept: Kept) -> None:
    """Print one dead letter, or one piece of parked work, for people: two lines, no payload."""
    kind, source = (kept.event.type, kept.event.source) if kept.event else ("unreadable", "-")
    print(f"{at(kept.since)}  {printable(kind)}  {printable(name_of(kept))}  {printable(source)}")
    attempts = int(kept.note.get("attempts", kept.attempts))
    who = f"{printable(kept.handler)}, " if kept.handler else ""
    tried = f"{counted(attempts, 'attempt')}, " if attempts else ""
    fingerprint = fingerprint_of(kept)
    mark = "" if fingerprint == NO_FINGERPRINT else f"  [{printable(fingerprint)}]"
    print(f"    {who}{tried}{printable(cause_of(kept))}{mark}")


def print_missing(missing: Iterable[str], what: str) -> None:
    """Print which of the named ones were not found."""
    for name in missing:
        print(
            f"{printable(name)} is no {what}: `truto-worker events {printable(name)}` tells its story", file=sys.stderr
        )
    if not missing:
        print(f"No {what} fits.", file=sys.stderr)


def _print_rest(shown: int, dead: int) -> None:
    if not dead and not shown:
        print("No dead letters.")
    elif dead > shown:
        print(f"… and {dead - shown} more: --limit 0 shows all, --group their causes.")


def _print_groups(groups: list[tuple[str, Group]]) -> None:
    for fingerprint, group in groups:
        handlers = ", ".join(map(printable, sorted(group.handlers))) or "no handler"
        print(f"{group.count:>6} x  [{printable(fingerprint)}]  {handlers}")
        print(f"          {printable(group.error)}")
        assert group.first is not None
        assert group.last is not None
        print(f"          first {at(group.first)}, last {at(group.last)}")
        print(f"          {printable(', '.join(sorted(group.types)) or 'unreadable events')}")
    if groups:
        print("Run a group again: truto-worker replay --fingerprint <the word in brackets>")
    else:
        print("No dead letters.")
