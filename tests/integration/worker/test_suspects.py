"""Work that was lost twice runs alone, so that its third loss can be nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import cast

from events import End, Event, Lease, Store, Verified
from tests.integration.worker.workshop import Recorder, delivered, ended, eventually, working
from worker import Context
from worker.outcome import MAX_CRASHES
from worker.registry import Registry

SUSPECT = MAX_CRASHES - 1


async def lose(store: Store, times: int, most: int = 10) -> list[Lease]:
    """Claim everything so often without ever finishing it; the last leases, run out."""
    leases: list[Lease] = []
    for _ in range(times):
        leases = (await store.queue.claim(most, "lost")).leases
        await run_out(store)
    return leases


async def run_out(store: Store) -> None:
    """Let all leases end as if their time had passed."""
    for member, ends in await store.redis.zrange("tw:queue", 0, -1, withscores=True):
        await store.redis.zadd("tw:queue", {member: ends - 1000 * store.queue.lease_seconds})


async def suspects(store: Store, count: int) -> list[Verified]:
    """So many events that were lost twice."""
    events = [delivered() for _ in range(count)]
    await store.accept(events)
    await lose(store, SUSPECT)
    return events


async def test_a_suspect_is_the_only_lease_of_its_claim(short: Store) -> None:
    await suspects(short, 3)
    claim = await short.queue.claim(10, "me", suspect=SUSPECT)
    assert [lease.crashes for lease in claim.leases] == [SUSPECT]
    assert claim.next_due == 0


async def test_other_work_before_a_suspect_comes_without_it(short: Store) -> None:
    fresh = delivered()
    await suspects(short, 1)
    await short.accept([fresh])
    await short.redis.zadd("tw:queue", {fresh.key: 0})
    first = await short.queue.claim(10, "me", suspect=SUSPECT)
    second = await short.queue.claim(10, "me", suspect=SUSPECT)
    assert [lease.crashes for lease in (*first.leases, *second.leases)] == [0, SUSPECT]


async def test_a_claim_that_wants_no_suspect_looks_past_them(short: Store) -> None:
    await suspects(short, 3)
    fresh = delivered()
    await short.accept([fresh])
    (lease,) = (await short.queue.claim(1, "me", suspect=SUSPECT, wants_suspect=False)).leases
    assert lease.event.id == fresh.id


async def test_without_a_limit_nothing_is_a_suspect(short: Store) -> None:
    await suspects(short, 3)
    assert len((await short.queue.claim(10, "me")).leases) == 3


async def test_a_suspect_that_was_lost_before_it_began_counts_no_crash(short: Store) -> None:
    await suspects(short, 1)
    await short.queue.claim(1, "me", suspect=SUSPECT)
    await run_out(short)
    (lease,) = (await short.queue.claim(1, "me", suspect=SUSPECT)).leases
    assert lease.crashes == SUSPECT


async def test_a_suspect_that_was_lost_after_it_began_counts_one(short: Store) -> None:
    await suspects(short, 1)
    (lease,) = (await short.queue.claim(1, "me", suspect=SUSPECT)).leases
    assert await short.queue.begin(lease)
    await run_out(short)
    (again,) = (await short.queue.claim(1, "me", suspect=SUSPECT)).leases
    assert again.crashes == MAX_CRASHES


async def test_a_suspect_whose_lease_was_lost_cannot_begin(short: Store) -> None:
    await suspects(short, 1)
    (lease,) = (await short.queue.claim(1, "me", suspect=SUSPECT)).leases
    await run_out(short)
    await short.queue.claim(1, "other", suspect=SUSPECT)
    assert not await short.queue.begin(lease)


async def test_suspects_run_one_by_one_with_nothing_beside_them(short: Store, registry: Registry) -> None:
    together: list[int] = []
    running = 0

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        nonlocal running
        running += 1
        together.append(running)
        await asyncio.sleep(0.02)
        running -= 1

    events = await suspects(short, 5)
    async with working(short, registry) as engine:
        await eventually(lambda: engine.jobs_complete == 5)
    assert together == [1] * 5
    for event in events:
        await ended(short, event)


async def test_between_two_suspects_other_work_is_claimed(short: Store, registry: Registry, recorder: Recorder) -> None:
    registry.on("*")(recorder.handle)
    events = await suspects(short, 3)
    fresh = delivered()
    await short.accept([fresh])
    async with working(short, registry) as engine:
        await eventually(lambda: engine.jobs_complete == 4)
    assert recorder.runs.index(fresh.id) < 3
    assert set(recorder.runs) == {event.id for event in [*events, fresh]}


async def test_a_suspect_waits_for_what_runs_no_longer_than_a_lease(short: Store, registry: Registry) -> None:
    slow_is_over = asyncio.Event()
    runs: list[str] = []

    @registry.on("order:slow")
    async def hold_on(event: Event, ctx: Context) -> None:
        await slow_is_over.wait()

    @registry.on("order:paid")
    async def handle(event: Event, ctx: Context) -> None:
        runs.append(event.id)

    slow = delivered("order:slow")
    async with working(short, registry):
        await short.accept([slow])
        await eventually(lambda: _claimed(short, slow))
        (suspect,) = events = [delivered()]
        await cast("Awaitable[int]", short.redis.hset(f"tw:work:{suspect.key}", "claims", str(SUSPECT)))
        await short.redis.delete("tw:idle")  # it is to be claimed, as work is that was lost
        await short.accept(events)
        await ended(short, suspect)
        assert runs == [suspect.id]
        slow_is_over.set()
        await ended(short, slow)


async def _claimed(store: Store, event: Verified) -> bool:
    return "claimed" in [entry.what for entry in await store.inspection.history(event.source, event.id)]


async def test_a_suspect_that_ends_is_done_like_any_other_work(short: Store) -> None:
    await suspects(short, 1)
    (lease,) = (await short.queue.claim(1, "me", suspect=SUSPECT)).leases
    await short.queue.begin(lease)
    assert await short.queue.finish(lease, End("done"))
    assert (await short.inspection.overview()).waiting == 0
