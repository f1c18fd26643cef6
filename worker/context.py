"""What a handler gets besides the event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from truto import AsyncTruto
from worker.notify import BoundNotifier


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

    async def raw(self) -> bytes:
        """The delivery's body as it arrived; differs from ``event.raw`` for multipart deliveries."""
        return await self.read_raw()
