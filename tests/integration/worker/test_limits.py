"""Handlers with limits per key, in running workers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import pytest

from events import Event, Store, Verified
from tests.conftest import MakeStore
from tests.integration.worker.workshop import Recorder, delivered, ended, eventually, is_empty, story, working
from worker import Backoff, Context, Discard, Retry
from worker.registry import Registry

SOON = Backoff(0.001, 0.001)


def order(account: str, number: int = 0, *, tenant: str = "acme") -> Verified:
    data = {"integrated_account_id": account, "tenant_id": tenant, "number": number}
    return delivered("order:paid", data=data)


async def all_over(store: Store) -> bool:
    return await is_empty(store) and (await store.inspection.overview()).held == 0


class Busy:
    """Handlers that count how many of them run at once for each account."""

    def __init__(self, seconds: float = 0.005) -> None:
        self.now: Counter[str | None] = Counter()
        self.most: Counter[str | None] = Counter()
        self.starts: list[tuple[str | None, int]] = []
        self._seconds = seconds

    async def handle(self, event: Event, ctx: Context) -> None:
        account = event.account_id
        self.starts.append((account, event.payload["number"]))
        self.now[account] += 1
        self.most[account] = max(self.most[account], self.now[account])
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self.now[account] -= 1


async def test_no_more_than_the_limit_run_at_once_for_a_key_in_a_fleet(
    make_store: MakeStore, registry: Registry
) -> None:
    busy = Busy()
    registry.on("*", concurrency=2)(busy.handle)
    stores = [make_store() for _ in range(3)]
    async with working(stores[0], registry), working(stores[1], registry), working(stores[2], registry):
        await stores[0].accept([order(account, n) for n in range(30) for account in "ab"])
        await eventually(lambda: len(busy.starts) == 60)
        await eventually(lambda: all_over(stores[0]))
    assert busy.most == {"a": 2, "b": 2}


async def test_ordered_work_runs_one_by_one_in_the_order_of_acceptance_in_a_fleet(
    make_store: MakeStore, registry: Registry
) -> None:
    busy = Busy(0.001)
    registry.on("*", ordered=True)(busy.handle)
    stores = [make_store() for _ in range(3)]
    async with (
        working(stores[0], registry),
        working(stores[1], registry, concurrency=2),
        working(stores[2], registry, concurrency=3),
    ):
        for n in range(40):
            await stores[0].accept([order(account, n) for account in "abc"])
        await eventually(lambda: len(busy.starts) == 120)
        await eventually(lambda: all_over(stores[0]))
    assert busy.most == {"a": 1, "b": 1, "c": 1}
    for account in "abc":
        assert [n for name, n in busy.starts if name == account] == list(range(40))


async def test_a_failure_in_ordered_work_holds_the_rest_of_its_key_back(store: Store, registry: Registry) -> None:
    runs: list[str] = []

    @registry.on("*", ordered=True, backoff=Backoff(0.02, 0.02))
    async def handle(event: Event, ctx: Context) -> None:
        runs.append(f"{event.account_id}{event.payload['number']}.{ctx.attempt}")
        if event.payload["number"] == 0 and event.account_id == "a" and ctx.attempt < 3:
            raise Retry("not yet")

    async with working(store, registry):
        await store.accept([order("a", 0), order("a", 1), order("b", 1)])
        await eventually(lambda: len(runs) == 5)
        await eventually(lambda: all_over(store))
    assert [run for run in runs if run[0] == "a"] == ["a0.1", "a0.2", "a0.3", "a1.1"]
    assert runs.index("b1.1") < 2


async def test_a_tenant_with_one_event_does_not_wait_for_one_with_two_thousand(
    store: Store, registry: Registry
) -> None:
    starts: list[str | None] = []
    proceed = asyncio.Event()

    @registry.on("*", key="tenant", concurrency=3)
    async def handle(event: Event, ctx: Context) -> None:
        starts.append(event.tenant_id)
        if event.tenant_id == "quiet":
            proceed.set()
        await proceed.wait()

    for _ in range(20):
        await store.accept([order("a", tenant="noisy") for _ in range(100)])
    await store.accept([order("b", tenant="quiet")])
    async with working(store, registry, concurrency=20):
        await asyncio.wait_for(proceed.wait(), 10)
    assert starts[:4] == ["noisy", "noisy", "noisy", "quiet"]


async def test_between_busy_tenants_work_takes_turns(store: Store, registry: Registry) -> None:
    busy = Busy(0.001)
    registry.on("*", concurrency=1)(busy.handle)
    await store.accept([order("a", n) for n in range(25)] + [order("b", n) for n in range(25)])
    async with working(store, registry, concurrency=4):
        await eventually(lambda: len(busy.starts) == 50)
    middle = Counter(account for account, _ in busy.starts[:30])
    assert abs(middle["a"] - middle["b"]) < 10


async def test_a_burst_of_events_runs_once_for_the_latest(store: Store, registry: Registry) -> None:
    busy = Busy()
    registry.on("*", debounce=0.15)(busy.handle)
    events = [order(account, n) for n in range(10) for account in "ab"]
    async with working(store, registry), working(store, registry):
        for event in events:
            await store.accept([event])
        await eventually(lambda: all_over(store))
    assert sorted(busy.starts) == [("a", 9), ("b", 9)]
    assert (await story(store, events[0]))[-1] == "discarded"
    assert await story(store, events[-1]) == ["received", "claimed", "held", "claimed", "done"]


async def test_starts_are_spread_by_the_rate_and_use_up_no_attempt(store: Store, registry: Registry) -> None:
    started: list[float] = []
    attempts: set[int] = set()

    @registry.on("*", rate=(2, 0.2), max_attempts=1)
    async def handle(event: Event, ctx: Context) -> None:
        started.append(time.monotonic())
        attempts.add(ctx.attempt)

    async with working(store, registry):
        await store.accept([order("a", n) for n in range(6)])
        await eventually(lambda: all_over(store))
    assert len(started) == 6
    assert attempts == {1}
    # The handler starts a little after its start was granted.
    assert all(later - earlier > 0.15 for earlier, later in zip(started, started[2:], strict=False))
    assert started[-1] - started[0] < 1.5


async def test_all_limits_together_end_everything(store: Store, registry: Registry) -> None:
    busy = Busy(0.001)
    registry.on("*", ordered=True, rate=(5, 0.05), debounce=0.02)(busy.handle)
    async with working(store, registry), working(store, registry):
        for n in range(60):
            await store.accept([order(str(n % 3), n)])
            await asyncio.sleep(0.005)
        await eventually(lambda: all_over(store))
    for account in "012":
        numbers = [n for name, n in busy.starts if name == account]
        assert numbers == sorted(numbers)
        assert numbers[-1] >= 57
    assert max(busy.most.values()) == 1


async def test_one_handler_of_several_may_have_limits(store: Store, registry: Registry, recorder: Recorder) -> None:
    busy = Busy()
    registry.on("*", ordered=True)(busy.handle)
    registry.on("*")(recorder.handle)
    async with working(store, registry), working(store, registry):
        await store.accept([order("a", n) for n in range(20)])
        await eventually(lambda: all_over(store))
    assert busy.starts == [("a", n) for n in range(20)]
    assert len(recorder.runs) == 20


async def test_events_without_a_key_are_not_held_back(store: Store, registry: Registry) -> None:
    running: set[str] = set()
    proceed = asyncio.Event()

    @registry.on("*", key=lambda _: None, ordered=True)
    async def handle(event: Event, ctx: Context) -> None:
        running.add(event.id)
        await proceed.wait()

    async with working(store, registry):
        await store.accept([order("a") for _ in range(5)])
        await eventually(lambda: len(running) == 5)
        proceed.set()
        await eventually(lambda: all_over(store))


async def test_a_key_that_cannot_be_found_is_a_failure_of_the_handler(store: Store, registry: Registry) -> None:
    @registry.on("*", key=lambda event: event.payload["missing"], ordered=True, max_attempts=2, backoff=SOON)
    async def handle(event: Event, ctx: Context) -> None: ...

    event = order("a")
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "dead")
    (letter,) = await store.inspection.dead_letters()
    assert letter.note["error"] == "KeyError: 'missing'"
    assert letter.attempts == 1


async def test_work_in_lanes_outlives_a_version_that_has_none(make_store: MakeStore, registry: Registry) -> None:
    store, after = make_store(), Registry()
    proceed = asyncio.Event()
    runs: list[int] = []

    async def handle(event: Event, ctx: Context) -> None:
        runs.append(event.payload["number"])
        await proceed.wait()

    registry.on("*", concurrency=1)(handle)
    after.on("*")(handle)
    async with working(store, registry):
        await store.accept([order("a", n) for n in range(5)])
        await eventually(lambda: _held(store, 4))
        await eventually(lambda: len(runs) == 1)
    proceed.set()
    async with working(make_store(), after):
        await eventually(lambda: all_over(store))
    assert sorted(runs[1:]) == list(range(5))


async def _held(store: Store, count: int) -> bool:
    return (await store.inspection.overview()).held == count


@pytest.mark.parametrize("limits", [{}, {"concurrency": 2}, {"ordered": True}], ids=["none", "concurrency", "ordered"])
async def test_handlers_without_limits_pay_nothing_whatever_others_have(
    store: Store, registry: Registry, recorder: Recorder, limits: dict[str, Any]
) -> None:
    registry.on("order:paid")(recorder.handle)
    registry.on("invoice:*", **limits)(Busy().handle)
    async with working(store, registry):
        await store.accept([order("warm")])
        await eventually(lambda: all_over(store))
        await store.redis.config_resetstat()
        event = order("a")
        await store.accept([event])
        await ended(store, event)
        commands = {name[8:]: entry["calls"] for name, entry in (await store.redis.info("commandstats")).items()}
    used = set(commands) & {"sadd", "srem", "scard", "sismember", "zscore", "zcard", "hget", "hincrbyfloat"}
    assert used == set()
    # One each in the finish; the claims of workers with ordered handlers look at the event too, and are woken for it.
    woken = 1 if limits.get("ordered") else 0
    claims = commands.get("zrangebyscore", 0)
    assert commands["hmget"] == 1 + woken
    assert commands["hset"] == 1
    assert commands["zrem"] == 1 + woken
    assert commands["zadd"] == 2 * claims + 3  # a claim says who is there, and who waits


async def test_a_discard_frees_the_key_too(store: Store, registry: Registry) -> None:
    @registry.on("*", ordered=True)
    async def handle(event: Event, ctx: Context) -> None:
        raise Discard("nothing to do")

    async with working(store, registry):
        await store.accept([order("a", n) for n in range(5)])
        await eventually(lambda: all_over(store))
    assert (await store.inspection.overview()).totals["discarded"] == 5
