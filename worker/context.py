"""The context that a handler gets with the event."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import structlog

from events import Lease, Store
from worker.emitting import emitted
from worker.notify import BoundNotifier, Notifier
from worker.steps import CallKeys, Steps

if TYPE_CHECKING:
    from truto import AsyncTruto

_log = structlog.get_logger("worker")


class Context:
    """A handler's tools for one attempt. Each is created at its first use: most handlers use one or two.

    ``attempt`` counts from 1. A failure of attempt ``max_attempts`` makes a dead letter.
    """

    def __init__(
        self, store: Store, truto: AsyncTruto, notifier: Notifier, lease: Lease, handler: str, max_attempts: int
    ) -> None:
        self.attempt = lease.attempts + 1
        self.max_attempts = max_attempts
        self._store = store
        self._truto = truto
        self._notifier = notifier
        self._lease = lease
        self._handler = handler

    @cached_property
    def truto(self) -> AsyncTruto:
        """The Truto API. Unsafe calls carry an ``Idempotency-Key`` that is the same when the handler runs again."""
        return self._truto.keyed(CallKeys(self._key).next)

    @cached_property
    def notify(self) -> BoundNotifier:
        """Messages to the tenant or the operators."""
        return self._notifier.bound(CallKeys(self._key).next)

    @cached_property
    def log(self) -> Any:
        """A structlog logger that is bound to this event and handler."""
        event = self._lease.event
        return _log.bind(event_id=event.id, event_type=event.type, handler=self._handler, attempt=self.attempt)

    @cached_property
    def _emits(self) -> CallKeys:
        return CallKeys(f"{self._key}:emit")

    @cached_property
    def steps(self) -> Steps:
        """The steps of this attempt; handlers use :meth:`step`."""
        return Steps(self._store, self._lease, self._handler)

    def with_steps(self, steps: Steps) -> Context:
        """The same tools with other steps, for a handler that runs inside another one's work."""
        inner = copy.copy(self)
        # Both share one numbering, so that two different calls never have the same key.
        inner.__dict__ |= {"truto": self.truto, "notify": self.notify, "_emits": self._emits, "steps": steps}
        return inner

    @property
    def _key(self) -> str:
        return f"{self._lease.event.key}:{self._handler}"

    async def raw(self) -> bytes:
        """The body of the delivery as it arrived. It differs from ``event.raw`` for multipart deliveries."""
        return await self._store.bodies.raw(self._lease.event)

    async def emit(self, event_type: str, payload: Mapping[str, Any]) -> str:
        """Put a new event into the queue, for other handlers, and return its id once it is stored.

        It comes from the source ``workflows``, and has the tenant of *payload*, else that of this event. An attempt
        that runs again emits the same event, so there is one. Raises ``ValueError`` for a type or a payload that no
        event can have, and where events would emit each other without end; ``StoreUnavailable`` when the store did not
        confirm.
        """
        event = self._lease.event
        made = emitted(event, event_type, payload, self._emits.next())
        await self._store.accept([made])
        return made.id

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
