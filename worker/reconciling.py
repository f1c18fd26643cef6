"""The job of the fleet that reconciles and keeps the webhook active: one worker at a time, every few minutes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import structlog

from events import Store, StoreUnavailable, Turn
from events.background import background
from events.naming import PLATFORM_SOURCE
from truto import NotFound, TrutoError
from worker.errors import TurnLost
from worker.keepalive import Switching, cause_of
from worker.reconcile import FIRST_LOOK_BACK, WEBHOOK_ID, Reconciler, Report, Window, listed

if TYPE_CHECKING:
    from truto import AsyncTruto, Webhook
    from worker.notify import Notifier

log = structlog.get_logger("worker")

Mode = Literal["off", "report", "recover"]
KeepAlive = Literal["off", "notify", "reactivate"]

MAX_TURN_SECONDS = 30.0
MAX_SETTLING_SECONDS = 120.0
MAX_OVERLAP_SECONDS = 300.0
_AGAIN_AFTER_FAILURE = 0.1


@dataclass(frozen=True, slots=True)
class Plan:
    """What the job does. *every* is the interval in seconds, *look_back* the furthest it looks back."""

    mode: Mode = "recover"
    keepalive: KeepAlive = "reactivate"
    every: float = 600.0
    look_back: float = 3 * 86_400.0

    @property
    def turn_seconds(self) -> float:
        """How long after a kill the next process takes over."""
        return max(1.0, min(MAX_TURN_SECONDS, self.every / 2))

    @property
    def settling(self) -> float:
        """How long deliveries have before they count as missing: Truto's retries take about ten seconds."""
        return min(MAX_SETTLING_SECONDS, self.every / 5)

    @property
    def overlap(self) -> float:
        """How much of the last window is looked through again, for what the log has shown late."""
        return min(MAX_OVERLAP_SECONDS, self.every)


class Job:
    """Reconciles *stores* with Truto. *truto* should have a budget of its own; operators are told by *notifier*."""

    def __init__(self, stores: Sequence[Store], truto: AsyncTruto, notifier: Notifier, plan: Plan) -> None:
        self._stores = stores
        self._recovery = stores[0].recovery
        self._truto = truto
        self._notifier = notifier
        self._plan = plan

    async def run(self) -> NoReturn:
        """Take the turn whenever it is due and nobody has it, until cancelled. Outages delay it, and end nothing."""
        while True:
            await asyncio.sleep(min(10.0, self._plan.every / 4))
            with suppress(StoreUnavailable):
                turn = await self._recovery.take_turn(self._plan.turn_seconds, first_in=self._plan.every)
                if turn is not None:
                    await self._use(turn)

    async def _use(self, turn: Turn) -> None:
        try:
            await self.take(turn)
        except TurnLost:
            log.warning("reconcile_turn_lost")
        except (TrutoError, StoreUnavailable) as exc:
            log.warning("reconcile_failed", error=str(exc))
            await self._recovery.end_turn(turn, self._plan.every * _AGAIN_AFTER_FAILURE, {})
        except Exception as exc:  # noqa: BLE001  a defect of ours must not end the job for good
            log.error("reconcile_failed", error=type(exc).__name__)
            await self._recovery.end_turn(turn, self._plan.every, {})

    async def take(self, turn: Turn) -> Report:
        """Use *turn*: look after the webhook, then compare. Ends the turn."""
        report = Report()
        async with background(self._renew(turn), "keep-turn"):
            remembered = await self._pass(turn, report)
        await self._recovery.end_turn(turn, self._plan.every, remembered)
        _log_end(report)
        return report

    async def look_back(self, turn: Turn, seconds: float, *, dry_run: bool) -> Report | None:
        """Use *turn* to compare the last so many seconds, whatever was compared before; ``None`` without a webhook.

        Ends the turn. The webhook is not looked after, and with *dry_run* nothing is changed.
        """
        report = Report()
        async with background(self._renew(turn), "keep-turn"):
            now = await self._stores[0].now()
            webhook = await self._webhook()
            if webhook is not None:
                gap = self._window(turn, Switching.of(turn.remembered), now).gap
                window = Window(_at(now - seconds), _at(now), gap)
                reconciler = Reconciler(self._stores, self._truto, dry_run=dry_run, remembers=False)
                await reconciler.run(webhook, window, turn, self._plan.turn_seconds, report)
        found = listed(turn.remembered.get("unrecoverable") or [], report.unrecoverable)
        await self._recovery.end_turn(turn, self._plan.every, {} if dry_run else {"unrecoverable": found})
        return None if webhook is None else report

    async def _renew(self, turn: Turn) -> None:
        while True:
            await asyncio.sleep(self._plan.turn_seconds / 3)
            with suppress(StoreUnavailable):
                await self._recovery.keep_turn(turn, self._plan.turn_seconds, {})

    async def _pass(self, turn: Turn, report: Report) -> dict[str, Any]:
        now = await self._stores[0].now()
        switching = Switching.of(turn.remembered)
        webhook = await self._webhook()
        if webhook is None:
            return {"last": {"at": now, "webhook": "unknown", **report.as_json()}}
        switching = await self._look_after(webhook, switching, now)
        await self._recovery.keep_turn(turn, self._plan.turn_seconds, {"webhook": switching.as_json()})
        window = self._window(turn, switching, now)
        if self._plan.mode != "off":
            reconciler = Reconciler(self._stores, self._truto, dry_run=self._plan.mode == "report")
            await reconciler.run(webhook, window, turn, self._plan.turn_seconds, report)
            _note_gap(report, window)
            switching = switching.filled(window.end.timestamp())
        if report.unrecoverable:
            await self._tell_of_lost(turn, report)
        return {
            "position": window.end.timestamp(),
            "webhook": switching.as_json(),
            "unrecoverable": listed(turn.remembered.get("unrecoverable") or [], report.unrecoverable),
            "last": {"at": now, "webhook": "active" if webhook.is_active else "inactive", **report.as_json()},
        }

    def _window(self, turn: Turn, switching: Switching, now: float) -> Window:
        first = now - self._plan.every - FIRST_LOOK_BACK.total_seconds()
        position = turn.remembered.get("position")
        begin = max(now - self._plan.look_back, first if position is None else position - self._plan.overlap)
        gap = None
        if switching.gap_from is not None and switching.gap_to is not None:
            gap = _at(switching.gap_from), _at(switching.gap_to)
            begin = min(begin, max(switching.gap_from, now - self._plan.look_back))
        return Window(_at(begin), _at(now - self._plan.settling), gap)

    # -- the webhook ---------------------------------------------------------------------------------------------------

    async def _webhook(self) -> Webhook | None:
        """The webhook that delivers here: the one that ``connect`` has noted, else the only one there is."""
        kept = (await self._stores[0].notes.source_context(PLATFORM_SOURCE)).get(WEBHOOK_ID)
        if isinstance(kept, str):
            try:
                return await self._truto.webhooks.get(kept)
            except NotFound:
                log.error("webhook_missing", webhook_id=kept, hint="it was deleted in Truto: truto-worker connect")
                return None
        webhooks = [webhook async for webhook in self._truto.webhooks.list()]
        if len(webhooks) == 1:
            return webhooks[0]
        log.warning("webhook_unknown", webhooks=len(webhooks), hint="which one delivers here? truto-worker connect")
        return None

    async def _look_after(self, webhook: Webhook, before: Switching, now: float) -> Switching:
        if webhook.is_active is not False:
            return before.seen_active(now, self._plan.every)
        switching = before.seen_inactive(now, self._plan.every)
        if self._plan.keepalive == "off":
            return switching
        is_new = before.gap_from is None or before.gap_to is not None
        switches = self._plan.keepalive == "reactivate" and switching.may_switch(now, self._plan.every)
        if is_new or switches:
            await self._tell_of_inactive(webhook, now, switches=switches)
        if switches:
            await self._truto.webhooks.update(webhook.id, is_active=True)
            webhook.is_active = True
            return switching.switched(await self._stores[0].now())
        return switching

    async def _tell_of_inactive(self, webhook: Webhook, now: float, *, switches: bool) -> None:
        end = _at(now)
        entries = self._truto.logs.list(
            "webhook", after=end - timedelta(hours=1), before=end, filters={"webhook_id": webhook.id}
        )
        cause = cause_of([entry.model_dump() async for entry in entries])
        log.error("webhook_inactive", webhook_id=webhook.id, cause=cause, reactivated=switches)
        done = (
            "It was switched on again, and what was missed is being recovered."
            if switches
            else "Switch it on again, or set WEBHOOK_KEEPALIVE=reactivate."
        )
        await self._notifier.send_operators(
            "Truto has switched the webhook off", f"Webhook {webhook.id}; deliveries: {cause}. {done}"
        )

    async def _tell_of_lost(self, turn: Turn, report: Report) -> None:
        known = {row["id"] for row in turn.remembered.get("unrecoverable") or []}
        if new := [row for row in report.unrecoverable if row["id"] not in known]:
            text = (
                f"{len(new)} events of Truto were never delivered and cannot be rebuilt: truto-worker reconcile --list"
            )
            await self._notifier.send_operators("Events of Truto are lost", text)


def _note_gap(report: Report, window: Window) -> None:
    """Truto has made no events while the webhook was off; what only they carry is told as a whole, once."""
    if window.gap is None or window.gap[1] > window.end:
        return
    begin, end = (moment.isoformat(timespec="seconds") for moment in window.gap)
    why = f"the webhook was off from {begin} to {end}, and Truto keeps no data of events that it has not sent"
    where = "run the syncs of that time again, or read the records through the unified API"
    row = {"id": f"gap-{begin}", "type": "record:*", "at": window.gap[0].isoformat(), "why": why, "where": where}
    report.unrecoverable.append(row)


def _log_end(report: Report) -> None:
    write = log.warning if report.recovered or report.unrecoverable else log.info
    write("reconcile_finished", **report.as_json())


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
