"""Renew leases in the store, and finish them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

import structlog

from events import End, Lease, StoreUnavailable
from events.queue import Queue
from truto.backoff import OUTAGE_BACKOFF
from worker.slots import Slots

log = structlog.get_logger("worker")

MAX_ENDS = 128
"""The limit of ends in one round trip."""

RENEWALS_PER_LEASE = 3

SHUTDOWN = "shutdown"
"""The reason for releasing leases when the worker stops."""

_COMPUTED = "a handler uses the CPU without pause: move the computation to a process of its own"
_WAITED = "a handler waits without await (use asyncio.to_thread), or this process got no CPU time"


class Reporter:
    """Renews the leases that *slots* hold, until the store has confirmed their end (:meth:`end`)."""

    def __init__(self, queue: Queue, slots: Slots, owner: str) -> None:
        self.store_answered = asyncio.Event()
        """Set when the store answers anything, so that unconfirmed ends are sent again at once."""
        self._queue = queue
        self._slots = slots
        self._owner = owner
        self._ends: deque[tuple[Lease, End]] = deque()
        self._finisher: asyncio.Task[None] | None = None
        self._renewed = time.monotonic()

    @property
    def unconfirmed(self) -> int:
        """The number of ends that the store has not confirmed."""
        return len(self._ends)

    @property
    def is_late(self) -> bool:
        """Whether leases may have expired, because this process was blocked."""
        return time.monotonic() - self._renewed > self._queue.lease_seconds

    def end(self, lease: Lease, end: End) -> None:
        """Free the slot of *lease* and send its end, batched with other ends.

        The lease is renewed until the end is confirmed. A renewal that arrives after the end changes nothing.
        """
        self._slots.give_up(lease)
        self._ends.append((lease, end))
        if self._finisher is None:
            self._finisher = asyncio.create_task(self._finish(), name="finish")

    def release(self, leases: Iterable[Lease], why: str) -> None:
        """Release *leases* to other workers; uses up no attempt."""
        for lease in leases:
            self.end(lease, released(lease, why))

    async def holds(self, lease: Lease) -> bool:
        """Whether *lease* is still held. Renews it, or drops it if it is lost."""
        (held,) = await self._queue.renew([lease])
        if not held:
            self._slots.lose(lease)
        return held

    async def renew(self) -> None:
        """Renew all held leases and those with an unconfirmed end, and cancel work whose lease is lost."""
        held = [*self._slots.leases.values(), *(lease for lease, _ in self._ends)]
        began = time.monotonic()
        if held:
            try:
                kept = await self._queue.renew(held)
            except StoreUnavailable as exc:
                log.error("renewal_failed", error=str(exc), leases=len(held))
                return
            for lease, still_held in zip(held, kept, strict=True):
                if not still_held:
                    self._slots.lose(lease)
        self._renewed = began

    async def keep_renewing(self) -> None:
        """Renew leases well before they expire, until cancelled. Leases that wait for a slot are released instead."""
        period = self._queue.lease_seconds / RENEWALS_PER_LEASE
        while True:
            asleep, used = time.monotonic(), time.process_time()
            await asyncio.sleep(period)
            late = time.monotonic() - asleep - period
            if late > self._queue.lease_seconds - period:
                self._log_blocked(late, time.process_time() - used)
            self.release(self._slots.take_waiting(), "no_slot")  # a worker with a free slot starts it sooner
            await self.renew()

    async def close(self, *, within: float) -> None:
        """Wait until every end is confirmed, or for so many seconds."""
        if self._finisher is not None:
            await asyncio.wait([self._finisher], timeout=within)

    async def _finish(self) -> None:
        """Send ends, many at a time, through an outage if need be: unsent, the work would be repeated."""
        failures = 0
        try:
            while self._ends:
                batch = list(islice(self._ends, MAX_ENDS))
                try:
                    answers = await self._queue.finish_all(batch)
                except StoreUnavailable:
                    failures += 1
                    self.store_answered.clear()
                    await happens(self.store_answered, within=OUTAGE_BACKOFF.longest(failures))
                    continue
                except Exception as exc:  # noqa: BLE001  our own defect must not hold up every later end
                    log.error("finish_failed", error=type(exc).__name__, ends=len(batch))
                    answers = [True] * len(batch)  # their leases run out, and the work is done again
                failures = 0
                self._confirmed(batch, answers)
        finally:
            self._finisher = None

    def _confirmed(self, batch: Sequence[tuple[Lease, End]], answers: Sequence[bool]) -> None:
        for (lease, end), ended in zip(batch, answers, strict=True):
            self._ends.popleft()
            if not ended:
                log.warning("lease_lost", event_id=lease.event.id, event_type=lease.event.type, end=end.kind)
        self._slots.freed.set()

    def _log_blocked(self, seconds: float, cpu_seconds: float) -> None:
        log.error(
            "event_loop_blocked",
            worker=self._owner,
            seconds=round(seconds, 1),
            cpu_seconds=round(cpu_seconds, 1),
            hint=_COMPUTED if cpu_seconds > seconds / 2 else _WAITED,
        )


def released(lease: Lease, why: str, delay: float = 0.0) -> End:
    """The end of a lease that others may have, *delay* (s) from now."""
    return End("released", lease.handler, delay, {"why": why})


async def happens(event: asyncio.Event, *, within: float) -> None:
    """Return when *event* is set, or after so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            await event.wait()
