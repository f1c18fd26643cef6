"""Handlers that take their worker down."""

from __future__ import annotations

import ctypes
import os
import resource

from events import Event
from tests.faults.team.sink import noted
from worker import Backoff, Context, on

if limit := int(os.environ.get("FAULTS_ADDRESS_SPACE", "0")):
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


@on("poison:exit")
async def leave(event: Event, ctx: Context) -> None:
    """End the process at once."""
    with noted(event, "leave"):
        os._exit(1)


@on("poison:segfault")
async def break_memory(event: Event, ctx: Context) -> None:
    """Read from address 0."""
    with noted(event, "break_memory"):
        ctypes.string_at(0)


@on("poison:loop")
async def never_end(event: Event, ctx: Context) -> None:
    """Hold the event loop for ever."""
    with noted(event, "never_end"):
        while True:
            pass


@on("poison:hog", max_attempts=2, backoff=Backoff(0.1, 0.2))
async def take_all_memory(event: Event, ctx: Context) -> None:
    """Allocate until the limit of the process is met."""
    with noted(event, "take_all_memory"):
        held = []
        while True:
            held.append(bytearray(16 * 1024 * 1024))
