"""Runs that sleep or wait for an event: nothing holds them but Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from structlog.testing import LogCapture

from events import Store, Verified
from events.embedded import EmbeddedRedis
from tests.conftest import MakeStore
from tests.integration.worker.workflow_shop import Shop, flow, results, run_ends, run_of, say, waiting_runs
from tests.integration.worker.workshop import delivered, ended, eventually, is_empty, story, working
from tests.servers import quick_redis
from worker.registry import Registry
from workflows.running import run_id_of


@pytest.fixture
async def shop(registry: Registry) -> AsyncIterator[Shop]:
    found = Shop(registry)
    yield found
    await found.services.aclose()


def waiting(**config: Any) -> dict[str, Any]:
    return {"action": "wait_for_event", "config": {"event": "order:shipped", "timeout": 60, **config}}


async def waits(store: Store, runs: int = 1, bucket: str = "order:shipped|") -> None:
    """Until so many runs wait."""

    async def is_so() -> bool:
        return await waiting_runs(store, bucket) == runs

    await eventually(is_so)


async def test_a_sleeping_run_wakes_after_its_time_with_no_attempt_used_up(
    store: Store, registry: Registry, shop: Shop
) -> None:
    shop.register(flow(say("a"), {"action": "sleep", "config": {"seconds": 0.05}}, say("b")))
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "completed")
        await ended(store, event)
    assert shop.log == ["a", "b"]
    assert results(run)[1] == {"slept_seconds": 0.05}
    assert await story(store, event) == [
        "received", "claimed", "step", "step", "released", "claimed", "step", "step", "done",
    ]  # fmt: skip
    assert run.finished_at is not None
    assert (run.finished_at - run.started_at).total_seconds() >= 0.05


async def test_a_sleep_holds_nothing_in_the_worker(store: Store, registry: Registry, shop: Shop) -> None:
    shop.register(flow({"action": "sleep", "config": {"seconds": 3600}}))
    event = delivered()
    async with working(store, registry, concurrency=1) as engine:
        await store.accept([event])

        async def sleeps() -> bool:
            return "released" in await story(store, event)

        await eventually(sleeps)
        assert not engine.tasks
    run = await run_of(store, event)
    assert run.status == "running"
    assert run.due_at is not None
    assert 3500 < (run.due_at - run.started_at).total_seconds() < 3700


async def test_a_matching_event_wakes_the_run_and_is_its_result(store: Store, registry: Registry, shop: Shop) -> None:
    match = "payload.order = $with.order and tenant_id = 'acme'"
    wait = waiting(match=match, **{"with": {"order": "{{payload.order}}"}})
    shop.register(flow(say("a"), wait, say("{{steps.-1.result.event.payload.carrier}}")))
    paid = delivered(data={"order": "7"})
    wrong = delivered("order:shipped", data={"order": "8", "tenant_id": "acme", "carrier": "ship"})
    right = delivered("order:shipped", data={"order": "7", "tenant_id": "acme", "carrier": "train"})
    async with working(store, registry):
        await store.accept([paid])
        await waits(store)
        await store.accept([wrong])
        await ended(store, wrong)
        assert (await run_of(store, paid)).status == "running"
        await store.accept([right])
        run = await run_ends(store, paid, "completed")
        await ended(store, right)
    assert shop.log == ["a", "train"]
    assert results(run)[1]["event"]["payload"]["carrier"] == "train"
    assert results(run)[1]["timed_out"] is False
    assert await is_empty(store)
    assert await waiting_runs(store, "order:shipped|") == 0


@pytest.mark.parametrize("account", ["79a39d69-e27e-49cb-b9a9-79f5eea7aa26"])
async def test_a_run_may_wait_for_the_events_of_one_account(
    store: Store, registry: Registry, shop: Shop, account: str
) -> None:
    shop.register(flow(waiting(account_id="{{payload.account}}"), say("b")))
    paid = delivered(data={"account": account})
    another = delivered("order:shipped", data={"integrated_account_id": "other"})
    right = delivered("order:shipped", data={"integrated_account_id": account})
    async with working(store, registry):
        await store.accept([paid])
        await waits(store, 1, f"order:shipped|{account}")
        await store.accept([another])
        await ended(store, another)
        assert shop.log == []
        await store.accept([right])
        await run_ends(store, paid, "completed")


@pytest.mark.parametrize(("on_timeout", "status"), [("fail", "failed"), ("continue", "completed")])
async def test_a_wait_ends_with_its_timeout(
    store: Store, registry: Registry, shop: Shop, on_timeout: str, status: Any
) -> None:
    shop.register(flow(waiting(timeout=0.05, on_timeout=on_timeout), say("b")))
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, status)
    if status == "failed":
        assert "no matching order:shipped arrived within 0.05 s" in (run.error or "")
    else:
        assert results(run)[0] == {"event": None, "timed_out": True}
        assert shop.log == ["b"]
    assert await waiting_runs(store, "order:shipped|") == 0


async def test_an_event_wakes_every_run_that_it_matches(store: Store, registry: Registry, shop: Shop) -> None:
    shop.register(flow(waiting(), say("b")), other=flow(waiting(), say("c")))
    paid = delivered()
    async with working(store, registry):
        await store.accept([paid])
        await waits(store, 2)
        await store.accept([delivered("order:shipped")])
        await run_ends(store, paid, "completed")
        await run_ends(store, paid, "completed", "other")
    assert sorted(shop.log) == ["b", "c"]


async def test_a_run_is_not_woken_by_the_event_that_started_it(store: Store, registry: Registry, shop: Shop) -> None:
    shop.register(flow(waiting(), say("b"), trigger="order:shipped"))
    first, second = delivered("order:shipped"), delivered("order:shipped")
    async with working(store, registry):
        await store.accept([first])
        await waits(store)

        async def is_done() -> bool:
            return "done" in await story(store, first)

        await eventually(is_done)
        assert shop.log == []
        await store.accept([second])
        await run_ends(store, first, "completed")
    assert shop.log == ["b"]


async def test_a_match_that_fails_ends_the_run_with_its_cause(store: Store, registry: Registry, shop: Shop) -> None:
    shop.register(flow(waiting(match="payload.n + 1 > 2")))
    paid = delivered()
    async with working(store, registry):
        await store.accept([paid])
        await waits(store)
        await store.accept([delivered("order:shipped", data={"n": "text"})])
        run = await run_ends(store, paid, "failed")
    assert "config.steps.0.config.match" in (run.error or "")


async def test_an_event_that_came_while_the_step_before_was_at_it_counts(
    store: Store, registry: Registry, shop: Shop
) -> None:
    shipped = delivered("order:shipped", data={"n": 1})
    too_early = delivered("order:shipped", data={"n": 0})

    @shop.actions.action("ship")
    async def ship(config: object, step: object) -> None:
        await store.accept([shipped])
        await ended(store, shipped)

    shop.register(flow({"action": "ship"}, waiting(), say("b")))
    paid = delivered()
    async with working(store, registry):
        await store.accept([too_early])
        await ended(store, too_early)
        await store.accept([paid])
        run = await run_ends(store, paid, "completed")
    assert results(run)[1]["event"]["payload"] == {"n": 1}


async def test_an_event_between_the_look_and_the_wait_is_not_missed(make_store: MakeStore) -> None:
    """The script refuses to let a run wait when more has come than it has looked at."""
    store = make_store()
    await store.accept([delivered()])
    (lease,) = (await store.queue.claim(1, "w")).leases
    seen, documents, _ = await store.runs.arrivals("order:shipped")
    assert (seen, documents) == (0, [])
    await store.runs.remember_arrival("order:shipped", b"{}")
    wait = {"bucket": "order:shipped|", "entry": b"{}", "event_type": "order:shipped", "note": {}}
    assert await store.runs.await_event(lease, seconds=60, seen=seen, **wait) is False  # type: ignore[arg-type]
    assert await store.queue.renew([lease]) == [True]
    assert (await store.runs.arrivals("order:shipped"))[:2] == (1, [b"{}"])
    assert await store.runs.await_event(lease, seconds=60, seen=1, **wait) is True  # type: ignore[arg-type]
    assert await store.queue.renew([lease]) == [False]
    assert await store.runs.await_event(lease, seconds=60, seen=1, **wait) is None  # type: ignore[arg-type]


async def test_an_event_gets_to_a_run_that_is_leased_again_at_its_timeout(make_store: MakeStore) -> None:
    store = make_store()
    await store.accept([delivered()])
    (lease,) = (await store.queue.claim(1, "w")).leases
    entry = b'{"n":0}'
    await store.runs.await_event(
        lease, bucket="b", entry=entry, seconds=0, event_type="order:shipped", seen=0, note={"why": "w"}
    )
    (again,) = (await store.queue.claim(1, "w")).leases
    pages = [page async for page in store.runs.each_waiting("b")]
    assert await store.runs.wake_runs("b", b'{"id":1}', [(pages[0][0], "0.event")]) == 1
    assert await store.runs.stop_awaiting(lease, "b", "0.event") == (False, None)
    assert await store.runs.stop_awaiting(again, "b", "0.event") == (True, b'{"id":1}')
    assert await store.runs.wake_runs("b", b'{"id":1}', [(pages[0][0], "0.event")]) == 0


async def test_an_event_too_large_to_keep_wakes_without_its_payload(
    store: Store, registry: Registry, shop: Shop
) -> None:
    shop.register(flow(waiting(match="payload.n = 1"), say("b")))
    paid = delivered()
    async with working(store, registry):
        await store.accept([paid])
        await waits(store)
        await store.accept([delivered("order:shipped", data={"n": 1, "text": "x" * 200_000})])
        run = await run_ends(store, paid, "completed")
    assert results(run)[0]["event"]["payload"] == {}
    assert results(run)[0]["event"]["payload_left_out"] > 200_000
    assert (await store.runs.arrivals("order:shipped")).documents == []


async def test_waits_and_sleeps_survive_restarts_of_redis_and_workers(
    own_redis: EmbeddedRedis, own_store: Store, registry: Registry, shop: Shop
) -> None:
    nap = {"action": "sleep", "config": {"seconds": 0.3}}
    shop.register(flow(say("a"), nap, waiting(), nap, say("b")))
    paid, shipped = delivered(), delivered("order:shipped")
    async with working(own_store, registry):
        await own_store.accept([paid])
        await eventually(lambda: shop.log == ["a"])
    await _restart(own_redis)
    async with working(own_store, registry):
        await waits(own_store)
    await _restart(own_redis)
    async with working(own_store, registry):
        await own_store.accept([shipped])
        await ended(own_store, shipped)
    await _restart(own_redis)
    async with working(own_store, registry):
        await run_ends(own_store, paid, "completed")
    assert shop.log == ["a", "b"]


async def _restart(redis: EmbeddedRedis) -> None:
    redis.kill()
    await asyncio.to_thread(redis.start)


@pytest.fixture
async def unsynced() -> AsyncIterator[Store]:
    """A store that does not wait for the disk, for a test of sizes."""
    with quick_redis(appendfsync="no") as server:
        found = Store.connect(server.url)
        yield found
        await found.close()


async def test_a_waiting_run_takes_less_than_5_kb(
    unsynced: Store, registry: Registry, shop: Shop, logs: LogCapture
) -> None:
    """Events of the usual 1.2 KB, with histories, runs and steps. `make bench` measures 10,000 of them."""
    store = unsynced
    match = "payload.integrated_account_id = $with.account"
    account = {"account": "{{payload.id}}"}
    shop.register(flow(say("a"), waiting(match=match, **{"with": account}), trigger="integrated_account:active"))
    events = [_account(number) for number in range(1_500)]
    async with working(store, registry):
        await store.accept(events[:1])
        await waits_long(store, 1)
    before = await _memory(store)  # with the scripts, which one run needs as much as all
    async with working(store, registry):
        for start in range(1, len(events), 500):
            await store.accept(events[start : start + 500])
        await waits_long(store, len(events))
    each = (await _memory(store) - before) / (len(events) - 1)
    assert each < 5 * 1024
    assert (await store.inspection.overview()).ready == 0
    chosen = events[777]
    account_id = orjson.loads(chosen.body)["payload"]["id"]
    async with working(store, registry):
        await store.accept([delivered("order:shipped", data={"integrated_account_id": account_id})])
        await run_ends(store, chosen, "completed", seconds=30)
    assert await waiting_runs(store, "order:shipped|") == len(events) - 1
    assert run_id_of("flow", chosen.key) == (await run_of(store, chosen)).id


def _account(number: int) -> Verified:
    account = f"00000000-0000-4000-8000-{number:012d}"
    return delivered(
        "integrated_account:active", data={"id": account, "tenant_id": f"tenant-{number}", "filler": "x" * 900}
    )


async def waits_long(store: Store, runs: int) -> None:
    async def is_so() -> bool:
        await asyncio.sleep(0.05)
        return await waiting_runs(store, "order:shipped|") == runs

    await eventually(is_so, 60)


async def _memory(store: Store) -> int:
    """What Redis uses, without the buffers of our connections."""
    await store.redis.connection_pool.disconnect()
    return int((await store.redis.info("memory"))["used_memory"])
