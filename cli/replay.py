"""``truto-worker replay``: run dead letters, or parked work, again on purpose."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from cli.acting import Acted, act_on
from cli.dead_letters import print_kept, print_missing, print_stopped
from cli.opening import with_stores
from cli.printing import counted, print_json, print_json_rows
from cli.selection import Selected, Selection, Shelf, described, select
from events.all_shards import AllShards

_MAX_SHOWN = 100


def replay(
    selection: Selection, *, parked: bool, afresh: bool, dry_run: bool, rate: float | None, as_json: bool
) -> int:
    """Run *selection* again, all at once or *rate* a second. *afresh* also repeats finished steps.

    Answers 0 when there was something to run, and everything that was named; nothing at all is fine with ``--all``.
    """
    shelf: Shelf = "parked" if parked else "dead"
    noun = "parked piece" if parked else "dead letter"

    async def work(shards: AllShards) -> int:
        chosen = await select(shards, shelf, selection)
        if dry_run:
            number = await (_print_plan_json if as_json else _print_plan)(chosen, selection, noun)
            acted = Acted(number, number, stopped=False)
        else:
            requeue = shards.unpark if parked else partial(shards.replay, afresh=afresh)
            acted = await act_on(chosen, requeue, "Running again", rate)
            _print_done(acted, selection.missing(chosen.names), noun, as_json=as_json)
        missing = selection.missing(chosen.names)
        if acted.stopped:
            return 1
        if missing or not (acted.chosen or selection.everything):
            print_missing(missing, noun)
            return 1
        return 0

    return with_stores(work)


async def _print_plan_json(chosen: Selected, selection: Selection, noun: str) -> int:
    del noun
    rows = (described(kept) async for page in chosen.kept(newest_first=True) for kept in page)
    return await print_json_rows("would_run", rows, lambda: {"missing": selection.missing(chosen.names)})


async def _print_plan(chosen: Selected, selection: Selection, noun: str) -> int:
    """The newest that would run, and how many there are: they are not read where their number is known."""
    del selection
    number = 0
    async for page in chosen.kept(newest_first=True):
        for kept in page[: max(0, _MAX_SHOWN - number)]:
            print_kept(kept)
        number += len(page)
        if number >= _MAX_SHOWN and chosen.takes_all:
            number = chosen.total
            break
    if number > _MAX_SHOWN:
        print(f"… and {number - _MAX_SHOWN} more: --json lists all.")
    print(f"Would run {counted(number, noun)} again. Nothing was changed.")
    return number


def _print_done(acted: Acted, missing: Sequence[str], noun: str, *, as_json: bool) -> None:
    if as_json:
        interrupted = {"interrupted": True} if acted.stopped else {}
        print_json({"running": acted.done, "selected": acted.chosen, "missing": missing, **interrupted})
        return
    if not acted.chosen and not acted.stopped:
        print("Nothing to run again.")
        return
    print(f"{counted(acted.done, noun)} will run again, with all attempts.")
    if acted.done < acted.chosen:
        print(f"{acted.chosen - acted.done} were taken by somebody else meanwhile.", file=sys.stderr)
    if acted.stopped:
        print_stopped()
