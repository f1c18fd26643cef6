"""A TCP proxy in front of a server that breaks connections where it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Cut:
    """Reset the next connection that speaks: let *after_bytes* of its next request, or reply, through before."""

    where: Literal["request", "reply"]
    after_bytes: int


class Proxy:
    """Forwards a loopback port to where *upstream* leads now (``unix:///path``, or ``any://host:port``).

    *delay* gives the seconds that a chunk is held back, anew for each chunk.
    """

    def __init__(self, upstream: Callable[[], str]) -> None:
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self._cut: Cut | None = None
        self._cut_done: asyncio.Event = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()
        self._links: set[asyncio.Task[None]] = set()
        self.port = 0
        self.delay: Callable[[], float] | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        for link in list(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def cut(self, cut: Cut, seconds: float) -> bool:
        """Cut once; whether any connection spoke within *seconds*."""
        self._cut, self._cut_done = cut, asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await self._cut_done.wait()
        except TimeoutError:
            self._cut = None
            return False
        return True

    def swallow(self) -> None:
        """Forward nothing more, and say nothing about it: a black hole."""
        self._open.clear()

    def drop_all(self) -> None:
        """Reset every connection that is open."""
        for link in list(self._links):
            link.cancel()

    def flow(self) -> None:
        """Forward again, what was held back included."""
        self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        task.add_done_callback(self._links.discard)
        with contextlib.ExitStack() as ends:
            ends.callback(_reset, writer)
            try:
                there_reader, there_writer = await _connect(self._upstream())
                ends.callback(_reset, there_writer)
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pump("request", reader, there_writer))
                    group.create_task(self._pump("reply", there_reader, writer))
            except* (OSError, _Broken, asyncio.CancelledError):
                pass  # nobody awaits this: it would only be logged

    async def _pump(
        self, where: Literal["request", "reply"], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while chunk := await reader.read(65_536):
            if self.delay is not None:
                await asyncio.sleep(self.delay())
            await self._open.wait()
            if self._cut is not None and self._cut.where == where:
                writer.write(chunk[: self._cut.after_bytes])
                self._cut = None
                with contextlib.suppress(OSError):
                    await writer.drain()
                self._cut_done.set()
                raise _Broken
            writer.write(chunk)
            await writer.drain()
        raise _Broken


async def _connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return await asyncio.open_unix_connection(parts.path)
    return await asyncio.open_connection(parts.hostname, parts.port)


class _Broken(Exception):
    """The connection is over."""


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close without a farewell, as a lost machine does."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.family == socket.AF_INET:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
