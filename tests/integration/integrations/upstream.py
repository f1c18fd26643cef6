"""A product's API on a loopback port: a function that answers, and all that arrived, byte for byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from truto.integration import Account, Allowed, Session, Wish, read_integration

HERE = Allowed.parse(["127.0.0.1"])


@dataclass(frozen=True)
class Arrived:
    """One request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Give:
    """An answer; anything but bytes as the body is sent as JSON."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        kind = {} if isinstance(self.body, bytes) else {"Content-Type": "application/json"}
        headers = {"Content-Length": str(len(body)), "Connection": "close", **kind, **self.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} X\r\n{head}\r\n".encode() + body


Answering = Callable[[Arrived], Any]


@dataclass
class Upstream:
    """What came in, and who answers it."""

    answering: Answering
    url: str = ""
    arrived: list[Arrived] = field(default_factory=list)
    delay: float = 0.0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            method, target, _ = first.split(" ")
            request = Arrived(method, target, headers, body)
            self.arrived.append(request)
            if self.delay:
                await asyncio.sleep(self.delay)
            given = self.answering(request)
            writer.write((given if isinstance(given, Give) else Give(given)).encoded())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @property
    def last(self) -> Arrived:
        return self.arrived[-1]


@asynccontextmanager
async def serving(answering: Answering) -> AsyncIterator[Upstream]:
    """A server on a free loopback port."""
    upstream = Upstream(answering)
    server = await asyncio.start_server(upstream.connected, "127.0.0.1", 0)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield upstream
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def opened(config: dict[str, Any], context: dict[str, Any] | None = None, **given: Any) -> AsyncIterator[Session]:
    """A session with *config* for an account with *context*."""
    account = given.pop("account", None) or Account(context or {})
    async with Session(read_integration(config), account, **{"allowed": HERE, **given}) as session:
        yield session


def one(method: dict[str, Any], **config: Any) -> dict[str, Any]:
    """A config with the one method ``things.list``."""
    return {**config, "resources": {"things": {"list": {"path": "/things", **method}}}}


async def records_of(session: Session, **wish: Any) -> list[Any]:
    """All records of ``things.list``."""
    return [record async for record in session.records("things", "list", Wish(**wish))]
