"""``GET /livez`` and ``GET /readyz``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

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

    def __init__(self, takers: Sequence[Store | Intake]) -> None:
        self._takers = takers
        self.draining = False

    async def __call__(self, request: Request) -> Response:
        """Answer 200, or 503 when no store takes anything; asks each one each time, and its spool when it is silent."""
        if self.draining:
            return refuse(Refusal(503, "draining", "This process is shutting down."))
        states = await asyncio.gather(*(_state(taker) for taker in self._takers))
        able = [state for state in states if not isinstance(state, Refusal)]
        if not able:
            return refuse(next(state for state in states if isinstance(state, Refusal)))
        if len(states) == 1:
            return answer({"status": "ready", **able[0]})
        # As long as one of several takes its share, sending nothing here would lose that too.
        told = [{"store": False} if isinstance(state, Refusal) else {"store": True, **state} for state in states]
        return answer({"status": "ready", "shards": told})


async def _state(taker: Store | Intake) -> dict[str, Any] | Refusal:
    """What to say of a store that deliveries can be kept in, or for; else why they cannot."""
    if isinstance(taker, Intake):
        store = await taker.store_answers()
        if not store and not await taker.spool.has_room():
            return _NOTHING
        return {"store": store, "spooled": taker.spool.records}
    try:
        async with asyncio.timeout(_STORE_SECONDS):
            await taker.ping()
    except (StoreUnavailable, TimeoutError):
        return _NO_STORE
    return {}
