"""The arq worker, with leases.

arq gives the process its shape: ``max_jobs`` slots, the table of tasks, signals, draining. How it takes and ends jobs
is replaced, because its own way loses, delays or repeats them (docs/why.md says where). Its cron is not used: it puts a
job into arq's own queue for one worker of the fleet, and what is swept here concerns each. This is the only module that
imports arq; the names of its Worker that are used here are held by tests/unit/worker/test_arq_contract.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import socket
from collections.abc import Awaitable, Callable
from signal import Signals
from typing import TYPE_CHECKING, cast

import structlog
from arq.worker import Worker, func

from events import End, Lease, Store, StoreUnavailable
from truto.backoff import OUTAGE_BACKOFF
from worker.loop import ClaimLoop
from worker.pool import Pool
from worker.reporter import SHUTDOWN, Reporter, released
from worker.slots import Slots

if TYPE_CHECKING:
    from arq.typing import WorkerCoroutine

log = structlog.get_logger("worker")

_CLOSE_SECONDS = 5.0
_SWEEP_SECONDS = 10.0


class Engine(Worker):
    """Leases due work from the store and runs it, up to *concurrency* pieces at once.

    *dispatch* runs a lease and returns its end (``None`` if its end is stored already). On SIGTERM or SIGINT the worker
    drains: it claims no more, and running work has *grace_seconds* to end before it is released, which uses up no
    attempt. A second signal releases it at once. The large bodies that it holds at once have *max_bytes*, or it holds
    a single larger one. *sweep* is called before the first claim, then every 10 s. Engines of several stores share the
    slots of a *pool*, in the place of *concurrency*.
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
        pool: Pool | None = None,
    ) -> None:
        super().__init__(
            # arq's table of functions must not be empty. The slots call the function with a lease, not with a job.
            [func(cast("WorkerCoroutine", dispatch), name="dispatch")],
            max_jobs=pool.capacity if pool else concurrency,
            job_completion_wait=max(grace_seconds, 1),
            handle_signals=handle_signals,
        )
        self.owner = _owner()
        self._lease_seconds = store.queue.lease_seconds
        self._dispatch = dispatch
        self._sweep = sweep
        self._slots = (
            pool.slots(self._work, self.tasks) if pool else Slots(self._work, capacity=self.max_jobs, tasks=self.tasks)
        )
        self._reporter = Reporter(store.queue, self._slots, self.owner)
        self._claims = ClaimLoop(store.queue, self._slots, self._reporter, self.owner, max_bytes=max_bytes)
        self._draining = False

    async def run_until_stopped(self) -> None:
        """Work until a signal, then close. Call it once."""
        log.info("worker_started", worker=self.owner, concurrency=self.max_jobs)
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await self.async_run()
        finally:
            await self.close()
            log.info("worker_stopped", worker=self.owner, done=self.jobs_complete, kept=self.jobs_failed)

    def stop(self, signum: Signals = Signals.SIGTERM) -> None:
        """Drain and stop, as SIGTERM does; the second call releases what still runs."""
        self.handle_sig_wait_for_completion(signum)

    async def main(self) -> None:
        """Claim and run until cancelled, through every outage of the store."""
        background = [
            self.loop.create_task(self._reporter.keep_renewing(), name="keep-renewing"),
            self.loop.create_task(self._keep_sweeping(), name="keep-sweeping"),
        ]
        self._claims.subscribe()
        failures = 0
        started = False
        this = asyncio.current_task()
        try:
            # Python 3.11's wait_for, which redis-py uses, may swallow the cancellation; it is still counted.
            while this is None or not this.cancelling():
                try:
                    if not started and self._sweep is not None:
                        await self._sweep()
                    started = True
                    await self._poll_iteration()
                    failures = 0
                except StoreUnavailable as exc:
                    failures += 1
                    delay = OUTAGE_BACKOFF.longest(failures)
                    log.error("store_unavailable", error=str(exc), again_in_seconds=delay)
                    await asyncio.sleep(delay)
        finally:
            for task in background:
                task.cancel()

    async def _keep_sweeping(self) -> None:
        while self._sweep is not None:
            await asyncio.sleep(min(_SWEEP_SECONDS, self._lease_seconds))
            with contextlib.suppress(StoreUnavailable):
                await self._sweep()

    async def _poll_iteration(self) -> None:
        await self._claims.iterate()

    async def _work(self, lease: Lease) -> None:
        try:
            if self._reporter.is_late and not await self._reporter.holds(lease):
                return  # another worker may have begun it
            end = await self._dispatch(lease)
        except asyncio.CancelledError:
            if not self._slots.holds(lease):
                return  # the lease is lost: another worker has the work
            end = released(lease, SHUTDOWN)
        except Exception as exc:  # noqa: BLE001  a defect of ours, or an outage, must not lose the event
            log.error("dispatch_failed", error=type(exc).__name__, event_id=lease.event.id)
            end = released(lease, type(exc).__name__, OUTAGE_BACKOFF.cap)
        if end is not None:
            self._count(end)
            self._reporter.end(lease, end)

    def _count(self, end: End) -> None:
        if end.kind in {"done", "discarded"}:
            self.jobs_complete += 1
        elif end.kind in {"dead", "parked"}:
            self.jobs_failed += 1
        else:
            self.jobs_retried += 1

    def handle_sig_wait_for_completion(self, signum: Signals) -> None:
        """Drain on the first signal, stop on the second."""
        if self._draining:
            self.handle_sig(signum)
            return
        self._draining = True
        log.info("worker_draining", worker=self.owner, running=len(self.tasks), grace_seconds=self._job_completion_wait)
        self._claims.drain()
        super().handle_sig_wait_for_completion(signum)

    async def close(self) -> None:
        """Wait until cancelled work is released, for some seconds at most."""
        await self._claims.close(within=_CLOSE_SECONDS)
        if self.tasks:
            await asyncio.wait(self.tasks.values(), timeout=_CLOSE_SECONDS)
        await self._reporter.close(within=_CLOSE_SECONDS)


def _owner() -> str:
    """A unique name for this process, safe inside Redis keys and JSON."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:40]
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"
