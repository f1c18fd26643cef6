"""What can be said about a delivery before its body is read."""

from __future__ import annotations

from collections.abc import Sequence

from events.event import KEPT_HEADERS
from ingress.answers import Refusal

RawHeaders = Sequence[tuple[bytes, bytes]]

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
TEXT = "text/plain"
XML = "application/xml"

FROM_TRUTO = frozenset({"", JSON, MULTIPART})
"""The media types Truto sends; ``""`` is a missing header."""

ANY_MEDIA_TYPE: frozenset[str] = frozenset()
"""Nothing is said about the media type."""

_JSON_TYPES = frozenset({b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"})
_NO_ENCODING = frozenset({b"", b"identity"})
_KEPT = {name.encode(): name for name in KEPT_HEADERS}
_MAX_HEADERS = 100
_MAX_KEPT_BYTES = 1024
_MAX_HEADER_BYTES = 32 * 1024


def check_head(headers: RawHeaders, media_types: frozenset[str] = FROM_TRUTO) -> Refusal | None:
    """What is wrong with a delivery before its body was read; ``None`` when nothing is."""
    size, encoded = 0, False
    for name, value in headers:
        size += len(name) + len(value)
        if name == b"content-encoding" and value.strip().lower() not in _NO_ENCODING:
            encoded = True
    if len(headers) > _MAX_HEADERS or size > _MAX_HEADER_BYTES:
        return Refusal(431, "headers_too_large", "Too many or too large headers.", close=True)
    if encoded:
        return Refusal(415, "unsupported_encoding", "Send the body without Content-Encoding.", close=True)
    if media_types and media_type(headers) not in media_types:
        wanted = " or ".join(sorted(filter(None, media_types - {MULTIPART}))) or MULTIPART
        return Refusal(415, "unsupported_media_type", f"Send {wanted}.", close=True)
    return None


def values_of(headers: RawHeaders, name: bytes) -> list[bytes]:
    """Every value of the header *name*, which is in lower case."""
    return [value for key, value in headers if key == name]


def content_type(headers: RawHeaders) -> bytes:
    """The first Content-Type as it came, or nothing."""
    for name, value in headers:
        if name == b"content-type":
            return value
    return b""


def media_type(headers: RawHeaders) -> str:
    """The media type without parameters, in lower case.

    Senders that leave the header out send JSON; ``+json`` and ``+xml`` types are JSON and XML by their own definition
    (RFC 6839), and ``text/xml`` is XML (RFC 7303).
    """
    given = content_type(headers)
    if given in _JSON_TYPES:
        return JSON
    name = given.split(b";", 1)[0].strip().lower().decode("latin-1")
    if name == "text/xml":
        return XML
    known = {"+json": JSON, "+xml": XML} if name.startswith("application/") else {}
    return next((media for suffix, media in known.items() if name.endswith(suffix)), name)


def kept(headers: RawHeaders, also: frozenset[bytes] = frozenset()) -> dict[str, str]:
    """The headers an event keeps: the usual ones and those of *also*, where they have at most 1 KiB."""
    wanted = _KEPT | {name: name.decode("latin-1") for name in also} if also else _KEPT
    found = {}
    for key, value in headers:
        if key in wanted and len(value) <= _MAX_KEPT_BYTES:
            found[wanted[key]] = value.decode("latin-1")
    return found
