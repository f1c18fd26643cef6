"""The services of actions, created once per worker process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from worker.cause import Describer
from worker.registry import Registry
from workflows.http import HttpRequests

_Answer = TypeVar("_Answer")

_THREADS = 2


@dataclass(slots=True)
class Services:
    """The callable handlers, the HTTP client, and threads for expressions.

    An expression may take 0.2 s of CPU, and more over a large event: in threads of their own, such do not hold up the
    loop.
    """

    registry: Registry
    http: HttpRequests = field(default_factory=HttpRequests)
    describer: Describer = field(default_factory=Describer)
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_THREADS, thread_name_prefix="expressions"), init=False
    )

    async def evaluate(self, decide: Callable[[], _Answer]) -> _Answer:
        """Call *decide* in a thread, and return its result."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, decide)

    async def aclose(self) -> None:
        """Close connections and threads. A second call does nothing."""
        await self.http.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)
