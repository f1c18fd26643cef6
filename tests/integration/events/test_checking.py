"""The check of a store asks a real Redis, as any user that it may be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from events import Store, StoreUnavailable
from tests.redis_nodes import Node, cluster_lines
from tests.servers import free_port, quick_folder


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with quick_folder() as folder, Node(folder, []) as node:
        yield node


@pytest.fixture
async def store(node: Node) -> AsyncIterator[Store]:
    store = Store.connect(f"redis://127.0.0.1:{node.port}")
    yield store
    await store.close()


@contextmanager
def configured(node: Node, **values: str) -> Iterator[None]:
    with node.client() as admin:
        before = {name: admin.config_get(name)[name] for name in values}
        for name, value in values.items():
            admin.config_set(name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                admin.config_set(name, value)


async def test_a_redis_as_it_should_be_has_no_faults(store: Store) -> None:
    assert await store.find_faults() == []


async def test_the_faults_of_a_redis_are_found(node: Node, store: Store) -> None:
    with configured(node, **{"maxmemory-policy": "volatile-lru", "appendfsync": "everysec"}):
        policy, persistence = await store.find_faults()
    assert "volatile-lru" in str(policy)
    assert "everysec" in str(persistence)


async def test_a_redis_without_an_append_only_file_is_found(node: Node, store: Store) -> None:
    with configured(node, appendonly="no"):
        (fault,) = await store.find_faults()
    assert "appendonly is not on" in str(fault)


@pytest.mark.parametrize(
    ("allowed", "named"), [("+info", "appendfsync cannot be known"), ("+ping", "does not let us look at it (INFO)")]
)
async def test_what_a_user_may_not_look_at_cannot_be_known(node: Node, allowed: str, named: str) -> None:
    with node.client() as admin:
        admin.execute_command("ACL", "SETUSER", "app", "reset", "on", ">word", "~tw:*", allowed, "+client")
    store = Store.connect(f"redis://app:word@127.0.0.1:{node.port}")
    (fault,) = await store.find_faults()
    await store.close()
    assert not fault.is_certain
    assert named in str(fault)
    assert "allow it with `ACL SETUSER <user> +" in str(fault)


async def test_a_user_who_may_ask_who_he_is_is_named_in_the_remedy(node: Node) -> None:
    with node.client() as admin:
        admin.execute_command("ACL", "SETUSER", "truto", "reset", "on", ">word", "+info", "+acl|whoami", "+client")
    store = Store.connect(f"redis://truto:word@127.0.0.1:{node.port}")
    (fault,) = await store.find_faults()
    await store.close()
    assert "`ACL SETUSER truto +config|get`" in str(fault)


@pytest.mark.parametrize("appendfsync", ["always", "everysec", "no"])
async def test_without_config_only_what_is_seen_counts(appendfsync: str) -> None:
    with quick_folder() as folder, Node(folder, ['rename-command CONFIG ""', f"appendfsync {appendfsync}"]) as node:
        store = Store.connect(f"redis://127.0.0.1:{node.port}")
        (fault,) = await store.find_faults()
        is_asked = "waitaof" in await store.redis.command_list()
        await store.close()
    assert "CONFIG does not exist here" in str(fault) or fault.is_certain
    assert fault.is_certain or appendfsync != "no" or not is_asked
    assert appendfsync != "always" or not fault.is_certain


async def test_the_look_leaves_nothing_behind(node: Node, store: Store) -> None:
    with node.client() as admin:
        admin.execute_command("ACL", "SETUSER", "app", "reset", "on", ">word", "~*", "+@all", "-config")
        of_app = Store.connect(f"redis://app:word@127.0.0.1:{node.port}")
        await of_app.find_faults()
        await of_app.close()
        while admin.dbsize():
            pass


async def test_a_node_of_a_cluster_is_told_as_what_it_is() -> None:
    with quick_folder() as folder, Node(folder, cluster_lines()) as node:
        with node.client() as admin:
            admin.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            while b"cluster_state:ok" not in admin.execute_command("CLUSTER", "INFO"):
                pass
        store = Store.connect(f"redis://127.0.0.1:{node.port}")
        (fault,) = await store.find_faults()
        await store.close()
    assert fault.is_certain
    assert "a node of a Redis Cluster of 1 master, which is not supported" in str(fault)


async def test_a_redis_that_is_not_there_is_no_fault_but_an_outage() -> None:
    store = Store.connect(f"redis://127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnavailable):
        await store.find_faults()
    await store.close()
