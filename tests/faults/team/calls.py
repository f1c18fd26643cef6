"""Work that has an effect elsewhere: it starts a sync job run at the platform."""

from __future__ import annotations

from events import Event
from tests.faults.team.sink import noted
from truto.samples import ACCOUNT_ID, SYNC_JOB_ID
from worker import Backoff, Context, on


@on("order:synced", backoff=Backoff(0.3, 1.0))
async def start_sync(event: Event, ctx: Context) -> None:
    """One run for each event, whatever happens in between: the client repeats itself under one key."""
    with noted(event, "start_sync"):
        await ctx.truto.sync_job_runs.create(
            sync_job_id=SYNC_JOB_ID, integrated_account_id=ACCOUNT_ID, args={"event": event.id}
        )
