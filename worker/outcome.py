"""Decide how an attempt ends. Pure: what happened in, an :class:`events.End` out."""

from __future__ import annotations

from dataclasses import dataclass, field

from events import End, until_reconnected
from truto.backoff import Backoff
from truto.errors import NeedsReauth, RateLimited, Unauthorized
from worker.cause import Describer
from worker.errors import DeadLetter, Discard, LeaseLost, Postponed, Retry
from worker.registry import Handler

MAX_CRASHES = 3
"""Work with so many unfinished claims becomes a dead letter: it brings the worker down each time."""

TOKEN_REFUSED = "api_token_refused"  # noqa: S105  a reason, no token

_MAX_RATE_LIMIT_SECONDS = 60.0
_TOKEN_SECONDS = 60.0
_MAX_DELAY_SECONDS = 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class Policy:
    """The defaults of handlers. ``timeout`` (s) bounds one attempt."""

    max_attempts: int = 10
    timeout: float = 300.0
    backoff: Backoff = field(default_factory=Backoff)

    def attempts_of(self, handler: Handler) -> int:
        """How many attempts *handler* has."""
        return handler.max_attempts or self.max_attempts

    def timeout_of(self, handler: Handler) -> float:
        """How long (s) one attempt of *handler* may take."""
        return handler.timeout or self.timeout

    def backoff_of(self, handler: Handler) -> Backoff:
        """How long *handler* waits between attempts."""
        return handler.backoff or self.backoff


def end_of_attempt(
    error: BaseException | None,
    handler: Handler,
    attempts: int,
    policy: Policy,
    describer: Describer,
    *,
    account_id: str | None = None,
) -> End:
    """How the attempt that ended with *error* (``None``: it returned) ends, after *attempts* used up before it.

    *account_id* is the account of the event: the one to wait for where an error asks for reconnection and names none.
    """
    match error:
        case None:
            return End("done", handler.name)
        case Discard():
            return End("discarded", handler.name, note={"why": describer.mask(error.why)})
        case DeadLetter():
            note = {"why": describer.mask(error.why), "attempts": attempts + 1, **describer.cause(error, handler.name)}
            return End("dead", handler.name, note=note)
        case LeaseLost():
            return End("released", handler.name, note={"why": "lease_lost"})  # ignored if the lease is lost
        case Postponed():
            delay = min(max(0.0, error.after), _MAX_DELAY_SECONDS)
            return End("released", handler.name, delay, {"why": error.why, "in_seconds": round(delay, 3)})
        case RateLimited():
            # The limit is shared by the fleet and not the fault of this handler, so no attempt is used up.
            delay = min(max(error.retry_after or 0.0, 1.0), _MAX_RATE_LIMIT_SECONDS)
            return End("released", handler.name, delay, {"why": "rate_limited", "in_seconds": delay})
        case Unauthorized():
            # Our own token, so no handler's fault, and no attempt passes before somebody has set another one.
            return End("released", handler.name, _TOKEN_SECONDS, {"why": TOKEN_REFUSED, "in_seconds": _TOKEN_SECONDS})
        case NeedsReauth() if account := error.integrated_account_id or account_id:
            return until_reconnected(handler.name, account, describer.mask(str(error)))
    return _failed(error, handler, attempts + 1, policy, describer)


def end_of_poison(handler: str | None, crashes: int) -> End:
    """The end of work with too many unfinished claims."""
    note = {
        "error": f"the worker was lost {crashes} times while this ran: killed, out of memory, or its loop was blocked",
        "fingerprint": f"crash:{handler or 'unknown'}",
    }
    return End("dead", handler, note=note)


def _failed(error: BaseException, handler: Handler, failures: int, policy: Policy, describer: Describer) -> End:
    cause = describer.cause(error, handler.name)
    if failures >= policy.attempts_of(handler):
        return End("dead", handler.name, note={"attempts": failures, **cause})
    delay = policy.backoff_of(handler).delay(failures)
    if isinstance(error, Retry) and error.after is not None:
        delay = min(max(0.0, error.after), _MAX_DELAY_SECONDS)
    note = {"error": cause["error"], "attempt": failures, "in_seconds": round(delay, 3)}
    return End("retried", handler.name, delay, note)
