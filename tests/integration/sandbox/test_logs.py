"""``GET /log`` for every type, and the inbound webhooks that make some of what is logged."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.integration.sandbox.conftest import Receiver, eventually
from truto.samples import ACCOUNT_ID, SYNC_JOB_ID

MINE = {"integrated_account_id": ACCOUNT_ID}


async def log(api: httpx.AsyncClient, log_type: str, **params: Any) -> list[dict[str, Any]]:
    answer = await api.get("/log", params={"log_type": log_type, **params})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["result"]
    return found


async def test_calls_of_a_tenant_s_data_are_logged(api: httpx.AsyncClient) -> None:
    await api.get("/unified/crm/contacts", params=MINE)
    await api.get("/proxy/contacts/999", params=MINE)
    entries = await log(api, "unified_proxy_api")
    assert [(each["request_type"], each["method"], each["http_status_code"]) for each in entries] == [
        ("unified", "list", 200),
        ("proxy", "get", 404),
    ]
    assert entries[0]["integration"] == "calcom"
    narrowed = await log(api, "unified_proxy_api", **{"log_type_filter[request_type]": "proxy"})
    assert narrowed == entries[1:]


async def test_a_logged_call_tells_its_request(api: httpx.AsyncClient) -> None:
    await api.get("/unified/crm/contacts", params={**MINE, "limit": 1})
    await api.patch("/proxy/contacts/999", params=MINE, json={})
    read, refused = await log(api, "unified_proxy_api")
    assert (read["http_method"], read["http_url"]) == ("GET", "http://sandbox/unified/crm/contacts")
    assert (refused["http_method"], refused["http_status_code"], refused["http_status_category"]) == (
        "PATCH",
        404,
        "4xx",
    )
    assert isinstance(read["duration"], int)
    assert (read["service"], read["tenant_id"]) == ("truto-api", "acme-1")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/batch-request", {**MINE, "resources": [{"resource": "crm/contacts", "method": "list"}]}),
        (None, {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_all_contacts"}}),
    ],
    ids=["batch", "mcp"],
)
async def test_a_call_within_a_call_is_logged_with_the_outer_request(
    api: httpx.AsyncClient, path: str | None, body: dict[str, Any]
) -> None:
    made = (await api.post(f"/integrated-account/{ACCOUNT_ID}/mcp", json={"name": "a"})).json()
    listed = await api.post(made["url"], json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    if path is None:
        body["params"] = {"name": listed.json()["result"]["tools"][0]["name"]}
    assert (await api.post(path or made["url"], json=body)).status_code == 200
    entry = (await log(api, "unified_proxy_api"))[0]
    assert entry["http_url"] == f"http://sandbox{path or '/mcp/…'}"
    assert entry["http_method"] == "POST"


async def test_a_window_goes_by_the_moment_not_by_its_spelling(api: httpx.AsyncClient) -> None:
    await api.get("/proxy/users", params=MINE)
    (entry,) = await log(api, "unified_proxy_api")
    second = entry["timestamp"][:19]
    assert len(await log(api, "unified_proxy_api", **{"created_at[gt]": f"{second.replace('T', ' ')}"})) == 1
    assert await log(api, "unified_proxy_api", **{"created_at[lt]": f"{second}Z"}) == []


async def test_agents_calls_can_be_found_by_their_server(api: httpx.AsyncClient) -> None:
    made = [(await api.post(f"/integrated-account/{ACCOUNT_ID}/mcp", json={"name": each})).json() for each in "ab"]
    for each in made:
        await api.post(each["url"], json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
    (entry,) = await log(api, "mcp", **{"log_type_filter[mcp_server_id]": made[1]["id"]})
    assert (entry["mcp_server_name"], entry["http_status_code"]) == ("b", 200)


async def test_why_a_run_failed_is_in_its_log_alone(api: httpx.AsyncClient) -> None:
    body = {"sync_job_id": SYNC_JOB_ID, **MINE, "resources": ["crm/dragons"]}
    run = (await api.post("/sync-job-run", json=body)).json()

    async def events() -> list[dict[str, Any]]:
        return await log(api, "rapid_bridge", **{"log_type_filter[sync_job_run_id]": run["id"]})

    for _ in range(1000):
        if (await events())[-1]["sync_job_run_event"] == "sync_job_run:failed":
            break
        await asyncio.sleep(0.005)
    last = (await events())[-1]
    assert last["message"] == "The integration has no resource crm/dragons"
    assert "dragons" not in str((await api.get(f"/sync-job-run/{run['id']}")).json().get("message"))


async def test_a_fired_trigger_starts_a_run_and_is_logged(api: httpx.AsyncClient) -> None:
    body = {"sync_job_id": SYNC_JOB_ID, "cron_expression": "0 * * * *", **MINE, "args": {"a": 1}}
    trigger = (await api.post("/sync-job-cron-trigger", json=body)).json()
    run = (await api.post(f"/sandbox/cron-triggers/{trigger['id']}/fire")).json()
    assert (run["sync_job_id"], run["args"]) == (SYNC_JOB_ID, {"a": 1})
    (entry,) = await log(api, "sync_job_cron_trigger")
    assert (entry["entity_id"], entry["sync_job_run_id"]) == (trigger["id"], run["id"])


async def test_a_trigger_that_cannot_start_a_run_says_so(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    body = {"sync_job_id": SYNC_JOB_ID, "cron_expression": "0 * * * *", **MINE}
    trigger = (await wired.post("/sync-job-cron-trigger", json=body)).json()
    await wired.delete(f"/sync-job/{SYNC_JOB_ID}")
    assert (await wired.post(f"/sandbox/cron-triggers/{trigger['id']}/fire")).status_code == 404
    await eventually(lambda: receiver.names() == ["sync_job_cron_trigger:failed"])
    (entry,) = await log(wired, "sync_job_cron_trigger")
    assert entry["message"] == "Sync job not found"


async def test_calls_of_agents_are_logged(api: httpx.AsyncClient) -> None:
    made = (await api.post(f"/integrated-account/{ACCOUNT_ID}/mcp", json={"name": "a"})).json()
    await api.post(made["url"], json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    (entry,) = await log(api, "mcp")
    assert (entry["mcp_server_id"], entry["mcp_method"]) == (made["id"], "tools/list")
    assert made["token"] not in str(entry)


@pytest.mark.parametrize(
    "params",
    [
        {"log_type_filter[colour]": "red"},
        {"log_type_filter[sync_job_id]": "x"},
        {"created_at[gt]": "yesterday"},
        {"created_at[gt]": "2024-01-01", "created_at[lt]": "2024-03-01T00:00:00Z"},
        {"next_cursor": "nonsense"},
    ],
    ids=["unknown-key", "other-log-s-key", "no-time", "more-than-a-month", "cursor"],
)
async def test_a_question_the_log_does_not_know_is_refused(api: httpx.AsyncClient, params: dict[str, str]) -> None:
    assert (await api.get("/log", params={"log_type": "webhook", **params})).status_code == 400


async def test_a_window_narrows_the_log(api: httpx.AsyncClient) -> None:
    await api.get("/proxy/users", params=MINE)
    window = {"created_at[gt]": "2020-01-01T00:00:00.000Z", "created_at[lt]": "2020-01-31T00:00:00.000Z"}
    assert await log(api, "unified_proxy_api", **window) == []
    assert len(await log(api, "unified_proxy_api", **{"created_at[gt]": "2020-01-01", "limit": 500})) == 1


@pytest.mark.parametrize(
    ("body", "event"),
    [
        ({"event_type": "created", "resource_id": "9", "resource_type": "bookings"}, "record:created"),
        ({"event_type": ["?"]}, "record:updated"),
        ({}, "record:updated"),
    ],
    ids=["named", "odd", "empty"],
)
async def test_a_provider_s_webhook_becomes_a_record_event(
    wired: httpx.AsyncClient, receiver: Receiver, body: dict[str, Any], event: str
) -> None:
    del wired.headers["authorization"]
    answer = await wired.post(f"/integrated-account-webhook/{ACCOUNT_ID}", json=body)
    assert answer.json() == {"success": True}
    await eventually(lambda: receiver.names() == [event])
    payload = receiver.events[0]["payload"]
    assert (payload["integrated_account_id"], payload["raw"]) == (ACCOUNT_ID, body)


async def test_an_install_s_webhook_reaches_each_of_its_accounts(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    for tenant in ("a", "b"):
        await wired.post("/sandbox/connect", json={"tenant_id": tenant, "integration": "jira"})
    installs = (await wired.get("/environment-integration", params={"integration.name": "jira"})).json()["result"]
    await wired.post(f"/environment-integration-webhook/{installs[0]['id']}", json={"event_type": "meta"})
    await eventually(lambda: len(receiver.of("record:meta")) == 2)


@pytest.mark.parametrize("kind", ["integrated-account", "environment-integration"])
async def test_a_webhook_for_nobody_is_a_404(api: httpx.AsyncClient, kind: str) -> None:
    assert (await api.post(f"/{kind}-webhook/none", json={})).status_code == 404
