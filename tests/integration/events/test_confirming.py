"""With CONFIRM_REPLICAS an acceptance means that so many replicas have the event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from events import Acceptance, Store, StoreUnavailable
from events.embedded import carried_redis_server
from tests.integration.events.deliveries import claim_one, delivered
from tests.integration.events.lying_redis import lying_redis
from tests.redis_nodes import Node, replica_of, wait_until_linked
from tests.servers import quick_folder


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Node, Node]]:
    with quick_folder() as folder, Node(folder, []) as master, replica_of(master, folder) as replica:
        wait_until_linked(master, replica)
        yield master, replica


@pytest.fixture(autouse=True)
def _empty(pair: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("events.confirming._WAIT_SECONDS", 0.3)
    with pair[0].client() as admin:
        admin.flushall()
        admin.script_flush()


@asynccontextmanager
async def confirmed_by(replicas: int, url: str) -> AsyncIterator[Store]:
    store = Store.connect(url, confirm_replicas=replicas)
    try:
        yield store
    finally:
        await store.close()


def url_of(node: Node) -> str:
    return f"redis://127.0.0.1:{node.port}"


async def test_an_event_is_accepted_once_the_replica_has_it(pair: tuple[Node, Node]) -> None:
    master, replica = pair
    async with confirmed_by(1, url_of(master)) as store:
        assert await store.accept([delivered(), delivered("e-2")]) == [Acceptance.ACCEPTED] * 2
        with replica.client() as client:
            assert client.zcard("tw:queue") == 2
        assert await store.accept([delivered()]) == [Acceptance.DUPLICATE]


async def test_a_replica_that_hangs_confirms_nothing_and_the_retry_is_a_duplicate(pair: tuple[Node, Node]) -> None:
    master, replica = pair
    async with confirmed_by(1, url_of(master)) as store:
        await store.accept([delivered("e-0")])
        assert (await claim_one(store)).event.id == "e-0"
        with replica.frozen():
            started = time.perf_counter()
            with pytest.raises(StoreUnavailable, match="0 of 1 replicas"):
                await store.accept([delivered()])
            assert time.perf_counter() - started < 2
        assert await store.accept([delivered()]) == [Acceptance.DUPLICATE]
        assert (await claim_one(store)).event.id == "e-1"


async def test_a_duplicate_is_not_confirmed_either_while_no_replica_has_it(pair: tuple[Node, Node]) -> None:
    master, replica = pair
    async with confirmed_by(1, url_of(master)) as store:
        with replica.frozen():
            for _ in range(2):
                with pytest.raises(StoreUnavailable, match="replicas"):
                    await store.accept([delivered()])


async def test_fewer_replicas_than_asked_for_are_not_enough(pair: tuple[Node, Node]) -> None:
    async with confirmed_by(2, url_of(pair[0])) as store:
        with pytest.raises(StoreUnavailable, match="1 of 2 replicas"):
            await store.accept([delivered()])


async def test_a_frozen_replica_is_no_matter_for_who_does_not_ask(pair: tuple[Node, Node]) -> None:
    master, replica = pair
    store = Store.connect(url_of(master))
    with replica.frozen():
        assert await store.accept([delivered()]) == [Acceptance.ACCEPTED]
    await store.close()


async def test_without_the_setting_nothing_is_added_to_an_accept(pair: tuple[Node, Node]) -> None:
    master, _ = pair
    store = Store.connect(url_of(master))
    await store.accept([delivered()])
    with master.client() as admin:
        admin.config_resetstat()
        await store.accept([delivered("e-2")])
        commands = admin.info("commandstats")
    assert commands["cmdstat_evalsha"]["calls"] == 1
    assert not {"cmdstat_wait", "cmdstat_waitaof", "cmdstat_script", "cmdstat_info"} & set(commands)
    await store.close()


@pytest.mark.parametrize(
    ("waitaof", "confirmed"),
    [
        pytest.param(b"*2\r\n:1\r\n:1\r\n", True, id="all-disks"),
        pytest.param(b"*2\r\n:1\r\n:2\r\n", True, id="more-than-asked"),
        pytest.param(b"*2\r\n:0\r\n:1\r\n", False, id="not-here"),
        pytest.param(b"*2\r\n:1\r\n:0\r\n", False, id="not-there"),
        pytest.param(b"*2\r\n$1\r\n1\r\n$1\r\n1\r\n", False, id="text"),
        pytest.param(b"-ERR WAITAOF cannot be used when numlocal is set\r\n", False, id="error"),
        pytest.param(b"-ERR unknown command 'WAITAOF'\r\n", True, id="redis-before-7.2"),
    ],
)
async def test_a_server_that_knows_waitaof_has_to_confirm_the_disks_too(waitaof: bytes, confirmed: bool) -> None:
    """What no healthy server answers, too."""
    async with lying_redis(b"*1\r\n:1\r\n", WAIT=b":1\r\n", WAITAOF=waitaof) as url, confirmed_by(1, url) as store:
        if confirmed:
            assert await store.accept([delivered()]) == [Acceptance.ACCEPTED]
        else:
            with pytest.raises(StoreUnavailable):
                await store.accept([delivered()])


@pytest.mark.parametrize("wait", [b"+OK\r\n", b":0\r\n", b"$-1\r\n", b"-NOPERM no\r\n", b":1", b""])
async def test_an_answer_to_wait_that_is_not_known_is_no_acceptance(wait: bytes) -> None:
    async with lying_redis(b"*1\r\n:1\r\n", WAIT=wait, WAITAOF=b"*2\r\n:1\r\n:1\r\n") as url:
        store = Store.connect(url, answer_seconds=0.3, confirm_replicas=1)
        with pytest.raises(StoreUnavailable):
            await store.accept([delivered()])
        await store.close()


async def test_an_error_of_the_script_stays_one(pair: tuple[Node, Node]) -> None:
    master, _ = pair
    with master.client() as admin:
        admin.set("tw:queue", "x")
    async with confirmed_by(1, url_of(master)) as store:
        with pytest.raises(StoreUnavailable):
            await store.accept([delivered()])


async def test_concurrent_accepts_share_one_wait(pair: tuple[Node, Node]) -> None:
    master, _ = pair
    async with confirmed_by(1, url_of(master)) as store:
        await store.accept([delivered()])
        with master.client() as admin:
            admin.config_resetstat()
            await asyncio.gather(*(store.accept([delivered(str(n))]) for n in range(50)))
            assert admin.info("commandstats")["cmdstat_wait"]["calls"] <= 3


# -- a real server that knows WAITAOF: the one that comes along, whatever is on PATH -----------------------------------


@contextmanager
def pair_that_knows_disks(*of_replica: str) -> Iterator[Node]:
    """A master, with a replica that has these lines in its configuration."""
    carried = carried_redis_server()
    assert carried is not None
    with (
        quick_folder() as folder,
        Node(folder, [], server=carried) as master,
        replica_of(master, folder, *of_replica) as replica,
    ):
        wait_until_linked(master, replica)
        yield master


async def test_an_event_is_accepted_once_it_is_on_the_disks_of_both() -> None:
    with pair_that_knows_disks() as master:
        async with confirmed_by(1, url_of(master)) as store:
            await store.accept([delivered("e-0")])
            with master.client() as admin:
                admin.config_resetstat()
                assert await store.accept([delivered()]) == [Acceptance.ACCEPTED]
                commands = admin.info("commandstats")
    assert commands["cmdstat_waitaof"]["calls"] == 1
    assert commands["cmdstat_waitaof"]["failed_calls"] == 0


async def test_a_replica_that_has_it_in_memory_alone_is_not_enough() -> None:
    with pair_that_knows_disks("appendonly no") as master:
        async with confirmed_by(1, url_of(master)) as store:
            with pytest.raises(StoreUnavailable, match="0 of 1 replicas' disks"):
                await store.accept([delivered()])


async def test_a_master_without_a_file_confirms_nothing() -> None:
    with pair_that_knows_disks() as master, master.client() as admin:
        admin.config_set("appendonly", "no")
        async with confirmed_by(1, url_of(master)) as store:
            with pytest.raises(StoreUnavailable, match="ResponseError"):
                await store.accept([delivered()])
