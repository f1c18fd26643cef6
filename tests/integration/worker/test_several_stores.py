"""One worker for several stores: it serves all of them, fairly, and the trouble of one is no matter of the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest

from events import Event, Store
from events.embedded import EmbeddedRedis
from tests.integration.worker.workshop import QUICK, delivered, ended, eventually, is_empty, plain
from tests.servers import quick_redis
from truto import AsyncTruto
from worker import Context
from worker.dispatch import Dispatcher
from worker.engine import Engine
from worker.fleet import Fleet
from worker.notify import Notifier
from worker.pool import Pool
from worker.registry import Registry


@pytest.fixture
def servers() -> Iterator[list[EmbeddedRedis]]:
    with quick_redis() as one, quick_redis() as other:
        yield [one, other]


@pytest.fixture
async def stores(servers: list[EmbeddedRedis]) -> AsyncIterator[list[Store]]:
    opened = [Store.connect(server.url, lease_seconds=2) for server in servers]
    yield opened
    for store in opened:
        await store.close()


@asynccontextmanager
async def serving(stores: Sequence[Store], registry: Registry, *, concurrency: int = 20) -> AsyncIterator[Fleet]:
    truto, notifier = AsyncTruto(token="sandbox-token", transport=plain()), Notifier(transport=plain())
    pool = Pool(concurrency, len(stores))
    engines = []
    for store in stores:
        dispatcher = Dispatcher(store, registry, truto, notifier, QUICK)
        engine = Engine(
            store, dispatcher.dispatch, grace_seconds=1, sweep=dispatcher.sweep, handle_signals=False, pool=pool
        )
        engines.append(engine)
    fleet = Fleet(engines)
    running = asyncio.create_task(fleet.run_until_stopped())
    try:
        yield fleet
    finally:
        fleet.stop()
        fleet.stop()
        await running
        await notifier.aclose()
        await truto.aclose()


async def test_the_events_of_all_stores_are_handled(stores: list[Store], registry: Registry) -> None:
    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        await ctx.step("once", lambda: event.id)

    async with serving(stores, registry):
        for _ in range(20):
            for store in stores:
                await store.accept([delivered()])
        for store in stores:
            await eventually(lambda store=store: is_empty(store))  # type: ignore[misc]  # binds the store
    assert [(await store.inspection.overview()).totals["done"] for store in stores] == [20, 20]


async def test_a_busy_store_does_not_keep_the_events_of_another_waiting(
    stores: list[Store], registry: Registry
) -> None:
    busy, quiet = stores

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        await asyncio.sleep(0.05)

    await busy.accept([delivered() for _ in range(1000)])
    async with serving(stores, registry, concurrency=8):
        await eventually(lambda: busy_has_begun(busy))
        for _ in range(5):
            event = delivered()
            await quiet.accept([event])
            await ended(quiet, event)
        assert (await busy.inspection.overview()).ready > 500


async def busy_has_begun(store: Store) -> bool:
    return (await store.inspection.overview()).totals.get("done", 0) > 0


async def test_two_busy_stores_are_worked_off_side_by_side(stores: list[Store], registry: Registry) -> None:
    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        await asyncio.sleep(0.02)

    for store in stores:
        await store.accept([delivered() for _ in range(300)])
    async with serving(stores, registry, concurrency=10):
        await eventually(lambda: is_empty(stores[0]), 20)
        left = (await stores[1].inspection.overview()).ready
        await eventually(lambda: is_empty(stores[1]), 20)
    assert left < 150


async def test_no_more_runs_at_once_than_the_concurrency_allows(stores: list[Store], registry: Registry) -> None:
    inside, most = 0, 0

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.01)
        inside -= 1

    async with serving(stores, registry, concurrency=6):
        for store in stores:
            await store.accept([delivered() for _ in range(100)])
        for store in stores:
            await eventually(lambda store=store: is_empty(store))  # type: ignore[misc]  # binds the store
    assert most == 6


async def test_while_one_store_is_away_the_others_are_served_and_it_is_when_it_is_back(
    servers: list[EmbeddedRedis], stores: list[Store], registry: Registry
) -> None:
    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        pass

    async with serving(stores, registry):
        servers[0].kill()
        event = delivered()
        await stores[1].accept([event])
        await ended(stores[1], event)
        servers[0].start()
        await stores[0].accept([event])
        await ended(stores[0], event)


async def test_a_drain_ends_the_work_of_all_stores(stores: list[Store], registry: Registry) -> None:
    begun: list[str] = []

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        begun.append(event.id)
        await asyncio.sleep(0.2)

    async with serving(stores, registry) as fleet:
        for store in stores:
            await store.accept([delivered()])
        await eventually(lambda: len(begun) == 2)
        fleet.stop()
        for store in stores:
            await eventually(lambda store=store: has_done_one(store))  # type: ignore[misc]  # binds the store


async def has_done_one(store: Store) -> bool:
    return (await store.inspection.overview()).totals.get("done") == 1


async def test_work_that_was_lost_twice_runs_alone_in_the_whole_process(
    stores: list[Store], registry: Registry
) -> None:
    """Else its third crash would count against what the other stores were doing."""
    inside: list[str] = []
    beside: list[str] = []

    @registry.on("order:suspect")
    async def suspect(event: Event, ctx: Context) -> None:
        beside.extend(inside)
        await asyncio.sleep(0.2)
        beside.extend(inside)

    @registry.on("order:paid")
    async def handle(event: Event, ctx: Context) -> None:
        inside.append(event.id)
        await asyncio.sleep(0.01)
        inside.remove(event.id)

    event = delivered("order:suspect")
    await stores[0].accept([event])
    for number in range(2):
        (lease,) = (await stores[0].queue.claim(1, f"lost-{number}")).leases
        await stores[0].redis.zadd("tw:queue", {lease.member: 0})
    async with serving(stores, registry, concurrency=4):
        sending = asyncio.create_task(send_on(stores[1]))
        await ended(stores[0], event)
        sending.cancel()
    assert beside == []


async def send_on(store: Store) -> None:
    while True:
        await store.accept([delivered()])
        await asyncio.sleep(0.005)
