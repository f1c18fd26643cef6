"""Sync jobs, their runs and their schedules."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import httpx
import pytest

from tests.integration.sandbox.conftest import SECRET, Receiver, eventually, open_sandbox
from truto.samples import ACCOUNT_ID, SYNC_JOB_ID, WEBHOOK_ID

RUN = {"sync_job_id": SYNC_JOB_ID, "integrated_account_id": ACCOUNT_ID, "status": "created"}


async def start(api: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await api.post("/sync-job-run", json={**RUN, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def finished(api: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    """The run once it has ended."""
    for _ in range(1000):
        run: dict[str, Any] = (await api.get(f"/sync-job-run/{run_id}")).json()
        if run["finished_at"]:
            return run
        await asyncio.sleep(0.005)
    raise AssertionError("the run did not end")


def told(receiver: Receiver) -> list[str]:
    """The names of the run's events without the family, and without ``updated``."""
    names = [name.removeprefix("sync_job_run:") for name in receiver.names()]
    return [name for name in names if name != "updated"]


async def test_a_run_goes_from_created_to_completed(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    run = await start(wired, args={"since": "2024"})
    assert (run["status"], run["version"], run["args"]) == ("created", 4, {"since": "2024"})
    ended = await finished(wired, run["id"])
    assert ended["status"] == "completed"
    assert ended["resource_stats"] == {"crm/contacts": 25, "crm/companies": 7}
    await eventually(lambda: "completed" in told(receiver))
    assert told(receiver) == ["created", "started", "record", "record", "record", "record", "completed"]
    receiver.check_signatures()


async def test_records_come_in_batches_that_name_their_run(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    run = await start(wired, resources=["crm/contacts"])
    await finished(wired, run["id"])
    batches = [event["payload"] for event in receiver.of("sync_job_run:record")]
    assert [len(batch["records"]) for batch in batches] == [10, 10, 5]
    assert {batch["meta"]["sync_job_run_id"] for batch in batches} == {run["id"]}
    assert batches[0]["records"][0]["first_name"]


async def test_a_400_to_started_stops_the_run_at_once(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    receiver.answers["sync_job_run:started"] = [400]
    run = await finished(wired, (await start(wired))["id"])
    assert run["status"] == "stopped"
    await asyncio.sleep(0.05)
    assert sorted(told(receiver)) == ["created", "started"]


async def test_a_started_that_nobody_accepts_fails_the_run(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    receiver.answers["sync_job_run:started"] = [500]
    run = await finished(wired, (await start(wired))["id"])
    assert run["status"] == "failed"
    assert len(receiver.of("sync_job_run:started")) == 4


async def test_each_batch_waits_for_the_one_before(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    receiver.answers["sync_job_run:record"] = [503, 503, 200]
    await finished(wired, (await start(wired, resources=["crm/contacts"]))["id"])
    firsts = [event["payload"]["records"][0]["id"] for event in receiver.of("sync_job_run:record")]
    assert firsts == ["1", "1", "1", "11", "21"]
    assert len({event["id"] for event in receiver.of("sync_job_run:record")[:3]}) == 1


async def test_a_batch_that_is_given_up_fails_the_run(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    receiver.answers["sync_job_run:record"] = [500]
    run = await finished(wired, (await start(wired))["id"])
    assert run["status"] == "failed"
    await eventually(lambda: "failed" in told(receiver))


async def test_a_run_of_an_account_that_is_not_active_fails(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    await wired.post(f"/sandbox/accounts/{ACCOUNT_ID}/revoke")
    assert (await finished(wired, (await start(wired))["id"]))["status"] == "failed"
    await eventually(lambda: "failed" in told(receiver))
    assert "started" not in told(receiver)


async def test_an_account_that_dies_during_the_run_fails_it(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    async def revoke(event: dict[str, Any]) -> None:
        if event["event"] == "sync_job_run:record":
            await wired.post(f"/sandbox/accounts/{ACCOUNT_ID}/revoke")

    receiver.delay = revoke
    run = await finished(wired, (await start(wired))["id"])
    assert (run["status"], run["resource_stats"]) == ("failed", {"crm/contacts": 10})


async def test_runs_of_one_account_take_turns(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    runs = [(await start(wired, resources=["crm/users"]))["id"] for _ in range(3)]
    await finished(wired, runs[-1])
    order = [event["payload"]["id"] for event in receiver.of("sync_job_run:started")]
    assert order == runs
    ended = [(await wired.get(f"/sync-job-run/{each}")).json() for each in runs]
    assert all(later["started_at"] >= earlier["finished_at"] for earlier, later in itertools.pairwise(ended))


async def test_a_deleted_run_stops_and_is_gone(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    run = await start(wired)
    assert (await wired.delete(f"/sync-job-run/{run['id']}")).json() == {"id": run["id"]}
    await eventually(lambda: "deleted" in told(receiver))
    await asyncio.sleep(0.05)
    assert "started" not in told(receiver)
    assert receiver.of("sync_job_run:deleted")[0]["payload"]["status"] == "stopped"
    assert (await wired.get(f"/sync-job-run/{run['id']}")).status_code == 404


async def test_a_finished_run_that_is_deleted_keeps_its_status(api: httpx.AsyncClient, receiver: Receiver) -> None:
    hook = {"target_url": receiver.url, "event_types": ["sync_job_run:deleted"]}
    await api.post("/webhook", json=hook)
    run = await finished(api, (await start(api))["id"])
    await api.delete(f"/sync-job-run/{run['id']}")
    await eventually(lambda: bool(receiver.events))
    assert receiver.events[0]["payload"]["status"] == "completed"


async def test_a_run_stopped_through_the_api_sends_no_more_records(
    wired: httpx.AsyncClient, receiver: Receiver
) -> None:
    async def stop(event: dict[str, Any]) -> None:
        if event["event"] == "sync_job_run:record":
            run_id = event["payload"]["meta"]["sync_job_run_id"]
            await wired.patch(f"/sync-job-run/{run_id}", json={"status": "stopped", "finished_at": "now"})

    receiver.delay = stop
    run = await finished(wired, (await start(wired))["id"])
    await asyncio.sleep(0.05)
    assert run["status"] == "stopped"
    assert len(receiver.of("sync_job_run:record")) == 1
    assert "completed" not in told(receiver)


async def test_without_any_webhook_a_run_completes_alone(api: httpx.AsyncClient) -> None:
    assert (await finished(api, (await start(api, webhook_id="of-another-environment"))["id"]))["status"] == "completed"


async def test_a_run_sends_only_the_events_it_was_asked_for(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    await finished(wired, (await start(wired, events_to_send=["sync_job_run:completed"]))["id"])
    await eventually(lambda: bool(receiver.events))
    await asyncio.sleep(0.03)
    assert receiver.names() == ["sync_job_run:completed"]


async def test_a_named_webhook_alone_gets_the_records(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    other = (await wired.post("/webhook", json={"target_url": receiver.url})).json()
    await finished(wired, (await start(wired, webhook_id=WEBHOOK_ID, resources=["crm/users"]))["id"])
    await eventually(lambda: len(receiver.of("sync_job_run:completed")) == 2)
    assert [event["webhook_id"] for event in receiver.of("sync_job_run:record")] == [WEBHOOK_ID]
    assert other["id"] in {event["webhook_id"] for event in receiver.of("sync_job_run:completed")}


@pytest.mark.parametrize(
    ("handling", "status"), [("fail_fast", "failed"), ("ignore", "completed")], ids=["fail-fast", "ignore"]
)
async def test_a_resource_that_does_not_exist_is_reported(
    wired: httpx.AsyncClient, receiver: Receiver, handling: str, status: str
) -> None:
    run = await start(wired, resources=[{"resource": "crm/dragons"}], error_handling=handling)
    assert (await finished(wired, run["id"]))["status"] == status
    await eventually(lambda: bool(receiver.of("sync_job_run:record_error")))
    assert receiver.of("sync_job_run:record_error")[0]["payload"]["resource"] == "crm/dragons"


async def test_an_unwanted_record_error_is_not_sent(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    run = await start(wired, resources=["crm/dragons"], events_to_send=["sync_job_run:failed"])
    await finished(wired, run["id"])
    await eventually(lambda: receiver.names() == ["sync_job_run:failed"])


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"sync_job_id": None}, 400),
        ({"integrated_account_id": None}, 400),
        ({"sync_job_id": "none"}, 404),
        ({"integrated_account_id": "none"}, 404),
        ({"status": "completed"}, 400),
        ({"error_handling": "pray"}, 400),
        ({"webhook_id": WEBHOOK_ID, "daemon_group_key": "g"}, 400),
        ({"events_to_send": [1]}, 400),
    ],
    ids=["no-job", "no-account", "unknown-job", "unknown-account", "status", "handling", "two-targets", "events"],
)
async def test_a_run_that_makes_no_sense_is_refused(
    api: httpx.AsyncClient, change: dict[str, Any], status: int
) -> None:
    assert (await api.post("/sync-job-run", json={**RUN, **change})).status_code == status


async def test_a_run_outlives_its_job(api: httpx.AsyncClient) -> None:
    run = await start(api)
    await api.delete(f"/sync-job/{SYNC_JOB_ID}")
    assert (await finished(api, run["id"]))["resource_stats"] == {"crm/contacts": 25}
    assert (await api.patch(f"/sync-job-run/{run['id']}", json={"status": "failed"})).json()["status"] == "failed"


async def test_a_sync_job_can_be_made_changed_and_deleted(api: httpx.AsyncClient) -> None:
    job = (await api.post("/sync-job", json={"label": "Users", "resources": [{"resource": "crm/users"}]})).json()
    assert job["default_runtime_version"] == "3"
    changed = (await api.patch(f"/sync-job/{job['id']}", json={"label": "People"})).json()
    assert (changed["label"], changed["resources"]) == ("People", [{"resource": "crm/users"}])
    assert (await api.delete(f"/sync-job/{job['id']}")).json() == {"id": job["id"]}
    assert (await api.delete(f"/sync-job/{job['id']}")).status_code == 404


async def test_a_trigger_counts_once_scheduled_and_again_after_a_change(api: httpx.AsyncClient) -> None:
    body = {"sync_job_id": SYNC_JOB_ID, "cron_expression": "0 */6 * * *"}
    trigger = (await api.post("/sync-job-cron-trigger", json=body)).json()
    path = f"/sync-job-cron-trigger/{trigger['id']}"
    assert trigger["scheduled_at"] is None
    assert (await api.post(f"{path}/schedule")).json() == {"success": True}
    assert (await api.patch(path, json={"meta": {"by": "test"}})).json()["scheduled_at"]
    assert (await api.patch(path, json={"cron_expression": "5 * * * *"})).json()["scheduled_at"] is None


@pytest.mark.parametrize(
    ("change", "status"),
    [({"cron_expression": "hourly"}, 400), ({"sync_job_id": "none"}, 404), ({"integrated_account_id": "none"}, 404)],
    ids=["four-fields-missing", "unknown-job", "unknown-account"],
)
async def test_a_trigger_that_makes_no_sense_is_refused(
    api: httpx.AsyncClient, change: dict[str, Any], status: int
) -> None:
    body = {"sync_job_id": SYNC_JOB_ID, "cron_expression": "0 0 * * *", **change}
    assert (await api.post("/sync-job-cron-trigger", json=body)).status_code == status


async def test_closing_the_sandbox_ends_what_still_runs(receiver: Receiver) -> None:
    async def linger(_event: dict[str, Any]) -> None:
        await asyncio.sleep(0.2)

    receiver.delay = linger
    async with open_sandbox(webhook_url=receiver.url, webhook_secret=SECRET) as api:
        await start(api)
        await eventually(lambda: bool(receiver.events))
    left = [task.get_coro() for task in asyncio.all_tasks()]
    assert not [each for each in left if getattr(each, "__qualname__", "").startswith(("Runs.", "Sender."))]
    await asyncio.sleep(0.25)
    assert set(told(receiver)) <= {"created", "started"}


async def test_a_run_delivers_what_the_account_wrote(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    mine = {"integrated_account_id": ACCOUNT_ID}
    await wired.post("/unified/directory/users", params=mine, json={"name": "Zoe"})
    await finished(wired, (await start(wired, resources=["directory/users"]))["id"])
    (batch,) = receiver.of("sync_job_run:record")
    assert batch["payload"]["records"][-1]["name"] == "Zoe"


async def test_runs_with_one_mutex_key_take_turns_across_accounts(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    other = (await wired.post("/sandbox/connect", json={"tenant_id": "t"})).json()["id"]
    await eventually(lambda: bool(receiver.of("integrated_account:active")))
    first = await start(wired, mutex_key="nightly", resources=["crm/users"])
    second = await start(wired, mutex_key="nightly", resources=["crm/users"], integrated_account_id=other)
    ended = [await finished(wired, run["id"]) for run in (first, second)]
    assert ended[1]["started_at"] >= ended[0]["finished_at"]


async def test_a_run_that_its_provider_limits_resumes_by_itself(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    await wired.put("/sandbox/faults", json={"provider_status": 429})
    run = await start(wired, resources=["crm/users"])
    await eventually(lambda: bool(receiver.of("sync_job_run:rate_limited")))
    assert receiver.of("sync_job_run:rate_limited")[0]["payload"]["retryAfter"] == 10
    assert (await wired.get(f"/sync-job-run/{run['id']}")).json()["status"] == "rate_limited"
    await wired.put("/sandbox/faults", json={})
    assert (await finished(wired, run["id"]))["status"] == "completed"


async def test_a_limited_run_can_be_stopped(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    await wired.put("/sandbox/faults", json={"provider_status": 429})
    run = await start(wired, resources=["crm/users"])
    await eventually(lambda: bool(receiver.of("sync_job_run:rate_limited")))
    await wired.delete(f"/sync-job-run/{run['id']}")
    await eventually(lambda: bool(receiver.of("sync_job_run:deleted")))
    assert receiver.of("sync_job_run:deleted")[0]["payload"]["status"] == "stopped"
    await asyncio.sleep(0.03)
    assert "sync_job_run:record" not in receiver.names()


STATE = "/sync-job-run-state"


async def test_run_state_is_kept_by_state_key(api: httpx.AsyncClient) -> None:
    mine = {"state_key": "acme"}
    made = (await api.post(STATE, params=mine, json={"key": "since", "value": "2024"})).json()
    again = (await api.post(STATE, json={**mine, "key": "since", "value": {"at": 1}})).json()
    assert (again["id"], again["value"]) == (made["id"], {"at": 1})
    path = f"{STATE}/{made['id']}"
    assert (await api.patch(path, params=mine, json={"value": 7})).json()["value"] == 7
    assert (await api.get(path, params=mine)).json()["key"] == "since"
    listed = [len((await api.get(STATE, params={"state_key": key})).json()["result"]) for key in ("acme", "other")]
    assert listed == [1, 0]
    assert (await api.delete(path, params=mine)).json() == {"id": made["id"]}


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_run_state_of_another_key_is_not_found(api: httpx.AsyncClient, method: str) -> None:
    made = (await api.post(STATE, params={"state_key": "acme"}, json={"key": "since"})).json()
    path = f"{STATE}/{made['id']}"
    json = {"value": 1} if method == "PATCH" else None
    assert (await api.request(method, path, params={"state_key": "other"}, json=json)).status_code == 404
    assert (await api.request(method, path, json=json)).status_code == 400


@pytest.mark.parametrize(
    ("method", "body"), [("GET", None), ("POST", {"key": "a"}), ("POST", {"key": "a", "state_key": 7})]
)
async def test_run_state_always_needs_its_key(api: httpx.AsyncClient, method: str, body: dict[str, Any] | None) -> None:
    answer = await api.request(method, STATE, json=body)
    assert answer.json()["details"]["failures"][0]["path"] == "state_key"
