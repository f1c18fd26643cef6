"""Read what a body holds, and find the events in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from events import MalformedEvent
from ingress.multipart import text_parts
from ingress.verification.head import FORM, MULTIPART, TEXT, RawHeaders, content_type, media_type

_PARTS = (b"[", b"{", b'":')
_MOST_PARTS = 200_000
_WORTH_COUNTING = 200_000
_MOST_FIELDS = 1000
_SPACE = b" \t\r\n"
_NO_FORM = (b"{", b"[", b'"', b"--")


def check_complexity(body: bytes) -> None:
    """Refuse a body of hundreds of thousands of arrays, objects or keys, which blocks the process while it is parsed.

    Ten megabytes of ``[],`` take three seconds; counting takes ten milliseconds. Raises :class:`MalformedEvent`.
    """
    if len(body) > _WORTH_COUNTING and sum(map(body.count, _PARTS)) >= _MOST_PARTS:
        raise MalformedEvent("too_complex", f"the body has {_MOST_PARTS} arrays, objects and keys, or more")


def read_body(headers: RawHeaders, body: bytes) -> Any:
    """*body* as its Content-Type says: JSON, the fields of a form, or text (as JSON where it is JSON).

    A field that is given several times becomes a list. An empty body is ``None``. Raises :class:`MalformedEvent`, also
    for a form that begins as JSON or multipart does: the header is seldom signed, and must not choose the reading.
    """
    if not body:
        return None
    _check_kind(media_type(headers), body)
    check_complexity(body)
    match media_type(headers):
        case t if t == FORM:
            return _fields(_text(body))
        case t if t == MULTIPART:
            return text_parts(content_type(headers), body)
        case t if t == TEXT:
            try:
                return orjson.loads(body)
            except orjson.JSONDecodeError:
                return _text(body)
        case _:
            return read_json(body)


def read_json(body: bytes) -> Any:
    """*body* as JSON. Raises :class:`MalformedEvent`."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise MalformedEvent("not_json", "the body is not JSON") from exc


def read_pairs(text: str) -> dict[str, str | list[str]]:
    """The fields of a query string or form; those given several times are lists. Raises :class:`ValueError`."""
    fields: dict[str, str | list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS):
        known = fields.get(name)
        if known is None:
            fields[name] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            fields[name] = [known, value]
    return fields


def _fields(text: str) -> Mapping[str, Any]:
    try:
        return read_pairs(text)
    except ValueError as exc:
        raise MalformedEvent("form_malformed", f"the form is malformed or has more than {_MOST_FIELDS} fields") from exc


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
