"""What expressions of one source may cost: a thread at a time, and a small share of CPU time for what is not proven."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Executor

from ingress.answers import Refusal
from ingress.verification.outcome import Outcome
from ingress.verification.pipeline import Walk

BUSY = Refusal(
    503, "busy", "Too many deliveries are being looked at. Send it again.", headers={"retry-after": "2"}, close=True
)

CPU_SECONDS_PER_SECOND = 0.05
BURST_CPU_SECONDS = 0.5
LARGE_BYTES = 64 * 1024
"""A body from which an evaluation may make more than a hundred megabytes: of those there is one at a time."""

MAX_WAITING = 16
MAX_PROVEN_WAITING = 64


class Share:
    """The CPU time that one source's unproven deliveries may take, one evaluation at a time in *threads*.

    What is used up comes back slowly. A delivery that is or turns out to be authentic is free, and waits for its turn:
    *max_waiting* may. Of large bodies, one is evaluated at a time by all that have the same *large*.
    """

    def __init__(self, threads: Executor, large: asyncio.Lock, max_waiting: int = MAX_WAITING) -> None:
        self._threads = threads
        self._large = large
        self._max_waiting = max_waiting
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._seconds = BURST_CPU_SECONDS
        self._at = time.monotonic()

    def is_exhausted(self) -> bool:
        """Whether nothing is left for now."""
        now = time.monotonic()
        self._seconds = min(BURST_CPU_SECONDS, self._seconds + (now - self._at) * CPU_SECONDS_PER_SECOND)
        self._at = now
        return self._seconds <= 0

    async def outcome(self, walk: Walk) -> Outcome:
        """What *walk* comes to, or :data:`BUSY`."""
        if self.is_exhausted() or self._waiting >= self._max_waiting:
            return BUSY
        self._waiting += 1
        try:
            async with self._turn:
                if walk.size < LARGE_BYTES:
                    return await self._evaluate(walk)
                async with self._large:
                    return await self._evaluate(walk)
        finally:
            self._waiting -= 1

    async def _evaluate(self, walk: Walk) -> Outcome:
        if self.is_exhausted():
            return BUSY
        outcome, seconds = await asyncio.get_running_loop().run_in_executor(self._threads, _timed, walk)
        if not walk.proven:
            self._seconds -= seconds
        return outcome


def _timed(walk: Walk) -> tuple[Outcome, float]:
    began = time.thread_time()
    outcome = walk.outcome()
    return outcome, time.thread_time() - began
