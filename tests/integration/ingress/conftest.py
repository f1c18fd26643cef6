"""A running ingress on an empty store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from events import Store
from events.embedded import EmbeddedRedis
from tests.integration.ingress.edge import Edge, run_edge
from tests.servers import quick_redis


@pytest.fixture
def own_server() -> Iterator[EmbeddedRedis]:
    """A server that the test may break."""
    with quick_redis() as server:
        yield server


@pytest.fixture
async def edge(store: Store) -> AsyncIterator[Edge]:
    async with run_edge(store) as running:
        yield running
