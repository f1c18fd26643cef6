"""Get back what Truto has sent, or should have sent, and what never arrived.

One process of the fleet at a time compares Truto's delivery log with what the store knows, asks for the objects that
missing events are about, and accepts these events again. What was found so far is in the store, so that the next
process goes on where a killed one has ended. Events keep the id that the log has: a late original is a duplicate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from events import Acceptance, Shards, Store, Turn, Verified
from events.event import RECOVERED
from events.naming import PLATFORM_SOURCE
from truto import NotFound
from truto.pages import Listing
from truto.resources import MAX_LOG_WINDOW
from worker.errors import TurnLost
from worker.happenings import FAMILIES, TOLERANCE, Happening, Logged, compare, happenings_of, why_not

if TYPE_CHECKING:
    from truto import AsyncTruto, Webhook
    from truto.platform_models import LogEntry

log = structlog.get_logger("worker")

SHARE = 0.05
"""The part of the API's rate limit that this may use, and only of what handlers leave."""

WEBHOOK_ID = "webhook_id"
"""Where ``connect`` has kept the id of the webhook, among what is kept of Truto's own source."""

FIRST_LOOK_BACK = timedelta(hours=1)
_SLICE = timedelta(hours=6)
_MAX_LISTED = 200
_BY_LOG, _BY_LIST = "log", "list"
_SHOWN_IN_GAPS = ("integrated_account", "sync_job_run")
_SAME_AS_ALL = 1  # the checksum that the store takes for that of any body


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when is looked; ``gap`` is when the webhook was off, so that the log has nothing."""

    begin: datetime
    end: datetime
    gap: tuple[datetime, datetime] | None = None

    def covers(self, one: Logged) -> bool:
        """Whether the event is to be looked at now."""
        return self.begin < one.at <= self.end

    def in_gap(self, happening: Happening) -> bool:
        """Whether *happening* fell into the time without deliveries."""
        return self.gap is not None and self.gap[0] <= happening.moment <= min(self.gap[1], self.end)


@dataclass
class Report:
    """What was found: how many events Truto's log has, which were *recovered*, and which cannot be."""

    logged: int = 0
    recovered: list[dict[str, Any]] = field(default_factory=list)
    unrecoverable: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For the store, and for programs; the last ones of long lists."""
        return {
            "logged": self.logged,
            "recovered": len(self.recovered),
            "unrecoverable": len(self.unrecoverable),
        }


class Reconciler:
    """Compares one webhook's deliveries with what *stores* know.

    With *dry_run*, nothing is accepted. What is done is remembered, unless it is not to be (*remembers*).
    """

    def __init__(
        self, stores: Sequence[Store], truto: AsyncTruto, *, dry_run: bool = False, remembers: bool = True
    ) -> None:
        self._stores = stores
        self._shards = Shards(list(stores))
        self._truto = truto
        self._dry_run = dry_run
        self._remembers = remembers

    async def run(self, webhook: Webhook, window: Window, turn: Turn, turn_seconds: float, report: Report) -> None:
        """Look through *window*, slice by slice, and remember each that is done.

        Raises :class:`TurnLost` when another process has the turn by now, and what calls and stores raise.
        """
        begin = window.begin
        while begin < window.end:
            end = min(window.end, begin + min(_SLICE, MAX_LOG_WINDOW))
            await self._look_through(webhook, Window(begin, end, window.gap), turn, turn_seconds, report)
            await self._hold(turn, turn_seconds, {"position": end.timestamp()} if self._remembers else {})
            begin = end

    async def _hold(self, turn: Turn, seconds: float, remembered: Mapping[str, Any]) -> None:
        if not await self._stores[0].recovery.keep_turn(turn, seconds, remembered):
            raise TurnLost("another process has the turn to reconcile by now")

    async def _look_through(
        self, webhook: Webhook, window: Window, turn: Turn, turn_seconds: float, report: Report
    ) -> None:
        logged = await self._logged(webhook, window)
        report.logged += sum(window.covers(one) for one in logged)
        known = await self._known([one.id for one in logged])
        missing = {one.type.partition(":")[0] for one in logged if one.id not in known} & FAMILIES.keys()
        families = sorted(missing | set(_SHOWN_IN_GAPS if window.gap else ()))
        told = [one for family in families for one in happenings_of(family, await self._rows(family, window))]
        found = compare(logged, known, told)
        # What lies outside is compared for the sake of what lies inside, and is looked at with its own window.
        wanted = [(event, happening, _BY_LOG) for event, happening in found.pairs if window.covers(event)]
        wanted += [
            (Logged(one.made_up_id, one.type, one.moment), one, _BY_LIST)
            for one in await self._never_sent(webhook, window, found.untold)
        ]
        for event, happening, by in sorted(wanted, key=lambda each: each[0].at):
            await self._hold(turn, turn_seconds, {})
            await self._recover(webhook, event, happening, by, report)
        for event in filter(window.covers, found.left):
            _note_lost(report, event, *why_not(event.type))

    async def _logged(self, webhook: Webhook, window: Window) -> list[Logged]:
        """The events in the log, each once, by their first attempt; a little beyond the window on both sides."""
        entries = self._truto.logs.list(
            "webhook",
            after=window.begin - TOLERANCE,
            before=window.end + TOLERANCE,
            filters={"webhook_id": webhook.id},
        )
        found: dict[str, Logged] = {}
        async for entry in entries:
            if (one := _read(entry)) is None:
                continue
            first = found.get(one.id, one)
            found[one.id] = Logged(one.id, one.type, min(one.at, first.at), one.delivered or first.delivered)
        return list(found.values())

    async def _known(self, ids: Sequence[str]) -> dict[str, str | None]:
        known: dict[str, str | None] = {}
        for store in self._stores:
            known |= {event_id: one.about for event_id, one in (await store.recovery.arrived(ids)).items()}
        return known

    async def _rows(self, family: str, window: Window) -> list[dict[str, Any]]:
        """The objects of this family that have changed since the window began."""
        path = FAMILIES[family].path
        since = (window.begin - 2 * TOLERANCE).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        listing = Listing(
            lambda query: self._truto.request("GET", path, params=query),
            {"updated_at[gte]": since},
            lambda row: row if isinstance(row, dict) else {},
            what=f"GET {path}",
        )
        return [row async for row in listing]

    async def _never_sent(self, webhook: Webhook, window: Window, untold: Sequence[Happening]) -> list[Happening]:
        """What happened while the webhook was off, and no event here tells of."""
        wanted = webhook.event_types
        gap = [one for one in untold if one.certain and window.in_gap(one) and (wanted is None or one.type in wanted)]
        if not gap:
            return []
        seen: set[tuple[str | None, str | None]] = set()
        for store in self._stores:
            async for arrived in store.recovery.arrived_since(window.begin - TOLERANCE):
                seen.add((arrived.type, arrived.about))
        return [one for one in gap if (one.type, one.entity) not in seen]

    async def _recover(self, webhook: Webhook, event: Logged, happening: Happening, by: str, report: Report) -> None:
        path = FAMILIES[event.type.partition(":")[0]].path
        row = {"id": event.id, "type": event.type, "about": happening.entity, "at": event.at.isoformat(), "by": by}
        if self._dry_run:
            report.recovered.append(row)
            return
        try:
            payload = await self._truto.request("GET", f"{path}/{happening.entity}")
        except NotFound:
            where = f"GET {path}/{happening.entity} answers 404"
            _note_lost(report, event, "what it was about has been deleted since", where)
            return
        (acceptance,) = await self._shards.accept([_verified(webhook, event, happening, payload, by)])
        if acceptance is Acceptance.ACCEPTED:
            report.recovered.append(row)
            log.info("event_recovered", event_id=event.id, event_type=event.type, about=happening.entity, by=by)


def _verified(webhook: Webhook, event: Logged, happening: Happening, payload: object, by: str) -> Verified:
    envelope = {
        "id": event.id,
        "event": event.type,
        "payload": payload,
        "environment_id": webhook.environment_id,
        "webhook_id": webhook.id,
        "created_at": event.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return Verified(
        PLATFORM_SOURCE,
        event.type,
        event.id,
        orjson.dumps(envelope),
        {RECOVERED: by},
        platform=True,
        digest_apart=_SAME_AS_ALL,
        about=happening.entity,
    )


def _note_lost(report: Report, event: Logged, why: str, where: str) -> None:
    row = {"id": event.id, "type": event.type, "at": event.at.isoformat(), "why": why, "where": where}
    report.unrecoverable.append(row)
    log.error("event_unrecoverable", event_id=event.id, event_type=event.type, why=why, where=where)


def _read(entry: LogEntry) -> Logged | None:
    """One attempt in the log; what lacks id, type or time cannot be compared."""
    kind = (entry.model_extra or {}).get("event")
    if not entry.id or not isinstance(kind, str) or entry.timestamp is None:
        return None
    status = (entry.model_extra or {}).get("webhook_endpoint_status")
    return Logged(entry.id, kind, entry.timestamp, isinstance(status, int) and 200 <= status < 300)


def listed(before: Sequence[Mapping[str, Any]], more: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Both lists as one, each event once, the newest at the end; only so many are remembered."""
    by_id = {row["id"]: row for row in (*before, *more)}
    return sorted(by_id.values(), key=lambda row: str(row["at"]))[-_MAX_LISTED:]
