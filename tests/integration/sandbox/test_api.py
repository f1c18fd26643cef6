"""What all routes have in common: envelope, tokens, faults, idempotency; and the routes that only read."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import SandboxConfig, create_app
from tests.integration.sandbox.conftest import open_sandbox
from tests.servers import serve
from truto.samples import ACCOUNT_ID, SYNC_JOB_ID

CONTACTS = "/unified/crm/contacts"
MINE = {"integrated_account_id": ACCOUNT_ID}


async def calls(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.get("/sandbox/calls")).json()["result"]
    return found


async def test_it_serves_over_a_real_socket() -> None:
    async with serve(create_app(SandboxConfig())) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        answer = await client.get("/ping", headers={"Authorization": "Bearer sandbox-token"})
        assert answer.json() == {"success": True}
        assert (await client.get("/")).headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer wrong", "Basic sandbox-token", b"Bearer \xff\xfe"],
    ids=["none", "empty", "no-token", "wrong", "other-scheme", "not-ascii"],
)
async def test_without_the_token_nothing_is_answered(api: httpx.AsyncClient, header: str | bytes | None) -> None:
    del api.headers["authorization"]
    headers = httpx.Headers(
        [] if header is None else [(b"Authorization", header if isinstance(header, bytes) else header.encode())]
    )
    for path in ("/ping", "/webhook", "/no/such/route"):
        answer = await api.get(path, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (401, "Unauthorized")


async def test_an_expired_account_token_is_unknown(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = await api.post("/integrated-account/token", json=MINE)
    later = time.time() + 16 * 60
    monkeypatch.setattr("sandbox.gate.time.time", lambda: later)
    headers = {"Authorization": f"Bearer {answer.json()['integrated_account_token']}"}
    assert (await api.get("/integrated-account/me", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/dragons", 404, "Not Found"),
        ("GET", "/webhook/none", 404, "Not Found"),
        ("PUT", "/webhook", 405, "Method Not Allowed"),
        ("POST", "/workflow-run", 405, "Method Not Allowed"),
        ("PUT", CONTACTS, 405, "Method Not Allowed"),
        ("GET", "/ping/", 404, "Not Found"),
    ],
)
async def test_routing_errors_come_in_the_envelope(
    api: httpx.AsyncClient, method: str, path: str, status: int, error: str
) -> None:
    answer = await api.request(method, path)
    assert answer.status_code == status
    assert answer.json() == {"statusCode": status, "error": error, "message": answer.json()["message"]}


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"7", b'"\\ud800"', b"\xff", b'{"a":' * 100 + b"1" + b"}" * 100],
    ids=["cut", "list", "number", "surrogate", "not-utf8", "deep"],
)
async def test_a_body_that_is_no_json_object_is_a_400(api: httpx.AsyncClient, body: bytes) -> None:
    answer = await api.post("/link-token", content=body)
    assert (answer.status_code, answer.json()["statusCode"]) == (400, 400)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
WORDS = [
    "id",
    "tenant_id",
    "integrated_account_id",
    "link_token",
    "outcome",
    "sync_job_id",
    "cron_expression",
    "target_url",
    "event_types",
    "config",
    "trigger_name",
    "context",
    "status",
    "resources",
    "args",
    "error_handling",
    "outage",
    "error_rate",
]
ROUTES = [
    ("POST", "/link-token"),
    ("POST", "/integrated-account/token"),
    ("POST", "/sync-job"),
    ("POST", "/sync-job-run"),
    ("POST", "/sync-job-cron-trigger"),
    ("POST", "/workflow"),
    ("POST", "/webhook"),
    ("POST", "/sandbox/connect"),
    ("PUT", "/sandbox/faults"),
    ("PATCH", f"/integrated-account/{ACCOUNT_ID}"),
    ("PATCH", f"/sync-job/{SYNC_JOB_ID}"),
]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(route=st.sampled_from(ROUTES), body=st.dictionaries(st.sampled_from(WORDS), JSON, max_size=6))
def test_no_body_can_crash_it(route: tuple[str, str], body: dict[str, Any]) -> None:
    """Whatever JSON a stranger sends, the answer is an object or the envelope, and the lists still read."""

    async def send() -> None:
        async with open_sandbox(step_seconds=60) as api:
            answer = await api.request(*route, json=body)
            assert answer.status_code in (200, 201, 400, 404)
            await api.put("/sandbox/faults", json={})
            assert (await api.get(route[1])).status_code in (200, 404, 405)
            assert (await api.get("/")).status_code == 200

    asyncio.run(send())


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=12), value=st.text(max_size=12))
def test_no_query_can_crash_a_list(name: str, value: str) -> None:
    """Any parameter is a filter or a 400."""

    async def send() -> None:
        async with open_sandbox() as api:
            for path in ("/integrated-account", "/log", CONTACTS):
                params = {"log_type": "webhook", **MINE, name: value}
                assert (await api.get(path, params=params)).status_code in (200, 400, 404)

    asyncio.run(send())


async def test_an_outage_answers_500_until_it_is_over(api: httpx.AsyncClient) -> None:
    shown = (await api.put("/sandbox/faults", json={"outage": True})).json()
    assert {name: value for name, value in shown.items() if value} == {"outage": True}
    assert (await api.get("/ping")).json()["statusCode"] == 500
    assert "Faults are on" in (await api.get("/")).text
    await api.put("/sandbox/faults", json={})
    assert (await api.get("/ping")).status_code == 200


async def test_a_rate_limit_answers_429_with_ten_seconds(api: httpx.AsyncClient) -> None:
    await api.put("/sandbox/faults", json={"rate_limited": True})
    answer = await api.get("/ping")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")


async def test_an_error_rate_of_one_fails_every_call(api: httpx.AsyncClient) -> None:
    await api.put("/sandbox/faults", json={"error_rate": 1})
    assert (await api.get("/ping")).status_code == 500
    assert (await api.get("/sandbox/faults")).json()["error_rate"] == 1.0


async def test_latency_delays_the_answer(api: httpx.AsyncClient) -> None:
    await api.put("/sandbox/faults", json={"latency_seconds": 0.05})
    started = time.perf_counter()
    await api.get("/ping")
    assert time.perf_counter() - started >= 0.05


async def test_every_truto_call_is_written_down_and_no_control_call(api: httpx.AsyncClient) -> None:
    await api.get("/ping")
    await api.post("/link-token", json={}, headers={"Idempotency-Key": "k:1"})
    await api.get("/sandbox/faults")
    found = await calls(api)
    assert [(call["method"], call["path"], call["status"], call["idempotency_key"]) for call in found] == [
        ("GET", "/ping", 200, None),
        ("POST", "/link-token", 400, "k:1"),
    ]
    assert abs(found[0]["at"] - time.time()) < 60


async def test_the_log_of_calls_is_bounded() -> None:
    async with open_sandbox(log_size=3) as api:
        for _ in range(5):
            await api.get("/ping")
        assert len(await calls(api)) == 3


async def test_a_repeated_key_gets_the_first_answer_and_acts_once(api: httpx.AsyncClient) -> None:
    run = {"sync_job_id": SYNC_JOB_ID, **MINE}
    keyed = {"Idempotency-Key": "event-1:1"}
    first, second = await asyncio.gather(
        *(api.post("/sync-job-run", json=run, headers=keyed) for _ in range(2)), return_exceptions=False
    )
    assert first.json() == second.json()
    other = await api.post("/sync-job-run", json=run, headers={"Idempotency-Key": "event-1:2"})
    assert other.json()["id"] != first.json()["id"]
    assert len((await api.get("/sync-job-run")).json()["result"]) == 2


async def test_a_refused_request_does_not_use_its_key_up(api: httpx.AsyncClient) -> None:
    keyed = {"Idempotency-Key": "k"}
    assert (await api.post("/link-token", json={}, headers=keyed)).status_code == 400
    assert (await api.post("/link-token", json={"tenant_id": "t"}, headers=keyed)).status_code == 200


async def test_lists_page_until_the_cursor_ends(api: httpx.AsyncClient) -> None:
    ids: list[str] = []
    cursor = ""
    while cursor is not None:
        body = (await api.get(CONTACTS, params={**MINE, "next_cursor": cursor})).json()
        assert body["limit"] == 10
        assert body["result_count"] == len(body["result"])
        ids += [record["id"] for record in body["result"]]
        cursor = body["next_cursor"]
    assert ids == [str(number) for number in range(1, 26)]


async def test_a_cursor_outlives_a_deletion(api: httpx.AsyncClient) -> None:
    jobs = [(await api.post("/sync-job", json={"label": str(number)})).json()["id"] for number in range(3)]
    first = (await api.get("/sync-job", params={"limit": 2})).json()
    await api.delete(f"/sync-job/{jobs[0]}")
    rest = (await api.get("/sync-job", params={"limit": 2, "next_cursor": first["next_cursor"]})).json()
    assert [job["id"] for job in rest["result"]] == jobs[1:]
    assert (rest["next_cursor"], rest["limit"]) == (None, 2)


async def test_unified_and_native_records_are_the_same_in_other_words(api: httpx.AsyncClient) -> None:
    unified = (await api.get(f"{CONTACTS}/3", params=MINE)).json()
    native = (await api.get("/proxy/contacts/3", params=MINE)).json()
    assert unified["remote_data"] == native
    assert unified["first_name"] == native["firstName"]
    assert (await api.get("/proxy/contacts", params=MINE)).json()["result"][2] == native


async def test_fields_can_be_left_out(api: httpx.AsyncClient) -> None:
    params = {**MINE, "truto_ignore_remote_data": "true", "truto_exclude_fields": "email,created_at"}
    record = (await api.get(f"{CONTACTS}/1", params=params)).json()
    assert not {"remote_data", "email", "created_at"} & set(record)
    listed = (await api.get(CONTACTS, params={**params, "id[in]": "2,3"})).json()["result"]
    assert [each["id"] for each in listed] == ["2", "3"]


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        (CONTACTS, {}, 400),
        (CONTACTS, {"integrated_account_id": "none"}, 404),
        ("/unified/crm/dragons", MINE, 404),
        (f"{CONTACTS}/999", MINE, 404),
        ("/proxy/Contacts", MINE, 404),
        ("/proxy/contacts", {**MINE, "next_cursor": "nonsense"}, 400),
    ],
    ids=["no-account", "unknown-account", "unknown-resource", "unknown-record", "other-case", "bad-cursor"],
)
async def test_a_read_that_makes_no_sense_is_refused(
    api: httpx.AsyncClient, path: str, params: dict[str, str], status: int
) -> None:
    assert (await api.get(path, params=params)).status_code == status


STEP = {"type": "run", "action": "run_sync_job", "config": "{}"}


async def test_a_workflow_can_be_made_changed_and_deleted(api: httpx.AsyncClient) -> None:
    body = {"trigger_name": "integrated_account:connected", "config": {"run_if": "true", "steps": [STEP]}}
    workflow = (await api.post("/workflow", json=body)).json()
    path = f"/workflow/{workflow['id']}"
    changed = (await api.patch(path, json={"trigger_name": "integrated_account:active"})).json()
    assert (changed["trigger_name"], changed["config"]) == ("integrated_account:active", body["config"])
    assert (await api.delete(path)).json() == {"id": workflow["id"]}
    assert (await api.get("/workflow-run")).json() == {"result": [], "next_cursor": None, "limit": 5000}


@pytest.mark.parametrize(
    ("change", "status", "failed"),
    [
        ({"trigger_name": "moon:full"}, 404, None),
        ({"config": {"steps": [{**STEP, "action": "sing"}]}}, 400, "config.steps.0.action"),
        ({"trigger_name": "sync_job_run:completed"}, 404, None),
        ({"config": {"steps": ["?"]}}, 400, "config.steps.0"),
        ({"config": {"steps": [{**STEP, "timeout": 5}]}}, 400, "config.steps.0.timeout"),
        ({"config": {"steps": [{**STEP, "config": "("}]}}, 400, "config.steps.0.config"),
        ({"config": {"steps": [{**STEP, "cron_expression": "often"}]}}, 400, "config.steps.0.cron_expression"),
        ({"config": {"actions": []}}, 400, "config.actions"),
        ({"config": None}, 400, "config"),
        ({"id": "taken"}, 400, "id"),
    ],
    ids=["trigger", "unsupported", "action", "no-step", "ours", "expression", "cron", "actions", "no-config", "id"],
)
async def test_a_workflow_that_makes_no_sense_is_refused(
    api: httpx.AsyncClient, change: dict[str, Any], status: int, failed: str | None
) -> None:
    body = {"trigger_name": "integrated_account:active", "config": {"steps": [STEP]}}
    assert (await api.post("/workflow", json={**body, "id": "taken"})).json()["id"] == "taken"
    answer = await api.post("/workflow", json={**body, **change})
    assert answer.status_code == status
    if failed:
        assert answer.json()["details"]["failures"][0]["path"] == failed
