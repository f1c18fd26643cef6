"""Commands on an empty store; what a command sets up for its process is taken back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from redis import Redis

from events.embedded import EmbeddedRedis
from tests.integration.cli.commands import Commands


@pytest.fixture
def commands(
    redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Commands]:
    with Redis.from_url(redis_server.url) as admin:
        admin.flushall()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    yield Commands(redis_server.url, monkeypatch, capsys)
    structlog.reset_defaults()
    logging.root.handlers = []
