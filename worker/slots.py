"""The slots of a worker: which leases run, and which wait for a slot."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import structlog

from events import Lease

log = structlog.get_logger("worker")


class Slots:
    """Runs leases, at most *capacity* at once; further ones wait for a slot.

    *work* runs one lease to its end. *tasks* are those of arq's Worker, by token: a drain waits for them, and a second
    signal cancels them.
    """

    def __init__(
        self,
        work: Callable[[Lease], Coroutine[Any, Any, None]],
        *,
        capacity: int,
        tasks: dict[str, asyncio.Task[Any]],
    ) -> None:
        self.capacity = capacity
        self.leases: dict[str, Lease] = {}
        """All held leases by token, running and waiting. Each has to be renewed."""
        self.waiting: deque[Lease] = deque()
        self.freed = asyncio.Event()
        self.ended: Callable[[Lease], None] = lambda _: None
        """Called when a task has ended."""
        self._work = work
        self._tasks = tasks

    @property
    def running(self) -> int:
        """The number of taken slots."""
        return len(self.leases) - len(self.waiting)

    @property
    def is_full(self) -> bool:
        """Whether no slot is free."""
        return self.running >= self.capacity

    def start(self, lease: Lease) -> asyncio.Task[None]:
        """Run *lease* now, in the task that is returned."""
        task = asyncio.get_running_loop().create_task(self._work(lease), name=f"work:{lease.member}")
        self._tasks[lease.token] = task
        self.leases[lease.token] = lease
        task.add_done_callback(partial(self._done, lease))
        return task

    def start_next(self) -> None:
        """Run the lease that has waited longest."""
        self.start(self.waiting.popleft())

    def wait(self, lease: Lease) -> None:
        """Hold *lease* until a slot is free."""
        self.leases[lease.token] = lease
        self.waiting.append(lease)

    def take_waiting(self) -> list[Lease]:
        """Remove and return the waiting leases; the caller has to release them."""
        waiting = list(self.waiting)
        self.waiting.clear()
        for lease in waiting:
            self.leases.pop(lease.token, None)
        return waiting

    def hold(self, lease: Lease) -> None:
        """Take a slot for *lease*, which does not run yet."""
        self.leases[lease.token] = lease

    def give_up(self, lease: Lease) -> None:
        """Free the slot of *lease*; its task may still be running."""
        self.leases.pop(lease.token, None)

    def holds(self, lease: Lease) -> bool:
        """Whether *lease* is still held."""
        return lease.token in self.leases

    def lose(self, lease: Lease) -> None:
        """Cancel work on *lease*, which now belongs to another worker. A second call does nothing."""
        if self.leases.pop(lease.token, None) is None:
            return
        if lease in self.waiting:
            self.waiting.remove(lease)
        log.warning("lease_lost", event_id=lease.event.id, event_type=lease.event.type)
        if task := self._tasks.get(lease.token):
            task.cancel()

    def begin_alone(self) -> None:
        """Begin nothing but one suspect: these slots are all that this process has."""

    def end_alone(self) -> None:
        """Begin other work again."""

    async def until_idle(self, *, within: float) -> None:
        """Return when all current tasks have ended, or after *within* seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=within)

    async def until_not_overfull(self) -> None:
        """Return when no more than *capacity* slots are taken."""
        while self.running > self.capacity:
            self.freed.clear()
            await self.freed.wait()

    def _done(self, lease: Lease, _: asyncio.Task[None]) -> None:
        del self._tasks[lease.token]
        self.leases.pop(lease.token, None)
        self.freed.set()
        self.ended(lease)
