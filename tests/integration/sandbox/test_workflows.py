"""Pushed workflows are run, by the evaluator that the worker has."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from truto.samples import ACCOUNT_ID, SYNC_JOB_ID

CONFIG = (
    '( $sync_job_id := $mapValues(integration.name,{ "calcom": "51b79ace-a7b4-4077-93ba-8048a06ece2b" }); '
    '{ "sync_job_id": $sync_job_id, "integrated_account_id": integrated_account_id, '
    '"webhook_id": "9fda519d-148f-4cc5-bbac-4e373b16e5d4" } )'
)


def workflow(run_if: str | None = "integration.name = 'calcom'", **step: Any) -> dict[str, Any]:
    """The sample of POST /workflow."""
    return {
        "id": "4a4de828-f4c9-4bea-8ef4-2d705aec43bc",
        "environment_id": "05daecaf-4365-42e8-8370-8127de5dd717",
        "trigger_name": "integrated_account:connected",
        "config": {
            **({"run_if": run_if} if run_if else {}),
            "steps": [{"action": "run_sync_job", "config": CONFIG, "type": "run", **step}],
        },
    }


async def connect(api: httpx.AsyncClient, integration: str = "calcom") -> str:
    body = {"tenant_id": "acme-1", "integration": integration}
    account = (await api.post("/sandbox/connect", json=body)).json()
    return str(account["id"])


async def runs_of(api: httpx.AsyncClient, count: int = 1) -> list[dict[str, Any]]:
    """The runs, once so many have ended."""
    for _ in range(500):
        found: list[dict[str, Any]] = (await api.get("/workflow-run")).json()["result"]
        if len([run for run in found if run["status"] != "running"]) >= count:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError("the workflow did not run")


async def test_the_sample_starts_a_sync_run_for_the_account_that_was_connected(api: httpx.AsyncClient) -> None:
    await api.post("/workflow", json=workflow())
    account = await connect(api)
    (run,) = await runs_of(api)
    assert (run["status"], run["workflow_id"]) == ("completed", "4a4de828-f4c9-4bea-8ef4-2d705aec43bc")
    assert run["retry_attempt"] == 0
    assert run["finished_at"]
    (step,) = run["result"]["steps"]
    assert (step["type"], step["action"], step["success"]) == ("run", "run_sync_job", True)
    started = (await api.get(f"/sync-job-run/{step['result']['id']}")).json()
    assert (started["sync_job_id"], started["integrated_account_id"]) == (SYNC_JOB_ID, account)
    assert (await api.get(f"/workflow-run/{run['id']}")).json() == run


async def test_the_sample_with_a_cron_expression_schedules_a_trigger_and_uses_it_again(api: httpx.AsyncClient) -> None:
    await api.post("/workflow", json=workflow(cron_expression="0 */6 * * *"))
    account = await connect(api)
    await runs_of(api)
    token = (await api.post("/link-token", json={"integrated_account_id": account})).json()["link_token"]
    await api.post("/sandbox/connect", json={"link_token": token})
    await runs_of(api, 2)
    (trigger,) = (await api.get("/sync-job-cron-trigger")).json()["result"]
    assert (trigger["cron_expression"], trigger["integrated_account_id"]) == ("0 */6 * * *", account)
    assert trigger["scheduled_at"]
    assert (await api.get("/sync-job-run")).json()["result"] == []


async def test_a_mapping_miss_is_refused_and_nothing_is_made(api: httpx.AsyncClient) -> None:
    await api.post("/workflow", json=workflow(run_if=None))
    await connect(api, "zendesk")
    (run,) = await runs_of(api)
    assert run["status"] == "failed"
    assert "sync_job_id: must be a UUID, not 'zendesk'" in run["result"]["error"]["message"]
    assert (await api.get("/sync-job-run")).json()["result"] == []


async def test_nothing_is_recorded_where_the_condition_does_not_hold(api: httpx.AsyncClient) -> None:
    await api.post("/workflow", json=workflow())
    await api.post("/workflow", json={**workflow(run_if=None), "id": "a9d8c7b6-0000-4000-8000-000000000001"})
    await connect(api, "zendesk")
    (run,) = await runs_of(api)
    assert run["workflow_id"] == "a9d8c7b6-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("run_if", "error"),
    [("integration + 1 = 2", "config.run_if"), ("($f := function(){ $f() + 1 }; $f())", "config.run_if")],
    ids=["error", "endless-recursion"],
)
async def test_a_condition_that_fails_is_a_failed_run(api: httpx.AsyncClient, run_if: str, error: str) -> None:
    await api.post("/workflow", json=workflow(run_if=run_if))
    await connect(api)
    (run,) = await runs_of(api)
    assert run["status"] == "failed"
    assert error in run["result"]["error"]["message"]


async def test_the_first_step_that_fails_ends_the_run(api: httpx.AsyncClient) -> None:
    job = {"sync_job_id": SYNC_JOB_ID, "integrated_account_id": "{{integrated_account_id}}"}
    missing = {**job, "sync_job_id": "51b79ace-a7b4-4077-93ba-000000000000"}
    steps = [
        {"action": "run_sync_job", "config": job, "run_if": "false"},
        {"action": "run_sync_job", "config": job},
        {"action": "run_sync_job", "config": missing},
        {"action": "run_sync_job", "config": job},
    ]
    await api.post("/workflow", json={"trigger_name": "integrated_account:active", "config": {"steps": steps}})
    await connect(api)
    (run,) = await runs_of(api)
    assert [(step["success"], step.get("skipped")) for step in run["result"]["steps"]] == [
        (True, True),
        (True, None),
        (False, None),
    ]
    assert run["result"]["error"]["message"] == "Sync job not found"
    assert (await api.get("/workflow-run", params={"status": "failed"})).json()["result"] == [run]
    assert (await api.delete(f"/workflow-run/{run['id']}")).json() == {"id": run["id"]}


async def test_other_events_start_nothing(api: httpx.AsyncClient) -> None:
    await api.post("/workflow", json=workflow(run_if=None))
    await api.patch(f"/integrated-account/{ACCOUNT_ID}", json={"context": {"a": "b"}})
    await asyncio.sleep(0.05)
    assert (await api.get("/workflow-run")).json()["result"] == []
