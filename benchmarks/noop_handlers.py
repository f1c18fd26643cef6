"""Handlers that do nothing, that wait, and one that tells when it began."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time

from events import Event
from worker import Context, on

_telling = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


@on("bench:noop")
async def noop(event: Event, ctx: Context) -> None:
    """Do nothing."""


@on("bench:wait_10ms")
async def wait_10ms(event: Event, ctx: Context) -> None:
    """Wait as a short call would."""
    await asyncio.sleep(0.01)


@on("bench:wait_50ms")
async def wait_50ms(event: Event, ctx: Context) -> None:
    """Wait as an ordinary call would."""
    await asyncio.sleep(0.05)


@on("bench:tell")
async def tell(event: Event, ctx: Context) -> None:
    """Send the time at which this began; the monotonic clock is the machine's, so another process can compare."""
    now = time.monotonic()
    _telling.sendto(struct.pack("d", now), os.environ["BENCH_SOCKET"])
