"""The slots of a worker that serves several stores: each has its share, and what others leave free besides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from events import Lease
from worker.slots import Slots


class Pool:
    """Divides *capacity* slots between the slots of *shards* stores. At least one is kept for each store.

    A few slots are kept free for each store, so that its work begins at once. Beyond its equal share, a store has what
    the others do not run; and of that, it gives up to each as many as that one runs already, until that one has its
    own share.
    """

    def __init__(self, capacity: int, shards: int) -> None:
        self.capacity = max(capacity, shards)
        self.freed = asyncio.Event()
        self._share = self.capacity // shards
        self._least = max(1, self._share // 4)
        self._members: list[SharedSlots] = []
        self._alone: list[SharedSlots] = []

    def slots(
        self, work: Callable[[Lease], Coroutine[Any, Any, None]], tasks: dict[str, asyncio.Task[Any]]
    ) -> SharedSlots:
        """The slots of one more store."""
        member = SharedSlots(self, work, tasks)
        self._members.append(member)
        return member

    def room_of(self, member: SharedSlots) -> int:
        """How many slots *member* may take, those that it has taken included."""
        if self._alone and self._alone[0] is not member:
            return 0
        others = [other.running for other in self._members if other is not member]
        there_is = self.capacity - sum(max(running, self._least) for running in others)
        is_left = self.capacity - sum(max(running, self._kept_for(running)) for running in others)
        return max(is_left, min(there_is, self._share))

    def _kept_for(self, running: int) -> int:
        """How many slots a store that runs so many is kept by those with more than their share."""
        return min(self._share, max(self._least, 2 * running))

    def begin_alone(self, member: SharedSlots) -> None:
        """Let nobody but *member* begin anything; one after the other, where several ask for it."""
        self._alone.append(member)

    def end_alone(self, member: SharedSlots) -> None:
        """Let the others begin work again."""
        self._alone.remove(member)
        self.freed.set()

    def tasks(self) -> Sequence[asyncio.Task[Any]]:
        """What runs, of all stores."""
        return [task for member in self._members for task in member.tasks]


class SharedSlots(Slots):
    """Slots whose capacity is what the *pool* has for them."""

    def __init__(
        self, pool: Pool, work: Callable[[Lease], Coroutine[Any, Any, None]], tasks: dict[str, asyncio.Task[Any]]
    ) -> None:
        self._pool = pool
        super().__init__(work, capacity=pool.capacity, tasks=tasks)
        self.freed = pool.freed  # a slot that another store frees may be taken here

    @property
    def capacity(self) -> int:
        """How many may run here now."""
        return self._pool.room_of(self)

    @capacity.setter
    def capacity(self, most: int) -> None:
        pass  # the pool's to say

    @property
    def tasks(self) -> Sequence[asyncio.Task[Any]]:
        """What runs here."""
        return list(self._tasks.values())

    def begin_alone(self) -> None:
        """Keep the other stores from beginning anything."""
        self._pool.begin_alone(self)

    def end_alone(self) -> None:
        """Let the other stores begin work again."""
        self._pool.end_alone(self)

    async def until_idle(self, *, within: float) -> None:
        """Return when all current tasks have ended, those of the other stores included, or after *within* seconds."""
        if tasks := self._pool.tasks():
            await asyncio.wait(tasks, timeout=within)
