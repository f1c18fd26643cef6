"""A real redis-server for the whole run, and stores on it that start empty and are closed afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Protocol

import pytest
from hypothesis import settings
from redis import Redis

from events import Store
from events.embedded import EmbeddedRedis
from tests.servers import quick_redis

# How long an example takes says more about the machine than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


class MakeStore(Protocol):
    """What the ``make_store`` fixture gives: a store on the run's server; times in seconds."""

    def __call__(
        self, *, lease_seconds: float = 15.0, dedup_ttl: float = 7 * 86_400, history_ttl: float = 3 * 86_400
    ) -> Store: ...


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis]:
    """One redis-server for all tests."""
    with quick_redis() as server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[EmbeddedRedis]:
    """A redis-server that the test may break."""
    with quick_redis() as server:
        yield server


@pytest.fixture
async def make_store(redis_server: EmbeddedRedis) -> AsyncIterator[MakeStore]:
    """Make any number of stores on the run's server, emptied once before; all are closed when the test ends."""
    with Redis.from_url(redis_server.url) as admin:
        admin.flushall()
    stores: list[Store] = []

    def make(*, lease_seconds: float = 15.0, dedup_ttl: float = 7 * 86_400, history_ttl: float = 3 * 86_400) -> Store:
        store = Store.connect(
            redis_server.url, lease_seconds=lease_seconds, dedup_ttl=dedup_ttl, history_ttl=history_ttl
        )
        stores.append(store)
        return store

    yield make
    for store in stores:
        await store.close()


@pytest.fixture
async def store(make_store: MakeStore) -> Store:
    """An empty store with the default lease of 15 s."""
    return make_store()
