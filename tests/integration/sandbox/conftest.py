"""A sandbox in the test's process, and a receiver on a real socket for what it delivers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from sandbox import SandboxConfig, create_app
from truto.signature import verify

SECRET = "6e17561c-a20c-44ce-b8b5-caff0bf786fe"
RETRIES = (0.005, 0.01, 0.02)


@asynccontextmanager
async def open_sandbox(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A sandbox with quick steps; the client carries its token."""
    config = SandboxConfig(**{"step_seconds": 0.005, "retry_delays": RETRIES, **settings})
    app = create_app(config)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://sandbox",
            headers={"Authorization": f"Bearer {config.token}"},
        ) as client,
    ):
        yield client


@dataclass
class Receiver:
    """What came in, and what to answer: an event's statuses in turn, the last one for ever after."""

    url: str = ""
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: dict[str, list[int]] = field(default_factory=dict)
    delay: Callable[[dict[str, Any]], Awaitable[None]] | None = None

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.requests]

    def names(self) -> list[str]:
        return [event["event"] for event in self.events]

    def of(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request per connection; a whole server takes too long to stop for so many tests."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = {
                name.lower(): value for name, _, value in (line.partition(": ") for line in head.splitlines()[1:-1])
            }
            body = await reader.readexactly(int(headers["content-length"]))
            status = await self.receive(headers, body)
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        finally:
            writer.close()

    async def receive(self, headers: dict[str, str], body: bytes) -> int:
        self.requests.append((headers, body))
        event = json.loads(body)
        if self.delay:
            await self.delay(event)
        statuses = self.answers.get(event["event"], self.answers.get("*", [200]))
        return statuses.pop(0) if len(statuses) > 1 else statuses[0]

    def check_signatures(self) -> None:
        for headers, body in self.requests:
            assert verify(body, headers["x-truto-signature"], [SECRET]) == 0


async def eventually(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until *holds*; an assertion error after *seconds*."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not holds():
        assert asyncio.get_running_loop().time() < deadline, "it did not happen in time"
        await asyncio.sleep(0.003)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    async with await asyncio.start_server(found.connected, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        found.url = f"http://{host}:{port}/hook"
        yield found


@pytest.fixture
async def api() -> AsyncIterator[httpx.AsyncClient]:
    """A sandbox that has no webhook."""
    async with open_sandbox() as client:
        yield client


@pytest.fixture
async def wired(receiver: Receiver) -> AsyncIterator[httpx.AsyncClient]:
    """A sandbox that delivers to *receiver*."""
    async with open_sandbox(webhook_url=receiver.url, webhook_secret=SECRET) as client:
        yield client
