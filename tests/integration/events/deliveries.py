"""Events as the ingress hands them over, and short ways to look at what the store made of them."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from events import Acceptance, End, Lease, Store, Verified

DONE = End("done")


def delivered(event_id: str = "e-1", *, source: str = "truto", kind: str = "ping", **fields: Any) -> Verified:
    """A verified delivery; *fields* are put into its body."""
    body = orjson.dumps({"id": event_id, "event": kind, **fields})
    return Verified(source=source, type=kind, id=event_id, body=body, headers={"user-agent": "truto"})


async def accept(store: Store, *events: Verified) -> list[Acceptance]:
    return await store.accept(events or [delivered()])


async def claim_one(store: Store, owner: str = "worker-1") -> Lease:
    """The one piece of work that is due, at the latest within a second."""
    for _ in range(500):
        if leases := (await store.queue.claim(10, owner)).leases:
            (lease,) = leases
            return lease
        await asyncio.sleep(0.002)
    raise AssertionError("nothing became due")


async def claim_nothing(store: Store, owner: str = "worker-1") -> float | None:
    """Assert that no work is due; answers when the next one is (s)."""
    claim = await store.queue.claim(10, owner)
    assert claim.leases == []
    return claim.next_due


async def bury(store: Store, *events: Verified, **note: Any) -> list[str]:
    """Accept *events* and make dead letters of them; their members."""
    await accept(store, *events)
    leases = (await store.queue.claim(100, "worker-1")).leases
    for lease in leases:
        assert await store.queue.finish(lease, End("dead", handler="h", note=note))
    return [lease.member for lease in leases]


async def words(store: Store, event_id: str = "e-1") -> list[str]:
    """What happened to an event, in one word each."""
    return [entry.what for entry in await store.inspection.history("truto", event_id)]


async def expiring_keys(store: Store) -> set[str]:
    """The first words of all keys that Redis will remove by itself, besides the journal, which holds no event."""
    keys = await store.redis.keys("*")
    return {key.decode().split(":")[1] for key in keys if await store.redis.pttl(key) != -1} - {"journal"}
