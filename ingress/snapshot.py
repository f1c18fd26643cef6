"""An answer that many callers share, computed at most once a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from events.background import cancel

_FRESH_SECONDS = 1.0
_PATIENCE_SECONDS = 2.5

Answer = TypeVar("Answer")


class Snapshot(Generic[Answer]):
    """What *work* has answered, for a second, however many ask.

    *work* never runs twice at a time. It is not cancelled when callers give up, which would cost a connection.
    """

    def __init__(
        self, work: Callable[[], Awaitable[Answer]], *, patience_seconds: float | None = _PATIENCE_SECONDS
    ) -> None:
        self._work = work
        self._patience = patience_seconds
        self._running: asyncio.Task[Answer] | None = None
        self._began = self._ended = 0.0
        self._closed = False

    async def get(self) -> Answer:
        """The answer of the last second, or a new one.

        Raises :class:`TimeoutError` when there is none *patience_seconds* after the work has begun: at once for those
        who ask still later, and once this is closed. What the work raises, it raises to everyone.
        """
        loop = asyncio.get_running_loop()
        running = self._running
        if running is None or (running.done() and loop.time() - self._ended >= _FRESH_SECONDS):
            if self._closed:
                raise TimeoutError
            self._began = loop.time()
            running = self._running = loop.create_task(self._run())
        if not running.done():
            left = None if self._patience is None else max(0.0, self._began + self._patience - loop.time())
            await asyncio.wait([running], timeout=left)
        if not running.done() or running.cancelled():
            raise TimeoutError
        return running.result()

    async def aclose(self) -> None:
        """End the work that is under way; nothing is begun any more."""
        self._closed = True
        if self._running is not None:
            await cancel(self._running)

    async def _run(self) -> Answer:
        try:
            return await self._work()
        finally:
            self._ended = asyncio.get_running_loop().time()
