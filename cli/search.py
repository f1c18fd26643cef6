"""``truto-worker events`` with a question: find events, and follow new ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from cli.acting import pause, stop_signal
from cli.opening import with_stores
from cli.printing import at, printable
from events import Story
from events.all_shards import AllShards
from events.searching import Page, Query

_POLL_SECONDS = 0.5
_MAX_WATCHED = 1000


def search_events(query: Query, *, limit: int, cursor: str | None, as_json: bool) -> int:
    """Print the events that fit, newest first, at most *limit*; returns 0 if there are any."""

    async def work(shards: AllShards) -> int:
        page, number = Page([], None, cursor), 0
        while number < limit:
            try:
                page = await shards.search(query, limit - number, page.cursor)
            except ValueError:
                print(f"{printable(cursor)} is no cursor: take the one that a search has printed", file=sys.stderr)
                return 2
            _print(page.found, as_json=as_json)
            number += len(page.found)
            if page.cursor is None:
                break
        _print_end(page, number, as_json=as_json)
        return 0 if number else 1

    return with_stores(work)


def follow_events(query: Query, *, as_json: bool) -> int:
    """Print each new event as soon as it fits, until interrupted. Ends with 0."""

    async def work(shards: AllShards) -> int:
        positions, watched = await shards.newest(), list[str]()
        print("Following; Ctrl-C ends it.", file=sys.stderr, flush=True)
        with stop_signal() as stop:
            while not stop.is_set():
                keys, positions = await shards.newer(query.wanted, positions)
                # What does not fit yet may fit later, until it is over; of a flood, the newest are watched.
                stories = await shards.stories([*watched, *keys][-_MAX_WATCHED:])
                fitting = [story for story in stories if query.fits(story)]
                _print(fitting, as_json=as_json)
                done = {story.key for story in fitting}
                watched = [story.key for story in stories if story.key not in done and story.state != "over"]
                await pause(_POLL_SECONDS, stop)
        return 0

    return with_stores(work)


def summary_of(story: Story) -> dict[str, Any]:
    """The JSON form of one line."""
    end, beginning = story.end, story.beginning
    return {
        "id": beginning.get("id"),
        "type": beginning.get("type"),
        "source": beginning.get("source"),
        "received_at": story.received_at,
        "state": story.state,
        "outcome": end.what if end else None,
        "outcome_at": end.at if end else None,
        "why": why_of(story),
        "handlers": sorted(story.handlers),
    }


def why_of(story: Story) -> str | None:
    """What the last end of an attempt tells of its cause."""
    detail = story.end.detail if story.end else {}
    why = detail.get("error") or detail.get("why")
    return None if why is None else str(why)


def _print(stories: Sequence[Story], *, as_json: bool) -> None:
    for story in stories:
        if as_json:
            print(json.dumps(summary_of(story), default=datetime.isoformat), flush=True)
        else:
            _print_line(story)


def _print_line(story: Story) -> None:
    beginning, end = story.beginning, story.end
    state = story.state if story.state != "over" else end.what if end else "over"
    name = "  ".join(printable(beginning.get(field, "-")) for field in ("type", "id", "source"))
    print(f"{at(story.received_at or datetime.fromtimestamp(0, UTC))}  {printable(state):<9}  {name}", flush=True)
    who = ", ".join(map(printable, sorted(story.handlers)))
    if why := why_of(story):
        print(f"{'':33}{f'{who}: ' if who else ''}{printable(why)}", flush=True)


def _print_end(page: Page, number: int, *, as_json: bool) -> None:
    if as_json:
        if page.cursor:
            print(json.dumps({"cursor": page.cursor, "back_to": page.back_to}, default=datetime.isoformat))
        return
    if page.cursor:
        print(f"… there may be more: --cursor {page.cursor} goes on from {at(page.back_to)}." if page.back_to else "")
    elif not number:
        print("No event fits, among those accepted within SEARCH_TTL. `dead-letters` has dead letters of any age.")
