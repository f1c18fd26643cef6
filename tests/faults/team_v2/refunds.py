"""An event type that the version before did not know."""

from __future__ import annotations

import asyncio

from events import Event
from tests.faults.team.sink import noted
from worker import Context, on


@on("order:refunded")
async def refund(event: Event, ctx: Context) -> None:
    """Take some time."""
    with noted(event, "refund"):
        await asyncio.sleep(event.payload["seconds"])
