"""Ordinary work: it takes as long as the event says."""

from __future__ import annotations

import asyncio
import contextlib
import time

from events import Event
from tests.faults.team.sink import noted
from worker import Context, on


@on("order:paid")
async def book(event: Event, ctx: Context) -> None:
    """Take some time, as a call to an API would."""
    with noted(event, "book"):
        await asyncio.sleep(event.payload["seconds"])


@on("order:split")
async def pack(event: Event, ctx: Context) -> None:
    """One of two handlers of the same event."""
    with noted(event, "pack"):
        await asyncio.sleep(event.payload["seconds"])


@on("order:split")
async def invoice(event: Event, ctx: Context) -> None:
    """The other one."""
    with noted(event, "invoice"):
        await asyncio.sleep(event.payload["seconds"] / 2)


@on("order:blocking")
async def block(event: Event, ctx: Context) -> None:
    """Hold the event loop up, as careless code does."""
    with noted(event, "block"):
        time.sleep(event.payload["seconds"])  # noqa: ASYNC251  that is the fault


@on("order:stubborn")
async def hold_on(event: Event, ctx: Context) -> None:
    """Go on although the worker says that it is over."""
    with noted(event, "hold_on"):
        until = time.monotonic() + event.payload["seconds"]
        while (left := until - time.monotonic()) > 0:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(left)
