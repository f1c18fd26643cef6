"""A real redis-server for the whole run, and stores on it that start empty and are closed afterwards."""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import settings
from redis import Redis

from events import ParkedLimit, Store
from events.embedded import EmbeddedRedis, carried_redis_server, find_redis_server
from tests.memory_stores import STORES
from tests.servers import quick_redis

# How long an example takes says more about the machine than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--redis-server",
        metavar="PATH",
        help="the redis-server to test with, `carried` for the one that comes with the package; else the one on PATH",
    )

    parser.addoption(
        "--store",
        choices=["redis", *STORES],
        default="redis",
        help="where the `store` of a test lies: in a real redis-server, in the test kit's, or in one that is wrong",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Put the server that was asked for first on PATH, where the processes under test look for it as well."""
    asked = config.getoption("--redis-server")
    if asked is None:
        return
    server = carried_redis_server() if asked == "carried" else asked
    if server is None or not os.access(server, os.X_OK):
        raise pytest.UsageError(f"--redis-server: there is no redis-server to start at {asked}")
    folder = tempfile.TemporaryDirectory(prefix="tw-server-")
    config.add_cleanup(folder.cleanup)
    (Path(folder.name) / "redis-server").symlink_to(Path(server).absolute())
    os.environ["PATH"] = f"{folder.name}{os.pathsep}{os.environ['PATH']}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With another store than Redis, leave out what looks into Redis itself."""
    if config.getoption("--store") == "redis":
        return
    looks_inside = [item for item in items if item.get_closest_marker("redis_only")]
    config.hook.pytest_deselected(items=looks_inside)
    items[:] = [item for item in items if item not in looks_inside]


def pytest_report_header() -> str:
    version = subprocess.run([find_redis_server(), "--version"], capture_output=True, text=True, check=True)
    return version.stdout.strip()


class MakeStore(Protocol):
    """What the ``make_store`` fixture gives: a store on the run's server; times in seconds."""

    def __call__(
        self,
        *,
        lease_seconds: float = 15.0,
        dedup_ttl: float = 7 * 86_400,
        history_ttl: float = 3 * 86_400,
        search_ttl: float = 3 * 86_400,
        parked: ParkedLimit | None = None,
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
async def make_store(request: pytest.FixtureRequest) -> AsyncIterator[MakeStore]:
    """Make any number of stores on the run's server, emptied once before; all are closed when the test ends."""
    kind = request.config.getoption("--store")
    connect = STORES[kind]() if kind in STORES else _emptied(request.getfixturevalue("redis_server"))
    stores: list[Store] = []

    def make(**options: Any) -> Store:
        store = connect(**options)
        stores.append(store)
        return store

    yield make
    for store in stores:
        await store.close()


def _emptied(server: EmbeddedRedis) -> Callable[..., Store]:
    with Redis.from_url(server.url) as admin:
        admin.flushall()
    return functools.partial(Store.connect, server.url)


@pytest.fixture
async def store(make_store: MakeStore) -> Store:
    """An empty store with the default lease of 15 s."""
    return make_store()
