"""Shards: several stores, each with a part of the accounts, where one Redis is not enough."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from events.accepting import Acceptance
from events.event import Verified, account_of
from events.inspection import Overview
from events.intake import Intake
from events.spool import Spool
from events.store import Store
from events.usage import PendingLimit, combine_usage


class Shard(NamedTuple):
    """A store, and the spool behind it."""

    store: Store
    spool: Spool | None = None


class Shards:
    """Accepts each delivery into the shard of its account, with the interface of a single store.

    All events of an account are in one shard, which keeps their order, limits and duplicates. A shard that does not
    answer affects only its own accounts. At least one is needed.
    """

    def __init__(self, destinations: Sequence[Store | Intake]) -> None:
        if not destinations:
            raise ValueError("at least one store is needed")
        self._destinations = list(destinations)

    async def accept(self, events: Sequence[Verified], limit: PendingLimit | None = None) -> list[Acceptance]:
        """Take the events of one delivery in, all or none: into the store of the first one's account.

        *limit* is what their source may have in that store. Raises :class:`StoreUnavailable` as that store does.
        """
        number = choose_shard(_share_of(events[0]), len(self._destinations)) if events else 0
        return await self._destinations[number].accept(events, limit)


def choose_shard(share: str, count: int) -> int:
    """Which of *count* shards *share* belongs to, by rendezvous hashing.

    The shares are spread evenly. When a shard is added, shares move only to the new one.
    """
    return max(range(count), key=lambda number: hashlib.blake2b(f"{number}\0{share}".encode(), digest_size=8).digest())


def _share_of(verified: Verified) -> str:
    return account_of(verified) or verified.key


def combine(overviews: Sequence[Overview]) -> Overview:
    """The state of several queues as one: sums, and the age of the oldest work of them all."""
    totals: Counter[str] = Counter()
    for overview in overviews:
        totals.update(overview.totals)
    return Overview(
        ready=sum(overview.ready for overview in overviews),
        oldest_ready_seconds=max(overview.oldest_ready_seconds for overview in overviews),
        waiting=sum(overview.waiting for overview in overviews),
        dead=sum(overview.dead for overview in overviews),
        parked=sum(overview.parked for overview in overviews),
        workers=sum(overview.workers for overview in overviews),
        totals=dict(totals),
        held=sum(overview.held for overview in overviews),
        sources=combine_usage(overview.sources for overview in overviews),
    )
