"""Commands on an empty store; what a command sets up for its process is taken back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import uvicorn
from redis import Redis

from events.embedded import EmbeddedRedis
from sandbox import SandboxConfig, create_app
from tests.integration.cli.commands import Commands
from tests.servers import free_port


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


@pytest.fixture
def truto(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A sandbox in a thread, since commands have a loop of their own."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(create_app(SandboxConfig()), host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    monkeypatch.setenv("TRUTO_API_TOKEN", "sandbox-token")
    monkeypatch.setenv("TRUTO_API_URL", f"http://127.0.0.1:{port}")
    while not server.started:
        thread.join(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()
