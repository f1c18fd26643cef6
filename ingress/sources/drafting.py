"""Write an event where a source's sender would: its type and id in the headers and fields that the source reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from ingress.errors import CannotSign
from ingress.sources.sampling import Sample, moment_text
from ingress.sources.schema import Entry, TrutoHeader
from truto import sample_event
from truto.references import translate_references

_FIRST = re.compile(r"\{\{(headers|body)\.([^{}|:?]+)(?:\|[^{}|:?]+)*(?:\?:[^{}]*)?\}\}")
_HEADER = re.compile(r"headers\.([A-Za-z0-9_-]+)")


def draft(
    entry: Entry, *, name: str, now: float, event_id: str, event: str | None = None, body: bytes | None = None
) -> Sample:
    """A delivery of *event* for the source *name*, not yet signed: *body*, or a sample with an id of its own.

    Raises :class:`CannotSign` where the source has no place for the type, or it has to be in the *body* that is given.
    """
    headers = dict.fromkeys(_identifying(entry), event_id)
    fields: dict[str, Any] = {"id": event_id, "event": "sample", "type": "sample"}
    if isinstance(entry.webhook.signature_verification, TrutoHeader):
        fields, event = sample_event(event or "test"), event if body is not None else None
    time = _FIRST.fullmatch(translate_references(entry.options.timestamp or ""))
    if time is not None and time[1] == "body":
        moment = moment_text(entry.options.timestamp_unit, now)
        _put(fields, time[2].split("."), int(moment) if moment.isdecimal() else moment)
    place = _FIRST.fullmatch(translate_references(entry.options.event.type or ""))
    if place is not None and place[1] == "headers":
        headers[place[2].lower()] = event or "sample"
    elif event is not None:
        _write_type(entry, fields, event, given=body is not None)
    return Sample(headers, orjson.dumps(fields) if body is None else body, f"/webhooks/{name}", event_id)


def _write_type(entry: Entry, fields: dict[str, Any], event: str, *, given: bool) -> None:
    template = translate_references(entry.options.event.type or "{{body.event}}")
    place = _FIRST.fullmatch(template)
    if place is None:
        raise CannotSign(f"the type of its events is `{template}`, which --event cannot choose; leave it out")
    if given:
        raise CannotSign(f"the type of its events is in the body, as `{template}`: write it there instead of --event")
    _put(fields, place[2].split("."), event)


def _put(into: Any, path: list[str], value: object) -> None:
    """Write *value* at *path*, making the objects and lists on the way; a number is a place in a list."""
    name, *rest = path
    if isinstance(into, list):
        into.append(value if not rest else _made(rest))
        into, name = into[-1:], "0"
    elif rest and not isinstance(into.get(name), dict | list):
        into[name] = _made(rest)
    if rest:
        _put(into[0] if isinstance(into, list) else into[name], rest, value)
    elif isinstance(into, dict):
        into[name] = value


def _made(rest: list[str]) -> Any:
    return [] if rest[0].isdecimal() else {}


def _identifying(entry: Entry) -> Iterator[str]:
    """The headers by which the source knows an event."""
    told = entry.options.model_dump(include={"event", "identity"})
    told.get("event", {}).pop("type", None)
    yield from (name.lower() for name in _HEADER.findall(str(told)))
