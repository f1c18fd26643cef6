"""How the client uses its connections."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.truto.rude import Exchange, rude
from truto import AsyncTruto, CallTimeout, RetryPolicy
from truto.connections import MOST_CONNECTIONS as MOST


def client(url: str, *, attempts: int = 3, timeout_seconds: float = 30.0) -> AsyncTruto:
    return AsyncTruto(token="t", base_url=url, retry=RetryPolicy(attempts=attempts), timeout_seconds=timeout_seconds)


async def answer(exchange: Exchange) -> None:
    await exchange.answer(body=b'{"id":"1"}')


async def test_calls_one_after_the_other_share_a_connection() -> None:
    async with rude(answer) as server, client(server.url) as truto:
        for _ in range(5):
            await truto.sync_jobs.get("1")
    assert server.connections == 1


async def test_calls_at_once_have_a_connection_each_and_it_is_kept() -> None:
    async with rude(answer) as server, client(server.url) as truto:
        for _ in range(3):
            await asyncio.gather(*(truto.sync_jobs.get("1") for _ in range(30)))
    assert server.connections == 30


async def test_more_calls_than_connections_wait_their_turn() -> None:
    async with rude(answer) as server, client(server.url) as truto:
        jobs = await asyncio.gather(*(truto.sync_jobs.get("1") for _ in range(3 * MOST)))
    assert len(jobs) == 3 * MOST
    assert server.connections <= MOST


async def test_a_call_without_a_connection_in_time_is_known_as_unsent() -> None:
    everyone_is_there, go_on = asyncio.Event(), asyncio.Event()

    async def busy(exchange: Exchange) -> None:
        if exchange.number == MOST:
            everyone_is_there.set()
        await go_on.wait()
        await answer(exchange)

    async with rude(busy) as server, client(server.url, attempts=1) as truto:
        calls = [asyncio.create_task(truto.sync_jobs.get("1")) for _ in range(MOST)]
        await everyone_is_there.wait()
        with pytest.raises(CallTimeout) as caught:
            await truto.within(5, timeout_seconds=0.1).sync_jobs.get("1")
        go_on.set()
        await asyncio.gather(*calls)
    assert not caught.value.sent
    assert len(server.heads) == MOST


async def test_a_connection_that_failed_gives_its_place_back() -> None:
    async def first_round_fails(exchange: Exchange) -> None:
        if exchange.number <= 2 * MOST:
            exchange.writer.transport.abort()
        else:
            await answer(exchange)

    async with rude(first_round_fails) as server, client(server.url, attempts=1) as truto:
        for _ in range(2):
            lost = (truto.sync_jobs.get("1") for _ in range(MOST))
            outcomes = await asyncio.gather(*lost, return_exceptions=True)
            assert all(isinstance(outcome, Exception) for outcome in outcomes)
        assert (await truto.sync_jobs.get("1")).id == "1"
