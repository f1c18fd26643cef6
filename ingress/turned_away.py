"""Count and log connections and requests that were turned away. Logs totals: strangers choose how many there are."""

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
    """Counts at once, and logs one line a second for each kind, with the count since the last line."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._total = Counter(
            "truto_worker_turned_away",
            "Connections and requests that were turned away for lack of room or time",
            ["what", "reason"],
            registry=registry,
        )
        self._unwritten: Counted[tuple[str, str]] = Counted()

    def note(self, what: str, reason: str) -> None:
        """Count one more. *what* is the log event."""
        self._total.labels(what, reason).inc()
        self._unwritten[what, reason] += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Log once a second until the block ends, then log the rest."""
        async with background(self._run(), "log-turned-away"):
            yield
        self.write()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            self.write()

    def write(self) -> None:
        """Log the counts since the last call."""
        noted, self._unwritten = self._unwritten, Counted()
        for (what, reason), count in noted.items():
            log.warning(what, reason=reason, count=count)
