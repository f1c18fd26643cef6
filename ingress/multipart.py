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
from ingress.verification.complexity import check_complexity

_MAX_PARTS = 100


def envelope_part(content_type: bytes, body: bytes) -> bytes:
    """The part of *body* that is the event. Raises :class:`MalformedEvent` when there is none."""
    for part in _parts(content_type, body):
        if part.lstrip()[:1] != b"{":
            continue
        check_complexity(part)
        try:
            envelope = orjson.loads(part)
        except orjson.JSONDecodeError:
            continue
        if event_name(envelope):
            return part
    raise MalformedEvent("no_envelope_part", "no part of the form is a JSON object that names an event")


def text_parts(content_type: bytes, body: bytes) -> dict[str, str]:
    """The named parts of *body* that are UTF-8 text and no files; of several with one name, the last.

    Raises :class:`MalformedEvent` when the form cannot be taken apart.
    """
    found: dict[str, str] = {}
    for part, disposition in zip(*_parts_and_dispositions(content_type, body), strict=True):
        _, options = parse_options_header(disposition)
        if b"filename" in options or not options.get(b"name"):
            continue
        try:
            found[options[b"name"].decode()] = part.decode()
        except UnicodeDecodeError:
            continue  # SendGrid's parts may be in any charset; they stay in the raw body
    return found


def _parts(content_type: bytes, body: bytes) -> list[bytes]:
    return _parts_and_dispositions(content_type, body)[0]


def _parts_and_dispositions(content_type: bytes, body: bytes) -> tuple[list[bytes], list[bytes]]:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise MalformedEvent("multipart_malformed", "its Content-Type names no boundary")
    if body and not body.lstrip(b"\r\n").startswith(b"--" + boundary):
        # The header is seldom signed: another boundary, found inside of the body, would be another reading of it.
        raise MalformedEvent("multipart_malformed", "it does not begin with the boundary that its Content-Type names")
    parts: list[bytearray] = []
    dispositions: list[bytes] = []
    field, value = bytearray(), bytearray()

    def end_header() -> None:
        if field.lower() == b"content-disposition":
            dispositions[-1] = bytes(value)
        field.clear()
        value.clear()

    def begin() -> None:
        if len(parts) == _MAX_PARTS:
            raise MalformedEvent("multipart_too_many_parts", f"the form has more than {_MAX_PARTS} parts")
        parts.append(bytearray())
        dispositions.append(b"")

    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": begin,
                "on_header_field": lambda data, start, end: field.extend(data[start:end]),
                "on_header_value": lambda data, start, end: value.extend(data[start:end]),
                "on_header_end": end_header,
                "on_part_data": lambda data, start, end: parts[-1].extend(data[start:end]),
            },
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as exc:
        raise MalformedEvent("multipart_malformed", "the form cannot be taken apart") from exc
    return [bytes(part) for part in parts], dispositions
