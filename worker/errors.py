"""What a handler may raise to say how its work ends, and what the worker's own tools raise.

::

    WorkerError
    ├── NotifyError       a tenant's endpoint did not take a notification: try again
    ├── BudgetSpent       the fleet has spent its calls of the Truto API for now (a ``RateLimited`` too)
    ├── LeaseLost         another worker has the work now: stop
    ├── TurnLost          another process has the turn to reconcile: stop
    ├── PutAside          the work waits in Redis, without a lease: stop
    └── Outcome           raised by handlers, on purpose
        ├── Retry         run me again later
        ├── Postponed     run me again later, without using up an attempt
        ├── Discard       this event needs nothing done
        └── DeadLetter    trying again will not help: keep it for a person
            └── BadStep   a step that cannot be kept, so trying again would repeat it

Any other exception of a handler is a failure: tried again with exponential backoff, then a dead letter.
"""

from __future__ import annotations

import math

from truto.errors import RateLimited


class WorkerError(Exception):
    """Base of everything raised here on purpose; catching it never hides a bug."""


class NotifyError(WorkerError):
    """A tenant's endpoint did not take a notification."""


class BudgetSpent(WorkerError, RateLimited):
    """The fleet's budget of API calls is spent for too long to wait; nothing was sent."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(
            status=429,
            message="the fleet has spent its calls, and nothing was sent",
            method="a call",
            path="to Truto",
            retry_after=retry_after,
        )


class LeaseLost(WorkerError):
    """Another worker has the work now. Do not catch this: the handler has to stop, and none of its results is lost."""


class PutAside(WorkerError):
    """The work waits in Redis and its lease has ended. The attempt has to stop; its end is stored already."""


class Outcome(WorkerError):
    """Base of what a handler raises to say how its work ends. *why* goes into the history: no payload, no secrets."""

    def __init__(self, why: str = "") -> None:
        super().__init__(why)
        self.why = why


class Retry(Outcome):
    """Run this handler again after *after* seconds, at most a year (default: the usual backoff). Uses up an attempt."""

    def __init__(self, why: str = "", *, after: float | None = None) -> None:
        super().__init__(why)
        if after is not None and not math.isfinite(after):
            raise ValueError("after must be a finite number of seconds")
        self.after = after


class TurnLost(WorkerError):
    """Another process has the turn to reconcile by now."""


class Postponed(Outcome):
    """Run this again after *after* seconds. It did not fail, so no attempt is used up."""

    def __init__(self, why: str, *, after: float) -> None:
        super().__init__(why)
        self.after = after


class Discard(Outcome):
    """Nothing needs doing for this event; it counts as handled."""


class DeadLetter(Outcome):
    """Trying again will not help: keep the event as a dead letter now."""


class BadStep(DeadLetter, TypeError):
    """A step returned something that is not plain JSON or is too long, or its name is unusable or used twice."""
