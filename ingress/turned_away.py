"""Tell operators what there was no room or no time for, but not one by one: strangers choose how many there are."""

from __future__ import annotations

import asyncio
from collections import Counter as Counted
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from prometheus_client import CollectorRegistry, Counter

from events.background import background

log = structlog.get_logger("ingress")

_EVERY_SECONDS = 1.0


class TurnedAway:
    """Counts at once; logs a line a second for each kind, with how many there were since the last one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._total = Counter(
            "truto_worker_turned_away",
            "Connections and requests there was no room or no time for",
            ["what", "reason"],
            registry=registry,
        )
        self._unwritten: Counted[tuple[str, str]] = Counted()

    def note(self, what: str, reason: str) -> None:
        """One more; *what* becomes the name of the log line."""
        self._total.labels(what, reason).inc()
        self._unwritten[what, reason] += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Log until the block ends, and then what is left."""
        async with background(self._run(), "log-turned-away"):
            yield
        self.write()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            self.write()

    def write(self) -> None:
        """Log what was noted since the last call."""
        noted, self._unwritten = self._unwritten, Counted()
        for (what, reason), count in noted.items():
            log.warning(what, reason=reason, count=count)
