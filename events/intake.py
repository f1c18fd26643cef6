"""Accept deliveries into the store, or into the spool while the store is away, and drain the spool afterwards."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

import structlog

from events.accepting import Acceptance
from events.errors import SpoolUnavailable, StoreUnavailable
from events.event import Verified
from events.spool import Spool
from events.store import Store
from events.usage import PendingLimit
from truto.backoff import OUTAGE_BACKOFF, Backoff

log = structlog.get_logger("events")

_MAX_EVENTS = 128
_MAX_BYTES = 4 * 1024 * 1024
_DRAIN_SECONDS = 10.0


class Intake:
    """A store with a spool behind it, with the interface of a store.

    When the store answers again, new deliveries go to it at once, while the spool is still being drained: senders
    promise no order among deliveries, and a backlog must not delay new ones. The spool is drained in its own order.

    After a failure, deliveries skip the store until :meth:`run` has seen it answer. A store that hangs delays only the
    deliveries under way, by at most *patience_seconds*.
    """

    def __init__(
        self,
        store: Store,
        spool: Spool,
        *,
        patience_seconds: float = 2.0,
        backoff: Backoff = OUTAGE_BACKOFF,
    ) -> None:
        self.spool = spool
        self.spooled = 0
        """Events spooled since the start."""
        self.drained: Counter[Acceptance] = Counter()
        """Events drained since the start, by outcome."""
        self._store = store
        self._patience = patience_seconds
        self._backoff = backoff
        self._failures = 0
        self._store_answers = True
        self._wake = asyncio.Event()
        self._unsent: list[list[Verified]] | None = None
        """The rest of the segment that is being drained; ``None`` between two segments."""

    async def accept(self, events: Sequence[Verified], limit: PendingLimit | None = None) -> list[Acceptance]:
        """Accept the events of one delivery, all or none, and return the outcome of each.

        *limit* is the quota of their source in the store. Sources with a limit may use only the first half of the
        spool. Spooled events are accepted: they reach the store whatever the limits.

        Returns only after the store or the spool has confirmed. Raises :class:`StoreUnavailable` if neither did; the
        store may have the events then.
        """
        if self._store_answers:
            try:
                async with asyncio.timeout(self._patience):
                    return await self._store.accept(events, limit)
            except (StoreUnavailable, TimeoutError) as exc:
                # The store may have the events: draining them then finds duplicates.
                self._lose_store(exc)
        if limit is not None and self.spool.bytes > self.spool.max_bytes // 2:
            return [Acceptance.OVER_QUOTA] * len(events)
        try:
            await self.spool.append(events)
        except SpoolUnavailable as exc:
            # A second call would queue deliveries behind a store that hangs.
            raise StoreUnavailable(f"the store does not answer, and {exc}") from exc
        self.spooled += len(events)
        self._wake.set()
        return [Acceptance.SPOOLED] * len(events)

    async def store_answers(self) -> bool:
        """Whether the store answers. If it does not, deliveries skip it from now on."""
        if self._store_answers:
            try:
                await self._ask_store()
            except (StoreUnavailable, TimeoutError) as exc:
                self._lose_store(exc)
        return self._store_answers

    async def run(self) -> NoReturn:
        """Drain the spool whenever the store answers. Run it in one task, for the life of the process.

        It may be interrupted anywhere: events that are drained twice are duplicates.
        """
        while True:
            if self.spool.empty and self._store_answers:
                self._wake.clear()
                await self._wake.wait()
            if await self._catch_up():
                self._failures = 0
            else:
                self._failures += 1
                await asyncio.sleep(self._backoff.longest(self._failures))

    async def _catch_up(self) -> bool:
        """Drain the spool until it is empty or something fails; true if it is empty."""
        try:
            await self._ask_store()
            self._find_store()
            while not self.spool.empty:
                await self._bring_segment_over()
        except (StoreUnavailable, TimeoutError) as exc:
            self._lose_store(exc)
            return False
        except SpoolUnavailable as exc:
            log.error("spool_drain_failed", reason=str(exc), spooled=self.spool.records)
            return False
        except Exception as exc:  # noqa: BLE001  without this task the store would stay lost for ever
            log.error("spool_drain_failed", reason=type(exc).__name__, spooled=self.spool.records)
            return False
        return True

    async def _bring_segment_over(self) -> None:
        if self._unsent is None:
            self._unsent = await self.spool.read_oldest()
        while self._unsent:
            count = _batch_length(self._unsent)
            events = [verified for delivery in self._unsent[:count] for verified in delivery]
            async with asyncio.timeout(_DRAIN_SECONDS):
                answers = await self._store.accept(events)
            # There was progress: after the next failure the pause is short again.
            self._failures = 0
            self._count(answers)
            del self._unsent[:count]
        await self.spool.drop_oldest()
        self._unsent = None

    def _count(self, answers: Sequence[Acceptance]) -> None:
        self.drained.update(answers)
        if Acceptance.CONFLICT in answers:
            log.warning("spool_conflict_detected", events=answers.count(Acceptance.CONFLICT))

    async def _ask_store(self) -> None:
        async with asyncio.timeout(self._patience):
            await self._store.ping()

    def _lose_store(self, exc: Exception) -> None:
        self._wake.set()
        if self._store_answers:
            self._store_answers = False
            log.error("store_lost", reason=str(exc) or "no answer in time", spooled=self.spool.records)

    def _find_store(self) -> None:
        if not self._store_answers:
            self._store_answers = True
            log.warning("store_restored", spooled=self.spool.records)


def _batch_length(deliveries: Sequence[Sequence[Verified]]) -> int:
    """How many of *deliveries* fit into one round trip; at least one."""
    events = held = 0
    for position, delivery in enumerate(deliveries):
        events += len(delivery)
        held += sum(verified.body_bytes for verified in delivery)
        if position and (events > _MAX_EVENTS or held > _MAX_BYTES):
            return position
    return len(deliveries)
