"""Deliveries that the store cannot take: answered 200 from the disk, and brought over when the store is back."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from events import Spool, Store
from events.embedded import EmbeddedRedis
from tests.integration.ingress.edge import Edge, event, run_edge


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.open(tmp_path / "spool")


@pytest.fixture
async def own_edge(own_redis: EmbeddedRedis, spool: Spool) -> AsyncIterator[Edge]:
    store = Store.connect(own_redis.url, answer_seconds=0.3)
    async with run_edge(store, spool=spool) as running:
        yield running


async def until(condition: Callable[[], object]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never became true")


async def ids_in(url: str) -> list[str]:
    """The ids of all events that wait in the store, in the order in which they came."""
    store = Store.connect(url)
    found: list[str] = []
    while leases := (await store.queue.claim(100, "worker-1")).leases:
        found += [lease.event.id for lease in leases]
    await store.close()
    return found


async def test_while_redis_is_gone_deliveries_are_spooled_and_then_brought_over_in_order(
    own_edge: Edge, own_redis: EmbeddedRedis, spool: Spool
) -> None:
    assert (await own_edge.deliver(event("0"))).json()["status"] == "accepted"
    own_redis.kill()
    for number in range(1, 6):
        response = await own_edge.deliver(event(str(number)))
        assert (response.status_code, response.json()) == (
            200,
            {"status": "spooled", "events": [{"id": str(number), "type": "ping"}]},
        )
    own_redis.start()
    await until(lambda: spool.empty)
    assert (await own_edge.deliver(event("6"))).json()["status"] == "accepted"
    assert await ids_in(own_redis.url) == [str(number) for number in range(7)]


async def test_what_is_spooled_twice_or_known_already_has_one_effect(
    own_edge: Edge, own_redis: EmbeddedRedis, spool: Spool
) -> None:
    await own_edge.deliver(event("known"))
    own_redis.kill()
    for event_id in ("known", "new", "new"):
        assert (await own_edge.deliver(event(event_id))).json()["status"] == "spooled"
    with capture_logs() as logs:
        await own_edge.deliver(event("known", changed=True))
        own_redis.start()
        await until(lambda: spool.empty)
    assert await ids_in(own_redis.url) == ["known", "new"]
    assert [line["event"] for line in logs if line["event"] != "delivery"] == [
        "store_restored",
        "spool_conflict_detected",
    ]
    figures = (await own_edge.admin.get("/metrics")).text
    for figure in (
        "truto_worker_spooled_total 4.0",
        'truto_worker_drained_total{outcome="accepted"} 1.0',
        'truto_worker_drained_total{outcome="duplicate"} 2.0',
        'truto_worker_drained_total{outcome="conflict"} 1.0',
        'truto_worker_deliveries_total{outcome="spooled",source="truto"} 4.0',
        "truto_worker_spool_records 0.0",
    ):
        assert figure in figures


async def test_only_the_first_delivery_waits_for_a_frozen_redis(own_redis: EmbeddedRedis, spool: Spool) -> None:
    patience = 2.0
    async with run_edge(Store.connect(own_redis.url, answer_seconds=patience), spool=spool) as edge:
        await edge.deliver(event("before"))
        assert own_redis.pid is not None
        os.kill(own_redis.pid, signal.SIGSTOP)
        try:
            seconds = []
            for number in range(10):
                started = time.perf_counter()
                assert (await edge.deliver(event(str(number)))).json()["status"] == "spooled"
                seconds.append(time.perf_counter() - started)
            started = time.perf_counter()
            ready = await edge.admin.get("/readyz")
            seconds.append(time.perf_counter() - started)
            assert (ready.status_code, ready.json()) == (200, {"status": "ready", "store": False, "spooled": 10})
        finally:
            os.kill(own_redis.pid, signal.SIGCONT)
        assert seconds[0] < 2 * patience
        assert max(seconds[1:]) < patience
        await until(lambda: spool.empty)
    assert sorted(await ids_in(own_redis.url)) == ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "before"]


async def test_a_redis_that_answers_but_takes_no_writes_is_spooled_past(own_redis: EmbeddedRedis, spool: Spool) -> None:
    store = Store.connect(own_redis.url)
    async with run_edge(store, spool=spool) as edge:
        await store.redis.config_set("maxmemory", "1")
        for number in range(3):
            assert (await edge.deliver(event(str(number)))).json()["status"] == "spooled"
            await asyncio.sleep(0.05)  # it answers the probe, so the next delivery tries it again
        assert spool.records == 3
        await store.redis.config_set("maxmemory", "0")
        await until(lambda: spool.empty)
    assert await ids_in(own_redis.url) == ["0", "1", "2"]


async def test_a_full_spool_sends_deliveries_back(own_redis: EmbeddedRedis, tmp_path: Path) -> None:
    store = Store.connect(own_redis.url, answer_seconds=0.3)
    small = Spool.open(tmp_path / "small", max_bytes=1000)
    async with run_edge(store, spool=small) as edge:
        assert (await edge.admin.get("/readyz")).json() == {"status": "ready", "store": True, "spooled": 0}
        own_redis.kill()
        answers = [await edge.deliver(event(str(number))) for number in range(20)]
        refused = [answer for answer in answers if answer.status_code != 200]
        assert 0 < len(refused) < 20
        assert {(answer.status_code, answer.headers["retry-after"]) for answer in refused} == {(503, "2")}
        assert {answer.json()["reason"] for answer in refused} == {"store_unavailable"}
        not_ready = await edge.told("/readyz", lambda said: said.status_code == 503)
        assert not_ready.json()["reason"] == "store_unavailable"
        own_redis.start()
        await until(lambda: small.empty)
        await edge.told("/readyz", lambda said: said.status_code == 200)
    assert await ids_in(own_redis.url) == [
        answer.json()["events"][0]["id"] for answer in answers if not answer.is_error
    ]


async def test_a_disk_that_fails_sends_deliveries_back_and_is_used_again_when_it_works(
    own_edge: Edge, own_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_redis.kill()

    def failing(file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken, capture_logs() as logs:
        broken.setattr("events.spool._sync_data", failing)
        response = await own_edge.deliver(event("hidden"))
        assert (response.status_code, response.headers["retry-after"]) == (503, "2")
        assert (await own_edge.admin.get("/readyz")).status_code == 503
    assert (await own_edge.deliver(event("b"))).json()["status"] == "spooled"
    (refused,) = (line for line in logs if line["event"] == "delivery_refused")
    assert refused["reason"] == "the store does not answer, and the spool's disk did not confirm: ENOSPC"
    assert "hidden" not in str(logs)


async def test_readiness_notices_a_lost_store_before_any_delivery_does(
    own_edge: Edge, own_redis: EmbeddedRedis, spool: Spool
) -> None:
    own_redis.kill()
    assert (await own_edge.admin.get("/readyz")).json() == {"status": "ready", "store": False, "spooled": 0}
    own_redis.start()
    answers = [(await own_edge.admin.get("/readyz")).json()["store"]]
    async with asyncio.timeout(5):
        while not answers[-1]:
            await asyncio.sleep(0.01)
            answers.append((await own_edge.admin.get("/readyz")).json()["store"])
    assert answers[0] is False


async def test_depth_is_among_the_figures_while_redis_is_gone(
    own_edge: Edge, own_redis: EmbeddedRedis, spool: Spool
) -> None:
    own_redis.kill()
    await own_edge.deliver(event("a"))
    figures = (await own_edge.admin.get("/metrics")).text
    assert "truto_worker_spool_records 1.0" in figures
    assert f"truto_worker_spool_bytes {float(spool.bytes)}" in figures


async def test_strangers_are_refused_and_nothing_of_theirs_is_spooled(
    own_edge: Edge, own_redis: EmbeddedRedis, spool: Spool
) -> None:
    own_redis.kill()
    assert (await own_edge.deliver(event(), secret="another")).status_code == 401
    assert spool.empty


async def test_what_an_earlier_process_left_is_brought_over_at_the_start(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    own_redis.kill()
    async with run_edge(Store.connect(own_redis.url), spool=Spool.open(tmp_path / "spool")) as edge:
        assert (await edge.deliver(event("a"))).json()["status"] == "spooled"
    own_redis.start()
    spool = Spool.open(tmp_path / "spool")
    assert spool.records == 1
    async with run_edge(Store.connect(own_redis.url), spool=spool):
        await until(lambda: spool.empty)
    assert await ids_in(own_redis.url) == ["a"]
