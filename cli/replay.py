"""``truto-worker replay``: run dead letters, or parked work, again on purpose."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from rich.console import Console
from rich.progress import Progress

from cli.dead_letters import print_kept, print_missing
from cli.opening import with_store
from cli.printing import counted, print_json
from cli.selection import Selection, Shelf, described, select
from events import Kept, Store

_CHUNK = 100
_STEPS_PER_SECOND = 10


def replay(
    selection: Selection, *, parked: bool, afresh: bool, dry_run: bool, rate: float | None, as_json: bool
) -> int:
    """Run *selection* again, all at once or *rate* a second. *afresh* also repeats finished steps.

    Answers 0 when there was something to run, and everything that was named; nothing at all is fine with ``--all``.
    """
    shelf: Shelf = "parked" if parked else "dead"
    noun = "parked piece" if parked else "dead letter"

    async def work(store: Store) -> int:
        chosen = await select(store, shelf, selection)
        missing = selection.missing(chosen)
        if dry_run:
            _print_plan(chosen, missing, noun, as_json=as_json)
        else:
            requeue = store.inspection.unpark if parked else partial(store.inspection.replay, afresh=afresh)
            # Oldest first: the order in which they came.
            members = [kept.member for kept in reversed(chosen)]
            done = await _paced(requeue, members, rate)
            _print_done(done, len(members), missing, noun, as_json=as_json)
        if missing or not (chosen or selection.everything):
            print_missing(missing, noun)
            return 1
        return 0

    return with_store(work)


def chunk_size(rate: float | None) -> int:
    """The size of a batch, so that *rate* is even but needs few round trips."""
    return _CHUNK if rate is None else min(_CHUNK, max(1, round(rate / _STEPS_PER_SECOND)))


async def _paced(requeue: Callable[[Sequence[str]], Awaitable[int]], members: Sequence[str], rate: float | None) -> int:
    size, started, done = chunk_size(rate), time.monotonic(), 0
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("Running again", total=len(members))
        for start in range(0, len(members), size):
            if rate is not None:
                await asyncio.sleep(max(0.0, started + start / rate - time.monotonic()))
            chunk = members[start : start + size]
            done += await requeue(chunk)
            progress.advance(bar, len(chunk))
    return done


def _print_plan(chosen: Sequence[Kept], missing: Sequence[str], noun: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"would_run": [described(kept) for kept in chosen], "missing": missing})
        return
    for kept in chosen:
        print_kept(kept)
    print(f"Would run {counted(len(chosen), noun)} again. Nothing was changed.")


def _print_done(done: int, chosen: int, missing: Sequence[str], noun: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"running": done, "selected": chosen, "missing": missing})
        return
    if not chosen:
        print("Nothing to run again.")
        return
    print(f"{counted(done, noun)} will run again, with all attempts.")
    if done < chosen:
        print(f"{chosen - done} were taken by somebody else meanwhile.", file=sys.stderr)
