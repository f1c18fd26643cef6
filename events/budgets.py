"""What a whole fleet may spend: so many starts within a period, counted in Redis for all of its processes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Budget:
    """At most *count* starts within any *period* (s), for everything that goes by this *name*."""

    name: str = field(repr=False)
    count: int
    period: float

    def __post_init__(self) -> None:
        if self.count < 1 or not self.period > 0:
            raise ValueError("a budget has at least one start, and a period of more than 0 seconds")

    @property
    def parts(self) -> tuple[str, int, int]:
        """What the spend script gets. Names may hold tokens, or what strangers chose: none becomes a Redis key."""
        digest = hashlib.blake2b(self.name.encode(errors="surrogatepass"), digest_size=16).hexdigest()
        return digest, self.count, round(self.period * 1000)
