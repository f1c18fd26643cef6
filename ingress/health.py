"""``GET /livez`` and ``GET /readyz``."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from events import Intake, Store, StoreUnavailable
from ingress.answers import Refusal, answer, refuse

_STORE_SECONDS = 2.0
_NO_STORE = Refusal(503, "store_unavailable", "The store does not answer.")
_NOTHING = Refusal(503, "store_unavailable", "The store does not answer, and the spool takes nothing.")


async def livez(request: Request) -> Response:
    """The process answers: that is all this says."""
    return answer({"status": "alive"})


class Readiness:
    """Whether deliveries should be sent here: they would be kept, and the process is not shutting down."""

    def __init__(self, store: Store, intake: Intake | None = None) -> None:
        self._store = store
        self._intake = intake
        self.draining = False

    async def __call__(self, request: Request) -> Response:
        """Answer 200 or 503; asks the store each time, and the spool when the store does not answer."""
        if self.draining:
            return refuse(Refusal(503, "draining", "This process is shutting down."))
        if self._intake is not None:
            return await _answer_for(self._intake)
        try:
            async with asyncio.timeout(_STORE_SECONDS):
                await self._store.ping()
        except (StoreUnavailable, TimeoutError):
            return refuse(_NO_STORE)
        return answer({"status": "ready"})


async def _answer_for(intake: Intake) -> Response:
    store = await intake.store_answers()
    if not store and not await intake.spool.has_room():
        return refuse(_NOTHING)
    return answer({"status": "ready", "store": store, "spooled": intake.spool.records})
