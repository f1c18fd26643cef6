"""A Redis that takes commands and does not answer."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from events import Store, StoreUnavailable
from events.embedded import EmbeddedRedis
from tests.integration.events.deliveries import accept, delivered
from tests.servers import quick_redis


@pytest.fixture
def frozen() -> Iterator[EmbeddedRedis]:
    with quick_redis() as server:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        yield server
        os.kill(server.pid, signal.SIGCONT)


async def test_who_waits_behind_a_commit_that_hangs_waits_no_longer_than_for_an_answer(frozen: EmbeddedRedis) -> None:
    store = Store.connect(frozen.url, answer_seconds=2)
    loop = asyncio.get_running_loop()
    first = asyncio.create_task(store.accept([delivered("first")]))
    await asyncio.sleep(0.5)
    began = loop.time()
    with pytest.raises(StoreUnavailable):
        await store.accept([delivered("second")])
    assert loop.time() - began < 3.2  # twice the limit, less what the first has waited, would be 3.5
    with pytest.raises(StoreUnavailable):
        await first
    await store.close()


async def test_a_delivery_larger_than_what_a_frozen_server_takes_in_is_given_up_in_time(
    own_redis: EmbeddedRedis,
) -> None:
    store = Store.connect(own_redis.url, answer_seconds=0.3)
    await accept(store)
    assert own_redis.pid is not None
    os.kill(own_redis.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(3):
            with pytest.raises(StoreUnavailable):
                await store.accept([delivered("large", filler="x" * 8_000_000)])
    finally:
        os.kill(own_redis.pid, signal.SIGCONT)
    await store.close()
