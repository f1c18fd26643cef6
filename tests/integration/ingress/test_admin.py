"""What an operator may know is on a port of its own; strangers learn that the process lives, and may be ready."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from redis import Redis
from starlette.requests import Request

from events import Shard, Spool, Store
from events.background import background
from events.embedded import EmbeddedRedis
from ingress import create_app, truto_source
from ingress.metrics import Metrics, MetricsRoute
from tests.integration.ingress.edge import KEY, SECRET, Edge, event, run_edge
from truto import AsyncTruto

GET = b"GET %s HTTP/1.1\r\nHost: t\r\n\r\n"
LAST = b"GET %s HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"


def asked(redis: EmbeddedRedis) -> int:
    """How many pings and scripts this server has been asked for."""
    with Redis.from_url(redis.url) as admin:
        figures = admin.info("commandstats")
    return sum(figures.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("ping", "eval", "evalsha"))


@contextmanager
def frozen(redis: EmbeddedRedis) -> Iterator[None]:
    assert redis.pid is not None
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(redis.pid, signal.SIGCONT)


@pytest.mark.bad_input(195)
@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "/metrics?x=1", "/%6detrics"])
async def test_the_public_port_has_no_figures(edge: Edge, path: str) -> None:
    await edge.deliver(event())
    response = await edge.http.get(path)
    assert (response.status_code, response.json()["reason"]) == (404, "not_found")
    assert "truto_worker" not in response.text


@pytest.mark.bad_input(195)
async def test_a_scraper_at_the_wrong_port_keeps_its_connection_and_an_unread_body_ends_it(edge: Edge) -> None:
    assert (await edge.talk(GET % b"/metrics" * 2 + LAST % b"/metrics")).count(b"HTTP/1.1 404 ") == 3
    with_body = b"POST /metrics HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n"
    assert b"connection: close" in await edge.talk(with_body)


async def test_the_public_readiness_tells_nothing_of_stores_and_spool(own_redis: EmbeddedRedis, tmp_path: Path) -> None:
    store = Store.connect(own_redis.url, answer_seconds=0.3)
    async with run_edge(store, spool=Spool.open(tmp_path)) as edge:
        own_redis.kill()
        await edge.deliver(event())
        response = await edge.http.get("/readyz")
        assert (response.status_code, response.json()) == (200, {"status": "ready"})
        assert (await edge.admin.get("/readyz")).json() == {"status": "ready", "store": False, "spooled": 1}


async def test_the_public_readiness_does_not_say_why_it_is_not(own_redis: EmbeddedRedis) -> None:
    async with run_edge(Store.connect(own_redis.url, answer_seconds=0.2)) as edge:
        own_redis.kill()
        down = await edge.http.get("/readyz")
        edge.server.handle_exit(signal.SIGTERM, None)
        draining = await edge.http.get("/readyz")
    assert down.status_code == draining.status_code == 503
    assert down.json() == draining.json()
    assert down.json()["reason"] == "not_ready"


async def test_with_several_stores_the_public_readiness_counts_none(store: Store, own_redis: EmbeddedRedis) -> None:
    own_redis.kill()
    second = Shard(Store.connect(own_redis.url, answer_seconds=0.2))
    app = create_app(store, [truto_source([SECRET])], further=[second])
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as public,
        httpx.AsyncClient(transport=httpx.ASGITransport(app.state.admin), base_url="http://t") as admin,
    ):
        assert (await public.get("/readyz")).json() == {"status": "ready"}
        assert (await admin.get("/readyz")).json()["shards"] == [{"store": True}, {"store": False}]


@pytest.mark.bad_input(199)
@pytest.mark.parametrize("path", ["/", "/webhooks/truto", "/api/truto/link-token", "/metrics/"])
async def test_the_admin_port_has_nothing_else(store: Store, path: str) -> None:
    async with AsyncTruto(token="t") as truto, run_edge(store, truto=truto, link_token_key=KEY) as edge:
        response = await edge.admin.post(path, content=event(), headers={"authorization": f"Bearer {KEY}"})
        assert (response.status_code, response.json()["reason"]) == (404, "not_found")


@pytest.mark.bad_input(199)
async def test_the_admin_port_bounds_the_head_of_a_request_as_the_public_one(edge: Edge) -> None:
    port = edge.admin.base_url.port
    assert port is not None
    admin = Edge(edge.admin, edge.admin, port, edge.server)
    answered = await admin.talk(b"GET /metrics HTTP/1.1\r\nHost: t\r\n" + b"x: " + b"y" * 70_000)
    assert b" 431 " in answered
    assert b"truto_worker" not in answered


@pytest.mark.bad_input(196)
@pytest.mark.parametrize("path", [b"/readyz", b"/livez"])
async def test_hundreds_of_pipelined_probes_ask_redis_at_most_once(own_redis: EmbeddedRedis, path: bytes) -> None:
    async with run_edge(Store.connect(own_redis.url)) as edge:
        await edge.deliver(event())
        before = asked(own_redis)
        began = time.monotonic()
        answered = await edge.talk(GET % path * 299 + LAST % path)
        seconds = time.monotonic() - began
        assert answered.count(b"HTTP/1.1 200 OK") == 300
        assert asked(own_redis) - before <= 1 + int(seconds)


@pytest.mark.bad_input(196)
async def test_many_scrapes_ask_redis_at_most_once_a_second_and_get_the_same_text(own_redis: EmbeddedRedis) -> None:
    async with run_edge(Store.connect(own_redis.url)) as edge:
        await edge.deliver(event())
        await edge.admin.get("/metrics")  # a script that Redis does not know yet is asked for twice
        before, began = asked(own_redis), time.monotonic()
        answers = await asyncio.gather(*(edge.admin.get("/metrics") for _ in range(200)))
        seconds = time.monotonic() - began
        assert {answer.status_code for answer in answers} == {200}
        assert asked(own_redis) - before <= 1 + int(seconds)
        assert len({answer.text for answer in answers}) <= 1 + int(seconds)


async def test_figures_are_not_older_than_a_second(edge: Edge) -> None:
    assert 'outcome="accepted"' not in (await edge.admin.get("/metrics")).text
    await edge.deliver(event())
    await asyncio.sleep(1.01)
    assert 'outcome="accepted",source="truto"} 1.0' in (await edge.admin.get("/metrics")).text


@pytest.mark.bad_input(196)
async def test_while_redis_is_frozen_probes_are_answered_and_leave_no_work_behind(own_redis: EmbeddedRedis) -> None:
    async with run_edge(Store.connect(own_redis.url, answer_seconds=30)) as edge:
        await edge.deliver(event())
        with Redis.from_url(own_redis.url) as admin:
            connections = len(admin.client_list())
        before = asked(own_redis)
        with frozen(own_redis):
            probes = [edge.http.get("/readyz", timeout=10) for _ in range(50)]
            scrapes = [edge.admin.get("/metrics", timeout=10) for _ in range(50)]
            first = await asyncio.gather(*probes, *scrapes)
            later = await asyncio.gather(*(edge.http.get("/readyz", timeout=10) for _ in range(50)))
        assert {answer.status_code for answer in [*first[:50], *later]} == {503}
        assert {"truto_worker_store_up 0.0" in answer.text for answer in first[50:]} == {True}
        assert asked(own_redis) - before <= 2
        with Redis.from_url(own_redis.url) as admin:
            assert len(admin.client_list()) <= connections + 2


async def test_deliveries_are_taken_while_probes_flood_in_an_outage(own_redis: EmbeddedRedis, tmp_path: Path) -> None:
    store = Store.connect(own_redis.url, answer_seconds=0.3)
    async with run_edge(store, spool=Spool.open(tmp_path)) as edge:
        own_redis.kill()
        flood = asyncio.create_task(edge.talk(GET % b"/readyz" * 299 + LAST % b"/readyz"))
        for number in range(10):
            assert (await edge.deliver(event(str(number)))).json()["status"] == "spooled"
        assert (await flood).count(b" 200 OK") == 300


async def test_the_text_of_many_sources_is_written_beside_the_event_loop(store: Store) -> None:
    metrics = Metrics()
    for number in range(20_000):
        metrics.accepted(f"source-{number}", "accepted", 0)
    route = MetricsRoute([store], metrics)
    stalls = [0.0]

    async def watch() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0)
            stalls.append(time.monotonic() - began)

    began = time.monotonic()
    async with background(watch(), "watch"):
        response = await route(Request({"type": "http"}))
    took = time.monotonic() - began
    await route.aclose()
    assert b'source="source-19999"' in response.body
    assert max(stalls) < took / 2
