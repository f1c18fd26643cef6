"""Leases: renewed while work runs, lost when nobody renews, and never finished by who lost them."""

from __future__ import annotations

import asyncio
import time

from redis import Redis
from structlog.testing import LogCapture

from events import Event, Store
from events.embedded import EmbeddedRedis
from tests.integration.worker.workshop import Recorder, delivered, ended, eventually, is_empty, story, working
from worker import Context
from worker.registry import Registry


async def test_work_longer_than_a_lease_runs_once(short: Store, registry: Registry) -> None:
    starts: list[str] = []

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        starts.append(event.id)
        await asyncio.sleep(2.5 * short.queue.lease_seconds)

    event = delivered()
    async with working(short, registry), working(short, registry):
        await short.accept([event])
        await ended(short, event)
    assert starts == [event.id]
    assert await story(short, event) == ["received", "claimed", "done"]


async def test_a_blocked_worker_says_so_and_does_not_take_its_own_work_a_second_time(
    short: Store, registry: Registry, logs: LogCapture
) -> None:
    events = [delivered(f"e-{number}") for number in range(12)]
    runs: list[str] = []

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        runs.append(event.id)
        if event.id == events[0].id:
            # While this blocks, an answer to the next claim waits to be read, and the one after goes out at once.
            time.sleep(2 * short.queue.lease_seconds)  # noqa: ASYNC251 the fault under test
            await asyncio.sleep(0.5)

    await short.accept(events)
    async with working(short, registry, concurrency=8):
        await ended(short, events[0])
        await eventually(lambda: is_empty(short))
    said = next(entry for entry in logs.entries if entry["event"] == "event_loop_blocked")
    assert said["seconds"] >= short.queue.lease_seconds > said["cpu_seconds"]
    assert "waits without await" in said["hint"]
    assert await story(short, events[0]) == ["received", "claimed", "done"]
    assert runs.count(events[0].id) == 1


async def test_work_that_was_lost_before_it_began_is_not_run(
    short: Store, registry: Registry, logs: LogCapture, redis_server: EmbeddedRedis
) -> None:
    blocking, waiting = delivered("order:blocking"), delivered("order:waiting")
    runs: list[str] = []

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        runs.append(event.id)
        if event.id == blocking.id:
            # Both were claimed at once; while this blocks, somebody takes the other.
            with Redis.from_url(redis_server.url) as elsewhere:
                elsewhere.hset(f"tw:work:{waiting.key}", "token", "elsewhere:1:1")
                elsewhere.zincrby("tw:queue", 60_000, waiting.key)
            time.sleep(1.5 * short.queue.lease_seconds)  # noqa: ASYNC251 the fault under test

    await short.accept([blocking, waiting])
    async with working(short, registry):
        await ended(short, blocking)
        await eventually(lambda: ("lease_lost", waiting.id) in [(e["event"], e.get("event_id")) for e in logs.entries])
        assert runs == [blocking.id]
    assert await story(short, blocking) == ["received", "claimed", "done"]


async def test_work_taken_by_another_worker_is_cancelled_here_and_ends_there(
    short: Store, registry: Registry, logs: LogCapture
) -> None:
    cancelled = asyncio.Event()

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    event = delivered()
    async with working(short, registry, concurrency=1) as engine:  # full, so that it takes nothing back itself
        await short.accept([event])
        await eventually(lambda: bool(engine.tasks))
        await short.redis.zadd("tw:queue", {event.key: 1}, xx=True)  # as if the lease had run out
        (lease,) = (await short.queue.claim(1, "elsewhere")).leases
        await asyncio.wait_for(cancelled.wait(), 3)
        await eventually(lambda: not engine.tasks)
        assert await short.queue.renew([lease]) == [True]
    assert any(entry["event"] == "lease_lost" and entry["event_id"] == event.id for entry in logs.entries)
    assert "released" not in await story(short, event)
    assert lease.crashes == 1


async def test_an_end_that_comes_too_late_is_refused_and_said(
    short: Store, registry: Registry, logs: LogCapture
) -> None:
    proceed, started = asyncio.Event(), asyncio.Event()

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        started.set()
        await proceed.wait()

    event = delivered()
    async with working(short, registry, concurrency=1):
        await short.accept([event])
        await started.wait()
        await short.redis.zadd("tw:queue", {event.key: 1}, xx=True)
        (lease,) = (await short.queue.claim(1, "elsewhere")).leases
        proceed.set()
        await eventually(lambda: any(entry["event"] == "lease_lost" for entry in logs.entries))
        assert "done" not in await story(short, event)
        assert await short.queue.renew([lease]) == [True]
    assert (await short.inspection.overview()).totals["stale"] == 1


async def test_claims_that_never_finish_make_a_dead_letter_of_the_work(
    short: Store, registry: Registry, recorder: Recorder
) -> None:
    registry.on("*")(recorder.handle)
    event = delivered()
    await short.accept([event])
    for _ in range(3):  # three workers that are killed while they have it
        await short.queue.claim(1, "killed")
        await short.redis.zadd("tw:queue", {event.key: 1}, xx=True)
    async with working(short, registry):
        await ended(short, event, "dead")
    (kept,) = await short.inspection.dead_letters()
    assert "the worker was lost 3 times" in kept.note["error"]
    assert kept.note["fingerprint"].startswith("crash:")
    assert recorder.runs == []


async def test_a_dead_letter_of_poison_names_the_handler_that_would_have_run(
    short: Store, registry: Registry, recorder: Recorder
) -> None:
    registry.on("*")(recorder.handle)
    event = delivered()
    await short.accept([event])
    for _ in range(3):
        await short.queue.claim(1, "killed")
        await short.redis.zadd("tw:queue", {event.key: 1}, xx=True)
    async with working(short, registry):
        await ended(short, event, "dead")
    (kept,) = await short.inspection.dead_letters()
    assert kept.handler is not None
    assert kept.handler.endswith("Recorder.handle")


async def test_poison_runs_again_with_all_its_chances_when_it_is_replayed(
    short: Store, registry: Registry, recorder: Recorder
) -> None:
    registry.on("*")(recorder.handle)
    event = delivered()
    await short.accept([event])
    for _ in range(3):
        await short.queue.claim(1, "killed")
        await short.redis.zadd("tw:queue", {event.key: 1}, xx=True)
    async with working(short, registry):
        await ended(short, event, "dead")
        (kept,) = await short.inspection.dead_letters()
        await short.inspection.replay([kept.member])
        await ended(short, event)
    assert recorder.attempts == [1]


async def test_fewer_crashes_than_that_cost_nothing(short: Store, registry: Registry, recorder: Recorder) -> None:
    registry.on("*")(recorder.handle)
    event = delivered()
    await short.accept([event])
    for _ in range(2):
        await short.queue.claim(1, "killed")
        await short.redis.zadd("tw:queue", {event.key: 1}, xx=True)
    async with working(short, registry):
        await ended(short, event)
    assert recorder.attempts == [1]
