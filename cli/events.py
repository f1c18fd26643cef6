"""``truto-worker events``: the state of the queue, and the history of one event."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cli.opening import with_stores
from cli.printing import at, counted, lasting, print_json, printable, printable_json
from events import CorruptEvent, Ended, Event, HistoryEntry, LetGo, Overview
from events.all_shards import AllShards

_PLACES = {
    "queue": "in the queue: running, waiting for a worker, or for its next attempt",
    "held": "waiting, out of the queue, until its handler is free for its key",
    "dead": "a dead letter; run it again with `truto-worker replay {name}`",
    "parked": "parked; run it again with `truto-worker replay --parked {name}`",
}


def show_queue(*, limit: int, as_json: bool) -> int:
    """Print the state of the queue and the *limit* events that ended last."""

    async def work(shards: AllShards) -> int:
        await shards.read_memory()  # bounds may be a share of it
        overview, let_go = await shards.overview(), await shards.let_go()
        recent = await shards.recent(limit)
        if as_json:
            ended = [one._asdict() for one in recent]
            print_json({**asdict(overview), "recent": ended, "let_go": [one._asdict() for one in let_go]})
        else:
            _print_overview(overview)
            _print_sources(overview)
            _print_let_go(let_go)
            _print_recent(recent)
        return 0

    return with_stores(work)


def show_event(event_id: str, *, source: str, event_type: str, payload: bool, as_json: bool) -> int:
    """Print the history of one event, with its payload if wanted; returns 1 if the event is unknown.

    Without *event_type*, the type is looked up where it is part of what the event is known by.
    """

    async def work(shards: AllShards) -> int:
        try:
            types = [event_type] if event_type else await shards.types_of(source, event_id)
            if len(types) > 1:
                return several_types(event_id, types)
            kind = types[0] if types else ""
            history = await shards.history(source, event_id, kind)
            places = await shards.places(source, event_id, kind)
            event = await shards.stored(source, event_id, kind)
        except CorruptEvent as exc:
            print(f"The event cannot be read back: {exc}", file=sys.stderr)
            return 1
        if not history:
            print(
                f"Nothing is known of {printable(event_id)} from {printable(source)}: never accepted, or over for "
                "longer than HISTORY_TTL. Is it another --source, or --type?",
                file=sys.stderr,
            )
            return 1
        story = _story(event_id, source, history, places, event)
        if payload:
            story["payload"] = event.payload if event else None
        if as_json:
            print_json(story)
        else:
            _print_story(story, history)
        return 0

    return with_stores(work)


def several_types(event_id: str, types: Sequence[str]) -> int:
    """Say that *types* have this id; the exit code."""
    named = ", ".join(printable(kind) for kind in types)
    told = f"Events of several types have the id {printable(event_id)}: say which with --type ({named})."
    print(told, file=sys.stderr)
    return 1


def _story(
    event_id: str, source: str, history: Sequence[HistoryEntry], places: Mapping[str, str], event: Event | None
) -> dict[str, Any]:
    return {
        "id": event_id,
        "source": source,
        "type": history[0].detail.get("type"),
        "over": event is None,
        "places": dict(places),
        "history": [entry._asdict() for entry in history],
    }


def _print_overview(overview: Overview) -> None:
    age = f", the oldest for {lasting(overview.oldest_ready_seconds)}" if overview.ready else ""
    print(f"ready    {overview.ready}{age}")
    print(f"waiting  {overview.waiting}  (running, or for the next attempt)")
    print(f"held     {overview.held}  (until its handler is free for its key)")
    look = "  (look: truto-worker dead-letters --group)" if overview.dead else ""
    print(f"dead     {overview.dead}{look}")
    look = "  (look: truto-worker replay --parked --all --dry-run)" if overview.parked else ""
    print(f"parked   {overview.parked}{look}")
    idle = "  (none has asked for work in the last 15 s)" if not overview.workers else ""
    print(f"workers  {overview.workers}{idle}")
    totals = ", ".join(f"{printable(name)} {count}" for name, count in sorted(overview.totals.items()))
    print(f"totals   {totals or 'nothing yet'}")


def _print_sources(overview: Overview) -> None:
    taking = {source: usage for source, usage in overview.sources.items() if usage.events or usage.parked}
    if taking:
        print("\nPending, by source:")
    for source, usage in sorted(taking.items()):
        unhandled = f", {usage.parked} of them parked without a handler" if usage.parked else ""
        near = f" ({usage.fullness:.0%} of the limit)" if usage.parked else ""
        print(f"{printable(source):<20} {counted(usage.events, 'event')}, {usage.bytes} bytes{unhandled}{near}")


def _print_let_go(let_go: Sequence[LetGo]) -> None:
    if let_go:
        print("\nDropped without a handler (PARKED_MAX, PARKED_MAX_BYTES, PARKED_TTL):")
    for one in let_go:
        print(f"{at(one.first)} … {at(one.last)}  {one.events:>8}  {printable(one.source)}  {printable(one.type)}")


def _print_recent(recent: Sequence[Ended]) -> None:
    if recent:
        print("\nEnded last:")
    for ended in recent:
        name = f"{printable(ended.type)}  {printable(ended.id)}  {printable(ended.source)}"
        print(f"{at(ended.at)}  {printable(ended.outcome):<9}  {name}")


def _print_story(story: Mapping[str, Any], history: Sequence[HistoryEntry]) -> None:
    print(f"{printable(story['type'] or 'unknown type')}  {printable(story['id'])}  {printable(story['source'])}")
    print_entries(history)
    name = shlex.quote(printable(story["id"]))
    places = story["places"] or ({} if story["over"] else {"": "queue"})
    for member, place in sorted(places.items()):
        handler = member.partition("|")[2]
        print(f"Now: {printable(handler) + ' is ' if handler else ''}{_PLACES[place].format(name=name)}.")
    if story["over"]:
        print("Now: over; its payload is no longer stored.")
    elif "payload" in story:
        print(printable_json(story["payload"]))


def print_entries(history: Sequence[HistoryEntry]) -> None:
    """Print what happened to an event, a line each."""
    start = history[0].at
    for entry in history:
        seconds = (entry.at - start).total_seconds()
        detail = "" if entry.what == "received" else _detail(entry.detail)
        print(f"  {at(entry.at)}  {seconds:+10.3f} s  {printable(entry.what):<10}{detail}".rstrip())
        for frame in entry.detail.get("traceback") or ():
            print(f"{'':40}{printable(frame)}")


def _detail(detail: Mapping[str, Any]) -> str:
    return "  ".join(f"{printable(name)}={printable(text)}" for name, text in detail.items() if name != "traceback")
