"""A TCP proxy in front of a Redis that passes on so many bytes and then resets the connection."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Coroutine
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
        pair = {writer, above_writer}
        self._open |= pair
        for pump in (self._pump("asking", reader, above_writer), self._pump("answering", above_reader, writer)):
            task = asyncio.create_task(self._reset_after(pump, pair))
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _reset_after(self, pump: Coroutine[None, None, bool], pair: set[asyncio.StreamWriter]) -> None:
        # Who only hung up, perhaps some time ago, leaves the others alone.
        self._reset(set(self._open) if await pump else pair)

    async def _pump(self, direction: Direction, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> bool:
        """Pass everything on; true when it was cut off."""
        try:
            while data := await source.read(65536):
                left = len(data)
                if self.cut_at is not None and self.cut_at[0] == direction:
                    left = max(0, self.cut_at[1] - self.passed[direction])
                self.passed[direction] += min(left, len(data))
                target.write(data[:left])
                await target.drain()
                if left < len(data) or (self.cut_at and self.cut_at == (direction, self.passed[direction])):
                    return True
        except OSError:
            pass
        return False

    def reset_all(self) -> None:
        """Reset every connection, as a router that forgot them would."""
        self._reset(set(self._open))

    def _reset(self, writers: set[asyncio.StreamWriter]) -> None:
        self._open -= writers
        for writer in writers:
            if (peer := writer.get_extra_info("socket")) is not None and peer.family == socket.AF_INET:
                with suppress(OSError):  # closed from the other side
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.close()

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
