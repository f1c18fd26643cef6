"""The arq worker, with leases.

arq gives the process its shape: job slots, the table of functions, signals, draining. How it takes and ends jobs is
replaced, because its own way loses, delays or repeats them (docs/why.md says where). This is the only module that
imports arq; the names of its Worker that are used here are held by tests/unit/worker/test_arq_contract.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain, islice
from signal import Signals
from typing import Any, NamedTuple

import structlog
from arq.worker import Worker, func

from events import Claim, End, Lease, Store, StoreUnavailable
from worker.outcome import MOST_CRASHES

log = structlog.get_logger("worker")

DISPATCH = "dispatch"
"""The one function of this worker: what runs is decided by the event, in this process, with this version's code."""

_POLL_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 5.0
_CLOSE_SECONDS = 5.0
_LEAVE_SECONDS = 1.0
_SWEEP_SECONDS = 10.0
_MOST_ENDS = 128
# And so many events are given without a claim: Redis has to hold them until this process reads them.
_MOST_CLAIMED = 128
_RENEWALS_PER_LEASE = 3
_SUSPECT = MOST_CRASHES - 1
_SHUTDOWN = "shutdown"
_COMPUTED = "a handler computes: let it do so in a process of its own"
_WAITED = "a handler waits without await (use asyncio.to_thread), or the machine gave this process no time"


class _UnderWay(NamedTuple):
    """A claim for *most* pieces that is not answered yet; *ahead*, if others were to start meanwhile."""

    most: int
    ahead: bool
    answer: asyncio.Task[Claim]


class Engine(Worker):
    """Leases due work from the store and runs it, up to *concurrency* pieces at once.

    *dispatch* takes a lease and says how it ends (``None``: it is over already). On SIGTERM or SIGINT no more work is
    taken; what runs has *grace_seconds* to end and is then released, which uses up no attempt. A second signal
    releases it at once. Of large bodies it holds *max_bytes* at once, or a single larger one. *sweep* is called before
    the first claim and then every 10 s.
    """

    def __init__(
        self,
        store: Store,
        dispatch: Callable[[Lease], Awaitable[End | None]],
        *,
        concurrency: int = 50,
        max_bytes: int = 24 * 1024 * 1024,
        grace_seconds: int = 30,
        sweep: Callable[[], Awaitable[object]] | None = None,
        handle_signals: bool = True,
    ) -> None:
        async def run_lease(ctx: dict[Any, Any], lease: Lease) -> End | None:
            return await dispatch(lease)

        async def startup(ctx: dict[Any, Any]) -> None:
            if sweep is not None:
                await sweep()

        super().__init__(
            [func(run_lease, name=DISPATCH)],
            on_startup=startup,
            max_jobs=concurrency,
            job_completion_wait=max(grace_seconds, 1),
            handle_signals=handle_signals,
        )
        self.owner = _owner()
        self._store = store
        self._max_bytes = max_bytes
        self._leases: dict[str, Lease] = {}
        self._ends: deque[tuple[Lease, End]] = deque()
        self._finisher: asyncio.Task[None] | None = None
        self._slot_freed = asyncio.Event()
        self._told = asyncio.Event()
        self._answered = asyncio.Event()
        self._held_back: deque[Lease] = deque()
        self._listener: asyncio.Task[None] | None = None
        self._to_be_given = 0
        self._claiming: _UnderWay | None = None
        self._alone = False
        self._draining = False
        self._wants_suspect = True
        self._renewed = time.monotonic()

    async def run_until_stopped(self) -> None:
        """Work until a signal ends it, then close. May be called once."""
        log.info("worker_started", worker=self.owner, concurrency=self.max_jobs)
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await self.async_run()
        finally:
            await self.close()
            log.info("worker_stopped", worker=self.owner, done=self.jobs_complete, kept=self.jobs_failed)

    def stop(self) -> None:
        """Drain and stop, as SIGTERM does."""
        self.handle_sig_wait_for_completion(Signals.SIGTERM)

    async def main(self) -> None:
        """Claim and run until cancelled, through every outage of the store."""
        beside = [
            self.loop.create_task(self._keep_leases(), name="keep-leases"),
            self.loop.create_task(self._keep_sweeping(), name="keep-sweeping"),
        ]
        self._listener = self.loop.create_task(self._keep_listening(), name="keep-listening")
        pause = 0.0
        started = False
        this = asyncio.current_task()
        try:
            # Python 3.11's wait_for, which redis-py uses, may swallow the cancellation; it is still counted.
            while this is None or not this.cancelling():
                try:
                    if not started and self.on_startup is not None:
                        await self.on_startup(self.ctx)
                        started = True
                    await self._poll_iteration()
                    pause = 0.0
                except StoreUnavailable as exc:
                    pause = min(max(2 * pause, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
                    log.error("store_unavailable", error=str(exc), again_in_seconds=pause)
                    await asyncio.sleep(pause)
        finally:
            for task in beside:
                task.cancel()

    async def _keep_sweeping(self) -> None:
        while self.on_startup is not None:
            await asyncio.sleep(min(_SWEEP_SECONDS, self._store.lease_seconds))
            with contextlib.suppress(StoreUnavailable):
                await self.on_startup(self.ctx)

    async def _poll_iteration(self) -> None:
        """Fill the free slots, then wait for what comes first: a slot, an event, or the time of the next retry."""
        if not self.allow_pick_jobs and self._claiming is None:
            if self._listener is not None:  # until now, because the answer to a claim makes this worker one that waits
                await self._stop_listening()
            else:
                await asyncio.sleep(_POLL_SECONDS)
        elif self._held_back and self._free > 0:
            self._start(self._held_back.popleft())
        elif self._claiming is None and self._free <= 0:
            self._slot_freed.clear()
            await self._slot_freed.wait()
        else:
            if self._claiming is None:
                self._claim_half(self._free, (), ahead=False)
            await self._start_claimed()

    @property
    def _free(self) -> int:
        # What has ended and is only to be said holds no slot, unless so much waits to be said that Redis must be slow.
        return self.max_jobs - max(self._running, len(self._ends) - self.max_jobs)

    def _claim_half(self, free: int, starting: Sequence[Lease], *, ahead: bool) -> None:
        # Half of the slots at a time: Redis leases the second half while this process works on the first.
        most = min(free, (self.max_jobs + 1) // 2, _MOST_CLAIMED)
        self._begin_claim(most, starting, free=most, ahead=ahead)

    def _begin_claim(self, most: int, starting: Sequence[Lease], *, free: int, ahead: bool) -> None:
        self._told.clear()
        self._to_be_given = free  # what it hears before the answer may count for this claim, or for the last
        wants_suspect, self._wants_suspect = self._wants_suspect, True
        held = sum(lease.body_bytes for lease in chain(self._leases.values(), starting))
        answer = self.loop.create_task(self._claim(most, free, wants_suspect, held), name="claim")
        self._claiming = _UnderWay(most, ahead, answer)

    async def _claim(self, most: int, free: int, wants_suspect: bool, held_bytes: int) -> Claim:
        if self._was_blocked:
            await self._renew()  # or this worker would claim what it is still working on, and what it has just done
        return await self._store.claim(
            most,
            self.owner,
            free=free,
            suspect=_SUSPECT,
            wants_suspect=wants_suspect,
            held_bytes=held_bytes,
            most_bytes=self._max_bytes,
        )

    @property
    def _was_blocked(self) -> bool:
        return time.monotonic() - self._renewed > self._store.lease_seconds

    async def _start_claimed(self) -> None:
        assert self._claiming is not None
        most, ahead, answer = self._claiming
        try:
            leases, next_due = await asyncio.shield(answer)
        except StoreUnavailable:
            self._claiming = None
            raise
        self._answered.set()
        self._claiming = None  # but not when this is cancelled, even if there is an answer: it has to be given back
        self._to_be_given -= len(leases)
        if not self.allow_pick_jobs:
            self._give_back(leases, _SHUTDOWN)
        elif leases and leases[0].crashes == _SUSPECT:
            await self._run_alone(leases[0])
        elif len(leases) < most:
            self._start_all(leases)
            if self._to_be_given <= 0:
                self._told.set()
            await _happens(self._told, within=min(_POLL_SECONDS, _POLL_SECONDS if next_due is None else next_due))
        else:
            # The next one is under way before this process has its hands full.
            self._claim_ahead(leases, waited=ahead and self._running == 0)
            self._start_all(leases)

    def _claim_ahead(self, starting: Sequence[Lease], *, waited: bool) -> None:
        if waited:
            # What was started when this claim began was done before Redis answered, so more is asked for at a time.
            # Some of it may have to wait for its slot.
            most = min(self.max_jobs, _MOST_CLAIMED)
            self._begin_claim(most, starting, free=min(self.max_jobs - len(starting), most), ahead=True)
        elif (free := self._free - len(starting)) > 0:
            self._claim_half(free, starting, ahead=True)

    def _start_all(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            if self._running < self.max_jobs:
                self._start(lease)
            else:
                self._hold_back(lease)

    def _give_back(self, leases: Iterable[Lease], why: str) -> None:
        for lease in leases:
            self._hand_over(lease, _released(lease, why))

    async def _keep_listening(self) -> None:
        """Hear from the store what is to be done. While it cannot be heard, the claims of every second find it."""
        said = False
        while True:
            try:
                async with contextlib.aclosing(self._store.listen(self.owner)) as messages:
                    async for lease in messages:
                        self._hear(lease)
                        said = False
            except StoreUnavailable as exc:
                if not said:
                    log.warning("hears_of_no_work", error=str(exc), hint="work is looked for once a second meanwhile")
                said = True
                await asyncio.sleep(_FIRST_PAUSE_SECONDS)
            else:
                return

    def _hear(self, lease: Lease | None) -> None:
        self._to_be_given -= 1
        if lease is None or self._to_be_given <= 0:
            self._told.set()  # nothing more is given before the next claim
        if lease is None:
            return
        if not self.allow_pick_jobs:
            self._give_back([lease], _SHUTDOWN)
        elif self._alone or self._running >= self.max_jobs:
            self._hold_back(lease)
        else:
            self._start(lease)

    @property
    def _running(self) -> int:
        return len(self._leases) - len(self._held_back)

    def _hold_back(self, lease: Lease) -> None:
        self._leases[lease.token] = lease  # held, that is renewed
        self._held_back.append(lease)
        self._told.set()

    def _give_back_held(self, why: str) -> None:
        held_back = list(self._held_back)
        self._held_back.clear()
        self._give_back(held_back, why)

    async def _run_alone(self, lease: Lease) -> None:
        """Run work that was lost twice with nothing beside it, so that a third loss convicts it and nobody else.

        What runs is waited for, and the suspect itself, for a lease each: a slow handler must not hold up the rest for
        longer. Nor must many suspects: between two of them other work is claimed.
        """
        self._wants_suspect = False
        self._leases[lease.token] = lease  # held, that is renewed
        self._alone = True
        try:
            await self._begin_alone(lease)
        finally:
            self._alone = False

    async def _begin_alone(self, lease: Lease) -> None:
        try:
            if self.tasks:
                await asyncio.wait(self.tasks.values(), timeout=self._store.lease_seconds)
            while self._running > self.max_jobs:  # events that were given meanwhile have all the slots
                self._slot_freed.clear()
                await self._slot_freed.wait()
            begun = await self._store.begin(lease)
        except StoreUnavailable:
            # Whether the claim was counted is unknown: nobody is convicted on that.
            self._give_back([lease], "store_unavailable")
            raise
        finally:
            self._leases.pop(lease.token, None)
        if begun:
            self._start(lease)
            await asyncio.wait([self.tasks[lease.token]], timeout=self._store.lease_seconds)

    def _start(self, lease: Lease) -> None:
        task = self.loop.create_task(self._work(lease), name=f"work:{lease.member}")
        self.tasks[lease.token] = task
        self._leases[lease.token] = lease
        task.add_done_callback(lambda _: self._ended(lease))

    def _ended(self, lease: Lease) -> None:
        del self.tasks[lease.token]
        self._leases.pop(lease.token, None)
        self._slot_freed.set()
        if lease.body_bytes:
            self._told.set()  # there may be work that was left for lack of room

    async def _work(self, lease: Lease) -> None:
        try:
            if self._was_blocked and not (await self._store.renew([lease]))[0]:
                self._let_go(lease)  # somebody else may have begun it, before it began here
                return
            end = await self.functions[DISPATCH].coroutine(self.ctx, lease)
        except asyncio.CancelledError:
            if lease.token not in self._leases:
                return  # the lease is lost: somebody else has the work
            end = _released(lease, _SHUTDOWN)
        except Exception as exc:  # noqa: BLE001  our own defect or an outage must not cost the event
            log.error("dispatch_failed", error=type(exc).__name__, event_id=lease.event.id)
            end = End("released", lease.handler, _LONGEST_PAUSE_SECONDS, {"why": type(exc).__name__})
        if end is not None:
            self._count(end)
            self._hand_over(lease, end)

    def _hand_over(self, lease: Lease, end: End) -> None:
        # It holds no slot any more, and a renewal that crosses its finish has no say.
        self._leases.pop(lease.token, None)
        self._ends.append((lease, end))
        if self._finisher is None:
            self._finisher = self.loop.create_task(self._finish(), name="finish")

    async def _finish(self) -> None:
        """Say what has ended, many at a time, through an outage if need be: not to say so would repeat the work."""
        pause = _FIRST_PAUSE_SECONDS
        try:
            while self._ends:
                batch = list(islice(self._ends, _MOST_ENDS))
                try:
                    answers = await self._store.finish_all(batch)
                except StoreUnavailable:
                    self._answered.clear()
                    await _happens(self._answered, within=pause)
                    pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                    continue
                except Exception as exc:  # noqa: BLE001  our own defect must not hold up every later end
                    log.error("finish_failed", error=type(exc).__name__, ends=len(batch))
                    answers = [True] * len(batch)  # their leases run out, and the work is done again
                pause = _FIRST_PAUSE_SECONDS
                self._said(batch, answers)
        finally:
            self._finisher = None

    def _said(self, batch: Sequence[tuple[Lease, End]], answers: Sequence[bool]) -> None:
        for (lease, end), ended in zip(batch, answers, strict=True):
            self._ends.popleft()
            if not ended:
                log.warning("lease_lost", event_id=lease.event.id, event_type=lease.event.type, end=end.kind)
        self._slot_freed.set()

    def _count(self, end: End) -> None:
        if end.kind in {"done", "discarded"}:
            self.jobs_complete += 1
        elif end.kind in {"dead", "parked"}:
            self.jobs_failed += 1
        else:
            self.jobs_retried += 1

    async def _keep_leases(self) -> None:
        """Renew what is held, well before it runs out."""
        period = self._store.lease_seconds / _RENEWALS_PER_LEASE
        while True:
            asleep, used = time.monotonic(), time.process_time()
            await asyncio.sleep(period)
            late = time.monotonic() - asleep - period
            if late > self._store.lease_seconds - period:
                self._say_blocked(late, time.process_time() - used)
            self._give_back_held("no_slot")  # whoever has a slot can start it sooner
            await self._renew()

    def _say_blocked(self, seconds: float, cpu_seconds: float) -> None:
        log.error(
            "event_loop_blocked",
            worker=self.owner,
            seconds=round(seconds, 1),
            cpu_seconds=round(cpu_seconds, 1),
            hint=_COMPUTED if cpu_seconds > seconds / 2 else _WAITED,
        )

    async def _renew(self) -> None:
        """Renew what runs and what has ended unsaid, and let go of what was lost."""
        held = [*self._leases.values(), *(lease for lease, _ in self._ends)]
        began = time.monotonic()
        if held:
            try:
                kept = await self._store.renew(held)
            except StoreUnavailable as exc:
                log.error("leases_not_renewed", error=str(exc), leases=len(held))
                return
            for lease, still_held in zip(held, kept, strict=True):
                if not still_held:
                    self._let_go(lease)
        self._renewed = began

    def _let_go(self, lease: Lease) -> None:
        if self._leases.pop(lease.token, None) is None:
            return
        if lease in self._held_back:
            self._held_back.remove(lease)
        log.warning("lease_lost", event_id=lease.event.id, event_type=lease.event.type)
        if task := self.tasks.get(lease.token):
            task.cancel()

    def handle_sig_wait_for_completion(self, signum: Signals) -> None:
        """Drain on the first signal, stop on the second."""
        if self._draining:
            self.handle_sig(signum)
            return
        self._draining = True
        log.info("worker_draining", worker=self.owner, running=len(self.tasks), grace_seconds=self._job_completion_wait)
        self._give_back_held(_SHUTDOWN)
        self._told.set()
        self._slot_freed.set()
        super().handle_sig_wait_for_completion(signum)

    async def close(self) -> None:
        """Wait, not for ever, until what was cancelled has been released."""
        await self._stop_claiming()
        await self._stop_listening()
        if self.tasks:
            await asyncio.wait(self.tasks.values(), timeout=_CLOSE_SECONDS)
        if self._finisher is not None:
            await asyncio.wait([self._finisher], timeout=_CLOSE_SECONDS)

    async def _stop_claiming(self) -> None:
        """What Redis leases to a worker that is being stopped is given back, or it would count as a crash."""
        if self._claiming is None:
            return
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                self._give_back((await self._claiming.answer).leases, _SHUTDOWN)

    async def _stop_listening(self) -> None:
        """Hear the last of what was leased to this worker, and give it back."""
        self.allow_pick_jobs = False
        self._give_back_held(_SHUTDOWN)
        if self._listener is None:
            return
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._store.leave(self.owner)
                await asyncio.wait([self._listener])
        self._listener.cancel()
        self._listener = None


async def _happens(event: asyncio.Event, *, within: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            await event.wait()


def _released(lease: Lease, why: str) -> End:
    return End("released", lease.handler, note={"why": why})


def _owner() -> str:
    """A name for this process that nobody else has, safe inside Redis keys and JSON."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:40]
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"
