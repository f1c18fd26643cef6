"""A TCP proxy in front of a Redis that passes on so many bytes and then resets the connection."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

Direction = Literal["asking", "answering"]


class CuttingProxy:
    """Counts what passes in each direction; cuts everything off before byte number *cut_at* of one direction."""

    def __init__(self, socket_path: str) -> None:
        self.passed: dict[Direction, int] = {"asking": 0, "answering": 0}
        self.cut_at: tuple[Direction, int] | None = None
        self.url = ""
        self._socket_path = socket_path
        self._open: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()

    def cut(self, direction: Direction, at: int) -> None:
        """From now on count afresh, and cut before byte *at* in *direction*."""
        self.passed = {"asking": 0, "answering": 0}
        self.cut_at = (direction, at)

    def heal(self) -> None:
        """Count afresh and let everything pass."""
        self.passed = {"asking": 0, "answering": 0}
        self.cut_at = None

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        above_reader, above_writer = await asyncio.open_unix_connection(self._socket_path)
        self._open |= {writer, above_writer}
        for direction, source, target in (("asking", reader, above_writer), ("answering", above_reader, writer)):
            pump = asyncio.create_task(self._pump(direction, source, target))  # type: ignore[arg-type]  # the two of them
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, direction: Direction, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                left = len(data)
                if self.cut_at is not None and self.cut_at[0] == direction:
                    left = max(0, self.cut_at[1] - self.passed[direction])
                self.passed[direction] += min(left, len(data))
                target.write(data[:left])
                await target.drain()
                if left < len(data) or (self.cut_at and self.cut_at == (direction, self.passed[direction])):
                    break
        except OSError:
            pass
        self.reset_all()

    def reset_all(self) -> None:
        """Reset every connection, as a router that forgot them would."""
        for writer in self._open:
            if (peer := writer.get_extra_info("socket")) is not None and peer.family == socket.AF_INET:
                with suppress(OSError):  # closed from the other side
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.close()
        self._open.clear()

    async def close(self) -> None:
        self.reset_all()
        for pump in list(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)


@asynccontextmanager
async def cutting_proxy(redis_url: str) -> AsyncIterator[CuttingProxy]:
    """A proxy to the Redis behind the unix socket of *redis_url*."""
    proxy = CuttingProxy(redis_url.removeprefix("unix://"))
    server = await asyncio.start_server(proxy.connect, "127.0.0.1", 0)
    proxy.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
