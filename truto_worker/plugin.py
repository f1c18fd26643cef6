"""The pytest plugin: the fixture ``truto``. It imports nothing of ours until a test asks for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from worker.testing import TrutoKit


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which handlers the fixture loads."""
    parser.addini("truto_handlers", "packages of handlers for the fixture `truto`; default: HANDLERS, else handlers")


@pytest.fixture(scope="session")
def _truto_handlers(pytestconfig: pytest.Config) -> None:
    from worker.loading import load_handlers

    named = pytestconfig.getini("truto_handlers") or os.environ.get("HANDLERS") or "handlers"
    load_handlers(named.split(","))


@pytest.fixture
def truto(_truto_handlers: None) -> TrutoKit:
    """Your handlers in a whole installation of their own: see docs/testing.md."""
    from worker.testing import TrutoKit

    # What it opens needs no closing: no socket, no file, no process. So it works with every way to run async tests.
    return TrutoKit()
