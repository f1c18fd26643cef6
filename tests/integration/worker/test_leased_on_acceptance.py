"""A worker that waits gets new events with their acceptance, without a claim, and loses none of them when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Literal

import pytest

from events import Claim, Lease, Store, StoreUnavailable
from events.queue import Queue
from tests.conftest import MakeStore
from tests.integration.worker.workshop import (
    Holding,
    Recorder,
    delivered,
    ended,
    eventually,
    story,
    with_queue,
    working,
)
from worker.registry import Registry


class OneClaim(Queue):
    """A queue that is claimed from once: what runs after that was given to the worker."""

    claims = 0

    async def claim(self, most: int, owner: str, **how: Any) -> Claim:
        if self.claims:
            await asyncio.sleep(30)
        claim = await super().claim(most, owner, **how)
        self.claims += 1
        return claim


async def test_an_event_starts_without_a_claim(make_store: MakeStore, registry: Registry, recorder: Recorder) -> None:
    registry.on("*")(recorder.handle)
    store = make_store()
    with_queue(store, OneClaim)
    event = delivered()
    async with working(store, registry) as engine:
        await eventually(lambda: _waits(store))
        await store.accept([event])
        await ended(store, event)
        engine.main_task.cancel()  # type: ignore[union-attr]  # it would wait for the second claim
    assert recorder.runs == [event.id]


async def _waits(store: Store) -> bool:
    return bool(await store.redis.zcard("tw:idle"))


class GivenQueue(Queue):
    """A queue that gives leases of the test's own making, once they are put into ``given``."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.given: asyncio.Queue[Lease] = asyncio.Queue()

    async def subscribe(self, owner: str) -> AsyncGenerator[Lease | None, None]:
        yield None
        while True:
            yield await self.given.get()


@pytest.fixture
def giving(make_store: MakeStore) -> Store:
    store = make_store(lease_seconds=1)
    with_queue(store, GivenQueue)
    return store


async def _give(store: Store, event_id: str) -> str:
    """Lease a new event to somebody, and give that lease to the worker."""
    event = delivered(event_id=event_id)
    await store.accept([event])
    for lease in (await store.queue.claim(1, "whoever")).leases:
        await _put(store, lease)
    return event.id


async def _put(store: Store, lease: Lease) -> None:
    assert isinstance(store.queue, GivenQueue)
    await store.queue.given.put(lease)


async def test_what_comes_while_all_slots_are_taken_waits_for_one_and_is_renewed(
    giving: Store, holding: Holding, registry: Registry
) -> None:
    async with working(giving, registry, concurrency=1) as engine:
        await _give(giving, "first")
        await eventually(lambda: holding.runs == ["first"])
        await _give(giving, "second")
        await asyncio.sleep(1.5)  # longer than its lease
        assert holding.runs == ["first"]
        holding.may_end.set()
        await eventually(lambda: engine.jobs_complete == 2)
    assert holding.runs == ["first", "second"]


@pytest.mark.parametrize("loses", ["by the store", "by a stop"])
async def test_what_waits_for_a_slot_is_not_run_when_it_is_lost(
    giving: Store, holding: Holding, registry: Registry, loses: Literal["by the store", "by a stop"]
) -> None:
    second = delivered(event_id="second")
    async with working(giving, registry, concurrency=1) as engine:
        await _give(giving, "first")
        await eventually(lambda: holding.runs == ["first"])
        await _give(giving, "second")
        if loses == "by the store":
            await giving.redis.hset(f"tw:work:{second.key}", "token", "somebody:1:1")  # type: ignore[misc]  # redis-py types both its clients at once
            await asyncio.sleep(0.5)
        else:
            engine.stop()
            await ended(giving, second, "released")
        holding.may_end.set()
        await eventually(lambda: engine.jobs_complete == 1)
    assert holding.runs == ["first"]


async def test_what_comes_to_a_worker_that_drains_is_given_back(
    giving: Store, holding: Holding, registry: Registry
) -> None:
    second = delivered(event_id="second")
    async with working(giving, registry, grace_seconds=10) as engine:
        await _give(giving, "first")
        await eventually(lambda: len(engine.tasks) == 1)
        engine.stop()
        await _give(giving, "second")
        await ended(giving, second, "released")
        holding.may_end.set()
        await ended(giving, delivered(event_id="first"))


async def test_a_worker_that_drains_is_told_of_nothing_more(store: Store, holding: Holding, registry: Registry) -> None:
    async with working(store, registry, grace_seconds=10) as engine:
        await eventually(lambda: _waits(store))
        await store.accept([delivered(event_id="first")])
        await eventually(lambda: holding.runs == ["first"])
        engine.stop()
        await eventually(lambda: _waits_no_more(store), seconds=0.9)  # sooner than it would look by itself
        await store.accept([second := delivered(event_id="second")])
        holding.may_end.set()
    assert holding.runs == ["first"]
    assert await story(store, second) == ["received"]


async def _waits_no_more(store: Store) -> bool:
    return not await _waits(store)


async def test_a_worker_that_stopped_is_told_of_nothing_more(store: Store, registry: Registry) -> None:
    async with working(store, registry):
        await eventually(lambda: _waits(store))
    assert not await _waits(store)


class Deaf(Queue):
    """A queue that cannot be listened to."""

    async def subscribe(self, owner: str) -> AsyncGenerator[Lease | None, None]:
        raise StoreUnavailable("NOPERM")
        yield None


async def test_a_worker_that_hears_nothing_finds_its_work_by_looking(
    make_store: MakeStore, registry: Registry, recorder: Recorder
) -> None:
    registry.on("*")(recorder.handle)
    store = make_store()
    with_queue(store, Deaf)
    event = delivered()
    async with working(store, registry):
        await eventually(lambda: _waits(store))
        await store.accept([event])
        await ended(store, event)
    assert recorder.runs == [event.id]


async def test_a_lease_lost_while_it_waits_for_a_slot_frees_none(
    giving: Store, holding: Holding, registry: Registry
) -> None:
    second = delivered(event_id="second")
    async with working(giving, registry, concurrency=1) as engine:
        await _give(giving, "first")
        await eventually(lambda: holding.runs == ["first"])
        await _give(giving, "second")
        await giving.redis.hset(f"tw:work:{second.key}", "token", "somebody:1:1")  # type: ignore[misc]  # redis-py types both its clients at once
        await asyncio.sleep(0.5)
        await _give(giving, "third")
        await asyncio.sleep(0.1)
        assert holding.runs == ["first"]
        holding.may_end.set()
        await eventually(lambda: engine.jobs_complete == 2)
    assert holding.runs == ["first", "third"]


async def test_what_waits_for_a_slot_is_soon_done_by_a_worker_that_has_one(
    giving: Store, make_store: MakeStore, holding: Holding, registry: Registry, recorder: Recorder
) -> None:
    elsewhere = Registry()
    elsewhere.on("*")(recorder.handle)
    async with working(giving, registry, concurrency=1) as busy:
        await _give(giving, "first")
        await eventually(lambda: len(busy.tasks) == 1)
        await _give(giving, "second")
        await eventually(lambda: bool(busy._slots.waiting))  # noqa: SLF001  nothing else tells
        async with working(make_store(lease_seconds=1), elsewhere):
            await eventually(lambda: recorder.runs == ["second"])
        holding.may_end.set()
        await eventually(lambda: busy.jobs_complete == 1)


class OneSuspect(GivenQueue):
    """A queue whose first claim, once it may be answered, brings work that was lost twice."""

    async def claim(self, most: int, owner: str, **how: Any) -> Claim:
        claim = await super().claim(most, owner, **how)
        if any(lease.crashes for lease in claim.leases):
            self.claimed.set()
            await self.may_answer.wait()
        return claim

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.claimed, self.may_answer = asyncio.Event(), asyncio.Event()


async def test_a_suspect_takes_no_slot_that_another_event_was_given_meanwhile(
    make_store: MakeStore, holding: Holding, registry: Registry
) -> None:
    store, plain = make_store(lease_seconds=0.5), make_store(lease_seconds=0.5)
    queue = with_queue(store, OneSuspect)
    await store.accept([delivered(event_id="lost twice")])
    for _ in range(2):
        await plain.queue.claim(1, "lost")
        await asyncio.sleep(0.55)
    async with working(store, registry, concurrency=1) as engine:
        await queue.claimed.wait()
        await store.accept([delivered(event_id="given")])
        (lease,) = (await plain.queue.claim(1, "whoever")).leases
        await queue.given.put(lease)
        await eventually(lambda: holding.runs == ["given"])
        queue.may_answer.set()
        await asyncio.sleep(1.2)  # longer than a suspect waits for what runs
        assert holding.runs == ["given"]
        holding.may_end.set()
        await eventually(lambda: engine.jobs_complete == 2)
    assert holding.runs == ["given", "lost twice"]


class GivesBeforeItAnswers(Queue):
    """A queue that answers a claim after an event that was given for it."""

    claims = 0
    store: Store

    async def claim(self, most: int, owner: str, **how: Any) -> Claim:
        claim = await super().claim(most, owner, **how)
        self.claims += 1
        if self.claims == 3:  # by now it is listened to, and nothing but this is under way
            await self.store.accept([delivered(event_id="first")])
            await eventually(lambda: _is_done(self.store, "first"))
        return claim


async def _is_done(store: Store, event_id: str) -> bool:
    return "done" in [entry.what for entry in await store.inspection.history("truto", event_id)]


async def test_who_was_given_all_it_wanted_partly_before_the_answer_claims_again_at_once(
    make_store: MakeStore, registry: Registry, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.on("*")(recorder.handle)
    store = make_store()
    with_queue(store, GivesBeforeItAnswers).store = store
    async with working(store, registry, concurrency=4):
        await eventually(lambda: _is_done(store, "first"))
        monkeypatch.setattr("worker.loop._POLL_SECONDS", 30)
        await eventually(lambda: _waits(store))
        await asyncio.sleep(0.1)
        await store.accept([delivered(event_id="second")])
        await eventually(lambda: _is_done(store, "second"))
        await store.accept([delivered(event_id="third")])
        await eventually(lambda: _is_done(store, "third"), 5)
