"""What never arrived is found and accepted again: a real sandbox, a real ingress, a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from events import Event, Store, choose_shard
from events.embedded import EmbeddedRedis
from sandbox import SandboxConfig, create_app
from tests.conftest import MakeStore
from tests.integration.ingress.edge import SECRET, run_edge
from tests.servers import serve
from truto import AsyncTruto
from truto.samples import ACCOUNT_ID, SYNC_JOB_ID, WEBHOOK_ID
from worker.api_budget import SpareBudget
from worker.notify import Notifier
from worker.reconcile import Report
from worker.reconciling import Job, Plan

TOKEN = "sandbox-token"
QUICK = Plan(every=1.0)


@dataclass
class Platform:
    """The sandbox, the client of its own routes, and the store its deliveries end in."""

    api: httpx.AsyncClient
    truto: AsyncTruto
    store: Store

    async def faults(self, **faults: Any) -> None:
        assert (await self.api.put("/sandbox/faults", json=faults)).status_code == 200

    async def connect(self, tenant: str = "acme-2") -> str:
        answer = await self.api.post("/sandbox/connect", json={"tenant_id": tenant})
        return str(answer.json()["id"])

    async def run(self) -> str:
        accounts = (await self.api.get("/integrated-account")).json()["result"]
        body = {"sync_job_id": SYNC_JOB_ID, "integrated_account_id": accounts[0]["id"], "status": "created"}
        return str((await self.api.post("/sync-job-run", json=body)).json()["id"])

    async def webhook(self, **changes: Any) -> dict[str, Any]:
        if changes:
            await self.api.patch(f"/webhook/{WEBHOOK_ID}", json=changes)
        found: dict[str, Any] = (await self.api.get(f"/webhook/{WEBHOOK_ID}")).json()
        return found

    async def tried(self, event: str, attempts: int = 3) -> str:
        """The id of an event, once it was tried so often."""
        async with asyncio.timeout(10):
            while True:
                rows = (await self.api.get("/sandbox/deliveries")).json()["result"]
                found = [row for row in rows if row["event"] == event]
                if len(found) >= attempts:
                    return str(found[0]["event_id"])
                await asyncio.sleep(0.01)

    async def status(self, path: str, status: str) -> None:
        async with asyncio.timeout(10):
            while (await self.api.get(path)).json()["status"] != status:  # noqa: ASYNC110  it is asked over HTTP
                await asyncio.sleep(0.01)

    def job(self, plan: Plan = QUICK, *stores: Store) -> Job:
        return Job([self.store, *stores], self.truto, Notifier(None, []), plan)

    async def reconcile(self, plan: Plan = QUICK) -> Report:
        """One turn, when everything that is logged has settled."""
        await asyncio.sleep(plan.settling + 0.05)
        turn = await self.store.recovery.take_turn(plan.turn_seconds, at_once=True)
        assert turn is not None
        return await self.job(plan).take(turn)

    async def events(self) -> list[Event]:
        """Everything that is in the queue: no worker is there."""
        lease = await self.store.queue.claim(1000, "looker")
        await self.store.queue.renew(lease.leases)
        return [one.event for one in lease.leases]


@pytest.fixture
async def platform(make_store: MakeStore) -> AsyncIterator[Platform]:
    store = make_store()
    async with run_edge(make_store()) as edge:
        config = SandboxConfig(
            webhook_url=f"http://127.0.0.1:{edge.port}/webhooks/truto",
            webhook_secret=SECRET,
            step_seconds=0.01,
            retry_delays=(0.005, 0.005),
        )
        async with (
            serve(create_app(config)) as url,
            httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False) as api,
            AsyncTruto(token=TOKEN, base_url=url) as truto,
        ):
            yield Platform(api, truto, store)


async def test_a_lost_event_is_accepted_with_its_own_id_and_marked(platform: Platform) -> None:
    await platform.faults(lose=1)
    account = await platform.connect()
    event_id = await platform.tried("integrated_account:active")
    report = await platform.reconcile()
    assert {row["type"] for row in report.recovered} == {"integrated_account:created", "integrated_account:active"}
    (active,) = [one for one in await platform.events() if one.type == "integrated_account:active"]
    assert (active.id, active.account_id, active.recovered, active.webhook_id) == (event_id, account, True, WEBHOOK_ID)
    assert active.payload["status"] == "active"


async def test_what_has_arrived_is_not_touched(platform: Platform) -> None:
    await platform.connect()
    await platform.tried("integrated_account:active", 1)
    report = await platform.reconcile()
    assert (report.logged, report.recovered, report.unrecoverable) == (2, [], [])
    assert [one.recovered for one in await platform.events()] == [False, False]


async def test_a_second_turn_recovers_nothing_again(platform: Platform) -> None:
    await platform.faults(lose=1)
    await platform.connect()
    await platform.tried("integrated_account:active")
    assert len((await platform.reconcile()).recovered) == 2
    assert (await platform.reconcile()).recovered == []
    assert len(await platform.events()) == 2


async def test_a_late_original_is_a_duplicate(platform: Platform) -> None:
    await platform.faults(lose=1, late=1, late_seconds=1.0)
    await platform.connect()
    await platform.tried("integrated_account:active")
    assert len((await platform.reconcile()).recovered) == 2

    async def late() -> int:
        totals = (await platform.store.inspection.overview()).totals
        return totals.get("duplicate", 0) + totals.get("conflict", 0)

    async with asyncio.timeout(10):
        while await late() < 2:  # noqa: ASYNC110  it is asked of Redis
            await asyncio.sleep(0.02)
    assert len(await platform.events()) == 2


async def test_an_original_that_came_before_is_not_recovered(platform: Platform) -> None:
    await platform.faults(lose=1, late=1, late_seconds=0.01)
    await platform.connect()
    await platform.tried("integrated_account:active")
    assert (await platform.reconcile()).recovered == []


async def test_a_run_is_recovered_with_what_became_of_it(platform: Platform) -> None:
    await platform.faults(lose=0)
    run = await platform.run()
    await platform.status(f"/sync-job-run/{run}", "completed")
    await platform.tried("sync_job_run:completed", 1)
    await platform.events()
    await platform.faults(lose=1)
    second = await platform.run()
    await platform.status(f"/sync-job-run/{second}", "failed")  # nobody answers to its start
    await platform.tried("sync_job_run:failed")
    report = await platform.reconcile()
    kinds = sorted(row["type"].partition(":")[2] for row in report.recovered if row["about"] == second)
    assert kinds == ["created", "failed", "started", "updated", "updated"]
    assert run not in {row["about"] for row in report.recovered}


async def test_data_that_truto_does_not_keep_is_listed_with_the_reason(platform: Platform) -> None:
    await platform.faults(lose=1)
    path = f"/integrated-account-webhook/{ACCOUNT_ID}"
    assert (await platform.api.post(path, json={"event_type": "created", "id": "1"})).status_code == 200
    event_id = await platform.tried("record:created")
    report = await platform.reconcile()
    (lost,) = report.unrecoverable
    assert (lost["id"], lost["why"]) == (event_id, "it carried data that Truto does not keep")
    remembered = await platform.store.recovery.remembered()
    assert remembered["unrecoverable"] == [lost]


async def test_what_was_deleted_since_is_listed(platform: Platform) -> None:
    # The sandbox begins with an account of which no event has told.
    await platform.api.delete(f"/integrated-account/{ACCOUNT_ID}")
    await platform.tried("integrated_account:deleted", 1)
    await platform.faults(lose=1)
    account = await platform.connect()
    await platform.tried("integrated_account:active")
    await platform.api.delete(f"/integrated-account/{account}")
    await platform.tried("integrated_account:deleted", 4)
    report = await platform.reconcile()
    assert report.recovered == []
    assert {row["type"] for row in report.unrecoverable} == {
        "integrated_account:created",
        "integrated_account:active",
        "integrated_account:deleted",
    }


async def test_what_happened_while_the_webhook_was_off_is_recovered_and_it_is_on_again(platform: Platform) -> None:
    await platform.reconcile()  # sees it active
    await platform.webhook(is_active=False)
    account = await platform.connect()
    await platform.status(f"/integrated-account/{account}", "active")
    first = await platform.reconcile()
    assert (await platform.webhook())["is_active"] is True
    second = await platform.reconcile()
    third = await platform.reconcile()
    recovered = first.recovered + second.recovered + third.recovered
    assert sorted(row["type"] for row in recovered) == ["integrated_account:active", "integrated_account:created"]
    assert {(row["about"], row["by"]) for row in recovered} == {(account, "list")}
    assert len(await platform.events()) == 2
    (gap,) = (await platform.store.recovery.remembered())["unrecoverable"]
    assert gap["why"].startswith("the webhook was off from ")


async def test_notify_alone_leaves_the_webhook_as_it_is(platform: Platform) -> None:
    await platform.webhook(is_active=False)
    await platform.reconcile(Plan(every=1.0, keepalive="notify"))
    assert (await platform.webhook())["is_active"] is False


async def test_a_webhook_that_goes_off_again_and_again_is_not_switched_on_in_a_loop(platform: Platform) -> None:
    slow = Plan(every=60.0)
    switched = 0
    for _ in range(4):
        await platform.webhook(is_active=False)
        turn = await platform.store.recovery.take_turn(5, at_once=True)
        assert turn is not None
        await platform.job(slow).take(turn)
        switched += (await platform.webhook())["is_active"]
    assert switched == 1


async def test_report_accepts_nothing(platform: Platform) -> None:
    await platform.faults(lose=1)
    await platform.connect()
    await platform.tried("integrated_account:active")
    report = await platform.reconcile(Plan(every=1.0, mode="report"))
    assert len(report.recovered) == 2
    assert await platform.events() == []


async def test_only_one_process_has_the_turn_and_a_killed_one_loses_it(platform: Platform) -> None:
    recovery = platform.store.recovery
    assert await recovery.take_turn(0.2, first_in=60) is None  # not due yet
    turn = await recovery.take_turn(0.2, at_once=True)
    assert turn is not None
    assert await recovery.take_turn(0.2, at_once=True) is None
    await asyncio.sleep(0.25)
    second = await recovery.take_turn(5, at_once=True)
    assert second is not None
    assert not await recovery.keep_turn(turn, 1, {"position": 1})
    assert not await recovery.end_turn(turn, 1, {"position": 1})
    assert await recovery.keep_turn(second, 1, {"position": 2})
    assert (await recovery.remembered())["position"] == 2


async def test_a_turn_is_due_when_the_last_one_said(platform: Platform) -> None:
    recovery = platform.store.recovery
    turn = await recovery.take_turn(5, at_once=True)
    assert turn is not None
    assert await recovery.due_in() is None
    await recovery.end_turn(turn, 0.2, {"position": 7})
    assert await recovery.take_turn(5) is None
    await asyncio.sleep(0.25)
    again = await recovery.take_turn(5)
    assert again is not None
    assert again.remembered == {"position": 7}


async def test_truto_s_429_is_waited_for(platform: Platform) -> None:
    await platform.faults(lose=1)
    await platform.connect()
    await platform.tried("integrated_account:active")
    await platform.faults(latency_seconds=0.05, error_rate=0.2)
    assert len((await platform.reconcile()).recovered) == 2


async def test_an_expired_log_recovers_nothing_and_fails_nothing(platform: Platform) -> None:
    await platform.faults(lose=1)
    await platform.connect()
    await platform.tried("integrated_account:active")
    await platform.faults(log_seconds=0.0001)
    report = await platform.reconcile()
    assert (report.logged, report.recovered, report.unrecoverable) == (0, [], [])


async def test_of_two_webhooks_nobody_guesses(platform: Platform) -> None:
    await platform.api.post("/webhook", json={"target_url": "https://others.example"})
    await platform.faults(lose=1)
    await platform.connect()
    await platform.tried("integrated_account:active")
    assert (await platform.reconcile()).recovered == []
    await platform.store.notes.keep_in_context("truto", {"webhook_id": WEBHOOK_ID}, overwrite=True)
    assert len((await platform.reconcile()).recovered) == 2


async def test_a_share_of_the_budget_is_a_limit(make_store: MakeStore) -> None:
    spare = SpareBudget(make_store(), TOKEN, calls=100, share=0.05)
    for _ in range(5):
        await spare.admit(None)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(spare.admit(None), 0.3)
    assert spare.admitted == 5


async def test_of_several_stores_all_are_asked_and_the_account_chooses_one(
    platform: Platform, own_redis: EmbeddedRedis
) -> None:
    second = Store.connect(own_redis.url)
    try:
        await platform.faults(lose=1)
        accounts = [await platform.connect() for _ in range(2)]
        for account in accounts:
            await platform.status(f"/integrated-account/{account}", "active")
        await platform.tried("integrated_account:active", 6)
        await asyncio.sleep(QUICK.settling + 0.05)
        for expected in (4, 0):
            turn = await platform.store.recovery.take_turn(5, at_once=True)
            assert turn is not None
            report = await platform.job(QUICK, second).take(turn)
            assert len([row for row in report.recovered if row["about"] in accounts]) == expected
        for number, store in enumerate((platform.store, second)):
            found = [one.event.account_id for one in (await store.queue.claim(100, "looker")).leases]
            assert {choose_shard(str(account), 2) for account in found} <= {number}
    finally:
        await second.close()
