"""A worker that waits gets new events with their acceptance, without a claim, and loses none of them when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Literal

import pytest

from events import Claim, Event, Lease, Store, StoreUnavailable
from tests.conftest import MakeStore
from tests.integration.worker.workshop import Recorder, delivered, ended, eventually, working
from worker import Context
from worker.registry import Registry


class OneClaim(Store):
    """A store that is claimed from once: what runs after that was given to the worker."""

    claims = 0

    async def claim(self, most: int, owner: str, *, suspect: int | None = None, wants_suspect: bool = True) -> Claim:
        if self.claims:
            await asyncio.sleep(30)
        claim = await super().claim(most, owner, suspect=suspect, wants_suspect=wants_suspect)
        self.claims += 1
        return claim


async def test_an_event_starts_without_a_claim(make_store: MakeStore, registry: Registry, recorder: Recorder) -> None:
    registry.on("*")(recorder.handle)
    store = OneClaim(make_store().redis)
    event = delivered()
    async with working(store, registry) as engine:
        await eventually(lambda: _waits(store))
        await store.accept([event])
        await ended(store, event)
        engine.main_task.cancel()  # type: ignore[union-attr]  # it would wait for the second claim
    assert recorder.runs == [event.id]


async def _waits(store: Store) -> bool:
    return bool(await store.redis.zcard("tw:idle"))


class Given(Store):
    """A store that gives leases of the test's own making, once they are put into ``given``."""

    given: asyncio.Queue[Lease]

    async def listen(self, owner: str) -> AsyncGenerator[Lease | None, None]:
        yield None
        while True:
            yield await self.given.get()


@pytest.fixture
def giving(make_store: MakeStore) -> Given:
    store = Given(make_store(lease_seconds=1).redis, lease_seconds=1)
    store.given = asyncio.Queue()
    return store


async def _give(store: Given, event_id: str) -> str:
    """Lease a new event to somebody, and give that lease to the worker."""
    event = delivered(event_id=event_id)
    await store.accept([event])
    for lease in (await store.claim(1, "whoever")).leases:
        await store.given.put(lease)
    return event.id


async def test_what_comes_while_all_slots_are_taken_waits_for_one_and_is_renewed(
    giving: Given, registry: Registry
) -> None:
    runs: list[str] = []
    may_end = asyncio.Event()

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        runs.append(event.id)
        await may_end.wait()

    async with working(giving, registry, concurrency=1) as engine:
        await _give(giving, "first")
        await eventually(lambda: runs == ["first"])
        await _give(giving, "second")
        await asyncio.sleep(1.5)  # longer than its lease
        assert runs == ["first"]
        may_end.set()
        await eventually(lambda: engine.jobs_complete == 2)
    assert runs == ["first", "second"]


@pytest.mark.parametrize("loses", ["by the store", "by a stop"])
async def test_what_waits_for_a_slot_is_not_run_when_it_is_lost(
    giving: Given, registry: Registry, recorder: Recorder, loses: Literal["by the store", "by a stop"]
) -> None:
    may_end = asyncio.Event()

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        await recorder.handle(event, ctx)
        await may_end.wait()

    second = delivered(event_id="second")
    async with working(giving, registry, concurrency=1) as engine:
        await _give(giving, "first")
        await eventually(lambda: recorder.runs == ["first"])
        await _give(giving, "second")
        if loses == "by the store":
            await giving.redis.hset(f"tw:work:{second.key}", "token", "somebody:1:1")  # type: ignore[misc]
            await asyncio.sleep(0.5)
        else:
            engine.stop()
            await ended(giving, second, "released")
        may_end.set()
        await eventually(lambda: engine.jobs_complete == 1)
    assert recorder.runs == ["first"]


async def test_what_comes_to_a_worker_that_drains_is_given_back(giving: Given, registry: Registry) -> None:
    may_end = asyncio.Event()

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        await may_end.wait()

    second = delivered(event_id="second")
    async with working(giving, registry, grace_seconds=10) as engine:
        await _give(giving, "first")
        await eventually(lambda: len(engine.tasks) == 1)
        engine.stop()
        await _give(giving, "second")
        await ended(giving, second, "released")
        may_end.set()
        await ended(giving, delivered(event_id="first"))


async def test_a_worker_that_stopped_is_told_of_nothing_more(store: Store, registry: Registry) -> None:
    async with working(store, registry):
        await eventually(lambda: _waits(store))
    assert not await _waits(store)


class Deaf(Store):
    """A store that cannot be listened to."""

    async def listen(self, owner: str) -> AsyncGenerator[Lease | None, None]:
        raise StoreUnavailable("NOPERM")
        yield None


async def test_a_worker_that_hears_nothing_finds_its_work_by_looking(
    make_store: MakeStore, registry: Registry, recorder: Recorder
) -> None:
    registry.on("*")(recorder.handle)
    store = Deaf(make_store().redis)
    event = delivered()
    async with working(store, registry):
        await eventually(lambda: _waits(store))
        await store.accept([event])
        await ended(store, event)
    assert recorder.runs == [event.id]
