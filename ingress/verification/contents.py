"""Read what a body holds, and find the events in it."""

from __future__ import annotations

import binascii
import re
from contextlib import suppress
from typing import Any, NamedTuple

import orjson

from events import MalformedEvent
from events.tolerance import rewritten
from ingress.multipart import envelope_part, text_parts
from ingress.verification.complexity import check_complexity
from ingress.verification.head import FORM, JSON, MULTIPART, TEXT, XML, RawHeaders, content_type, media_type
from ingress.xml import read_xml

_SPACE = b" \t\r\n"
_USUAL = frozenset({"", JSON})
_NO_FORM = (b"{", b"[", b'"', b"--", b"<")

MAX_FIELDS = 1000
"""Fields of one form or query string."""

MAX_UNPROVEN_FORM_BYTES = 1024 * 1024
"""Of a form whose fields are themselves what was signed, and so are read for strangers."""

_MAX_LONE_PERCENTS = 1000
_LONE_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Contents(NamedTuple):
    """What a body holds: its *value*, and the JSON of it where there was some, as every reader takes it.

    *sent* is what came in the place of that JSON.
    """

    value: Any
    json: bytes | None = None
    sent: bytes = b""


def read_body(headers: RawHeaders, body: bytes, form_field: str = "", *, is_envelope: bool = False) -> Contents:
    """*body* as its Content-Type says: JSON, the fields of a form, XML, or text (as JSON where it is JSON).

    A field that is given several times becomes a list; a form whose *form_field* holds a JSON object is that object.
    With *is_envelope*, the part of a multipart form that names an event is the event. An empty body is ``None``, an
    empty form has no fields. Raises :class:`MalformedEvent`, also for a form that begins as JSON, XML or multipart
    does: the header is seldom signed, and must not choose the reading.
    """
    kind = media_type(headers)
    if kind in _USUAL and body:
        return read_json(body)
    if kind == MULTIPART and is_envelope:
        return read_json(envelope_part(content_type(headers), body))
    if not body:
        return Contents({} if kind == FORM else None)
    _check_kind(kind, body)
    match kind:
        case t if t == FORM:
            return _inner(body, form_field)
        case t if t == MULTIPART:
            return Contents(text_parts(content_type(headers), body))
        case t if t == XML:
            return Contents(read_xml(body))
        case t if t == TEXT:
            check_complexity(body)
            try:
                return Contents(orjson.loads(body), body, body)
            except orjson.JSONDecodeError:
                return Contents(_text(body))
        case _:
            return read_json(body)


def read_json(body: bytes) -> Contents:
    """*body* as JSON. Raises :class:`MalformedEvent`."""
    check_complexity(body)
    try:
        return Contents(orjson.loads(body), body, body)
    except orjson.JSONDecodeError:
        readable = rewritten(body)
        return Contents(orjson.loads(readable), readable, body)


def _inner(form: bytes, form_field: str) -> Contents:
    fields = read_fields(form)
    held = fields.get(form_field)
    if isinstance(held, str) and held.lstrip()[:1] == "{":
        with suppress(MalformedEvent):
            return read_json(held.encode())._replace(sent=form)
    return Contents(fields)


def read_fields(data: bytes) -> dict[str, str | list[str]]:
    """The fields of a query string or form; those given several times are lists. Raises :class:`MalformedEvent`."""
    fields: dict[str, str | list[str]] = {}
    for pair in _pairs(data):
        name, value = (text.decode("utf-8", "replace") for text in pair)
        known = fields.get(name)
        if known is None:
            fields[name] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            fields[name] = [known, value]
    return fields


def sorted_fields(form: bytes) -> bytes:
    """The names and values of *form*, sorted and joined without anything between, as Twilio signs them.

    Of a field that is given several times, each distinct value counts once, behind its name (vendor: twilio-python's
    ``RequestValidator``). Raises :class:`MalformedEvent`, also beyond :data:`MAX_UNPROVEN_FORM_BYTES`.
    """
    if len(form) > MAX_UNPROVEN_FORM_BYTES:
        raise MalformedEvent("form_too_large", f"the form is larger than {MAX_UNPROVEN_FORM_BYTES} bytes")
    return b"".join(name + value for name, value in sorted(set(_pairs(form))))


def _pairs(data: bytes) -> list[tuple[bytes, bytes]]:
    if data.count(b"&") >= MAX_FIELDS:
        raise MalformedEvent("form_malformed", f"the form has more than {MAX_FIELDS} fields")
    parts = (part.partition(b"=") for part in data.split(b"&") if part)
    return [(_unescaped(name), _unescaped(value)) for name, _, value in parts]


def _unescaped(text: bytes) -> bytes:
    """*text* without its percent escapes, as ``unquote_plus`` reads them.

    Quoted-printable differs in the sign alone, and is decoded in C: ten megabytes of escapes take 0.1 s and no more
    memory than they have bytes, where ``unquote_plus`` takes 1.2 s and a gigabyte.
    """
    text = text.replace(b"+", b" ")
    if b"%" not in text:
        return text
    text, lone = _LONE_PERCENT.subn(b"%25", text, _MAX_LONE_PERCENTS)
    if lone == _MAX_LONE_PERCENTS:
        raise MalformedEvent("form_malformed", "the form has too many percent signs that escape nothing")
    return binascii.a2b_qp(text.replace(b"=", b"=3D").replace(b"%", b"="))


def _check_kind(named: str, body: bytes) -> None:
    if named == FORM and body.lstrip(_SPACE).startswith(_NO_FORM):
        raise MalformedEvent("media_type_mismatch", "the body is not the form that its Content-Type names")


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as exc:
        raise MalformedEvent("not_utf8", "the body is not UTF-8") from exc


def write_json(value: Any) -> bytes:
    """*value* as JSON. Raises :class:`MalformedEvent` for text that no JSON can carry (lone surrogates)."""
    try:
        return orjson.dumps(value)
    except TypeError as exc:
        raise MalformedEvent("not_json", "what was made of the body is not JSON") from exc
