"""Connections to Redis: a command is not held up, and no answer is taken for that of another command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection

from events import Acceptance, Store
from events.embedded import EmbeddedRedis
from tests.integration.events.deliveries import accept, delivered
from tests.integration.events.lying_redis import lying_redis

ACCEPTED, DUPLICATE = b"*1\r\n:1\r\n", b"*1\r\n:0\r\n"


@asynccontextmanager
async def open_connection(store: Store) -> AsyncIterator[AbstractConnection]:
    """A connection of the store's own pool, as a command gets it."""
    pool: Any = store.redis.connection_pool  # redis-py leaves its methods untyped
    connection: AbstractConnection = await pool.get_connection()
    yield connection
    await pool.release(connection)


def at_once(steps: Coroutine[Any, Any, Any]) -> Any:
    """What *steps* return; fails when they wait for anything at all."""
    with pytest.raises(StopIteration) as end:
        steps.send(None)
    return end.value.value


async def test_a_command_is_on_its_way_before_the_event_loop_turns(store: Store) -> None:
    async with open_connection(store) as connection:
        await connection.send_command("PING")
        await connection.read_response()
        at_once(connection.send_command("ECHO", "here"))
        assert await connection.read_response() == b"here"


async def test_a_connection_is_looked_at_before_the_event_loop_turns(store: Store) -> None:
    async with open_connection(store) as connection:
        assert at_once(connection.can_read_destructive()) is False  # type: ignore[no-untyped-call]  # redis-py leaves it untyped


async def test_commands_of_several_pieces_are_sent_in_order(store: Store) -> None:
    async with store.redis.pipeline(transaction=False) as pipe:
        for number in range(100):
            pipe.echo(b"%d" % number)
        assert await pipe.execute() == [b"%d" % number for number in range(100)]


@pytest.mark.parametrize("more", [DUPLICATE, b"*1\r\n"], ids=["a-whole-answer", "the-beginning-of-one"])
@pytest.mark.parametrize("later", [False, True], ids=["at-once", "later"])
async def test_an_answer_that_nobody_asked_for_is_given_to_nobody(more: bytes, later: bool) -> None:
    answer, unasked = (ACCEPTED, more) if later else (ACCEPTED + more, b"")
    async with lying_redis(answer, unasked=unasked) as url:
        store = Store.connect(url)
        for number in range(3):
            assert await store.accept([delivered(f"e-{number}")]) == [Acceptance.ACCEPTED]
            await asyncio.sleep(0.05)
        await store.close()


async def test_a_server_that_went_and_came_while_nobody_asked_costs_no_delivery(own_redis: EmbeddedRedis) -> None:
    store = Store.connect(own_redis.url)
    await accept(store, delivered("before"))
    own_redis.kill()
    own_redis.start()
    await asyncio.sleep(0.05)  # the hang-up has been seen by then
    assert await accept(store, delivered("after")) == [Acceptance.ACCEPTED]
    await store.close()
