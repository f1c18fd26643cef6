"""A server that does what it is told with each connection, at the level of bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

Behaviour: TypeAlias = Callable[["Exchange"], Awaitable[None]]


@dataclass
class Server:
    """Where it listens, and the requests it has read: heads and bodies."""

    url: str = ""
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    written: int = 0
    connections: int = 0


@dataclass
class Exchange:
    """One request that has been read, and the means to answer it or not."""

    number: int
    target: str
    server: Server
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, content: bytes) -> None:
        """Write raw bytes."""
        self.writer.write(content)
        await self.writer.drain()
        self.server.written += len(content)

    async def hang_up_of_client(self) -> None:
        """Return once the client has closed the connection."""
        await self.reader.read()

    async def answer(
        self,
        status: int = 200,
        body: bytes = b"{}",
        headers: Mapping[str, str] | None = None,
        *,
        length: int | None = None,
    ) -> None:
        """Write an answer; *length* may lie."""
        fields = {"content-type": "application/json", "content-length": str(len(body) if length is None else length)}
        lines = [f"{name}: {value}" for name, value in {**fields, **(headers or {})}.items()]
        head = "\r\n".join([f"HTTP/1.1 {status} X", *lines, "", ""])
        await self.send(head.encode() + body)

    async def page(self, cursor: str | None, key: str = "result") -> None:
        """Write one page of one record."""
        await self.answer(body=json.dumps({key: [{"id": str(self.number)}], "next_cursor": cursor}).encode())


@asynccontextmanager
async def rude(behaviour: Behaviour) -> AsyncIterator[Server]:
    """Serve on a free loopback port; each request is *behaviour*'s."""
    server = Server()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.is_closing():
                await behaviour(await _read(reader, writer, server))
        writer.transport.abort()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> Exchange:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    server.heads.append(head)
    number = len(server.heads)
    lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
    if lines.get("transfer-encoding") == "chunked":
        server.bodies.append(await _chunked(reader))
    else:
        server.bodies.append(await reader.readexactly(int(lines.get("content-length", 0))))
    return Exchange(number, head.split(" ")[1], server, reader, writer)


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body
