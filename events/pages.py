"""Read long sorted sets a page at a time, while others add to them and take from them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from events.client import StoreClient, confirmed

Scored = tuple[bytes, float]
"""A member, and its score: ms of Redis' clock."""


@dataclass(frozen=True, slots=True)
class Pages:
    """A sorted set of members by the time they were added."""

    client: StoreClient
    name: str

    async def count(self) -> int:
        """How many there are."""
        async with confirmed():
            return int(await self.client.redis.zcard(self.client.key(self.name)))

    async def read(
        self, size: int, *, newest_first: bool = True, until: float | str = "+inf"
    ) -> AsyncIterator[list[Scored]]:
        """The members that were added *until* a moment (ms), *size* at a time.

        Yields each that is there from start to end once. Newest first, those that are added meanwhile are left out;
        oldest first, *until* leaves them out.
        """
        edge: float | str = until if newest_first else "-inf"
        at_the_edge: set[bytes] = set()
        reader = self.client.redis.zrevrangebyscore if newest_first else self.client.redis.zrangebyscore
        while True:
            # By time, not by rank: ranks change when a member is removed. Members of one batch have the same time.
            bounds: tuple[Any, Any] = (edge, "-inf") if newest_first else (edge, until)
            num = size + len(at_the_edge)
            async with confirmed():
                found = await reader(self.client.key(self.name), *bounds, start=0, num=num, withscores=True)
            page = [(member, since) for member, since in found if member not in at_the_edge]
            if not page:
                return
            last = page[-1][1]
            at_the_edge = {member for member, since in found if since == last}
            edge = repr(last)
            yield page
