"""Redis is killed and comes back: the worker goes on by itself, and nothing is lost or done wrongly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest
from structlog.testing import LogCapture

import worker.engine
import worker.reporter
from events import End, Event, Lease, Store, StoreUnavailable
from events.embedded import EmbeddedRedis
from events.queue import Queue
from tests.conftest import MakeStore
from tests.integration.worker.workshop import (
    Holding,
    Recorder,
    delivered,
    ended,
    eventually,
    is_empty,
    story,
    with_queue,
    working,
)
from worker import Backoff, Context
from worker.registry import Registry


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest pauses are a second, so that the tests are done sooner."""
    monkeypatch.setattr(worker.engine, "OUTAGE_BACKOFF", Backoff(0.5, 1.0))
    monkeypatch.setattr(worker.reporter, "OUTAGE_BACKOFF", Backoff(0.5, 1.0))
    monkeypatch.setattr(worker.engine, "_CLOSE_SECONDS", 1.0)


async def restart(server: EmbeddedRedis, *, after: float = 0.0) -> None:
    server.kill()
    await asyncio.sleep(after)
    await asyncio.to_thread(server.start)


async def test_a_worker_survives_an_outage_while_it_is_idle(
    own_redis: EmbeddedRedis, own_store: Store, registry: Registry, recorder: Recorder, logs: LogCapture
) -> None:
    registry.on("*")(recorder.handle)
    async with working(own_store, registry):
        await asyncio.sleep(0.1)
        await restart(own_redis, after=1.5)
        event = delivered()
        await own_store.accept([event])
        await ended(own_store, event)
    assert recorder.runs == [event.id]
    assert any(entry["event"] == "store_unavailable" for entry in logs.entries)


async def test_a_handler_that_runs_through_an_outage_is_done_once(
    own_redis: EmbeddedRedis, own_store: Store, registry: Registry, holding: Holding
) -> None:
    event = delivered()
    async with working(own_store, registry):
        await own_store.accept([event])
        await eventually(lambda: bool(holding.runs))
        await restart(own_redis, after=0.8)  # longer than the time between renewals
        await asyncio.sleep(0.2)
        holding.may_end.set()
        await ended(own_store, event)
        await eventually(lambda: is_empty(own_store))
    assert holding.runs == [event.id]
    assert (await story(own_store, event)).count("done") == 1


async def test_the_end_of_a_handler_is_recorded_when_the_store_is_back(
    own_redis: EmbeddedRedis, own_store: Store, registry: Registry, holding: Holding
) -> None:
    event = delivered()
    async with working(own_store, registry) as engine:
        await own_store.accept([event])
        await eventually(lambda: bool(holding.runs))
        own_redis.kill()
        holding.may_end.set()
        await eventually(lambda: engine.jobs_complete == 1)
        await asyncio.to_thread(own_redis.start)
        await ended(own_store, event)
    assert holding.runs == [event.id]
    assert await is_empty(own_store)


async def test_what_ended_in_an_outage_longer_than_its_lease_is_not_claimed_again_by_who_did_it(
    own_redis: EmbeddedRedis, own_store: Store, registry: Registry, holding: Holding
) -> None:
    event = delivered()
    async with working(own_store, registry) as engine:
        await own_store.accept([event])
        await eventually(lambda: bool(holding.runs))
        own_redis.kill()
        holding.may_end.set()
        await eventually(lambda: engine.jobs_complete == 1)
        await asyncio.sleep(1.5 * own_store.queue.lease_seconds)
        await asyncio.to_thread(own_redis.start)
        await ended(own_store, event)
        await eventually(lambda: is_empty(own_store))
    assert holding.runs == [event.id]
    assert await story(own_store, event) == ["received", "claimed", "done"]


async def test_a_worker_started_during_an_outage_works_when_it_is_over(
    own_redis: EmbeddedRedis, own_store: Store, registry: Registry, recorder: Recorder
) -> None:
    event = delivered()
    async with working(own_store, Registry()):
        await own_store.accept([event])
        await ended(own_store, event, "parked")
    own_redis.kill()
    registry.on("*")(recorder.handle)
    async with working(own_store, registry):
        await asyncio.sleep(0.2)
        await asyncio.to_thread(own_redis.start)
        await ended(own_store, event)  # so what it does at its start was made up for
    assert recorder.runs == [event.id]


async def test_an_outage_in_the_moment_of_splitting_an_event_loses_no_part_of_it(
    own_redis: EmbeddedRedis, own_store: Store, registry: Registry, recorder: Recorder
) -> None:
    other = Recorder()
    plan = own_store.queue.plan

    async def plan_without_redis(*args: object) -> bool:
        own_store.queue.plan = plan  # type: ignore[method-assign] # once
        own_redis.kill()
        try:
            return await plan(*args)  # type: ignore[arg-type] # as they came
        finally:
            own_redis.start()

    async def handle_too(event: Event, ctx: Context) -> None:
        await other.handle(event, ctx)

    own_store.queue.plan = plan_without_redis  # type: ignore[method-assign,assignment] # a fault at an exact moment
    registry.on("*")(recorder.handle)
    registry.on("*")(handle_too)
    event = delivered()
    async with working(own_store, registry):
        await own_store.accept([event])
        await eventually(lambda: bool(recorder.runs and other.runs))
        await eventually(lambda: is_empty(own_store))
    assert (recorder.runs, other.runs) == ([event.id], [event.id])


async def test_stopping_during_an_outage_takes_no_longer_than_its_bounds(
    own_redis: EmbeddedRedis, own_store: Store, registry: Registry
) -> None:
    started = asyncio.Event()

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        started.set()
        await asyncio.sleep(30)

    event = delivered()
    async with asyncio.timeout(4):
        async with working(own_store, registry):
            await own_store.accept([event])
            await started.wait()
            own_redis.kill()
    own_redis.start()
    assert (await own_store.inspection.overview()).waiting + (await own_store.inspection.overview()).ready == 1


async def test_a_stream_of_events_survives_repeated_outages(
    own_redis: EmbeddedRedis, own_store: Store, registry: Registry, recorder: Recorder
) -> None:
    registry.on("*", max_attempts=50)(recorder.handle)
    events = [delivered() for _ in range(60)]
    async with working(own_store, registry, concurrency=5):
        for number, event in enumerate(events):
            if number % 25 == 10:
                await restart(own_redis)
            await own_store.accept([event])
        for event in events:
            await ended(own_store, event)
        await eventually(lambda: is_empty(own_store))
    assert set(recorder.runs) == {event.id for event in events}


class FirstEndUnheard(Queue):
    """A queue that does not take the first end it is told."""

    refused = False

    async def finish_all(self, ends: Sequence[tuple[Lease, End]]) -> list[bool]:
        if not self.refused:
            self.refused = True
            raise StoreUnavailable("away for a moment")
        return await super().finish_all(ends)


async def test_an_end_is_said_again_as_soon_as_the_store_answers_a_claim(
    make_store: MakeStore, registry: Registry, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.reporter.OUTAGE_BACKOFF", Backoff(60.0, 60.0))
    registry.on("*")(recorder.handle)
    store = make_store()
    with_queue(store, FirstEndUnheard)
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event)
    assert recorder.runs == [event.id]


async def test_a_worker_that_cannot_be_told_of_work_says_so_once(
    make_store: MakeStore, registry: Registry, logs: LogCapture
) -> None:
    class Deaf(Queue):
        async def subscribe(self, owner: str) -> AsyncGenerator[Lease | None, None]:
            raise StoreUnavailable("Redis did not confirm: NoPermissionError")
            yield None

    store = make_store()
    with_queue(store, Deaf)
    async with working(store, registry):
        await asyncio.sleep(1.2)
    assert [entry["event"] for entry in logs.entries].count("subscription_lost") == 1
