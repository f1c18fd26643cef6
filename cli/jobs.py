"""What a worker does beside its events: its part in the fleet's job of reconciling."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from cli.settings import WorkerSettings
from events import Store
from events.background import background

if TYPE_CHECKING:
    from worker.notify import Notifier
    from worker.reconciling import Job

_PATIENCE_SECONDS = 120.0
_FIRST_SECONDS = 2.0


@asynccontextmanager
async def reconciling(settings: WorkerSettings, store: Store, notifier: Notifier) -> AsyncIterator[None]:
    """Take turns at reconciling while the block runs."""
    if settings.reconcile == "off" and settings.webhook_keepalive == "off":
        yield
        return
    async with background(_take_turns(settings, store, notifier), "reconcile"):
        yield


async def _take_turns(settings: WorkerSettings, store: Store, notifier: Notifier) -> None:
    # What it takes is imported when the worker has begun its work.
    await asyncio.sleep(min(_FIRST_SECONDS, settings.reconcile_every / 4))
    async with reconciling_job(settings, store, notifier) as job:
        await job.run()


@asynccontextmanager
async def reconciling_job(settings: WorkerSettings, store: Store, notifier: Notifier) -> AsyncIterator[Job]:
    """The job on all stores that are named: the first one remembers, all are asked, and the account chooses one."""
    from truto import AsyncTruto
    from worker.api_budget import SpareBudget
    from worker.reconcile import SHARE
    from worker.reconciling import Job, Plan

    token = settings.truto_api_token.get_secret_value()
    urls = os.environ.get("REDIS_URL", "").split() or [settings.redis_url]
    async with AsyncExitStack() as opened:
        stores: list[Store] = []
        for url in urls:
            one = store
            if url != settings.redis_url:
                one = Store.connect(url, dedup_ttl=settings.dedup_ttl, history_ttl=settings.history_ttl)
                opened.push_async_callback(one.close)
            stores.append(one)
        budget = SpareBudget(stores[0], token, calls=settings.api_call_budget, share=SHARE)
        truto = AsyncTruto(
            token=token, base_url=settings.truto_api_url, admit=budget.admit, deadline_seconds=_PATIENCE_SECONDS
        )
        opened.push_async_callback(truto.aclose)
        look_back = min(settings.history_ttl, settings.dedup_ttl)
        plan = Plan(settings.reconcile, settings.webhook_keepalive, settings.reconcile_every, look_back)
        yield Job(stores, truto, notifier, plan)
