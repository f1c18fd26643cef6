"""Outages of the connection to a real Redis: no false acceptance, one event in the end, and nothing piles up."""

from __future__ import annotations

import asyncio
import gc
import os
from contextlib import aclosing
from pathlib import Path
from typing import cast

import pytest
from redis import Redis

from events import Acceptance, Store, StoreUnavailable
from events.client import StoreClient
from events.embedded import EmbeddedRedis
from tests.conftest import MakeStore
from tests.integration.events.cutting_proxy import CuttingProxy, Direction, cutting_proxy
from tests.integration.events.deliveries import accept, delivered


async def exchange_length(proxy: CuttingProxy, direction: Direction) -> int:
    """How many bytes a whole first accept is: connecting, the script's hash, the answer."""
    proxy.heal()
    store = Store.connect(proxy.url)
    await store.accept([delivered("measure")])
    length = proxy.passed[direction]
    await store.close()
    return length


async def greeting_length(proxy: CuttingProxy) -> int:
    """How many bytes of answers a connection has had before its first command is answered."""
    proxy.heal()
    store = Store.connect(proxy.url)
    await store.ping()
    await store.close()
    return proxy.passed["answering"] - len(b"+PONG\r\n")


async def accept_through_a_cut(proxy: CuttingProxy, direction: Direction, at: int) -> Acceptance | None:
    proxy.cut(direction, at)
    store = Store.connect(proxy.url, answer_seconds=1)
    try:
        (acceptance,) = await store.accept([delivered(f"{direction}-{at}")])
        return acceptance
    except StoreUnavailable:
        return None
    finally:
        await store.close()
        proxy.reset_all()


@pytest.mark.parametrize("direction", ["asking", "answering"])
async def test_a_reset_at_any_byte_gives_no_false_acceptance_and_one_event(
    redis_server: EmbeddedRedis, store: Store, direction: Direction
) -> None:
    async with cutting_proxy(redis_server.url) as proxy:
        await store.accept([delivered("loads-the-scripts")])
        length = await exchange_length(proxy, direction)
        assert length > 10
        outcomes = []
        for at in range(length + 1):
            first = await accept_through_a_cut(proxy, direction, at)
            (retried,) = await store.accept([delivered(f"{direction}-{at}")])
            assert first in (None, Acceptance.ACCEPTED)
            if first is Acceptance.ACCEPTED:
                assert retried is Acceptance.DUPLICATE
            outcomes.append((first, retried))
    assert await store.redis.zcard("tw:queue") == length + 3
    # The cuts reached both: what Redis never got, and what it did but could not say.
    assert (None, Acceptance.ACCEPTED) in outcomes
    assert direction == "asking" or (None, Acceptance.DUPLICATE) in outcomes


async def test_a_reset_while_the_script_is_loaded_again_is_no_acceptance_either(
    redis_server: EmbeddedRedis, store: Store
) -> None:
    async with cutting_proxy(redis_server.url) as proxy:
        await store.redis.script_flush()
        length = await exchange_length(proxy, "answering")
        behind_the_greeting = await greeting_length(proxy)
        assert behind_the_greeting < length
        for at in range(behind_the_greeting, length + 1):
            await store.redis.script_flush()
            first = await accept_through_a_cut(proxy, "answering", at)
            (retried,) = await store.accept([delivered(f"answering-{at}")])
            assert (first, retried) != (Acceptance.ACCEPTED, Acceptance.ACCEPTED)
    assert await store.redis.zcard("tw:queue") == length - behind_the_greeting + 2


async def test_a_redis_that_has_forgotten_the_scripts_is_taught_again(store: Store) -> None:
    await accept(store)
    await store.redis.script_flush()
    assert await accept(store, delivered("e-2")) == [Acceptance.ACCEPTED]
    assert await accept(store, delivered("e-2")) == [Acceptance.DUPLICATE]


async def test_it_is_taught_again_too_where_replicas_have_to_confirm(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.confirming._WAIT_SECONDS", 0.05)
    await store.redis.script_flush()
    with pytest.raises(StoreUnavailable, match="0 of 1 replicas"):
        await accept(Store(StoreClient(store.redis), confirm_replicas=1))
    # No replica has it; but the script has run.
    assert await accept(store) == [Acceptance.DUPLICATE]


async def test_many_outages_leave_neither_connections_nor_memory_behind(
    redis_server: EmbeddedRedis, make_store: MakeStore
) -> None:
    make_store()
    with Redis.from_url(redis_server.url) as admin:
        async with cutting_proxy(redis_server.url) as proxy:
            store = Store.connect(proxy.url)
            await outages(proxy, store, 15)
            memory = resident_bytes()
            await outages(proxy, store, 60)
            assert await connections_of(admin) <= _MAX_AT_ONCE + 1
            assert resident_bytes() - memory < 3 * 1024 * 1024
            await store.close()
            assert await connections_of(admin) == 1


_MAX_AT_ONCE = 6
"""Commands under way at the same time below: four looks, one batch of accepts, one that waits."""


async def outages(proxy: CuttingProxy, store: Store, number: int) -> None:
    """So many resets while commands of every kind are under way; then an accept that succeeds."""
    proxy.heal()
    for n in range(number):
        work = [asyncio.create_task(_try(store, n)) for _ in range(4)]
        blocked = asyncio.create_task(_listen(store))
        await asyncio.sleep(0.001)
        proxy.reset_all()
        await asyncio.gather(*work, blocked, return_exceptions=True)
    await store.accept([delivered("last")])


async def _try(store: Store, n: int) -> None:
    await store.accept([delivered(str(n % 5))])
    await store.inspection.overview()


async def _listen(store: Store) -> None:
    async with asyncio.timeout(0.05), aclosing(store.queue.subscribe("w")) as messages:
        async for _ in messages:
            pass


async def connections_of(admin: Redis) -> int:
    await asyncio.sleep(0.1)
    return len(cast("list[object]", admin.client_list()))


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
