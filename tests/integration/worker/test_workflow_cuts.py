"""A worker that dies at any point of a run: no step that was kept runs again, and the run comes to its end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from events import Store
from events.embedded import EmbeddedRedis
from tests.integration.worker.cutting import Crew, Moment
from tests.integration.worker.workflow_shop import Shop, flow, results, run_of, say, waiting_runs
from tests.integration.worker.workshop import delivered, is_empty
from worker.registry import Registry

FOLLOWING = flow(
    say("a", run_if="payload.n = 1"),
    {"action": "say", "config": '{"word": "b", "result": $uuid()}'},
    say("skipped", run_if="false"),
    {"action": "sleep", "config": {"seconds": 0.004}},
    {
        "action": "wait_for_event",
        "config": {"event": "order:shipped", "match": "payload.order = $with.n", "with": {"n": 1}, "timeout": 60},
    },
    {"action": "emit_event", "config": {"type": "order:told", "payload": {"n": "{{steps.4.result.event.payload.n}}"}}},
    say("c {{steps.4.result.event.payload.n}}"),
    run_if="payload.n = 1",
)


class Walk:
    """An order that is paid, and shipped once nothing else is left to do; workers come until all is done."""

    def __init__(self, redis: EmbeddedRedis, store: Store, registry: Registry) -> None:
        self.store = store
        self.shop = Shop(registry)
        self.shop.register(FOLLOWING)
        self.told: list[str] = []
        registry.on("order:told")(self._tell)
        self.crew = Crew(redis.url, registry, self.shop.log)
        self.paid = delivered(data={"n": 1})
        self.shipped = delivered("order:shipped", data={"order": 1, "n": "seven"})

    async def _tell(self, event: Any, ctx: Any) -> None:
        self.told.append(event.id)

    async def close(self) -> None:
        await self.crew.close()
        await self.shop.services.aclose()

    async def go(self, cuts: list[tuple[int, Moment]], *, early: bool = False) -> int:
        """Walk, with a worker that dies for each of *cuts*; how many calls the walk took without them."""
        calls = 0
        events = [self.paid, self.shipped] if early else [self.paid]
        await self.store.accept(events)
        shipped = early
        for _ in range(400):
            # A cut is counted over all the workers that live through their calls.
            cut, moment = cuts[0] if cuts else (0, "before")
            died, made = await self.crew.work(max(cut - calls, 0) if cut > calls else 0, moment)
            calls += made
            if died:
                cuts.pop(0)
                calls = 0
            view = await self.store.inspection.overview()
            if not view.ready and not view.waiting:
                assert not view.dead
                assert not view.parked
                return calls
            if not shipped and await self._waits():
                await self.store.accept([self.shipped])
                shipped = True
            elif not view.ready:
                await asyncio.sleep(0.004)
        raise AssertionError("the run never came to its end")

    async def _waits(self) -> bool:
        return await waiting_runs(self.store, "order:shipped|") > 0

    async def check(self) -> None:
        """Every step is done, none of them after it was kept."""
        run = await run_of(self.store, self.paid)
        assert run.status == "completed"
        said = results(run)
        assert said[4]["event"]["payload"] == {"order": 1, "n": "seven"}
        log = self.shop.log
        for number, word in ((0, "a"), (1, "b"), (6, "c seven")):
            assert word in log
            assert word not in log[log.index(f"kept {number}") :]
            assert log.count(word) <= 2
        assert "skipped" not in log
        for number in range(7):
            assert log.count(f"kept {number}") == 1
        assert len(set(self.told)) == 1
        assert await is_empty(self.store)


@pytest.fixture
async def walk(redis_server: EmbeddedRedis, store: Store, registry: Registry) -> AsyncIterator[Walk]:
    found = Walk(redis_server, store, registry)
    yield found
    await found.close()


async def test_a_walk_without_a_cut(walk: Walk) -> None:
    await walk.go([])
    await walk.check()
    assert walk.shop.log.count("a") == 1


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("block", range(4))
async def test_every_cut_between_and_during_any_two_steps(
    redis_server: EmbeddedRedis, store: Store, moment: Moment, block: int
) -> None:
    """Cut after cut, until a walk is over before its worker was to die."""
    for cut in range(1 + block, 1_000, 4):
        await store.redis.flushall()
        await store.redis.script_flush()
        walk = Walk(redis_server, store, Registry())
        cuts: list[tuple[int, Moment]] = [(cut, moment)]
        await walk.go(cuts)
        await walk.check()
        await walk.close()
        if cuts:
            assert cut > 20  # that many writes a walk has
            return
    raise AssertionError("a walk has no end")


@pytest.mark.parametrize("seed", range(12))
async def test_two_deaths_in_a_row_or_not(redis_server: EmbeddedRedis, store: Store, seed: int) -> None:
    chance = random.Random(seed)
    walk = Walk(redis_server, store, Registry())
    cuts: list[tuple[int, Moment]] = [(chance.randint(5, 12), chance.choice(("before", "after"))) for _ in range(2)]
    await walk.go(cuts)
    await walk.check()
    await walk.close()


@pytest.mark.parametrize("seed", range(3))
async def test_an_event_that_comes_before_the_run_waits_is_not_missed(walk: Walk, seed: int) -> None:
    await walk.go([], early=True)
    await walk.check()
