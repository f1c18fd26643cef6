"""Stopping: what runs may end, what does not end is given back, and nothing is used up by it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Literal

import pytest
from structlog.testing import LogCapture

from events import Claim, Event, Kept, Store
from events.inspection import Inspection
from events.queue import Queue
from tests.conftest import MakeStore
from tests.integration.worker.workshop import (
    Recorder,
    delivered,
    ended,
    eventually,
    is_empty,
    story,
    with_queue,
    working,
)
from worker import Context
from worker.engine import Engine
from worker.registry import Registry


class Gate:
    """A handler that waits until it is let go."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.started: list[int] = []
        self.cancelled = 0

    async def handle(self, event: Event, ctx: Context) -> None:
        self.started.append(ctx.attempt)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@pytest.fixture
async def gate(registry: Registry) -> Gate:
    found = Gate()
    registry.on("gate:*")(found.handle)
    return found


async def test_a_stopping_worker_lets_running_work_end_and_takes_no_more(
    store: Store, registry: Registry, recorder: Recorder, gate: Gate
) -> None:
    registry.on("order:*")(recorder.handle)
    first, second = delivered("gate:a"), delivered()
    async with working(store, registry, grace_seconds=5) as engine:
        await store.accept([first])
        await eventually(lambda: bool(gate.started))
        engine.stop()
        await store.accept([second])
        await asyncio.sleep(0.3)
        gate.open.set()
        await ended(store, first)
        await eventually(lambda: bool(engine.main_task and engine.main_task.done()))
    assert recorder.runs == []
    assert gate.cancelled == 0
    assert (await store.inspection.overview()).ready == 1


async def test_an_idle_worker_stops_at_once(store: Store, registry: Registry) -> None:
    async with working(store, registry, grace_seconds=30) as engine:
        await eventually(lambda: store.redis.exists("tw:idle"))
        engine.stop()
        await eventually(lambda: bool(engine.main_task and engine.main_task.done()), seconds=10)


async def test_work_that_outlasts_the_grace_is_released_and_runs_elsewhere_with_the_same_attempt(
    store: Store, registry: Registry, gate: Gate
) -> None:
    event = delivered("gate:a")
    async with working(store, registry, grace_seconds=1) as engine:
        await store.accept([event])
        await eventually(lambda: bool(gate.started))
        engine.stop()
        await ended(store, event, "released")
    assert gate.cancelled == 1
    gate.open.set()
    async with working(store, registry):
        await ended(store, event)
    assert gate.started == [1, 1]
    assert await story(store, event) == ["received", "claimed", "released", "claimed", "done"]
    assert (await store.inspection.history("truto", event.id))[2].detail["why"] == "shutdown"


async def test_a_second_signal_releases_what_runs_at_once(
    store: Store, registry: Registry, gate: Gate, logs: LogCapture
) -> None:
    event = delivered("gate:a")
    async with working(store, registry, grace_seconds=30) as engine:
        await store.accept([event])
        await eventually(lambda: bool(gate.started))
        engine.stop()
        engine.stop()
        await ended(store, event, "released")
    assert [entry["running"] for entry in logs.entries if entry["event"] == "worker_draining"] == [1]


async def test_a_release_by_shutdown_is_no_crash(store: Store, registry: Registry, gate: Gate) -> None:
    event = delivered("gate:a")
    await store.accept([event])
    for number in range(1, 5):
        async with working(store, registry) as engine:
            await eventually(lambda number=number: len(gate.started) == number)  # type: ignore[misc] # binds it
            engine.stop()
            engine.stop()
    gate.open.set()
    async with working(store, registry):
        await ended(store, event)
    assert gate.started == [1] * 5


async def test_a_handler_may_end_its_work_after_it_was_told_to_stop(store: Store, registry: Registry) -> None:
    started = asyncio.Event()

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        started.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await asyncio.sleep(0.2)  # puts away its tools
            raise

    event = delivered()
    async with working(store, registry) as engine:
        await store.accept([event])
        await started.wait()
        engine.stop()
        engine.stop()
        await asyncio.sleep(0.05)
    assert await story(store, event) == ["received", "claimed", "released"]


class SlowClaims(Queue):
    """A queue whose claims are answered late: Redis has given the leases, the worker does not know yet."""

    lag = 0.3

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.claimed = asyncio.Event()

    async def claim(self, most: int, owner: str, **how: Any) -> Claim:
        answer = await super().claim(most, owner, **how)
        if answer.leases:
            self.claimed.set()
            await asyncio.sleep(self.lag)
        return answer


async def test_work_claimed_in_the_moment_of_stopping_is_given_back(
    make_store: MakeStore, registry: Registry, recorder: Recorder
) -> None:
    registry.on("*")(recorder.handle)
    plain = make_store()
    store = make_store()
    slow = with_queue(store, SlowClaims)
    event = delivered()
    await plain.accept([event])
    async with working(store, registry) as engine:
        await slow.claimed.wait()
        engine.stop()
        await eventually(lambda: bool(engine.main_task and engine.main_task.done()))
    assert recorder.runs == []
    assert await story(plain, event) == ["received", "claimed", "released"]
    async with working(plain, registry):
        await ended(plain, event)
    assert recorder.runs == [event.id]


class StopsAtItsClaim(Queue):
    """A queue whose claim is answered in the very moment in which the worker is cancelled."""

    engine: Engine

    async def claim(self, most: int, owner: str, **how: Any) -> Claim:
        answer = await super().claim(most, owner, **how)
        if answer.leases and self.engine.main_task is not None:
            self.engine.main_task.cancel()
        return answer


async def test_a_claim_answered_in_the_moment_of_a_cancellation_is_given_back(
    make_store: MakeStore, registry: Registry, recorder: Recorder
) -> None:
    registry.on("*")(recorder.handle)
    plain = make_store()
    other = make_store()
    stopping = with_queue(other, StopsAtItsClaim)
    event = delivered()
    await plain.accept([event])
    async with working(other, registry) as engine:
        stopping.engine = engine
        await ended(plain, event, "released")
    assert recorder.runs == []


async def test_a_claim_that_is_answered_while_work_comes_to_its_end_is_given_back_at_once(
    make_store: MakeStore, registry: Registry, gate: Gate
) -> None:
    plain = make_store()
    store = make_store()
    slow = with_queue(store, SlowClaims)
    slow.lag = 0
    first, second = delivered("gate:first"), delivered("gate:second")
    await plain.accept([first])
    async with working(store, registry, grace_seconds=10) as engine:
        await eventually(lambda: len(gate.started) == 1)
        slow.lag = 0.3
        slow.claimed.clear()
        await plain.redis.delete("tw:idle")
        await plain.accept([second])
        await slow.claimed.wait()
        engine.stop()
        await ended(plain, second, "released")
        assert len(engine.tasks) == 1
        gate.open.set()
        await ended(plain, first)


async def test_work_claimed_in_the_moment_of_a_second_signal_is_given_back_too(
    make_store: MakeStore, registry: Registry, recorder: Recorder
) -> None:
    registry.on("*")(recorder.handle)
    plain = make_store()
    store = make_store()
    slow = with_queue(store, SlowClaims)
    event = delivered()
    await plain.accept([event])
    async with working(store, registry) as engine:
        await slow.claimed.wait()
        engine.stop()
        await asyncio.sleep(0.05)
        engine.stop()
    assert recorder.runs == []
    assert await story(plain, event) == ["received", "claimed", "released"]


class SwallowsCancellation(Inspection):
    """What Python 3.11's ``wait_for``, and so redis-py, does to a cancellation that comes in the wrong moment."""

    async def each_kept(self, name: Literal["dead", "parked"], page: int = 100) -> AsyncIterator[Kept]:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(30)
        async for kept in super().each_kept(name, page):
            yield kept


async def test_a_cancellation_that_a_library_swallows_does_not_keep_the_worker_alive(
    make_store: MakeStore, registry: Registry
) -> None:
    store = make_store()
    store.inspection = SwallowsCancellation(store.client, store.retention, store.bodies)
    async with working(store, registry) as engine:
        await asyncio.sleep(0.1)
        engine.stop()
        await eventually(lambda: bool(engine.main_task and engine.main_task.done()), seconds=3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
async def test_a_signal_drains(store: Store, number: signal.Signals) -> None:
    from events import End, Lease

    async def dispatch(lease: Lease) -> End:
        await asyncio.sleep(0.2)
        return End("done")

    engine = Engine(store, dispatch, grace_seconds=5)
    running = asyncio.create_task(engine.run_until_stopped())
    event = delivered()
    try:
        await store.accept([event])
        await eventually(lambda: bool(engine.tasks))
        os.kill(os.getpid(), number)
        await asyncio.wait_for(running, 5)
    finally:
        engine.loop.remove_signal_handler(signal.SIGTERM)
        engine.loop.remove_signal_handler(signal.SIGINT)
    assert (await story(store, event))[-1] == "done"
    assert await is_empty(store)
