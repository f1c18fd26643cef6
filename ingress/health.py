"""``GET /livez`` and ``GET /readyz``."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from events import Store, StoreUnavailable
from ingress.answers import Refusal, answer, refuse

_STORE_SECONDS = 2.0


async def livez(request: Request) -> Response:
    """The process answers: that is all this says."""
    return answer({"status": "alive"})


class Readiness:
    """Whether deliveries should be sent here: the store answers, and the process is not shutting down."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.draining = False

    async def __call__(self, request: Request) -> Response:
        """Answer 200 or 503; asks the store each time."""
        if self.draining:
            return refuse(Refusal(503, "draining", "This process is shutting down."))
        try:
            async with asyncio.timeout(_STORE_SECONDS):
                await self._store.ping()
        except (StoreUnavailable, TimeoutError):
            return refuse(Refusal(503, "store_unavailable", "The store does not answer."))
        return answer({"status": "ready"})
