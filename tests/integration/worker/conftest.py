"""A registry of the test's own, a recorder on it, and a store with short leases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import structlog
from structlog.testing import LogCapture

from events import Store
from events.embedded import EmbeddedRedis
from tests.conftest import MakeStore
from tests.integration.worker.workshop import Holding, Receiver, Recorder
from worker.registry import Registry


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def holding(registry: Registry) -> Holding:
    """The handler of every event."""
    found = Holding()
    registry.on("*")(found.handle)
    return found


@pytest.fixture
def short(make_store: MakeStore) -> Store:
    """A store whose leases last 0.6 s."""
    return make_store(lease_seconds=0.6)


@pytest.fixture
def logs() -> Iterator[LogCapture]:
    """Everything that is logged, also by loggers that were bound before."""
    capture = LogCapture()
    before = structlog.get_config()
    structlog.configure(processors=[capture], cache_logger_on_first_use=False)
    yield capture
    structlog.configure(**before)


@pytest.fixture
async def own_store(own_redis: EmbeddedRedis) -> AsyncIterator[Store]:
    store = Store.connect(own_redis.url, lease_seconds=2)
    yield store
    await store.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as found:
        yield found
