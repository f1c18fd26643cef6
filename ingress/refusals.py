"""A journal of refusals for operators, written to the store in the background."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from events import Refused, Store, StoreUnavailable
from events.background import background
from ingress.answers import Refusal

NO_SOURCE = "unknown"
"""The source that refusals of deliveries to no source are listed and counted under."""

_MAX_WAITING = 500
_EVERY_SECONDS = 1.0


class RefusalJournal:
    """Collects refusals and brings them to the store about once a second; under a flood, the last ones win."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[Refused] = deque(maxlen=_MAX_WAITING)

    def note(self, source: str, refusal: Refusal) -> None:
        """Remember *refusal*; costs no round trip."""
        self._waiting.append(
            Refused(datetime.now(UTC), source, refusal.status, refusal.logged_reason, refusal.detail[:500])
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write until the block ends, then try once to write the rest."""
        try:
            async with background(self._run(), "write-refusals"):
                yield
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_EVERY_SECONDS):
                    await self.write()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write what waits now. While the store is down it is lost: the log has it too."""
        if not self._waiting:
            return
        refusals = list(self._waiting)
        self._waiting.clear()
        try:
            await self._store.notes.note_refusals(refusals)
        except StoreUnavailable:
            return
