"""Requests over TLS, and a server whose thread goes on while the event loop stands still."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx

from truto.attempts import MAX_CONNECTIONS
from truto.outgoing import outgoing_client

PATIENCE = 20.0


def request(
    url: str, method: str = "GET", *, timeouts: dict[str, float] | None = None, **options: Any
) -> httpx.Request:
    """A request whose steps have 20 seconds each unless *timeouts* says otherwise."""
    patience = {**dict.fromkeys(("connect", "pool", "read", "write"), PATIENCE), **(timeouts or {})}
    return httpx.Request(method, url, extensions={"timeout": patience}, **options)


async def fetch(client: httpx.AsyncClient, sent: httpx.Request) -> bytes:
    """The answer's body."""
    response = await client.send(sent, stream=True)
    try:
        return await response.aread()
    finally:
        await response.aclose()


@asynccontextmanager
async def connections(tls: ssl.SSLContext | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Connections as the API client has them, closed in the end."""
    transport = httpx.AsyncHTTPTransport(verify=tls) if tls is not None else None
    async with outgoing_client(timeout_seconds=PATIENCE, transport=transport, max_connections=MAX_CONNECTIONS) as made:
        yield made


async def until(condition: Callable[[], bool]) -> None:
    """Return once *condition* holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  what is waited for is told by no event
            await asyncio.sleep(0.001)


@asynccontextmanager
async def listening(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server that gives each connection to *talk* before anything is read from it, and reads little ahead."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await talk(reader, writer)
        writer.transport.abort()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


Talk = Callable[[socket.socket], None]


@contextmanager
def threaded(talk: Talk) -> Iterator[str]:
    """A server in a thread: *talk* has each connection, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_accept, args=(listener, talk))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(listener: socket.socket, talk: Talk) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, contextlib.suppress(OSError):
            talk(connection)


def read_head(connection: socket.socket) -> bytes:
    """The head of a request; empty when the client has closed."""
    head = b""
    while b"\r\n\r\n" not in head:
        if not (data := connection.recv(65536)):
            return b""
        head += data
    return head
