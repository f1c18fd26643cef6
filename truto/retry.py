"""When to send a request again. Decides and nothing else: no I/O, no clock and no randomness of its own.

The statuses follow Truto's error documents (docs: errors; skill: error-and-evidence-model). What they leave open is
whether a request whose answer was lost may be repeated: only when a second run changes nothing, or when Truto
recognises it by its ``Idempotency-Key``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from truto.backoff import longest_delay

RATE_LIMIT_SECONDS = 10.0
"""The wait after a 429 that names none: Truto's own limits answer ``Retry-After: 10`` (skill: rate limits)."""

MAX_RETRY_AFTER_SECONDS = 60.0
"""The longest ``Retry-After`` that is believed; a provider may send any number."""

# A second run leaves the same state as the first. PATCH and POST promise nothing of the kind.
_IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
# Where Truto documents the header, and for which methods (skill: idempotency).
_KEYED_ROUTES = frozenset({"unified", "proxy", "custom", "batch-request"})
_KEYED_METHODS = frozenset({"POST", "PATCH"})
_ACCOUNT_ROUTES = frozenset({"unified", "proxy", "custom"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how patiently: *attempts* in all, waits that double from *base_seconds* to *cap_seconds*."""

    attempts: int = 3
    base_seconds: float = 0.5
    cap_seconds: float = 8.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or not 0 <= self.base_seconds <= self.cap_seconds < math.inf:
            raise ValueError("a retry policy needs attempts >= 1 and 0 <= base_seconds <= cap_seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How one attempt failed: with an answer (*status*), or without one (``None``).

    *sent* is false only when the request cannot have left. *retry_after* is in seconds, as :func:`parse_retry_after`
    reads it.
    """

    status: int | None = None
    remote: bool = False
    retry_after: float | None = None
    sent: bool = True

    @property
    def may_have_acted(self) -> bool:
        """Whether the request may have had its effect although it failed."""
        return self.sent and (self.status is None or self.status >= 500)


def heeds_key(method: str, route: str) -> bool:
    """Whether Truto documents the ``Idempotency-Key`` header here; *route* is the first segment of the path."""
    return method in _KEYED_METHODS and route in _KEYED_ROUTES


def is_repeatable(method: str, route: str, *, keyed: bool) -> bool:
    """Whether a second run of this request can do no harm.

    *route* is the first segment of the path; *keyed* says that an ``Idempotency-Key`` goes along. ``POST
    /sync-job-run`` is not repeatable even with a key: Truto documents the header for unified, proxy, custom and batch
    calls only.
    """
    return method in _IDEMPOTENT_METHODS or (keyed and heeds_key(method, route))


def counts_against_account(route: str) -> bool:
    """Whether a call to this route counts against the account's own limit, 50 in 10 s (skill: rate limits)."""
    return route in _ACCOUNT_ROUTES


def wait_before_next(
    failure: Failure, *, repeatable: bool, attempt: int, policy: RetryPolicy, draw: float
) -> float | None:
    """Seconds to wait before the next attempt, or ``None`` to give up.

    *attempt* is the one that failed, counted from 1; *draw* is a random number in [0, 1) for the jitter, which spreads
    the callers that one outage has aligned.
    """
    if attempt >= policy.attempts:
        return None
    backoff = draw * longest_delay(policy.base_seconds, policy.cap_seconds, attempt)
    match failure.status:
        case None:
            return backoff if repeatable or not failure.sent else None
        case 429:
            # Refused before anything happened, so even a POST may be repeated.
            return RATE_LIMIT_SECONDS if failure.retry_after is None else failure.retry_after
        case 503 if not failure.remote:
            return None
        case status if status >= 500 or status in (408, 425):
            return max(backoff, failure.retry_after or 0.0) if repeatable else None
        case _:
            return None


def parse_retry_after(value: str | None, *, now: float) -> float | None:
    """Read a ``Retry-After`` header, seconds or HTTP date, into 0…60 seconds; ``None`` if absent or unreadable.

    *now* is the wall clock in unix seconds. Accepts any text, since a provider's header may be passed on.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value, now)
    return None if math.isnan(seconds) else min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)


def _seconds_until(http_date: str, now: float) -> float:
    try:
        moment = parsedate_to_datetime(http_date)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now
    except (TypeError, ValueError, OverflowError, IndexError):
        return math.nan
