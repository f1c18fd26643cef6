"""``truto-worker dead-letters``: show and discard dead letters."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from cli.acting import act_on
from cli.opening import with_stores
from cli.printing import at, counted, print_json, printable
from cli.selection import MAX_PAGE, NO_FINGERPRINT, Selection, cause_of, described, fingerprint_of, name_of, select
from events import Kept
from events.all_shards import AllShards
from events.causes import Cause


def list_dead_letters(*, limit: int, as_json: bool) -> int:
    """Print the newest dead letters, *limit* of them (0: all)."""

    async def work(shards: AllShards) -> int:
        letters: list[dict[str, Any]] = []
        shown = 0
        async for kept in shards.each_glanced("dead", min(limit or MAX_PAGE, MAX_PAGE)):
            shown += 1
            if as_json:
                letters.append(described(kept))
            else:
                print_kept(kept)
            if shown == limit:
                break
        if as_json:
            print_json(letters)
        else:
            _print_rest(shown, (await shards.overview()).dead)
        return 0

    return with_stores(work)


def group_dead_letters(*, as_json: bool) -> int:
    """Print the causes of all dead letters, the most frequent first."""

    async def work(shards: AllShards) -> int:
        causes = await shards.causes()
        if as_json:
            print_json([asdict(cause) for cause in causes])
        else:
            _print_causes(causes)
        return 0

    return with_stores(work)


def discard_dead_letters(selection: Selection, *, why: str, as_json: bool) -> int:
    """Discard the dead letters of *selection*; returns 0 if there were any, and every named one was found."""

    async def work(shards: AllShards) -> int:
        chosen = await select(shards, "dead", selection)
        acted = await act_on(chosen, partial(shards.discard, why=why), "Discarding")
        missing = selection.missing(chosen.names)
        if as_json:
            interrupted = {"interrupted": True} if acted.stopped else {}
            print_json({"discarded": acted.done, "missing": missing, **interrupted})
        else:
            print(f"Discarded {counted(acted.done, 'dead letter')}.")
        if acted.stopped:
            print_stopped()
            return 1
        if missing or not acted.chosen:
            print_missing(missing, "dead letter")
        return 1 if missing or not acted.chosen else 0

    return with_stores(work)


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


def print_stopped() -> None:
    """Print that a command was stopped, and how to go on."""
    print("Stopped. What was done stays done; run the same command again for the rest.", file=sys.stderr)


def _print_rest(shown: int, dead: int) -> None:
    if not dead and not shown:
        print("No dead letters.")
    elif dead > shown:
        print(f"… and {dead - shown} more: --limit 0 shows all, --group their causes.")


def _print_causes(causes: Sequence[Cause]) -> None:
    for cause in causes:
        more = ["…"] if cause.more else []
        handlers = ", ".join([*map(printable, cause.handlers), *more]) or "no handler"
        print(f"{cause.count:>6} x  [{printable(cause.fingerprint)}]  {handlers}")
        print(f"          {printable(cause.error)}")
        print(f"          first {at(cause.first)}, last {at(cause.last)}")
        print(f"          {printable(', '.join([*cause.types, *more]) or 'unreadable events')}")
    if causes:
        print("Run a group again: truto-worker replay --fingerprint <the word in brackets>")
    else:
        print("No dead letters.")
