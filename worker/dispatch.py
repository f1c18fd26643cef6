"""From a lease to its end: find the handler, run it, judge what happened."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from events import CorruptEvent, End, Event, Kept, Lease, Store
from events.queue import HANDLER_MISSING, NO_HANDLER
from worker.cause import Describer
from worker.context import Context
from worker.development import Development
from worker.errors import PutAside
from worker.limits import Limits
from worker.notify import Notifier
from worker.outcome import MAX_CRASHES, Policy, end_of_attempt, end_of_poison
from worker.registry import Handler, Registry

if TYPE_CHECKING:
    from truto import AsyncTruto

log = structlog.get_logger("worker")

_PAGE = 50
_NEARLY_FULL = 0.8
_ALARM_SECONDS = 60.0
_BOUNDS = (
    "events without a handler are dropped beyond PARKED_MAX, PARKED_MAX_BYTES, PARKED_TTL: handle or ignore their types"
)
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_RECONNECTED = frozenset({"integrated_account:active", "integrated_account:reactivated"})
_MAY_RECONNECT = _RECONNECTED | {"integrated_account:updated"}
_FAILED = frozenset({"retried", "dead"})
_EXPECTED = frozenset({"done", "discarded", "released"})
_LOGGED_NOTES = ("why", "error", "in_seconds")


@dataclass(slots=True)
class Dispatcher:
    """Runs handlers. With *development*, it says more of them, for whoever writes them."""

    store: Store
    registry: Registry
    truto: AsyncTruto
    notifier: Notifier
    policy: Policy = field(default_factory=Policy)
    describer: Describer = field(default_factory=Describer)
    development: Development | None = None
    _scanned_until: datetime = field(default=_BEGINNING, init=False)
    _let_go: int | None = field(default=None, init=False)
    _last_alarm: dict[str, float] = field(default_factory=dict, init=False)
    _log: structlog.typing.FilteringBoundLogger = field(init=False)

    def __post_init__(self) -> None:
        self.store.queue.keep_order(self.registry.ordered)
        self._log = log.bind()  # structlog builds an unbound logger again for every line

    async def dispatch(self, lease: Lease) -> End | None:
        """Run *lease* and return its end; ``None`` when its end is stored already: split among handlers, or held.

        Raises ``CancelledError`` when the worker cancels the handler. Errors of the handler become its end.
        """
        if lease.crashes >= MAX_CRASHES:
            return end_of_poison(self._suspect(lease), lease.crashes)
        try:
            return await self._dispatch(lease)
        except CorruptEvent as exc:  # a large body is read only here
            return End("dead", lease.handler, note={"error": str(exc)})

    async def _dispatch(self, lease: Lease) -> End | None:
        # Once for each event, not for each handler and retry.
        if lease.handler is None and lease.event.type in _MAY_RECONNECT:
            await self._wake_account(await self.store.bodies.whole(lease.event))
        chosen = self._choose(lease)
        if isinstance(chosen, End):
            return chosen
        if len(chosen) > 1:
            ordered = [handler.name for handler in chosen if handler.is_ordered]
            await self.store.queue.plan(lease, [handler.name for handler in chosen], ordered)
            return None
        (handler,) = chosen
        if not lease.event.has_body:  # the worker holds the lease without the body until its end is stored
            lease = replace(lease, event=await self.store.bodies.whole(lease.event))
        if handler.limits is not None:
            return await self._run_within(handler.limits, handler, lease)
        return await self._run(handler, lease)

    async def _wake_account(self, event: Event) -> None:
        if (account := reconnected_account(event)) and await self.store.queue.account_reconnected(account):
            log.info("account_reconnected", account_id=account)

    async def sweep(self) -> None:
        """Run parked events whose type has a handler now, and drop the oldest of the others beyond the limits."""
        await self.store.causes.index()
        await self.unpark_known()
        let_go, fullness = await self.store.inspection.bound_parked()
        if self._let_go is not None and let_go > self._let_go:
            log.error("parked_events_dropped", events=let_go - self._let_go, hint="look: truto-worker events")
        self._let_go = let_go
        for source, part in fullness.items():
            if (
                part >= _NEARLY_FULL
                and time.monotonic() - self._last_alarm.get(source, -_ALARM_SECONDS) >= _ALARM_SECONDS
            ):
                self._last_alarm[source] = time.monotonic()
                log.error("parked_limit_approached", source=source, percent=round(part * 100), hint=_BOUNDS)

    async def unpark_known(self) -> int:
        """Run the parked events for which this version of the code has a handler, and return their number.

        A second call reads only what was parked since the first. It is called periodically: during a rolling deploy
        the previous version still parks events that this one can handle.
        """
        unparked, newest, unhandled = 0, self._scanned_until, []
        async for kept in self.store.inspection.each_kept("parked", _PAGE):
            if kept.since < self._scanned_until:
                break
            newest = max(newest, kept.since)
            if self._is_known(kept):
                unparked += await self.store.inspection.unpark([kept.member])
            elif self._scanned_until == _BEGINNING and kept.note.get("why") == NO_HANDLER:
                unhandled.append(kept)
                if len(unhandled) >= _PAGE:
                    await self.store.inspection.index_parked(unhandled)
                    unhandled = []
        await self.store.inspection.index_parked(unhandled)
        self._scanned_until = newest
        return unparked

    def _is_known(self, kept: Kept) -> bool:
        if kept.handler is not None:
            return kept.note.get("why") == HANDLER_MISSING and self.registry.get(kept.handler) is not None
        wanted = kept.event is not None and (self.registry.matching(kept.event) or self.registry.ignores(kept.event))
        return kept.note.get("why") == NO_HANDLER and bool(wanted)

    def _suspect(self, lease: Lease) -> str | None:
        """The handler that ran when the worker was lost; ``None`` if it could be several."""
        matching = self.registry.matching(lease.event)
        return lease.handler or (matching[0].name if len(matching) == 1 else None)

    def _choose(self, lease: Lease) -> list[Handler] | End:
        if lease.handler is not None:
            handler = self.registry.get(lease.handler)
            if handler is not None and _is_renamed(lease.event) and not handler.wants(lease.event):
                return End("parked", note={"why": NO_HANDLER})  # chosen before Truto's names were Truto's alone
            # Another version of the code knows it: during a rolling deploy, or before a rollback.
            return [handler] if handler else End("parked", lease.handler, note={"why": HANDLER_MISSING})
        if handlers := self.registry.matching(lease.event):
            return handlers
        if self.registry.ignores(lease.event):
            if self.development is not None:
                self._log_end(lease.event, "-", End("done", note={"why": "ignored"}))
            return End("done", note={"why": "ignored"})
        self._log_parked(lease.event)
        return End("parked", note={"why": NO_HANDLER})

    def _log_parked(self, event: Event) -> None:
        log.warning("event_parked", reason=NO_HANDLER, event_id=event.id, event_type=event.type)
        if self.development is not None:
            self.development.parked(event)

    async def _run_within(self, limits: Limits, handler: Handler, lease: Lease) -> End | None:
        try:
            lane = limits.lane(handler.name, lease.event)
        except Exception as exc:  # noqa: BLE001  the key's function is the team's code, as the handler is
            return end_of_attempt(exc, handler, lease.attempts, self.policy, self.describer)
        if limits.must_ask(lane, lease.lane) and not await self.store.queue.gate(lease, handler.name, lane):
            return None
        return await self._run(handler, lease)

    async def _run(self, handler: Handler, lease: Lease) -> End | None:
        event, policy = lease.event, self.policy
        context = Context(self.store, self.truto, self.notifier, lease, handler.name, policy.attempts_of(handler))
        started = time.perf_counter()
        error = await self._call(handler, event, context)
        if isinstance(error, PutAside):
            context.log.info("run_suspended", why=str(error))
            return None
        end = end_of_attempt(error, handler, lease.attempts, policy, self.describer, account_id=event.account_id)
        self._log_end(
            event,
            handler.name,
            end,
            attempt=context.attempt,
            milliseconds=round((time.perf_counter() - started) * 1000, 1),
        )
        if self.development is not None and end.kind in _FAILED and error is not None:
            self.development.failed(error)
        return end

    def _log_end(self, event: Event, handler: str, end: End, **more: object) -> None:
        level = self._log.info if end.kind in _EXPECTED else self._log.warning
        if self.development is not None:
            more["tenant_id"] = event.tenant_id
        level(
            "event_handled",
            event_id=event.id,
            event_type=event.type,
            handler=handler,
            outcome=end.kind,
            **more,
            **{name: end.note[name] for name in _LOGGED_NOTES if end.note.get(name)},
        )

    async def _call(self, handler: Handler, event: Event, context: Context) -> BaseException | None:
        limit = self.policy.timeout_of(handler)
        try:
            async with asyncio.timeout(limit) as timer:
                if handler.when is not None:
                    await handler.when.check(event)
                await handler.function(event, context)
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return exc  # raised inside the handler: something that it awaited was cancelled
        except TimeoutError as exc:
            return _overtime(exc, limit) if timer.expired() else exc
        except (KeyboardInterrupt, GeneratorExit):
            raise  # not the handler's: the process, or this coroutine, is being ended
        except BaseException as exc:  # noqa: BLE001  whatever a handler raises is its outcome
            return exc
        return None


def _is_renamed(event: Event) -> bool:
    return not event.platform and event.type.startswith(f"{event.source}/")


def reconnected_account(event: Event) -> str | None:
    """The account that this event of Truto reports as connected again (docs: integrated account events)."""
    status = event.payload.get("status")
    works = event.type in _RECONNECTED or (event.type == "integrated_account:updated" and status == "active")
    return event.account_id if works else None


def _overtime(exc: TimeoutError, limit: float) -> TimeoutError:
    # The traceback of the cancellation shows where the handler hung; that of the timer does not.
    hung = exc.__cause__ or exc
    return TimeoutError(f"the attempt took longer than {limit:g} s").with_traceback(hung.__traceback__)
