"""Deliveries of Truto itself: the short way, without a context, templates or expressions."""

from __future__ import annotations

import time

import orjson

from events import MalformedEvent, Verified
from events.event import read_envelope
from events.tolerance import rewritten
from ingress.answers import Refusal, not_authentic
from ingress.multipart import envelope_part
from ingress.sources.source import Source
from ingress.verification.complexity import check_complexity
from ingress.verification.head import MULTIPART, RawHeaders, content_type, kept, media_type, values_of
from truto import parse_time
from truto.errors import SignatureError
from truto.signature import HEADER, verify

_SIGNATURE = HEADER.lower().encode()


def is_signed(headers: RawHeaders) -> bool:
    """Whether there is a signature at all, to be asked before a body is read."""
    return any(name == _SIGNATURE for name, _ in headers)


def check_delivery(source: Source, headers: RawHeaders, body: bytes, now: float | None = None) -> Verified | Refusal:
    """Prove the sender of *body* and find the event in it, or say why not. *now* is Unix time (s), else the clock's.

    The signature comes first: nothing is parsed for a stranger. A second signature header is refused, since which of
    the two counts would be a guess.
    """
    try:
        return _checked(source, headers, body, now)
    except Exception as exc:  # noqa: BLE001  the net: nothing a stranger sends may look like a defect of ours
        return not_authentic("verification_failed", type(exc).__name__)


def _checked(source: Source, headers: RawHeaders, body: bytes, now: float | None) -> Verified | Refusal:
    presented = values_of(headers, _SIGNATURE)
    if len(presented) > 1:
        return not_authentic("signature_duplicate")
    try:
        position = verify(body, presented[0].decode("latin-1") if presented else None, source.secrets)
    except SignatureError as exc:
        return not_authentic(exc.reason)
    try:
        event = envelope_part(content_type(headers), body) if media_type(headers) == MULTIPART else body
        check_complexity(event)
        name, event_id, event = _read(source.name, event)
    except MalformedEvent as exc:
        return Refusal(400, exc.reason, f"The delivery is authentic, but {exc}.")
    if source.tolerance_seconds is not None and not _is_fresh(event, source.tolerance_seconds, now):
        return not_authentic("timestamp_out_of_tolerance")
    return Verified(
        source=source.name,
        type=name,
        id=event_id,
        body=event,
        headers=kept(headers),
        raw=b"" if event is body else body,
        secret_position=position,
        platform=True,
    )


def _read(source: str, event: bytes) -> tuple[str, str, bytes]:
    """The type and id of *event*, and it as JSON that every reader takes."""
    try:
        return *read_envelope(source, event), event
    except MalformedEvent as exc:
        if exc.reason != "not_json":
            raise
        readable = rewritten(event)
        return *read_envelope(source, readable, sent=event), readable


def _is_fresh(event: bytes, tolerance: float, now: float | None) -> bool:
    created = parse_time(orjson.loads(event).get("created_at"))
    if created is None:
        return False
    return abs((time.time() if now is None else now) - created.timestamp()) <= tolerance
