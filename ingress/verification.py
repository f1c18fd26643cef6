"""Decide whether a delivery is authentic, and which event it carries. Performs no I/O."""

from __future__ import annotations

from collections.abc import Sequence

from events import MalformedEvent, Verified
from events.event import KEPT_HEADERS, read_envelope
from ingress.answers import Refusal, not_authentic
from ingress.multipart import envelope_part
from ingress.sources import Source
from truto.errors import SignatureError
from truto.signature import HEADER, verify

RawHeaders = Sequence[tuple[bytes, bytes]]

_SIGNATURE = HEADER.lower().encode()
_KEPT = frozenset(name.encode() for name in KEPT_HEADERS)
_MOST_HEADERS = 100
_MOST_HEADER_BYTES = 32 * 1024


def check_head(headers: RawHeaders) -> Refusal | None:
    """What is wrong with a delivery before its body was read; ``None`` when nothing is."""
    if len(headers) > _MOST_HEADERS or sum(len(n) + len(v) for n, v in headers) > _MOST_HEADER_BYTES:
        return Refusal(431, "headers_too_large", "Too many or too large headers.", close=True)
    encoding = _values(headers, b"content-encoding")
    if any(value.strip().lower() not in {b"", b"identity"} for value in encoding):
        return Refusal(415, "unsupported_encoding", "Send the body without Content-Encoding.", close=True)
    if _media_type(headers) not in {"", "application/json", "multipart/form-data"}:
        return Refusal(415, "unsupported_media_type", "Send application/json.", close=True)
    return None


def check_delivery(source: Source, headers: RawHeaders, body: bytes) -> Verified | Refusal:
    """Prove the sender of *body* and find the event in it, or say why not.

    The signature comes first: nothing is parsed for a stranger. A second signature header is refused, since which of
    the two counts would be a guess.
    """
    presented = _values(headers, _SIGNATURE)
    if len(presented) > 1:
        return not_authentic("signature_duplicate")
    try:
        position = verify(body, presented[0].decode("latin-1") if presented else None, source.secrets)
    except SignatureError as exc:
        return not_authentic(exc.reason)
    try:
        event = envelope_part(_content_type(headers), body) if _is_multipart(headers) else body
        name, event_id = read_envelope(source.name, event)
    except MalformedEvent as exc:
        return Refusal(400, exc.reason, f"The delivery is authentic, but {exc}.")
    return Verified(
        source=source.name,
        type=name,
        id=event_id,
        body=event,
        headers=_kept(headers),
        raw=b"" if event is body else body,
        secret_position=position,
    )


def _values(headers: RawHeaders, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key == name]


def _content_type(headers: RawHeaders) -> bytes:
    return next(iter(_values(headers, b"content-type")), b"")


def _media_type(headers: RawHeaders) -> str:
    # Senders that leave the header out send JSON; `+json` types are JSON by their own definition (RFC 6839).
    media_type = _content_type(headers).split(b";", 1)[0].strip().lower().decode("latin-1")
    return "application/json" if media_type.startswith("application/") and media_type.endswith("+json") else media_type


def _is_multipart(headers: RawHeaders) -> bool:
    return _media_type(headers) == "multipart/form-data"


def _kept(headers: RawHeaders) -> dict[str, str]:
    return {key.decode("latin-1"): value.decode("latin-1") for key, value in headers if key in _KEPT}
