"""Let concurrent callers share one round trip."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class GroupCommit(Generic[Item, Result]):
    """Collects the items that arrive during a commit, and commits them as the next batch.

    An item that arrives while idle is committed at once and alone. Under load, batches grow up to *max_items* or
    *max_bytes*. Cancelling a caller affects neither the others nor the commit: its item may still be committed.
    After *patience* (s) without an answer callers get :class:`TimeoutError`, also while their item is waiting.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        size: Callable[[Item], int] = lambda _: 0,
        max_items: int = 128,
        max_bytes: int = 4 * 1024 * 1024,
        patience: float | None = None,
    ) -> None:
        self._commit = commit
        self._size = size
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._patience = patience
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._unanswered: deque[tuple[float, asyncio.Future[Result]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._committer: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """Commit *item* and return its result. Raises the error of its batch."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, answer))
        if self._patience is not None:
            self._unanswered.append((loop.time() + self._patience, answer))
            if self._timer is None:
                self._timer = loop.call_later(self._patience, self._give_up)
        if self._committer is None:
            self._committer = asyncio.create_task(self._commit_all(), name="group-commit")
        return await answer

    def _give_up(self) -> None:
        """Time out overdue callers. They share one timer: one for each would cost as much as its commit."""
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._unanswered:
            deadline, answer = self._unanswered[0]
            if not answer.done():
                if deadline > loop.time():
                    self._timer = loop.call_at(deadline, self._give_up)
                    return
                answer.set_exception(TimeoutError())
            self._unanswered.popleft()

    async def _commit_all(self) -> None:
        try:
            while self._waiting:
                if batch := self._next_batch():
                    await self._commit_batch(batch)
        except BaseException:
            # The event loop is closing: cancel callers that would wait forever.
            for _, answer in self._waiting:
                answer.cancel()
            self._waiting.clear()
            raise
        finally:
            self._committer = None

    def _next_batch(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        held = 0
        while self._waiting and len(batch) < self._max_items:
            item, answer = self._waiting[0]
            # Items of callers that have timed out are dropped, not committed.
            if not answer.done():
                held += self._size(item)
                if batch and held > self._max_bytes:
                    break
                batch.append((item, answer))
            self._waiting.popleft()
        return batch

    async def _commit_batch(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._commit([item for item, _ in batch])
            answered = list(zip(batch, results, strict=True))
        except BaseException as exc:
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(exc if isinstance(exc, Exception) else asyncio.CancelledError())
            if not isinstance(exc, Exception):
                raise
            return
        for (_, answer), result in answered:
            if not answer.done():
                answer.set_result(result)
        while self._unanswered and self._unanswered[0][1].done():
            self._unanswered.popleft()
