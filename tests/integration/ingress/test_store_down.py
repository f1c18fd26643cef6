"""While Redis cannot confirm, deliveries are sent back with a time to come again; afterwards all goes on by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import httpx
import pytest
from structlog.testing import capture_logs

from events import Refused, Store
from events.embedded import EmbeddedRedis
from events.source_notes import SourceNotes
from tests.conftest import MakeStore
from tests.integration.ingress.edge import Edge, event, run_edge


@pytest.fixture
async def own_edge(own_redis: EmbeddedRedis) -> AsyncIterator[Edge]:
    store = Store.connect(own_redis.url, answer_seconds=0.2)
    async with run_edge(store) as running:
        yield running


def assert_sent_back(response: httpx.Response) -> None:
    assert response.status_code == 503
    assert response.headers["retry-after"] == "2"
    assert response.json() == {
        "statusCode": 503,
        "error": "Service Unavailable",
        "message": "The event could not be stored durably. Send it again.",
        "reason": "store_unavailable",
    }


async def test_when_redis_is_gone_deliveries_are_sent_back_until_it_returns(
    own_edge: Edge, own_redis: EmbeddedRedis
) -> None:
    assert (await own_edge.deliver(event("before"))).status_code == 200
    own_redis.kill()
    assert_sent_back(await own_edge.deliver(event("during")))
    own_redis.start()
    assert (await own_edge.deliver(event("during"))).json()["status"] == "accepted"
    assert (await own_edge.deliver(event("before"))).json()["status"] == "duplicate"


class SwallowsCancellation(SourceNotes):
    """What Python 3.11's ``wait_for``, and so redis-py, does to a cancellation that comes in the wrong moment."""

    noting: asyncio.Event

    async def note_refusals(self, refusals: Sequence[Refused]) -> None:
        if not self.noting.is_set():
            self.noting.set()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(30)
        await super().note_refusals(refusals)


async def test_a_cancellation_that_a_library_swallows_does_not_keep_the_ingress_alive(make_store: MakeStore) -> None:
    store = make_store()
    store.notes = notes = SwallowsCancellation(store.client)
    notes.noting = asyncio.Event()
    async with asyncio.timeout(5), run_edge(store) as edge:
        await edge.deliver(event(), secret="not-the-secret")
        await notes.noting.wait()


async def test_when_redis_is_frozen_deliveries_are_sent_back_in_time(own_edge: Edge, own_redis: EmbeddedRedis) -> None:
    await own_edge.deliver(event("before"))
    assert own_redis.pid is not None
    os.kill(own_redis.pid, signal.SIGSTOP)
    started = time.perf_counter()
    try:
        assert_sent_back(await own_edge.deliver(event("during")))
        assert time.perf_counter() - started < 1
        assert (await own_edge.admin.get("/readyz")).status_code == 503
        assert (await own_edge.http.get("/livez")).status_code == 200
    finally:
        os.kill(own_redis.pid, signal.SIGCONT)
    assert (await own_edge.deliver(event("after"))).status_code == 200


async def test_when_redis_is_full_deliveries_are_sent_back(edge: Edge, store: Store) -> None:
    await store.redis.config_set("maxmemory", "1")
    try:
        assert_sent_back(await edge.deliver(event()))
        assert await store.redis.dbsize() == 0
    finally:
        await store.redis.config_set("maxmemory", "0")
    assert (await edge.deliver(event())).json()["status"] == "accepted"


async def test_why_a_delivery_was_sent_back_is_logged_without_what_was_in_it(
    own_edge: Edge, own_redis: EmbeddedRedis
) -> None:
    own_redis.kill()
    with capture_logs() as logs:
        await own_edge.deliver(event("hidden-id", payload="hidden"))
    (line,) = logs
    assert (line["event"], line["status"]) == ("delivery_refused", 503)
    assert line["reason"].startswith("Redis did not confirm: ")
    assert "hidden" not in str(line)


async def test_strangers_are_refused_as_ever_while_redis_is_gone(own_edge: Edge, own_redis: EmbeddedRedis) -> None:
    own_redis.kill()
    assert (await own_edge.deliver(event(), secret="another")).status_code == 401


async def test_readiness_and_figures_tell_whether_redis_answers(own_edge: Edge, own_redis: EmbeddedRedis) -> None:
    assert (await own_edge.admin.get("/readyz")).json() == {"status": "ready"}
    assert "truto_worker_store_up 1.0" in (await own_edge.admin.get("/metrics")).text
    own_redis.kill()
    refused = await own_edge.told("/readyz", lambda said: said.status_code == 503)
    assert refused.json()["reason"] == "store_unavailable"
    figures = await own_edge.told("/metrics", lambda said: "truto_worker_store_up 0.0" in said.text)
    assert figures.status_code == 200
    assert (await own_edge.http.get("/livez")).json() == {"status": "alive"}
