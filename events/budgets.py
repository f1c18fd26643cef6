"""What a whole fleet may spend: so many starts within a period, counted in Redis for all of its processes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from events.client import StoreClient


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


class Budgets:
    """What the processes of a fleet spend together."""

    def __init__(self, client: StoreClient) -> None:
        self._client = client

    async def spend(self, budgets: Sequence[Budget], *, longest: float) -> tuple[bool, float]:
        """Take the first moment at which all of *budgets* have a start left: whether that was done, and how far it is.

        Seconds, both. A moment further away than *longest* is not taken. One that was taken is spent, used or not.
        """
        parts: list[str | int] = [part for budget in budgets for part in budget.parts]
        answer = int(await self._client.run("spend", [round(longest * 1000), *parts]))
        return (True, answer / 1000) if answer >= 0 else (False, -(answer + 1) / 1000)
