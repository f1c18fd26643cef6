"""Behind sentinels, the store follows the master, and a replica never accepts anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

import pytest
from redis.exceptions import ResponseError

from events import Acceptance, Store, StoreUnavailable
from tests.integration.events.deliveries import claim_one, delivered
from tests.redis_nodes import (
    PASSWORD,
    SENTINEL_PASSWORD,
    Node,
    replica_of,
    sentinel_of,
    wait_until_linked,
)
from tests.servers import free_port, quick_folder

Result = TypeVar("Result")


@dataclass
class Group:
    """A master with a replica, watched by sentinels."""

    master: Node
    replica: Node
    sentinels: list[Node]

    def url(self, *more_sentinels: str) -> str:
        hosts = [*more_sentinels, *(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)]
        password = quote(PASSWORD, safe="")
        return f"redis+sentinel://:{password}@{','.join(hosts)}/events/0?sentinel_password={SENTINEL_PASSWORD}"

    def master_port(self) -> int:
        with self.sentinels[0].client() as sentinel:
            return int(sentinel.sentinel_get_master_addr_by_name("events")[1])


def watched(stack: ExitStack, sentinels: int) -> Group:
    folder = stack.enter_context(quick_folder())
    master = stack.enter_context(Node(folder, [], password=PASSWORD))
    replica = stack.enter_context(replica_of(master, folder))
    wait_until_linked(master, replica)
    quorum = sentinels // 2 + 1
    watching = [stack.enter_context(sentinel_of(master, folder, quorum=quorum)) for _ in range(sentinels)]
    wait_until(lambda: all(_knows(sentinel, sentinels - 1) for sentinel in watching))
    return Group(master, replica, watching)


def _knows(sentinel: Node, others: int) -> bool:
    with sentinel.client() as client:
        state = client.sentinel_master("events")
        return bool(state["num-slaves"] == 1 and state["num-other-sentinels"] == others)


def _fails_over(sentinel: Node) -> bool:
    with sentinel.client() as client:
        try:
            return bool(client.execute_command("SENTINEL", "FAILOVER", "events"))
        except ResponseError:
            return False  # it has not looked at the replica closely enough yet


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(params=[1, 3], ids=["one-sentinel", "three-sentinels"])
def group(request: pytest.FixtureRequest) -> Iterator[Group]:
    with ExitStack() as stack:
        yield watched(stack, request.param)


@pytest.fixture
def small_group() -> Iterator[Group]:
    with ExitStack() as stack:
        yield watched(stack, 1)


@asynccontextmanager
async def store_at(url: str, *, confirm_replicas: int = 0) -> AsyncIterator[Store]:
    store = Store.connect(url, answer_seconds=1, confirm_replicas=confirm_replicas)
    try:
        yield store
    finally:
        await store.close()


async def through_the_outage(work: Callable[[], Awaitable[Result]]) -> Result:
    async with asyncio.timeout(15):
        while True:
            try:
                return await work()
            except StoreUnavailable:
                await asyncio.sleep(0.05)


async def test_a_failover_is_followed_and_nothing_confirmed_by_the_replica_is_lost(group: Group) -> None:
    dead_sentinel = f"127.0.0.1:{free_port()}"
    async with store_at(group.url(dead_sentinel), confirm_replicas=1) as store:
        assert await store.accept([delivered("before")]) == [Acceptance.ACCEPTED]
        group.master.kill()
        with pytest.raises(StoreUnavailable):
            await store.accept([delivered("during")])
    async with store_at(group.url(dead_sentinel)) as store:
        # The only replica has become the master, so there is none left to confirm.
        assert await through_the_outage(lambda: store.accept([delivered("before")])) == [Acceptance.DUPLICATE]
        assert await through_the_outage(lambda: store.accept([delivered("after")])) == [Acceptance.ACCEPTED]
        wait_until(lambda: group.master_port() == group.replica.port)  # each sentinel learns of it by itself


async def test_the_same_store_goes_on_with_the_new_master(small_group: Group) -> None:
    async with store_at(small_group.url()) as store:
        await store.accept([delivered("before")])
        with small_group.master.client() as master:
            assert master.wait(1, 2000) == 1
        small_group.master.kill()
        lease = await through_the_outage(lambda: claim_one(store))
        assert lease.event.id == "before"


async def test_a_frozen_master_that_comes_back_is_not_listened_to(small_group: Group) -> None:
    async with store_at(small_group.url()) as store:
        await store.accept([delivered("before")])
        with small_group.master.client() as master:
            assert master.wait(1, 2000) == 1
        with small_group.master.frozen():
            wait_until(lambda: small_group.master_port() == small_group.replica.port)
            await through_the_outage(lambda: store.accept([delivered("during")]))
        # For some seconds it still takes itself for the master.
        assert await through_the_outage(lambda: store.accept([delivered("after")])) == [Acceptance.ACCEPTED]
        with small_group.replica.client() as new_master:
            assert new_master.zcard("tw:queue") == 3


async def test_a_planned_failover_loses_nothing_that_a_replica_confirmed(small_group: Group) -> None:
    """The old master goes on answering for some seconds, and throws away what it takes in them."""
    acknowledged: list[str] = []
    async with store_at(small_group.url(), confirm_replicas=1) as store:
        await store.accept([delivered("before")])
        wait_until(lambda: _fails_over(small_group.sentinels[0]))
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            event = delivered(str(len(acknowledged)))
            try:
                await store.accept([event])
                acknowledged.append(event.key)
            except StoreUnavailable:
                pass
    assert small_group.master_port() == small_group.replica.port
    with small_group.replica.client() as new_master:
        kept = {key.decode() for key in new_master.zrange("tw:queue", 0, -1)}
    assert set(acknowledged) <= kept


async def test_a_store_at_a_replica_says_so_and_finds_the_master_once_there_is_one(small_group: Group) -> None:
    """A name that moves, as managed services have, instead of sentinels."""
    replica = small_group.replica
    async with store_at(f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{replica.port}") as store:
        with pytest.raises(StoreUnavailable, match="READONLY"):
            await store.accept([delivered()])
        assert "is a replica" in str((await store.find_faults())[0])
        with replica.client() as client:
            await asyncio.sleep(0.1)
            assert not [c for c in client.client_list() if c["cmd"] == "evalsha"]
            client.slaveof()
        assert await store.accept([delivered()]) == [Acceptance.ACCEPTED]


async def test_a_wrong_word_for_the_sentinels_is_an_outage_that_repeats_none(small_group: Group) -> None:
    async with store_at(small_group.url().replace(SENTINEL_PASSWORD, "hunter2")) as store:
        with pytest.raises(StoreUnavailable) as caught:
            await store.accept([delivered()])
    assert "hunter2" not in str(caught.value)


async def test_closing_leaves_no_connection_to_a_sentinel(small_group: Group) -> None:
    with small_group.sentinels[0].client() as sentinel:
        before = len(sentinel.client_list())
        async with store_at(small_group.url()) as store:
            await store.ping()
            assert len(sentinel.client_list()) == before + 1
        wait_until(lambda: len(sentinel.client_list()) == before)
