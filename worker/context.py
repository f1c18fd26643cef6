"""What a handler gets besides the event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from truto import AsyncTruto
from worker.notify import BoundNotifier
from worker.steps import Steps


@dataclass(frozen=True, slots=True)
class Context:
    """A handler's tools for one attempt.

    ``truto`` calls the Truto API; its unsafe calls carry an ``Idempotency-Key`` that is the same when the handler runs
    again. ``notify`` tells the tenant or the operators. ``log`` is bound to this event and handler. ``attempt`` counts
    from 1, ``max_attempts`` is when a failure becomes a dead letter.
    """

    truto: AsyncTruto
    notify: BoundNotifier
    log: Any
    attempt: int
    max_attempts: int
    read_raw: Callable[[], Awaitable[bytes]]
    steps: Steps

    async def raw(self) -> bytes:
        """The delivery's body as it arrived; differs from ``event.raw`` for multipart deliveries."""
        return await self.read_raw()

    async def step(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call *function* once for this event and handler, and return its result now and in every later attempt.

        *function* may be sync (it runs on the event loop) or async. Its result is kept when it returns, as JSON of at
        most 256 KiB, until the work is over; with a dead letter it is kept for the replay. A function that raises is
        called again by the next attempt, with the same ``Idempotency-Key`` for each call, as is one whose worker is
        killed before its result is kept. Names are the handler's own; steps may run side by side.

        Raises :class:`BadStep`, a :class:`TypeError` that makes a dead letter of the event, for a result that is not
        plain JSON or too long, and for a name that is used twice in one attempt; :class:`LeaseLost` when another worker
        has the work by now.
        """
        return await self.steps.run(name, function, args, kwargs)
