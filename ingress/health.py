"""``GET /livez`` and ``GET /readyz``: the bare ones for anyone, details on the admin port."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from events import Intake, Store, StoreUnavailable
from ingress.answers import Refusal
from ingress.responses import answer, refuse
from ingress.snapshot import Snapshot

_NOT_READY = Refusal(503, "not_ready", "This process takes no deliveries at the moment.")
DRAINING = Refusal(503, "draining", "This process is shutting down.")
_NO_STORE = Refusal(503, "store_unavailable", "The store does not answer.")
_NOTHING = Refusal(503, "store_unavailable", "The store does not answer, and the spool takes nothing.")


async def livez(request: Request) -> Response:
    """The process answers: that is all this says."""
    return answer({"status": "alive"})


class Readiness:
    """Whether deliveries should be sent here: they would be kept, and the process is not shutting down.

    Each store is asked at most once a second, and its spool when it is silent, however many want to know.
    """

    def __init__(self, destinations: Sequence[Store | Intake]) -> None:
        self._states = [Snapshot(partial(_state, destination)) for destination in destinations]
        self.draining = False

    async def tell(self, request: Request) -> Response:
        """Answer 200 or 503, and nothing of what is behind it."""
        ready = not self.draining and any(not isinstance(state, Refusal) for state in await self._look())
        return answer({"status": "ready"}) if ready else refuse(_NOT_READY)

    async def tell_all(self, request: Request) -> Response:
        """Answer 200, or 503 when no store takes anything; with stores, spools and the reason."""
        if self.draining:
            return refuse(DRAINING)
        states = await self._look()
        able = [state for state in states if not isinstance(state, Refusal)]
        if not able:
            return refuse(next(state for state in states if isinstance(state, Refusal)))
        if len(states) == 1:
            return answer({"status": "ready", **able[0]})
        # As long as one of several takes its share, sending nothing here would lose that too.
        rows = [{"store": False} if isinstance(state, Refusal) else {"store": True, **state} for state in states]
        return answer({"status": "ready", "shards": rows})

    async def aclose(self) -> None:
        """Ask no more."""
        await asyncio.gather(*(state.aclose() for state in self._states))

    async def _look(self) -> list[dict[str, Any] | Refusal]:
        return await asyncio.gather(*map(_within_patience, self._states))


async def _within_patience(state: Snapshot[dict[str, Any] | Refusal]) -> dict[str, Any] | Refusal:
    try:
        return await state.get()
    except TimeoutError:
        return _NO_STORE


async def _state(destination: Store | Intake) -> dict[str, Any] | Refusal:
    """What to say of a store that deliveries can be kept in, or for; else why they cannot."""
    if isinstance(destination, Intake):
        store = await destination.store_answers()
        if not store and not await destination.spool.has_room():
            return _NOTHING
        return {"store": store, "spooled": destination.spool.records}
    try:
        await destination.ping()
    except StoreUnavailable:
        return _NO_STORE
    return {}
