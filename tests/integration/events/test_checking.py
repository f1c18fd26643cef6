"""The check of a store asks a real Redis, as any user that it may be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from events import Store, StoreUnavailable
from tests.redis_nodes import Node
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
    assert "volatile-lru" in policy
    assert "everysec" in persistence


async def test_a_redis_without_an_append_only_file_is_found(node: Node, store: Store) -> None:
    with configured(node, appendonly="no"):
        (fault,) = await store.find_faults()
    assert "appendonly is not on" in fault


@pytest.mark.parametrize(
    ("allowed", "named"), [("+info", "appendfsync cannot be read"), ("+ping", "does not let this user look")]
)
async def test_what_a_user_may_not_look_at_is_a_fault(node: Node, allowed: str, named: str) -> None:
    with node.client() as admin:
        admin.execute_command("ACL", "SETUSER", "app", "reset", "on", ">word", "~tw:*", allowed, "+client")
    store = Store.connect(f"redis://app:word@127.0.0.1:{node.port}")
    (fault,) = await store.find_faults()
    await store.close()
    assert named in fault
    assert "ACL SETUSER" in fault


async def test_a_redis_that_is_not_there_is_no_fault_but_an_outage() -> None:
    store = Store.connect(f"redis://127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnavailable):
        await store.find_faults()
    await store.close()
