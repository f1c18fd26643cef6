"""How much each source may send, and have in the store: an overflow is a refusal of that source alone.

Truto's own sources have no bounds but those that their configuration states. What others take is bounded, and while
Redis is nearly full nothing more is taken from them, so that there is always room for Truto.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

from events import PendingLimit, Store, StoreUnavailable
from events.background import background
from ingress.answers import Refusal

NEARLY_FULL = 0.85
"""From this part of Redis' memory limit on, sources other than Truto's are refused."""

_PENDING_SHARE = 10
_PENDING_BYTES = 256 * 1024 * 1024
_LOOK_SECONDS = 1.0
_TELL_SECONDS = 1.0
_RETRY_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Quota:
    """What one source may do; 0 is any number, ``None`` the default.

    Within *period_seconds*, in one process of the ingress: so many *deliveries*, and so many *bytes* of their events.
    In a store: so many *pending_events* that are not over, with so many *pending_bytes*, and *parked_events* among them
    that nobody handles.
    """

    deliveries: int | None = None
    bytes: int | None = None
    period_seconds: float = 60.0
    pending_events: int | None = None
    pending_bytes: int | None = None
    parked_events: int | None = None

    @property
    def bounds(self) -> bool:
        """Whether it bounds anything."""
        return any((self.deliveries, self.bytes, self.pending_events, self.pending_bytes, self.parked_events))

    def or_else(self, default: Quota) -> Quota:
        """What this quota says, and *default* where it says nothing."""
        named = ("deliveries", "bytes", "pending_events", "pending_bytes", "parked_events")
        overrides = {name: getattr(self, name) for name in named if getattr(self, name) is not None}
        return replace(default, period_seconds=self.period_seconds, **overrides)


UNBOUNDED = Quota(deliveries=0, bytes=0, pending_events=0, pending_bytes=0, parked_events=0)
"""The default of Truto's own sources."""

DEFAULT = Quota(deliveries=30_000, bytes=1024**3, pending_events=100_000, parked_events=0)
"""The default of all others. Their pending bytes are a tenth of Redis' memory limit, or 256 MiB where it has none."""


class Bucket:
    """So much within a period, all of it at once after a quiet time."""

    def __init__(self) -> None:
        self._left = math.inf
        self._at = 0.0

    def wait(self, amount: int, most: int, period: float, now: float) -> float:
        """Seconds until *amount* may be taken. What is more than *most* may go when nothing was taken for a period."""
        self._left = min(most, self._left + (now - self._at) * most / period)
        self._at = now
        return max(0.0, (min(amount, most) - self._left) * period / most)

    def take(self, amount: int) -> None:
        """Take *amount*, for which there was nothing to wait."""
        self._left -= amount


class _LastLogged(NamedTuple):
    at: float
    unlogged: int


class Quotas:
    """Decides for a delivery whose sender is proven whether its source may still send.

    *default* is for all sources but Truto's. Use :meth:`running` around the time in which deliveries come: the memory
    of Redis is looked at meanwhile.
    """

    def __init__(self, stores: Sequence[Store], default: Quota = DEFAULT) -> None:
        self._stores = stores
        self._default = default.or_else(DEFAULT)
        self._buckets: dict[str, tuple[Bucket, Bucket]] = {}
        self._last_logged: dict[str, _LastLogged] = {}
        self._maxmemory = 0
        self._fullness = 0.0

    def admit(
        self, source: str, quota: Quota, size: int, *, platform: bool = False, now: float | None = None
    ) -> PendingLimit | Refusal | None:
        """What *source* may have in the store, or why its delivery of *size* bytes is not taken.

        *now* is monotonic (s). A delivery that is not refused counts.
        """
        if not platform and self._fullness >= NEARLY_FULL:
            return _refusal(_RETRY_SECONDS, f"Redis is {self._fullness:.0%} full, and the rest is kept for Truto")
        bounds = quota.or_else(UNBOUNDED if platform else self._default)
        wait, what = self._wait(source, bounds, size, time.monotonic() if now is None else now)
        if wait > 0:
            return _refusal(math.ceil(wait), what)
        return self._pending(bounds)

    def _wait(self, source: str, bounds: Quota, size: int, now: float) -> tuple[float, str]:
        """How long the delivery has to wait, and for what; it is counted when it need not."""
        buckets = self._buckets.setdefault(source, (Bucket(), Bucket()))
        asked = ((buckets[0], 1, bounds.deliveries, "deliveries"), (buckets[1], size, bounds.bytes, "bytes"))
        for bucket, amount, most, what in asked:
            if most and (wait := bucket.wait(amount, most, bounds.period_seconds, now)) > 0:
                return wait, f"more than {most} {what} in {bounds.period_seconds:g} s"
        for bucket, amount, _, _ in asked:
            bucket.take(amount)
        return 0.0, ""

    def _pending(self, bounds: Quota) -> PendingLimit | None:
        size = bounds.pending_bytes
        if size is None:
            size = self._maxmemory // _PENDING_SHARE or _PENDING_BYTES
        limit = PendingLimit(bounds.pending_events or 0, size, bounds.parked_events or 0)
        return limit if any(limit) else None

    def to_tell(self, source: str, now: float | None = None) -> int:
        """How many refusals of *source* one log record now speaks of; 0 when one was written within the last second."""
        now = time.monotonic() if now is None else now
        last = self._last_logged.get(source, _LastLogged(-math.inf, 0))
        due = now - last.at >= _TELL_SECONDS
        self._last_logged[source] = _LastLogged(now, 0) if due else _LastLogged(last.at, last.unlogged + 1)
        return last.unlogged + 1 if due else 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look at the memory of Redis once a second, until the block ends."""
        async with background(self._watch(), "watch-memory"):
            yield

    async def _watch(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Look at the memory of every Redis; of one that does not answer, what was seen last counts."""
        try:
            seen = [await store.inspection.memory() for store in self._stores]
        except StoreUnavailable:
            return
        limits = [memory.limit for memory in seen if memory.limit]
        self._maxmemory = min(limits, default=0)
        self._fullness = max((memory.fullness for memory in seen), default=0.0)


def over_pending(limit: PendingLimit) -> Refusal:
    """The refusal of a delivery whose source has as much in the store as *limit* says."""
    bounds = [f"{most} {what}" for most, what in zip(limit, ("events", "bytes", "parked events"), strict=True) if most]
    return _refusal(_RETRY_SECONDS, f"as much of it is not over as may be: {', '.join(bounds)}")


def _refusal(seconds: int, detail: str) -> Refusal:
    return Refusal(
        503,
        "quota_exceeded",
        "This source has sent as much as it may for now. Send it again later.",
        headers={"retry-after": str(seconds)},
        detail=detail,
    )
