"""A tenant's connection: start its first sync, say what went wrong, clean up behind it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from uuid import UUID

from events import Event
from truto import IntegratedAccount, NotFound
from worker import ConfigError, Context, Discard, ignore, on

ANY_INTEGRATION = "*"

# A run in one of these states is, or was, the account's first sync (statuses: Rust SDK, SyncJobRunSchema).
_STARTED = {"created", "running", "rate_limited", "completed"}


@dataclass(frozen=True, slots=True)
class SyncJobs:
    """Which sync job is the first one for an integration: ``calcom=<uuid>,hubspot=<uuid>,*=<uuid>``."""

    by_integration: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> SyncJobs:
        """Read the value of ``SYNC_JOBS``. Raises :class:`worker.ConfigError` naming the entry that is wrong."""
        jobs: dict[str, str] = {}
        for entry in filter(None, (part.strip() for part in text.split(","))):
            integration, _, job = (part.strip() for part in entry.partition("="))
            if not integration or not _is_uuid(job):
                raise ConfigError(f"SYNC_JOBS: {entry!r} is not <integration>=<sync job uuid>")
            if integration in jobs:
                raise ConfigError(f"SYNC_JOBS: {integration!r} is there twice")
            jobs[integration] = job
        return cls(jobs)

    def first_for(self, integration: str | None) -> str | None:
        """The sync job to start for an account of *integration*; ``None`` when none is meant for it."""
        return self.by_integration.get(integration or "") or self.by_integration.get(ANY_INTEGRATION)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


SYNC_JOBS = SyncJobs.parse(os.environ.get("SYNC_JOBS", ""))


@on("integrated_account:active", concurrency=1)  # two at once would both find no run
async def start_first_sync(event: Event, ctx: Context) -> None:
    """Start the first sync of an account, once, however often it becomes active (each reconnect says it again)."""
    account = await _read_account(event, ctx)
    if account.status != "active":
        raise Discard(f"the account is {account.status} by now")
    job = SYNC_JOBS.first_for(account.integration_name)
    if job is None:
        raise Discard("SYNC_JOBS names no sync job for this integration")
    async for run in ctx.truto.sync_job_runs.list(sync_job_id=job, integrated_account_id=account.id):
        if run.status in _STARTED:
            raise Discard(f"run {run.id} is {run.status} already")
    run = await ctx.truto.sync_job_runs.create(sync_job_id=job, integrated_account_id=account.id, status="created")
    ctx.log.info("first_sync_started", account_id=account.id, sync_job_id=job, run_id=run.id)


@on(
    "integrated_account:post_install_error",
    "integrated_account:validation_error",
    "integrated_account:authentication_error",
)
async def ask_to_reconnect(event: Event, ctx: Context) -> None:
    """Tell the tenant what failed, with a link token that mends the same account."""
    account = await _read_account(event, ctx)
    if account.status == "active":
        raise Discard("the account has healed by now")
    token = await ctx.truto.link_tokens.create(integrated_account_id=account.id, persist_previous_context=True)
    problem = event.type.partition(":")[2]
    await ctx.notify.tenant(
        account.tenant_id,
        "integrated_account.reconnect_needed",
        {
            "integrated_account_id": account.id,
            "integration": account.integration_name,
            "problem": problem,
            "last_error": event.payload.get("last_error"),
            "link_token": token.link_token,
        },
    )
    await ctx.notify.operators(f"Account {account.id}: {problem}", f"Tenant {account.tenant_id}")


@on("integrated_account:deleted")
async def clean_up(event: Event, ctx: Context) -> None:
    """Remove what would go on calling a deleted account: its cron triggers."""
    if event.account_id is None:
        raise Discard("the event names no account")
    triggers = [t async for t in ctx.truto.sync_job_cron_triggers.list(integrated_account_id=event.account_id)]
    for trigger in triggers:
        try:
            await ctx.truto.sync_job_cron_triggers.delete(trigger.id)
        except NotFound:
            continue  # an earlier attempt, or Truto itself, was first
    ctx.log.info("account_cleaned_up", account_id=event.account_id, cron_triggers=len(triggers))


ignore(
    "integrated_account:created",
    "integrated_account:updated",
    "integrated_account:reactivated",
    "integrated_account:post_connect_form_submitted",
)


async def _read_account(event: Event, ctx: Context) -> IntegratedAccount:
    # Deliveries overtake each other, so the account itself is asked, not the event.
    if event.account_id is None:
        raise Discard("the event names no account")
    try:
        return await ctx.truto.integrated_accounts.get(event.account_id)
    except NotFound:
        raise Discard("the account is gone by now") from None
