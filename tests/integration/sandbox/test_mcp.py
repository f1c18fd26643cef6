"""MCP tokens and the servers behind them; tools, capabilities and meta routes."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.sandbox.conftest import open_sandbox
from truto.samples import ACCOUNT_ID

TOKENS = f"/integrated-account/{ACCOUNT_ID}/mcp"


async def token(api: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await api.post(TOKENS, json={"name": "agent", **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def rpc(api: httpx.AsyncClient, url: str, method: str, **params: Any) -> dict[str, Any]:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = await api.post(url, json=message, headers={"Authorization": ""})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert (found["jsonrpc"], found["id"]) == ("2.0", 1)
    return found


async def test_token_and_url_are_shown_once(api: httpx.AsyncClient) -> None:
    made = await token(api)
    assert made["url"] == f"http://sandbox/mcp/{made['token']}"
    path = f"{TOKENS}/{made['id']}"
    for answer in (await api.get(path), await api.get(TOKENS), await api.patch(path, json={"name": "other"})):
        assert made["token"] not in answer.text
    assert (await api.get(path)).json()["name"] == "other"


async def test_an_agent_can_initialize_list_and_call(api: httpx.AsyncClient) -> None:
    url = (await token(api))["url"]
    started = await rpc(api, url, "initialize", protocolVersion="2024-11-05")
    assert started["result"]["protocolVersion"] == "2024-11-05"
    assert (await rpc(api, url, "ping"))["result"] == {}
    listed = (await rpc(api, url, "tools/list"))["result"]["tools"]
    assert {"list_contacts", "create_companies", "search_users", "close_tickets"} <= {each["name"] for each in listed}
    made = await rpc(api, url, "tools/call", name="create_companies", arguments={"name": "Acme"})
    assert '"name":"Acme"' in made["result"]["content"][0]["text"]
    found = await rpc(api, url, "tools/call", name="get_companies", arguments={"id": "8"})
    assert (found["result"]["isError"], '"Acme"' in found["result"]["content"][0]["text"]) == (False, True)
    closed = await rpc(api, url, "tools/call", name="close_tickets", arguments={"id": "1"})
    assert '"closed"' in closed["result"]["content"][0]["text"]
    page = await rpc(api, url, "tools/call", name="list_users", arguments={"limit": 2})
    assert '"result_count":2' in page["result"]["content"][0]["text"]


async def test_a_call_that_the_provider_refuses_is_an_error_result(api: httpx.AsyncClient) -> None:
    url = (await token(api))["url"]
    found = await rpc(api, url, "tools/call", name="get_companies", arguments={"id": "999"})
    assert (found["result"]["isError"], "404" in found["result"]["content"][0]["text"]) == (True, True)


async def test_the_log_of_calls_does_not_show_the_token(api: httpx.AsyncClient) -> None:
    made = await token(api)
    await rpc(api, made["url"], "ping")
    calls = await api.get("/sandbox/calls")
    assert made["token"] not in calls.text
    assert calls.json()["result"][-1]["path"] == "/mcp/…"


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({"methods": ["read"], "tags": ["directory"]}, {"list_users", "get_users"}),
        (
            {"methods": ["custom"]},
            {"search_contacts", "search_companies", "search_tickets", "search_users", "close_tickets"},
        ),
        ({"methods": ["write"], "tags": ["ticketing"]}, {"create_tickets", "update_tickets", "delete_tickets"}),
        ({"methods": ["get"], "tags": ["crm"]}, {"get_contacts", "get_companies"}),
    ],
    ids=["kind-and-tag", "custom", "write", "name"],
)
async def test_a_token_s_filters_leave_some_tools(
    api: httpx.AsyncClient, config: dict[str, Any], names: set[str]
) -> None:
    url = (await token(api, config=config))["url"]
    listed = (await rpc(api, url, "tools/list"))["result"]["tools"]
    assert {each["name"] for each in listed} == names
    refused = await rpc(api, url, "tools/call", name="create_contacts", arguments={})
    assert refused["error"]["code"] == -32602


@pytest.mark.parametrize(
    "body",
    [
        {"name": "a", "config": {"methods": ["fly"]}},
        {"name": "a", "config": {"tags": "crm"}},
        {"name": "a", "config": {"tags": [1]}},
        {"name": "a", "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "a", "expires_at": "soon"},
        {},
    ],
    ids=["no-tool", "no-list", "no-text", "past", "no-time", "no-name"],
)
async def test_a_token_that_makes_no_sense_is_refused(api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await api.post(TOKENS, json=body)).status_code == 400


async def test_an_expired_or_deleted_token_lets_nobody_in(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await token(api, expires_at="2100-01-01 00:00:00")
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert (await api.post(made["url"], json=message)).status_code == 200
    with monkeypatch.context() as patched:
        patched.setattr("sandbox.mcp_api.time.time", lambda: time.mktime((2101, 1, 1, 0, 0, 0, 0, 0, 0)))
        assert (await api.post(made["url"], json=message)).status_code == 401
    assert (await api.delete(f"{TOKENS}/{made['id']}")).json() == {"id": made["id"]}
    assert (await api.post(made["url"], json=message)).status_code == 401


async def test_a_token_dies_with_its_account(api: httpx.AsyncClient) -> None:
    url = (await token(api))["url"]
    await api.delete(f"/integrated-account/{ACCOUNT_ID}")
    assert (await api.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "ping"})).status_code == 401
    assert (await api.get(TOKENS)).status_code == 404


async def test_a_token_can_also_want_the_api_token(api: httpx.AsyncClient) -> None:
    url = (await token(api, config={"require_api_token_auth": True}))["url"]
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert (await api.post(url, json=message)).status_code == 200
    assert (await api.post(url, json=message, headers={"Authorization": "Bearer wrong"})).status_code == 401


async def test_another_account_s_token_is_not_found(api: httpx.AsyncClient) -> None:
    made = await token(api)
    other = (await api.post("/sandbox/connect", json={"tenant_id": "t"})).json()["id"]
    assert (await api.get(f"/integrated-account/{other}/mcp/{made['id']}")).status_code == 404
    assert (await api.get(f"/integrated-account/{other}/mcp")).json()["result"] == []


async def test_a_token_s_filters_can_be_changed(api: httpx.AsyncClient) -> None:
    made = await token(api)
    path = f"{TOKENS}/{made['id']}"
    assert (await api.patch(path, json={"config": None})).json()["config"] == {}
    assert (await api.patch(path, json={"config": {"methods": ["fly"]}})).status_code == 400


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"{", -32700),
        (b"[]", -32700),
        (b'{"id": 1, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 7}', -32600),
        (b'{"jsonrpc": "2.0", "id": [], "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": "a", "method": "dance"}', -32601),
        (b'{"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": []}', -32602),
        (
            b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_users", "arguments": 1}}',
            -32602,
        ),
    ],
)
async def test_what_is_no_proper_request_gets_the_protocol_s_own_error(
    api: httpx.AsyncClient, raw: bytes, code: int
) -> None:
    answer = await api.post((await token(api))["url"], content=raw)
    assert (answer.status_code, answer.json()["error"]["code"]) == (200, code)


async def test_a_notification_gets_no_answer(api: httpx.AsyncClient) -> None:
    url = (await token(api))["url"]
    answer = await api.post(url, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (answer.status_code, answer.content) == (202, b"")


ARGUMENTS = st.dictionaries(
    st.sampled_from(["id", "name", "query", "limit", "next_cursor", "subject", "isActive"]),
    st.none() | st.integers() | st.text(max_size=4) | st.lists(st.none(), max_size=1),
    max_size=4,
)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(
        st.tuples(st.sampled_from(["list", "get", "create", "update", "delete", "search", "close"]), ARGUMENTS),
        max_size=5,
    )
)
def test_no_arguments_can_crash_a_tool(calls: list[tuple[str, dict[str, Any]]]) -> None:
    async def play() -> None:
        async with open_sandbox(step_seconds=60) as api:
            url = (await token(api))["url"]
            for method, arguments in calls:
                await rpc(api, url, "tools/call", name=f"{method}_tickets", arguments=arguments)

    asyncio.run(play())


async def test_tools_are_described_and_can_be_narrowed(api: httpx.AsyncClient) -> None:
    path = f"/integrated-account/{ACCOUNT_ID}/tools"
    (tool,) = (await api.get(path, params={"methods": "create", "tags": "ticketing, none"})).json()["result"]
    assert (tool["name"], tool["required"]) == ("create_tickets", ["subject"])
    assert tool["body_schema"]["properties"]["status"]["default"] == "open"
    by_name = (await api.get("/integration/calcom/tools")).json()["result"]
    assert len(by_name) == len((await api.get(path)).json()["result"])


async def test_capabilities_tell_how_ready_an_account_is(api: httpx.AsyncClient) -> None:
    path = f"/integrated-account/{ACCOUNT_ID}/capabilities"
    found = (await api.get(path, params={"type": "proxy", "methods": "list", "resource": "users"})).json()
    assert [(each["resource"], each["method"]) for each in found["proxy"]] == [("users", "list")]
    assert (found["unified"], found["readiness_score"], found["account"]["is_blocked"]) == ([], 100, False)
    await api.post(f"/sandbox/accounts/{ACCOUNT_ID}/revoke")
    assert (await api.get(path)).json()["readiness_score"] == 0


async def test_an_integration_tells_its_capabilities_and_models(api: httpx.AsyncClient) -> None:
    found = (await api.get("/integration/hubspot/capabilities", params={"type": "unified"})).json()
    assert (found["integration"], found["proxy"], bool(found["unified"])) == ("hubspot", [], True)
    models = (await api.get("/integration/hubspot/unified-apis")).json()["result"]
    assert "crm" in {model["name"] for model in models}


async def test_meta_routes_describe_methods(api: httpx.AsyncClient) -> None:
    unified = (await api.get("/unified/crm/contacts/meta/create")).json()
    assert "first_name" in unified["request_body_schema"]["properties"]
    assert "response_schema" not in unified
    with_integration = (await api.get("/unified/crm/contacts/hubspot/meta/list")).json()
    assert "limit" in with_integration["query_schema"]["properties"]
    assert "firstName" in with_integration["response_schema"]["properties"]
    native = (await api.get("/proxy/contacts/meta/update")).json()
    assert "firstName" in native["request_body_schema"]["properties"]


@pytest.mark.parametrize(
    ("form", "kind"), [("json", "application/json"), ("md", "text/markdown"), ("html", "text/html")]
)
async def test_a_model_s_documentation_comes_in_three_formats(api: httpx.AsyncClient, form: str, kind: str) -> None:
    answer = await api.get("/unified/meta/crm/hubspot", params={"format": form})
    assert answer.headers["content-type"].startswith(kind)
    assert "hubspot" in answer.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/unified/meta/crm/hubspot?format=pdf", 400),
        ("/unified/meta/%3Cscript%3E/hubspot", 404),
        ("/unified/crm/contacts/meta/dance", 404),
        ("/integration/none/tools", 404),
        ("/integrated-account/none/tools", 404),
        ("/integrated-account/none/capabilities", 404),
        (f"/integrated-account/{ACCOUNT_ID}/capabilities?type=secret", 400),
    ],
)
async def test_what_cannot_be_described_is_refused(api: httpx.AsyncClient, path: str, status: int) -> None:
    assert (await api.get(path)).status_code == status
