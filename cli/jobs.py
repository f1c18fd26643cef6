"""What a worker does beside its events: its part in the fleet's job of reconciling."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
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
async def reconciling(settings: WorkerSettings, opened: Mapping[str, Store], notifier: Notifier) -> AsyncIterator[None]:
    """Take turns at reconciling while the block runs. *opened* are stores that the worker has, by URL."""
    if settings.reconcile == "off" and settings.webhook_keepalive == "off":
        yield
        return
    async with background(_take_turns(settings, opened, notifier), "reconcile"):
        yield


async def _take_turns(settings: WorkerSettings, opened: Mapping[str, Store], notifier: Notifier) -> None:
    # What it takes is imported when the worker has begun its work.
    await asyncio.sleep(min(_FIRST_SECONDS, settings.reconcile_every / 4))
    async with reconciling_job(settings, opened, notifier) as job:
        await job.run()


@asynccontextmanager
async def reconciling_job(
    settings: WorkerSettings, opened: Mapping[str, Store], notifier: Notifier
) -> AsyncIterator[Job]:
    """The job on all stores that are named: the first one remembers, all are asked, and the account chooses one.

    Those of *opened* are used, by their URL, and the rest is opened.
    """
    from truto import AsyncTruto
    from worker.api_budget import SpareBudget
    from worker.reconcile import SHARE
    from worker.reconciling import Job, Plan

    token = settings.truto_api_token.get_secret_value()
    async with AsyncExitStack() as stack:
        stores: list[Store] = []
        for url in settings.redis_url.split():
            if (store := opened.get(url)) is None:
                store = Store.connect(url, dedup_ttl=settings.dedup_ttl, history_ttl=settings.history_ttl)
                stack.push_async_callback(store.close)
            stores.append(store)
        budget = SpareBudget(stores[0], token, calls=settings.api_call_budget, share=SHARE)
        truto = AsyncTruto(
            token=token, base_url=settings.truto_api_url, admit=budget.admit, deadline_seconds=_PATIENCE_SECONDS
        )
        stack.push_async_callback(truto.aclose)
        look_back = min(settings.history_ttl, settings.dedup_ttl)
        plan = Plan(settings.reconcile, settings.webhook_keepalive, settings.reconcile_every, look_back)
        yield Job(stores, truto, notifier, plan)
