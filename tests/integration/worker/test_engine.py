"""Taking work: at once, within limits, and through its own defects."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import LogCapture

from events import Claim, End, Event, Lease, Store
from events.queue import Queue
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
from worker import Context
from worker.engine import Engine
from worker.registry import Registry


async def test_an_idle_worker_starts_an_event_sooner_than_polling_would(store: Store, registry: Registry) -> None:
    started: list[float] = []

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        started.append(asyncio.get_running_loop().time())

    async with working(store, registry):
        for number in range(1, 6):
            await asyncio.sleep(0.05)  # idle again
            accepted = asyncio.get_running_loop().time()
            await store.accept([delivered()])
            await eventually(lambda number=number: len(started) == number)  # type: ignore[misc] # binds the number
            assert started[-1] - accepted < 0.5


class Crowd:
    """How many are inside, now and at the most."""

    now = most = 0

    def __enter__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def __exit__(self, *error: object) -> None:
        self.now -= 1


async def test_no_more_runs_at_once_than_the_concurrency_allows(store: Store, registry: Registry) -> None:
    crowd = Crowd()

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        with crowd:
            await asyncio.sleep(0.02)

    async with working(store, registry, concurrency=3) as engine:
        await store.accept([delivered() for _ in range(20)])
        await eventually(lambda: engine.jobs_complete == 20)
    assert crowd.most == 3


class Claimed(Queue):
    """A queue that remembers how much was asked for at once."""

    asked: list[int]
    free: list[int]

    async def claim(self, most: int, owner: str, **how: Any) -> Claim:
        self.asked.append(most)
        self.free.append(how["free"])
        return await super().claim(most, owner, **how)


@pytest.fixture
def claimed(store: Store) -> Claimed:
    """The queue of ``store``."""
    queue = with_queue(store, Claimed)
    queue.asked, queue.free = [], []
    return queue


async def _work_off(store: Store, registry: Registry, events: int, *, concurrency: int) -> None:
    await store.accept([delivered() for _ in range(events)])
    async with working(store, registry, concurrency=concurrency) as engine:
        await eventually(lambda: engine.jobs_complete == events)


async def test_work_that_is_done_before_redis_answers_is_claimed_for_all_slots_ahead(
    store: Store, claimed: Claimed, registry: Registry, recorder: Recorder
) -> None:
    registry.on("*")(recorder.handle)
    await _work_off(store, registry, 100, concurrency=10)
    assert claimed.asked[:4] == [5, 5, 10, 10]
    assert len(set(recorder.runs)) == len(recorder.runs) == 100


async def test_however_many_slots_there_are_no_more_is_given_than_redis_may_hold_for_one_listener(
    store: Store, claimed: Claimed, registry: Registry, recorder: Recorder
) -> None:
    registry.on("*")(recorder.handle)
    await _work_off(store, registry, 600, concurrency=500)
    assert max(claimed.free) == 128


async def test_of_work_that_takes_its_time_no_more_is_claimed_than_can_begin(
    store: Store, claimed: Claimed, registry: Registry, holding: Holding
) -> None:
    await store.accept([delivered() for _ in range(40)])
    async with working(store, registry, concurrency=10):
        await eventually(lambda: len(holding.runs) == 10)
        assert claimed.asked == [5, 5]
        holding.may_end.set()


class SlowClaims(Claimed):
    """Claims whose answer is slow beside short handlers."""

    async def claim(self, most: int, owner: str, **how: Any) -> Claim:
        claim = await super().claim(most, owner, **how)
        await asyncio.sleep(0.02)
        return claim


@pytest.fixture
def slow(store: Store) -> SlowClaims:
    """The queue of ``store``."""
    queue = with_queue(store, SlowClaims)
    queue.asked, queue.free = [], []
    return queue


async def is_idle(store: Store) -> bool:
    return bool(await store.redis.zcard("tw:idle"))


async def _wait_briefly(event: Event, ctx: Context) -> None:
    await asyncio.sleep(0.005)


async def test_short_work_is_claimed_before_a_slot_is_free_for_it(
    store: Store, slow: SlowClaims, registry: Registry
) -> None:
    registry.on("*")(_wait_briefly)
    await _work_off(store, registry, 100, concurrency=10)
    assert any(free < asked for asked, free in zip(slow.asked, slow.free, strict=True))


async def test_a_worker_that_claimed_ahead_is_idle_again_when_the_queue_is_empty(
    store: Store, slow: SlowClaims, registry: Registry
) -> None:
    registry.on("*")(_wait_briefly)
    await store.accept([delivered() for _ in range(100)])
    async with working(store, registry, concurrency=10) as engine:
        await eventually(lambda: engine.jobs_complete == 100)
        await eventually(lambda: is_idle(store))


async def test_of_what_was_claimed_ahead_no_more_runs_at_once_than_there_are_slots(
    store: Store, registry: Registry
) -> None:
    crowd = Crowd()

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        with crowd:
            await asyncio.sleep(0 if crowd.now < 4 else 0.05)  # the first are done at once, so that more is claimed

    async with working(store, registry, concurrency=10) as engine:
        await store.accept([delivered() for _ in range(120)])
        await eventually(lambda: engine.jobs_complete == 120)
    assert crowd.most == 10


async def test_a_full_worker_leaves_the_rest_to_others(store: Store, registry: Registry) -> None:
    owners: set[str] = set()

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        await asyncio.sleep(0.1)

    events = [delivered() for _ in range(8)]
    async with working(store, registry, concurrency=2), working(store, registry, concurrency=2):
        await store.accept(events)
        for event in events:
            await ended(store, event)
            history = await store.inspection.history("truto", event.id)
            owners |= {entry.detail["worker"] for entry in history if entry.what == "claimed"}
    assert len(owners) == 2


async def test_many_events_run_once_each_on_two_workers(store: Store, registry: Registry, recorder: Recorder) -> None:
    registry.on("*")(recorder.handle)
    events = [delivered() for _ in range(300)]
    async with working(store, registry, concurrency=20), working(store, registry, concurrency=20):
        await asyncio.gather(*(store.accept([event]) for event in events))
        await eventually(lambda: len(recorder.runs) >= 300)
        await eventually(lambda: is_empty(store))
    assert sorted(recorder.runs) == sorted(event.id for event in events)


async def test_events_of_one_worker_with_one_slot_run_in_the_order_of_their_accepts(
    store: Store, registry: Registry, recorder: Recorder
) -> None:
    registry.on("*")(recorder.handle)
    events = [delivered() for _ in range(20)]
    for event in events:
        await store.accept([event])
    async with working(store, registry, concurrency=1):
        await eventually(lambda: len(recorder.runs) == 20)
    assert recorder.runs == [event.id for event in events]


async def test_two_workers_of_one_process_have_different_names_safe_for_keys(store: Store) -> None:
    async def dispatch(lease: Lease) -> End:
        return End("done")

    first, second = (Engine(store, dispatch, handle_signals=False) for _ in range(2))
    assert first.owner != second.owner
    assert all(char.isalnum() or char in ".-" for char in first.owner)


async def test_a_defect_of_dispatch_costs_no_event_and_no_attempt(store: Store, logs: LogCapture) -> None:
    async def dispatch(lease: Lease) -> End | None:
        raise RuntimeError("our own defect with s3cret")

    event = delivered()
    engine = Engine(store, dispatch, handle_signals=False, grace_seconds=1)
    running = asyncio.create_task(engine.run_until_stopped())
    await store.accept([event])
    await ended(store, event, "released")
    engine.stop()
    await running
    view = await store.inspection.overview()
    assert (view.waiting, view.dead) == (1, 0)
    assert {"error": "RuntimeError", "event_id": event.id} in [
        {name: entry.get(name) for name in ("error", "event_id")} for entry in logs.entries
    ]
    assert "s3cret" not in str(logs.entries)


async def test_an_unexpected_end_of_the_main_loop_ends_the_process_with_its_error(store: Store) -> None:
    async def dispatch(lease: Lease) -> End | None:
        return None

    async def broken() -> None:
        raise RuntimeError("cannot start")

    engine = Engine(store, dispatch, sweep=broken, handle_signals=False)
    with pytest.raises(RuntimeError, match="cannot start"):
        await engine.run_until_stopped()


async def test_a_worker_says_when_it_starts_and_stops_and_how_much_it_did(
    store: Store, registry: Registry, recorder: Recorder, logs: LogCapture
) -> None:
    registry.on("*")(recorder.handle)
    async with working(store, registry, concurrency=7) as engine:
        event = delivered()
        await store.accept([event])
        await ended(store, event)
        await eventually(lambda: not engine.tasks)
    said: dict[str, Any] = {entry["event"]: entry for entry in logs.entries}
    assert said["worker_started"]["concurrency"] == 7
    assert (said["worker_stopped"]["done"], said["worker_stopped"]["kept"]) == (1, 0)


async def test_the_time_of_the_next_retry_is_not_slept_over(store: Store, registry: Registry) -> None:
    from worker import Retry

    starts: list[float] = []

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        starts.append(asyncio.get_running_loop().time())
        if ctx.attempt == 1:
            raise Retry("soon", after=0.2)

    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event)
    assert 0.19 <= starts[1] - starts[0] < 0.9  # the fallback poll alone would take a second
    assert await story(store, event) == ["received", "claimed", "retried", "claimed", "done"]


async def test_an_end_that_cannot_be_stored_keeps_no_other_from_being_stored(store: Store, logs: LogCapture) -> None:
    async def dispatch(lease: Lease) -> End:
        return End("done", note={"why": "\ud800"} if lease.event.type == "strange:one" else {})

    engine = Engine(store, dispatch, handle_signals=False, grace_seconds=1)
    running = asyncio.create_task(engine.run_until_stopped())
    await store.accept([delivered("strange:one")])
    await eventually(lambda: any(entry["event"] == "finish_failed" for entry in logs.entries))
    later = delivered()
    await store.accept([later])
    await ended(store, later)
    engine.stop()
    await running
