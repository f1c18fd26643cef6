"""Idle workers are woken within milliseconds, one for each piece of news, and give up in time when there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from events import End, Store
from events.embedded import EmbeddedRedis
from tests.conftest import MakeStore
from tests.integration.events.deliveries import accept, bury, claim_one, delivered


async def _accepted(store: Store) -> None:
    await accept(store, delivered("new"))


async def _replayed(store: Store) -> None:
    await store.replay([letter.member for letter in await store.dead_letters()])


async def _released(store: Store) -> None:
    await store.finish(await claim_one(store), End("released"))


async def _split(store: Store) -> None:
    await store.plan(await claim_one(store), ["a", "b"])


async def _left_behind(store: Store) -> None:
    await accept(store, delivered("x"), delivered("y"))
    await store.wait_for_work(0.01)
    await asyncio.sleep(0.001)
    await store.claim(1, "busy")


@pytest.mark.parametrize("news", [_accepted, _replayed, _released, _split, _left_behind])
async def test_an_idle_worker_is_woken_at_once(make_store: MakeStore, news: Callable[[Store], Awaitable[None]]) -> None:
    store = make_store()
    await bury(store, delivered("dead"))
    if news in (_released, _split):
        await accept(store, delivered("due"))
    while await store.wait_for_work(0.01):
        pass
    idle = asyncio.create_task(make_store().wait_for_work(2))
    await asyncio.sleep(0.02)
    await news(store)
    assert await idle  # a wait that runs out says false


async def test_one_worker_is_woken_for_each(make_store: MakeStore) -> None:
    store = make_store()
    idle = [asyncio.create_task(make_store().wait_for_work(0.15)) for _ in range(3)]
    await asyncio.sleep(0.05)
    await accept(store)
    assert sorted(await asyncio.gather(*idle)) == [False, False, True]


async def test_news_that_came_before_the_wait_is_not_missed(store: Store) -> None:
    await accept(store)
    assert await store.wait_for_work(1)


@pytest.mark.parametrize("seconds", [0, -1, 0.05], ids=["zero", "negative", "brief"])
async def test_a_wait_without_news_ends_in_time(store: Store, seconds: float) -> None:
    async with asyncio.timeout(1):
        assert not await store.wait_for_work(seconds)


async def test_a_wait_longer_than_redis_may_take_to_answer_is_no_failure(redis_server: EmbeddedRedis) -> None:
    store = Store.connect(redis_server.url, answer_seconds=0.2)
    try:
        await store.redis.flushall()
        assert not await store.wait_for_work(5)
    finally:
        await store.close()


async def test_many_accepts_leave_one_token(store: Store) -> None:
    await accept(store, delivered("a"))
    await accept(store, delivered("b"))
    assert await store.wait_for_work(0.01)
    assert not await store.wait_for_work(0.01)
