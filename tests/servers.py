"""Real servers for tests: ASGI apps on sockets, in the test's own process, and a redis-server."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from events.embedded import EmbeddedRedis

_LEAST_ROOM = 2 * 1024**3


def free_port() -> int:
    """A loopback port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def serve(app: ASGIApp) -> AsyncIterator[str]:
    """Serve *app* on a free loopback port; yields its base URL and stops the server on the way out."""
    port = free_port()
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="on")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        if task.done():
            task.result()
            raise RuntimeError("the server stopped before it had started")
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder in memory, where there is room: what a slow disk costs, no test asks.

    Its path leaves room for a socket's name: pytest's own ones are too long.
    """
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _LEAST_ROOM
    folder = Path(tempfile.mkdtemp(prefix="tw-", dir=memory if roomy else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def quick_redis(**settings: str) -> Iterator[EmbeddedRedis]:
    """A redis-server whose disk is memory, where there is room."""
    with quick_folder() as folder, EmbeddedRedis(folder, **settings) as server:
        yield server
