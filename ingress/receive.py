"""``POST /webhooks/{source}``: one delivery in, one durable event out."""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from events import Acceptance, Intake, PendingLimit, Shards, Store, StoreUnavailable, Verified
from ingress.answers import (
    MEMORY_EXHAUSTED,
    RETRY_AFTER_SECONDS,
    Refusal,
    enrolment_closed,
    not_authentic,
    wrong_method,
)
from ingress.body import DELIVERED, body_at_hand, read_body
from ingress.budget import BodyBudget
from ingress.errors import ClientGone
from ingress.limits import Limits
from ingress.metrics import Metrics
from ingress.probe import KEPT, Prover
from ingress.quotas import Quotas, over_pending
from ingress.refusals import NO_SOURCE, RefusalJournal
from ingress.responses import answer, failed, refuse
from ingress.sources import Source
from ingress.sources.table import SourceTable
from ingress.turned_away import TurnedAway
from ingress.verification.context import Delivery
from ingress.verification.head import ANY_MEDIA_TYPE, check_head
from ingress.verification.outcome import Accepted, Handshake, Ignored

log = structlog.get_logger("ingress")

DELIVERIES = "/webhooks/"
"""The path before a source's name."""

_DELIVERIES = DELIVERIES.removesuffix("/")


def source_named(path: str) -> str:
    """The source that a request to *path* is for; ``""`` where it names none. A slash at the end changes nothing."""
    before, _, name = path.removesuffix("/").rpartition("/")
    return name if before == _DELIVERIES else ""


# Python 3.11 looks the value of an enum's member up anew each time.
_TOLD_FIRST = Acceptance.SPOOLED.value, Acceptance.ACCEPTED.value
_DUPLICATE, _CONFLICT = Acceptance.DUPLICATE.value, Acceptance.CONFLICT.value


class Receiver:
    """The ASGI application behind ``/webhooks/{source}``. Answers 200 only for what store or spool has confirmed."""

    def __init__(
        self,
        store: Store | Intake | Shards,
        sources: SourceTable,
        budget: BodyBudget,
        limits: Limits,
        metrics: Metrics,
        journal: RefusalJournal,
        turned_away: TurnedAway,
        quotas: Quotas,
        prover: Prover | None = None,
    ) -> None:
        self._store = store
        self._sources = sources
        self._budget = budget
        self._limits = limits
        self._metrics = metrics
        self._journal = journal
        self._turned_away = turned_away
        self._quotas = quotas
        self._prover = prover
        self._log = log.bind()  # a logger that is not bound is made anew for every line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Receive one delivery, for the source that the path names, and answer it."""
        started = time.perf_counter()
        source = self._sources.get(scope["path_params"]["source"])
        try:
            response = await self._respond(source, scope, receive)
        except ClientGone:
            log.info("delivery_abandoned", source=source.name if source else None)
            return
        except Exception as exc:  # noqa: BLE001  the last resort: a defect of ours must not look like an acceptance
            response = failed(exc, DELIVERIES)
        await response(scope, receive, send)
        self._metrics.took(time.perf_counter() - started)

    async def _respond(self, source: Source | None, scope: Scope, receive: Receive) -> Response:
        if source is None:
            return self._refuse(None, Refusal(404, "unknown_source", "No such source is configured.", close=True))
        method: str = scope["method"]
        if method != "POST" and method not in source.handshake_methods:
            return refuse(wrong_method(", ".join(sorted({"POST", *source.handshake_methods}))))
        # Nothing is read of a body then, so its Content-Type, if any, means nothing.
        allowed = source.media_types if method == "POST" else ANY_MEDIA_TYPE
        most = self._limits.body_bytes_for(source.max_body_bytes) if source.max_body_bytes else self._limits.body_bytes
        body = check_head(scope["headers"], allowed) or body_at_hand(scope, most)
        if body is None:
            body = await self._read(source, scope, receive, most)
        if isinstance(body, Refusal):
            return self._refuse(source, body)
        client = scope.get("client")
        peer = client[0] if client else None
        delivery = Delivery(scope["headers"], body, method, scope["path"], scope["query_string"], peer)
        outcome = self._sources.verify_at_once(source, delivery)
        if outcome is None:
            outcome = await self._sources.verify(source, delivery)
        if not isinstance(outcome, Refusal) and outcome.update_context:
            outcome = await self._keep(source, outcome) or outcome
        if isinstance(outcome, Accepted):
            return await self._accept(source, outcome, scope, body)
        match outcome:
            case Refusal():
                return self._answer_probe(source, delivery, outcome) or self._refuse(source, outcome)
            case Ignored():
                self._metrics.answered(source.name, "ignored")
                log.info("delivery", source=source.name, outcome="ignored", why=outcome.why, bytes=len(body))
                return _taken(source, "ignored", ())
            case Handshake():
                return self._shake(source, outcome)

    def _answer_probe(self, source: Source, delivery: Delivery, refusal: Refusal) -> Response | None:
        """The answer to what would be refused and is a probe of ours."""
        if self._prover is None or refusal.status != 401 or not source.platform_events:
            return None
        account = self._sources.account(source)
        told = self._prover.answer(delivery, account.secrets, account.context.get(KEPT), time.time())
        if told is None:
            return None
        log.info("probe_answered", source=source.name)
        return Response(told, media_type="application/json")

    async def _read(self, source: Source, scope: Scope, receive: Receive, most: int) -> bytes | Refusal:
        room = self._sources.room_for(source, scope["headers"], scope["method"])
        if isinstance(room, Refusal):
            return room
        most = most if room is None else min(room, most)
        return await read_body(scope, receive, max_bytes=most, seconds=self._limits.receipt_seconds)

    async def _keep(self, source: Source, outcome: Accepted | Ignored | Handshake) -> Refusal | None:
        enrols = not isinstance(outcome, Accepted) and outcome.enrols
        try:
            if await self._sources.keep(source, outcome.update_context, enrols=enrols):
                event = "source_enrolled" if enrols else "context_updated"
                log.info(event, source=source.name, names=sorted(outcome.update_context))
                return None
        except StoreUnavailable as exc:
            return _unconfirmed(str(exc))
        if enrols:
            return enrolment_closed(source.name)
        return not_authentic("context_overwrite", "update_context would overwrite what is known already")

    def _shake(self, source: Source, handshake: Handshake) -> Response:
        if handshake.status >= 400:
            self._note(source.name, Refusal(handshake.status, "handshake_refused", ""))
        else:
            self._metrics.answered(source.name, "handshake")
            log.info("handshake", source=source.name, status=handshake.status)
        return Response(handshake.body, handshake.status, dict(handshake.headers))

    def _tell_unusable(self, source: Source, fields: frozenset[str]) -> None:
        for field in sorted(fields):
            if self._metrics.replaced(source.name, field):
                log.warning(
                    "event_field_unusable",
                    source=source.name,
                    field=field,
                    hint=f"where the source says that the {field} is stands an object, a list, a boolean or an inexact "
                    "number; docs/sources.md says what the event is known by instead",
                )

    async def _accept(self, source: Source, accepted: Accepted, scope: Scope, body: bytes) -> Response:
        events = accepted.events
        if accepted.unusable:
            self._tell_unusable(source, accepted.unusable)
        is_whole = len(events) == 1 and events[0].body is body
        more = 0 if is_whole else _bytes_made(events, body)
        if more and not self._budget.hold(more, first=False):
            return self._refuse(source, MEMORY_EXHAUSTED)
        try:
            limit = self._admit(source, events) if source.is_bounded else None
            if isinstance(limit, Refusal):
                return self._refuse_over_quota(source, limit)
            acceptances = await self._store.accept(events, limit)
        except StoreUnavailable as exc:
            return self._refuse(source, _unconfirmed(str(exc)))
        finally:
            if more:
                self._budget.give_back(more)
        scope[DELIVERED] = True
        if limit is not None and Acceptance.OVER_QUOTA in acceptances:
            return self._refuse_over_quota(source, over_pending(limit))
        outcomes = [acceptance.value for acceptance in acceptances]
        if not source.platform_events:
            self._count_renamed(source, events)
        for verified, outcome in zip(events, outcomes, strict=True):
            self._metrics.accepted(source.name, outcome, verified.secret_position)
            write = self._log.warning if outcome == _CONFLICT else self._log.info
            write(
                "delivery",
                source=source.name,
                outcome=outcome,
                event_id=verified.id,
                event_type=verified.type,
                bytes=len(verified.body),
            )
        return _taken(source, _status(outcomes), events)

    def _admit(self, source: Source, events: Sequence[Verified]) -> PendingLimit | Refusal | None:
        size = sum(verified.size for verified in events)
        return self._quotas.admit(source.name, source.quota, size, platform=source.platform_events)

    def _refuse_over_quota(self, source: Source, refusal: Refusal) -> Response:
        """A flood is told once a second: a line for each would take more than the flood itself."""
        self._metrics.refused(source.name, refusal.status, refusal.reason)
        if count := self._quotas.to_tell(source.name):
            self._journal.note(source.name, refusal)
            log.warning("quota_exceeded", source=source.name, refused=count, detail=refusal.detail)
        return refuse(refusal)

    def _count_renamed(self, source: Source, events: Sequence[Verified]) -> None:
        renamed = sum(verified.type.startswith(f"{source.name}/") for verified in events)
        if renamed:
            self._metrics.renamed(source.name, renamed)

    def _refuse(self, source: Source | None, refusal: Refusal) -> Response:
        self._note(source.name if source else NO_SOURCE, refusal)
        return refuse(refusal)

    def _note(self, source: str, refusal: Refusal) -> None:
        reason, detail = refusal.logged_reason, {"detail": refusal.detail} if refusal.detail else {}
        self._metrics.refused(source, refusal.status, reason)
        if refusal is MEMORY_EXHAUSTED:
            self._turned_away.note(reason, source)
            return
        self._journal.note(source, refusal)
        log.warning("delivery_refused", source=source, status=refusal.status, reason=reason, **detail)


def _bytes_made(events: Sequence[Verified], body: bytes) -> int:
    """How many more bytes *events* hold than the *body* that they were made of."""
    made = sum(verified.body_bytes for verified in events)
    # Each event is written with the headers of its delivery.
    return max(0, made + sum(verified.head_bytes for verified in events[1:]) - len(body))


def _taken(source: Source, status: str, events: Sequence[Verified]) -> Response:
    """The answer to a delivery that was taken: what became of it, unless the source states another one."""
    if (stated := source.answer) is not None:
        return Response(stated.body, stated.status, dict(stated.headers))
    return answer({"status": status, "events": [{"id": verified.id, "type": verified.type} for verified in events]})


def _status(outcomes: Sequence[str]) -> str:
    """What the sender is told of a delivery: ``duplicate`` only when nothing of it was new.

    A conflict is told to the operator by metric and log; to the sender it is what it is: a known id.
    """
    for status in _TOLD_FIRST:
        if status in outcomes:
            return status
    return _DUPLICATE


def _unconfirmed(cause: str) -> Refusal:
    return Refusal(
        503,
        "store_unavailable",
        "The event could not be stored durably. Send it again.",
        cause=cause,
        headers={"retry-after": str(RETRY_AFTER_SECONDS)},
    )
