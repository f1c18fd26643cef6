"""When to try again: pure arithmetic."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


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

    def delay(self, failures: int, pick: Callable[[float, float], float] = random.uniform) -> float:
        """Seconds to wait after so many *failures*, the one just seen included."""
        # The exponent is bounded because 2.0**1024 overflows long after the cap has been reached.
        return pick(0.0, min(self.cap, self.base * 2.0 ** min(failures - 1, 64)))
