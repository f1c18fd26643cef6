"""A sync run: tell the tenant how it ended.

``sync_job_run:record`` and ``:record_error`` carry data, so they are not ignored here: without a handler of yours they
stay parked, and nothing of them is lost.
"""

from __future__ import annotations

from events import Event
from truto import NotFound
from worker import Context, Discard, ignore, on


@on("sync_job_run:completed", "sync_job_run:failed")
async def tell_tenant(event: Event, ctx: Context) -> None:
    """Send the run's outcome to the tenant of its account; why one failed is only in Truto's logs."""
    if event.account_id is None:
        raise Discard("the run names no account")
    outcome = event.type.partition(":")[2]
    try:
        account = await ctx.truto.integrated_accounts.get(event.account_id)
    except NotFound:
        raise Discard("the account is gone by now") from None
    run_id, job_id = event.payload.get("id"), event.payload.get("sync_job_id")
    await ctx.notify.tenant(
        account.tenant_id,
        f"sync_job_run.{outcome}",
        {"integrated_account_id": account.id, "sync_job_run_id": run_id, "sync_job_id": job_id},
    )
    if outcome == "failed":
        await ctx.notify.operators(f"Sync run {run_id} failed", f"Account {account.id}, tenant {account.tenant_id}")


ignore(
    "sync_job_run:created",
    "sync_job_run:updated",
    "sync_job_run:started",
    "sync_job_run:rate_limited",
    "sync_job_run:deleted",
)
