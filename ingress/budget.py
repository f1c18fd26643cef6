"""A budget of memory for all bodies in the process, and the choice of bodies to drop when it is used up."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable

SMALL_BYTES = 64 * 1024
"""A body up to this size may use the reserve, which larger ones cannot fill."""

_GRACE_SECONDS = 2.0
FIRST = "truto"
"""The source that is the last to be refused."""


class Holding:
    """The memory of one incomplete request of the source *owner*.

    *give_way* is called when others need the memory: it has to drop the bytes and release the holding.
    """

    __slots__ = ("give_way", "is_large", "owner", "since", "size", "waits")

    def __init__(self, owner: str, give_way: Callable[[], None], *, is_large: bool = False) -> None:
        self.owner = owner
        self.give_way = give_way
        self.is_large = is_large
        self.size = 0
        self.since = time.monotonic()
        self.waits = True
        """Whether the request is incomplete; complete ones are never dropped."""


class _Incomplete:
    """Holdings that can give way, the oldest of each owner first."""

    def __init__(self) -> None:
        self.of: dict[str, OrderedDict[Holding, None]] = {}
        self.bytes: Counter[str] = Counter()

    def grow(self, holding: Holding, size: int) -> None:
        self.of.setdefault(holding.owner, OrderedDict())[holding] = None
        self.bytes[holding.owner] += size

    def remove(self, holding: Holding) -> None:
        mine = self.of[holding.owner]
        del mine[holding]
        self.bytes[holding.owner] -= holding.size
        if not mine:
            del self.of[holding.owner], self.bytes[holding.owner]

    def weight(self, owner: str) -> float:
        """How much *owner* takes. Truto's own source may take twice as much as another before it gives way to it."""
        return self.bytes[owner] / (2 if owner == FIRST else 1)

    def victim(self, asking: Holding, grace: float) -> Holding | None:
        """Who gives way to *asking*: the oldest of the source that takes most; its own only after *grace* (s)."""
        if not self.of:
            return None
        heaviest = max(self.of, key=self.weight)
        oldest = next(iter(self.of[heaviest]))
        if self.weight(heaviest) > self.weight(asking.owner):
            return oldest
        mine = self.of.get(asking.owner)
        oldest = next(iter(mine)) if mine else asking
        return oldest if oldest is not asking and asking.since - oldest.since >= grace else None


class BodyBudget:
    """At most *max_bytes* in all bodies, from the first byte that is read until the request has been answered.

    A quarter is a reserve that only small bodies can use, and half of that is left to Truto's own source. When there is
    no room, an incomplete body gives way: of the source whose incomplete bodies take most, so that none can take what
    others need, and of that source the oldest. Whole small bodies, as nearly all are, find room in this way whatever
    is held back by others.
    """

    def __init__(self, max_bytes: int, *, owner: Callable[[str], str] = str) -> None:
        reserve = max_bytes // 4
        self._max = max_bytes
        self._max_for_others = max_bytes - reserve // 2
        self._max_large = max_bytes - reserve
        self.owner = owner
        """The source whose share a request to a path uses; ``""`` for unknown paths, which strangers choose."""
        self.held = 0
        """Bytes held now."""
        self._large = 0
        self._incomplete = _Incomplete(), _Incomplete()  # small, large

    def hold(self, size: int, *, first: bool) -> bool:
        """Hold *size* bytes that never give way, without making room; pair with :meth:`give_back`."""
        if self.held + size > (self._max if first else self._max_for_others):
            return False
        self.held += size
        return True

    def give_back(self, size: int) -> None:
        """Release the bytes of :meth:`hold`."""
        self.held -= size

    def grow(self, holding: Holding, size: int, *, is_large: bool) -> bool:
        """Add *size* bytes to *holding*, dropping others if needed. False, and nothing is added, without room."""
        if not size:
            return True
        if is_large and not holding.is_large:
            self._become_large(holding)
        while not self._fits(holding, size):
            victim = self._victim(holding)
            if victim is None:
                return False
            victim.give_way()
        self.held += size
        self._large += size if holding.is_large else 0
        if holding.waits:
            self._incomplete[holding.is_large].grow(holding, size)
        holding.size += size
        return True

    def settle(self, holding: Holding) -> None:
        """The request is complete: *holding* stays until it is released, and is never dropped."""
        if holding.waits and holding.size:
            self._incomplete[holding.is_large].remove(holding)
        holding.waits = False

    def release(self, holding: Holding) -> None:
        """Release all bytes of *holding*. A second call does nothing."""
        self.settle(holding)
        self.held -= holding.size
        self._large -= holding.size if holding.is_large else 0
        holding.size = 0

    def oldest(self, seconds: float) -> Holding | None:
        """The oldest incomplete holding, if it is older than *seconds*."""
        firsts = [next(iter(mine)) for incomplete in self._incomplete for mine in incomplete.of.values()]
        oldest = min(firsts, key=lambda holding: holding.since, default=None)
        return oldest if oldest is not None and time.monotonic() - oldest.since > seconds else None

    def _become_large(self, holding: Holding) -> None:
        if holding.waits and holding.size:
            self._incomplete[False].remove(holding)
            self._incomplete[True].grow(holding, holding.size)
        self._large += holding.size
        holding.is_large = True

    def _fits(self, holding: Holding, size: int) -> bool:
        if holding.is_large and self._large + size > self._max_large:
            return False
        return self.held + size <= (self._max if holding.owner == FIRST else self._max_for_others)

    def _victim(self, asking: Holding) -> Holding | None:
        small, large = self._incomplete
        if asking.is_large:
            return large.victim(asking, _GRACE_SECONDS)
        return small.victim(asking, 0.0) or large.victim(asking, 0.0)
