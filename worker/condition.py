"""``when=`` of :func:`worker.on`: a JSONata condition over the event, with the scope of workflows."""

from __future__ import annotations

import asyncio

from events import ConfigError, Event
from truto.expressions import ExpressionError
from truto.workflows import EvaluationFailed, Formula, Trigger, scope_of
from worker.errors import DeadLetter, Discard


def trigger_of(event: Event) -> Trigger:
    """The event as expressions see it."""
    created = event.created_at.isoformat() if event.created_at else None
    return Trigger(event.id, event.type, event.payload, event.environment_id, event.webhook_id, created)


class Condition:
    """A compiled condition. Raises :class:`ConfigError` when the text is not valid JSONata."""

    def __init__(self, source: str) -> None:
        try:
            self._formula = Formula.compile(source, "when")
        except ExpressionError as exc:
            raise ConfigError(f"when={source[:60]!r} is not valid JSONata: {exc}") from None

    async def check(self, event: Event) -> None:
        """Return if the condition is true. It is evaluated in a thread, because it may take long.

        Raises :class:`Discard` with the compared values if it is false, :class:`DeadLetter` if it fails.
        """
        try:
            verdict = await asyncio.to_thread(self._formula.holds, scope_of(trigger_of(event)))
        except EvaluationFailed as exc:
            raise DeadLetter(str(exc)) from exc
        if not verdict.holds:
            raise Discard(f"when: {verdict.trace[0]['why']}")
