"""How long to wait before the next try, after so many failures: pure arithmetic, and the only place for it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

# Beyond this the cap has long taken over; without it 2.0**n would overflow.
_MAX_EXPONENT = 64


def longest_delay(base: float, cap: float, failures: int) -> float:
    """The seconds that double with each of *failures*, from *base* to *cap*; the failure just seen counts."""
    return min(cap, base * 2.0 ** min(failures - 1, _MAX_EXPONENT))


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter: anything from 0 to ``base * 2**failures`` seconds, at most ``cap``.

    Full jitter spreads a crowd of retries evenly, where a fixed delay would send them back as a crowd.
    """

    base: float = 2.0
    cap: float = 600.0

    def __post_init__(self) -> None:
        if not 0 < self.base <= self.cap:
            raise ValueError(f"backoff needs 0 < base <= cap, not base={self.base}, cap={self.cap}")

    def longest(self, failures: int) -> float:
        """The longest wait (s) after *failures*, without jitter: for a single caller."""
        return longest_delay(self.base, self.cap, failures)

    def delay(self, failures: int, pick: Callable[[float, float], float] = random.uniform) -> float:
        """Seconds to wait after so many *failures*, the one just seen included."""
        return pick(0.0, self.longest(failures))


OUTAGE_BACKOFF = Backoff(0.5, 5.0)
"""Pause (s) before a store that did not answer is asked again. No jitter: each process asks with one task."""
