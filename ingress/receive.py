"""``POST /webhooks/{source}``: one delivery in, one durable event out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from events import Acceptance, Store, StoreUnavailable, Verified
from ingress.answers import Refusal, answer, failed, refuse, wrong_method
from ingress.body import ClientGone, read_body
from ingress.metrics import Metrics
from ingress.sources import Source
from ingress.verification import check_delivery, check_head

log = structlog.get_logger("ingress")

DELIVERIES = "/webhooks/"
"""The path before a source's name."""

RETRY_AFTER_SECONDS = 2
"""Truto gives up within about 10 s (docs: webhooks overview), so a longer wait would be a loss."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a delivery may cost: ``body_bytes`` in memory, ``receipt_seconds`` until its last byte is here."""

    body_bytes: int = 10 * 1024 * 1024
    receipt_seconds: float = 10.0


class Receiver:
    """The ASGI application behind ``/webhooks/{source}``. Answers 200 only for what the store has confirmed."""

    def __init__(self, store: Store, sources: Mapping[str, Source], limits: Limits, metrics: Metrics) -> None:
        self._store = store
        self._sources = sources
        self._limits = limits
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Receive one delivery and answer it."""
        started = time.perf_counter()
        source = self._sources.get(scope["path"].removeprefix(DELIVERIES))
        try:
            response = await self._respond(source, scope, receive)
        except ClientGone:
            log.info("delivery_abandoned", source=source.name if source else None)
            return
        except Exception as exc:  # noqa: BLE001  the last resort: a defect of ours must not look like an acceptance
            response = failed(exc, DELIVERIES)
        await response(scope, receive, send)
        self._metrics.receipt_seconds.observe(time.perf_counter() - started)

    async def _respond(self, source: Source | None, scope: Scope, receive: Receive) -> Response:
        if source is None:
            return self._refuse(None, Refusal(404, "unknown_source", "No such source is configured.", close=True))
        if scope["method"] != "POST":
            return refuse(wrong_method("POST"))
        headers = scope["headers"]
        if refusal := check_head(headers):
            return self._refuse(source, refusal)
        body = await read_body(scope, receive, most_bytes=self._limits.body_bytes, seconds=self._limits.receipt_seconds)
        if isinstance(body, Refusal):
            return self._refuse(source, body)
        verified = check_delivery(source, headers, body)
        if isinstance(verified, Refusal):
            return self._refuse(source, verified)
        return await self._accept(source, verified)

    async def _accept(self, source: Source, verified: Verified) -> Response:
        try:
            (acceptance,) = await self._store.accept([verified])
        except StoreUnavailable as exc:
            return self._refuse(source, _unconfirmed(str(exc)))
        self._metrics.accepted(source.name, acceptance, verified.secret_position)
        log.info(
            "delivery",
            source=source.name,
            outcome=acceptance.value,
            event_id=verified.id,
            event_type=verified.type,
            bytes=len(verified.body),
        )
        # A conflict is told to the operator by metric and log; to the sender it is what it is: a known id.
        status = "accepted" if acceptance is Acceptance.ACCEPTED else "duplicate"
        return answer({"status": status, "events": [{"id": verified.id, "type": verified.type}]})

    def _refuse(self, source: Source | None, refusal: Refusal) -> Response:
        name = source.name if source else "unknown"
        self._metrics.refused(name, refusal.status, refusal.logged_reason)
        log.warning("delivery_refused", source=name, status=refusal.status, reason=refusal.logged_reason)
        return refuse(refusal)


def _unconfirmed(cause: str) -> Refusal:
    return Refusal(
        503,
        "store_unavailable",
        "The event could not be stored durably. Send it again.",
        cause=cause,
        headers={"retry-after": str(RETRY_AFTER_SECONDS)},
    )
