"""Find the event in a ``multipart/form-data`` delivery.

Truto sends some deliveries so ("formdata", skill: webhooks-and-notifications); which ones and how the parts are named
is in no source. The part that is a JSON object naming an event is the envelope; the others stay in the raw body.
"""

from __future__ import annotations

import orjson
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from events import MalformedEvent
from events.event import event_name

_MOST_PARTS = 100


def envelope_part(content_type: bytes, body: bytes) -> bytes:
    """The part of *body* that is the event. Raises :class:`MalformedEvent` when there is none."""
    for part in _parts(content_type, body):
        if part.lstrip()[:1] != b"{":
            continue
        try:
            envelope = orjson.loads(part)
        except orjson.JSONDecodeError:
            continue
        if event_name(envelope):
            return part
    raise MalformedEvent("no_envelope_part", "no part of the form is a JSON object that names an event")


def _parts(content_type: bytes, body: bytes) -> list[bytes]:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise MalformedEvent("multipart_malformed", "its Content-Type names no boundary")
    parts: list[bytearray] = []

    def begin() -> None:
        if len(parts) == _MOST_PARTS:
            raise MalformedEvent("multipart_too_many_parts", f"the form has more than {_MOST_PARTS} parts")
        parts.append(bytearray())

    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": begin,
                "on_part_data": lambda data, start, end: parts[-1].extend(data[start:end]),
            },
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as exc:
        raise MalformedEvent("multipart_malformed", "the form cannot be taken apart") from exc
    return [bytes(part) for part in parts]
