"""A running ingress on an empty store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from events import Store
from tests.integration.ingress.edge import Edge, run_edge


@pytest.fixture
async def edge(store: Store) -> AsyncIterator[Edge]:
    async with run_edge(store) as running:
        yield running
