"""Get work for free slots: claim it from the store, or receive what the store pushes to an idle worker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import structlog

from events import Claim, Lease, StoreUnavailable
from events.queue import Queue
from worker.outcome import MAX_CRASHES
from worker.reporter import SHUTDOWN, Reporter, happens
from worker.slots import Slots

log = structlog.get_logger("worker")

MAX_CLAIMED = 128
"""The limit of leases of one claim, and of events pushed without a claim: Redis buffers them until they are read."""

_POLL_SECONDS = 1.0
_RESUBSCRIBE_SECONDS = 0.5
_LEAVE_SECONDS = 1.0
_SUSPECT = MAX_CRASHES - 1


class _PendingClaim(NamedTuple):
    """A claim for *most* pieces, not answered yet; *ahead* if it was sent before the last leases started.

    *free* slots wait for it: with fewer pieces, the store counts this worker as idle. *ended* is how many tasks had
    ended when it was sent.
    """

    most: int
    free: int
    ahead: bool
    ended: int
    answer: asyncio.Task[Claim]


class ClaimLoop:
    """Claims due work for *owner* as slots become free, and starts what the store pushes in between.

    The large bodies that it holds at once have *max_bytes*, or it holds a single larger one.
    """

    def __init__(self, queue: Queue, slots: Slots, reporter: Reporter, owner: str, *, max_bytes: int) -> None:
        self._queue = queue
        self._slots = slots
        self._reporter = reporter
        self._owner = owner
        self._max_bytes = max_bytes
        self._wake = asyncio.Event()  # there may be more to claim
        self._subscription: asyncio.Task[None] | None = None
        self._credit = 0  # how many events the store may push before the next claim
        self._ended = 0  # tasks
        self._prefetch = 0  # the leases to have waiting when a slot becomes free: as many as end during a claim
        self._pending: _PendingClaim | None = None
        self._runs_suspect = False
        self._wants_suspect = True
        self._is_draining = False
        slots.ended = self._task_ended

    def subscribe(self) -> None:
        """Receive pushed events from now until :meth:`close`."""
        self._subscription = asyncio.create_task(self._keep_subscribed(), name="keep-subscribed")

    async def iterate(self) -> None:
        """Fill the free slots, then wait for a free slot, an event, or the next due time, whichever comes first."""
        if self._is_draining and self._pending is None:
            if self._subscription is not None:  # only now: the answer to a claim makes this worker idle again
                await self._unsubscribe()
            else:
                await asyncio.sleep(_POLL_SECONDS)
        elif self._slots.waiting and self._free > 0:
            self._slots.start_next()
        elif self._pending is None and self._room <= 0:
            self._slots.freed.clear()
            await self._slots.freed.wait()
        else:
            if self._pending is None:
                self._claim_half((), ahead=False)
            await self._start_claimed()

    def _task_ended(self, lease: Lease) -> None:
        self._ended += 1
        if lease.body_bytes:
            self._wake.set()  # a claim may have skipped large events for lack of room
        if self._slots.waiting and self._free > 0 and not self._runs_suspect:
            self._slots.start_next()

    def drain(self) -> None:
        """Stop claiming, and release the leases that wait for a slot, and events pushed until :meth:`close`."""
        self._is_draining = True
        self._reporter.release(self._slots.take_waiting(), SHUTDOWN)
        self._wake.set()
        self._slots.freed.set()

    async def close(self, *, within: float) -> None:
        """Release the leases of a claim under way, so that they do not count as crashes, and end the subscription.

        Waits at most *within* seconds for that claim.
        """
        if self._pending is not None:
            with contextlib.suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(within):
                    self._reporter.release((await self._pending.answer).leases, SHUTDOWN)
        await self._unsubscribe()

    async def _unsubscribe(self) -> None:
        """End the subscription, and release the events that were pushed before."""
        self._is_draining = True
        self._reporter.release(self._slots.take_waiting(), SHUTDOWN)
        if self._subscription is None:
            return
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._queue.unsubscribe(self._owner)
                await asyncio.wait([self._subscription])
        self._subscription.cancel()
        self._subscription = None

    @property
    def _free(self) -> int:
        # An unconfirmed end takes no slot, unless there are so many that Redis must be slow.
        return self._slots.capacity - max(self._slots.running, self._reporter.unconfirmed - self._slots.capacity)

    @property
    def _room(self) -> int:
        return self._free + self._prefetch - len(self._slots.waiting)

    @property
    def _all(self) -> int:
        return min(self._slots.capacity, MAX_CLAIMED)

    @property
    def _half(self) -> int:
        # Half of the slots at a time: Redis leases the second half while this process works on the first.
        return min((self._slots.capacity + 1) // 2, MAX_CLAIMED)

    def _claim_half(self, starting: Sequence[Lease], *, ahead: bool) -> None:
        most = min(self._room - len(starting), max(self._half, self._prefetch))
        self._begin_claim(most, starting, free=max(0, min(self._free - len(starting), most)), ahead=ahead)

    def _begin_claim(self, most: int, starting: Sequence[Lease], *, free: int, ahead: bool) -> None:
        self._wake.clear()
        self._credit = free  # an event pushed before the answer may belong to this claim or to the last one
        wants_suspect, self._wants_suspect = self._wants_suspect, True
        held = sum(lease.body_bytes for lease in chain(self._slots.leases.values(), starting))
        answer = asyncio.create_task(self._claim(most, free, wants_suspect, held), name="claim")
        self._pending = _PendingClaim(most, free, ahead, self._ended, answer)

    async def _claim(self, most: int, free: int, wants_suspect: bool, held_bytes: int) -> Claim:
        if self._reporter.is_late:
            await self._reporter.renew()  # else this worker could claim work that it still runs, or has just ended
        return await self._queue.claim(
            most,
            self._owner,
            free=free,
            suspect=_SUSPECT,
            wants_suspect=wants_suspect,
            held_bytes=held_bytes,
            max_bytes=self._max_bytes,
        )

    async def _start_claimed(self) -> None:
        assert self._pending is not None
        most, free, ahead, ended, answer = self._pending
        try:
            leases, next_due = await asyncio.shield(answer)
        except StoreUnavailable:
            self._pending = None
            raise
        self._reporter.store_answered.set()
        self._pending = None  # not on cancellation: close() has to release the leases of the answer
        self._credit -= len(leases)
        self._prefetch = min(max(self._ended - ended, self._prefetch - 1), self._all) if len(leases) == most else 0
        if self._is_draining:
            self._reporter.release(leases, SHUTDOWN)
        elif leases and leases[0].crashes == _SUSPECT:
            await self._run_suspect(leases[0])
        elif len(leases) < free:
            self._start_all(leases)
            if self._credit <= 0:
                self._wake.set()
            await happens(self._wake, within=min(_POLL_SECONDS, _POLL_SECONDS if next_due is None else next_due))
        elif len(leases) < most:
            self._start_all(leases)
        else:
            # Send the next claim before the event loop is busy with these leases.
            self._claim_ahead(leases, waited=ahead and self._slots.running == 0)
            self._start_all(leases)

    def _claim_ahead(self, starting: Sequence[Lease], *, waited: bool) -> None:
        if waited:
            # All earlier work ended before Redis answered, so claim more. Some leases may wait for a slot.
            free = min(self._slots.capacity - len(starting), self._all)
            self._begin_claim(self._all, starting, free=free, ahead=True)
        elif self._room > len(starting):
            self._claim_half(starting, ahead=True)

    def _start_all(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            self._start_or_wait(lease)

    def _start_or_wait(self, lease: Lease) -> None:
        if self._slots.is_full or self._runs_suspect:
            self._slots.wait(lease)
            self._wake.set()
        else:
            self._slots.start(lease)

    async def _keep_subscribed(self) -> None:
        """Receive pushed events. While the subscription is lost, one claim a second finds the work."""
        is_lost = False
        while True:
            try:
                async with contextlib.aclosing(self._queue.subscribe(self._owner)) as messages:
                    async for lease in messages:
                        self._receive(lease)
                        is_lost = False
            except StoreUnavailable as exc:
                if not is_lost:
                    log.warning(
                        "subscription_lost", error=str(exc), hint="work is claimed once a second until it is back"
                    )
                is_lost = True
                await asyncio.sleep(_RESUBSCRIBE_SECONDS)
            else:
                return

    def _receive(self, lease: Lease | None) -> None:
        self._credit -= 1
        if lease is None or self._credit <= 0:
            self._wake.set()  # the store pushes nothing until the next claim
        if lease is None:
            return
        if self._is_draining:
            self._reporter.release([lease], SHUTDOWN)
        else:
            self._start_or_wait(lease)

    async def _run_suspect(self, lease: Lease) -> None:
        """Run work that was lost twice alone, so that a third loss is its own fault and no other's.

        Waits up to one lease for running work to end, and up to one lease for the suspect: a slow handler must not
        delay the rest longer. Other work is claimed between two suspects.
        """
        self._wants_suspect = False
        self._slots.hold(lease)
        self._slots.begin_alone()
        self._runs_suspect = True
        try:
            await self._begin_suspect(lease)
        finally:
            self._runs_suspect = False
            self._slots.end_alone()

    async def _begin_suspect(self, lease: Lease) -> None:
        try:
            await self._slots.until_idle(within=self._queue.lease_seconds)
            await self._slots.until_not_overfull()  # pushed events may have filled the slots meanwhile
            begun = await self._queue.begin(lease)
        except StoreUnavailable:
            # The claim may not have been counted: do not run the suspect.
            self._reporter.release([lease], "store_unavailable")
            raise
        finally:
            self._slots.give_up(lease)
        if begun:
            await asyncio.wait([self._slots.start(lease)], timeout=self._queue.lease_seconds)
