"""A connection attempt that failed before there was an account. Its payload is in no Truto document."""

from __future__ import annotations

from events import Event
from worker import Context, on


@on("link_token:connection_error")
async def tell_operators(event: Event, ctx: Context) -> None:
    """Tell the operators: nobody else learns of it."""
    await ctx.notify.operators("A connection attempt failed", f"Tenant {event.tenant_id or 'unknown'}")
