"""``truto-worker explain``: why an event is where it is, in one sentence, with what happened to it."""

from __future__ import annotations

from typing import Any

from cli.events import print_entries, several_types
from cli.opening import with_stores
from cli.printing import print_json, printable
from events import CorruptEvent, Story
from events.all_shards import AllShards
from events.explaining import Explanation, Verdict, explain_event


def explain(event_id: str, *, source: str, event_type: str, as_json: bool) -> int:
    """Print the verdict on an event and its timeline; returns 1 if the event is not known."""

    async def work(shards: AllShards) -> int:
        types = [event_type] if event_type else await shards.types_of(source, event_id)
        if len(types) > 1:
            return several_types(event_id, types)
        try:
            story, explanation = await explain_event(shards, source, event_id, types[0] if types else "")
        except CorruptEvent as exc:
            story, explanation = None, Explanation(Verdict("unreadable", f"It cannot be read: {exc}."), {})
        if as_json:
            print_json(described(event_id, source, story, explanation))
        else:
            _print(event_id, source, story, explanation)
        return 0 if story else 1

    return with_stores(work)


def described(event_id: str, source: str, story: Story | None, explanation: Explanation) -> dict[str, Any]:
    """The JSON form, without the payload."""
    return {
        "id": event_id,
        "source": source,
        "type": story.beginning.get("type") if story else None,
        "state": story.state if story else "unknown",
        **_as_json(explanation.verdict),
        "pieces": {handler: _as_json(verdict) for handler, verdict in explanation.pieces.items()},
        "history": [entry._asdict() for entry in story.history] if story else [],
    }


def _as_json(verdict: Verdict) -> dict[str, str]:
    return {
        "verdict": verdict.word,
        "sentence": verdict.sentence,
        "next": verdict.next,
        "remedy": verdict.remedy,
    }


def _print(event_id: str, source: str, story: Story | None, explanation: Explanation) -> None:
    kind = story.beginning.get("type") if story else None
    print(f"{printable(kind or 'unknown')}  {printable(event_id)}  {printable(source)}")
    _print_verdict(explanation.verdict)
    for verdict in explanation.pieces.values():
        _print_hints(verdict)
    if story and story.history:
        print()
        print_entries(story.history)


def _print_verdict(verdict: Verdict) -> None:
    print(printable(verdict.sentence, most=1000))
    _print_hints(verdict)


def _print_hints(verdict: Verdict) -> None:
    if verdict.next:
        print(f"Next: {printable(verdict.next)}")
    if verdict.remedy:
        print(f"Act:  {printable(verdict.remedy)}")
