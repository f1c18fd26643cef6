"""Accounts of a given integration: their calls go to the product itself, by the definition."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.integrations.upstream import Arrived, Give, Upstream, serving
from tests.integration.sandbox.conftest import SECRET, Receiver, eventually, open_sandbox
from truto.samples import ACCOUNT_ID

KEY = "key-of-the-tenant"
PEOPLE = [{"id": str(n), "fullName": f"Person {n}"} for n in range(1, 6)]
MAPPING = {
    "resource": "people",
    "query_mapping": "{'q': query.search}",
    "response_mapping": "{'id': response.id, 'name': response.fullName, 'region': context.region}",
}


def answering(request: Arrived) -> Any:
    """A product with people, whose key is checked."""
    if request.headers.get("authorization") != f"Bearer {KEY}":
        return Give({"error": f"bad key {request.headers.get('authorization')}"}, 401)
    limits = {"RateLimit-Limit": "100", "RateLimit-Remaining": "99"}
    match request.method, request.path:
        case "GET", "/people":
            size, page = int(request.query["limit"]), int(request.query["page"])
            return Give({"people": PEOPLE[(page - 1) * size : page * size]}, 200, limits)
        case "GET", "/people/7":
            return Give({"message": "nobody"}, 404)
        case "GET", "/people/8":
            return Give({}, 429, {"Retry-After": "30"})
        case "GET", "/people/9":
            return Give({"message": "no scope"}, 403)
        case "GET", _:
            return PEOPLE[0]
        case "POST", "/people/merge":
            return {"merged": request.json}
        case "POST", _:
            return {**request.json, "id": "new"}
        case "DELETE", _:
            return b""
    return Give({}, 500)


def acme(url: str, **more: Any) -> dict[str, Any]:
    people = {
        "list": {"path": "/people", "response_path": "people", "pagination": {"format": "page"}},
        "get": {"path": "/people/{{id}}"},
        "create": {"path": "/people", "method": "post"},
        "delete": {"path": "/people/{{id}}", "method": "delete"},
        "merge": {"path": "/people/merge", "method": "post"},
    }
    config = {
        "base_url": url,
        "credentials": {
            "format": "api_key",
            "config": {"fields": [{"name": "api_key", "type": "password", "required": True}]},
        },
        "resources": {"people": people},
        "actions": {"who": {"type": "request", "config": {"path": "/people/1"}}},
        **more,
    }
    mappings = {"unified_mappings": {"hris": {"employees": {"list": MAPPING, "get": MAPPING}}}}
    return {"integration": {"name": "acme", "config": config}, "override": {}, **mappings}


@asynccontextmanager
async def connected(
    context: dict[str, Any] | None = None, receiver: str | None = None, **more: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, str, Upstream]]:
    """A sandbox with acme installed, an account that has been through its checks, and the product."""
    webhook = {"webhook_url": receiver, "webhook_secret": SECRET} if receiver else {}
    async with serving(more.pop("answering", answering)) as upstream:
        definition = acme(upstream.url, **more)
        async with open_sandbox(integrations=(definition,), integrations_allow=("127.0.0.1",), **webhook) as api:
            given = {"api_key": KEY, "region": "eu"} if context is None else context
            body = {"tenant_id": "t1", "integration": "acme", "context": given}
            made = await api.post("/sandbox/connect", json=body)
            account_id = made.json()["id"]
            async with asyncio.timeout(5):
                while await status_of(api, account_id) == "connecting":  # noqa: ASYNC110  asked as anybody would
                    await asyncio.sleep(0.003)
            yield api, account_id, upstream


async def status_of(api: httpx.AsyncClient, account_id: str) -> str:
    return str((await api.get(f"/integrated-account/{account_id}")).json()["status"])


async def ask(api: httpx.AsyncClient, account_id: str, path: str, method: str = "GET", **given: Any) -> httpx.Response:
    params = {"integrated_account_id": account_id, **given.pop("params", {})}
    return await api.request(method, path, params=params, **given)


async def test_a_list_is_walked_through_the_proxy_page_by_page() -> None:
    async with connected() as (api, account, upstream):
        found, cursor = [], None
        while True:
            answer = await ask(
                api, account, "/proxy/people", params={"limit": 2, **({"next_cursor": cursor} if cursor else {})}
            )
            found += answer.json()["result"]
            cursor = answer.json()["next_cursor"]
            if cursor is None:
                break
        assert found == PEOPLE
        assert answer.headers["ratelimit-remaining"] == "99"
        assert upstream.arrived[0].query == {"page": "1", "limit": "2"}


async def test_methods_and_actions_reach_the_product() -> None:
    async with connected() as (api, account, _):
        assert (await ask(api, account, "/proxy/people/1")).json() == PEOPLE[0]
        assert (await ask(api, account, "/proxy/people", "POST", json={"n": 1})).json() == {"n": 1, "id": "new"}
        assert (await ask(api, account, "/proxy/people/1", "DELETE")).json() == {"id": "1"}
        merged = await ask(api, account, "/proxy/people/merge", "POST", json={"a": 1})
        assert merged.json() == {"result": {"merged": {"a": 1}}}
        assert (await ask(api, account, "/proxy/_/who", "POST", json={})).json() == {"result": PEOPLE[0]}


async def test_a_custom_call_has_the_accounts_credentials_and_stays_at_the_product() -> None:
    async with connected() as (api, account, upstream):
        answer = await ask(api, account, "/custom/people/1", params={"x": "1"})
        assert answer.json() == {"result": PEOPLE[0], "next_cursor": None, "prev_cursor": None}
        assert upstream.last.target == "/people/1?x=1"
        config = {
            "methodConfig": {"response_path": "a", "headers": {"X-New": "1"}, "base_url": "http://169.254.169.254"}
        }
        answer = await ask(api, account, "/custom/people", "POST", json={"a": 7, **config})
        assert answer.json()["result"] == 7
        assert (upstream.last.json, upstream.last.headers["x-new"]) == ({"a": 7}, "1")
        for path in ("//127.0.0.1:1/x", "http://127.0.0.1:1/x", "{{context.api_key}}"):
            await ask(api, account, f"/custom/{path}")
            assert KEY not in upstream.last.target
        wrong = await ask(api, account, "/custom/people", "POST", json={"methodConfig": {"body_format": "yaml"}})
        assert wrong.status_code == 400


async def test_unified_reads_go_through_the_mapping_that_the_file_gives() -> None:
    async with connected() as (api, account, upstream):
        answer = await ask(api, account, "/unified/hris/employees", params={"limit": 2, "search": "x"})
        assert answer.json()["result"][0] == {"id": "1", "name": "Person 1", "region": "eu", "remote_data": PEOPLE[0]}
        assert upstream.last.query == {"q": "x", "page": "1", "limit": "2"}
        one = await ask(api, account, "/unified/hris/employees/1", params={"truto_ignore_remote_data": "true"})
        assert one.json() == {"id": "1", "name": "Person 1", "region": "eu"}


async def test_a_mapping_of_the_environment_wins_and_one_that_is_missing_is_named() -> None:
    async with connected() as (api, account, _):
        missing = await ask(api, account, "/unified/crm/contacts")
        assert missing.status_code == 404
        assert "crm/contacts list has no mapping for acme: write `unified_mappings`" in missing.json()["message"]
        rows = (await api.get("/unified-model", params={"name": "hris"})).json()["result"]
        model = (await api.post("/environment-unified-model", json={"unified_model_id": rows[0]["id"]})).json()
        names = {"resource_name": "employees", "method_name": "list", "integration_name": "acme"}
        config = {"resource": "people", "response_mapping": "{'only': response.id}"}
        body = {"environment_unified_model_id": model["id"], **names, "config": config}
        assert (await api.post("/environment-unified-model-resource-method", json=body)).status_code == 200
        answer = await ask(api, account, "/unified/hris/employees")
        assert answer.json()["result"][0]["only"] == "1"


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/proxy/people/7", 404, "nobody"),
        ("/proxy/people/8", 429, "the product limits the rate"),
        ("/proxy/people/9", 403, "no scope"),
        ("/proxy/things", 404, "resources: has no 'things'"),
        ("/proxy/people?next_cursor=x", 502, "the cursor is none of this list"),
        ("/proxy/people?limit=0", 400, "Validation failed"),
    ],
)
async def test_refusals_of_the_product_are_truto_s(path: str, status: int, words: str) -> None:
    async with connected() as (api, account, _):
        given = dict(httpx.URL(path).params)
        answer = await ask(api, account, path.partition("?")[0], params=given)
        body = answer.json()
        assert (answer.status_code, body["statusCode"]) == (status, status)
        assert words in body["message"]
        if status == 429:
            assert answer.headers["retry-after"] == "30"
        if status in (403, 404) and "people" in path:
            assert body["truto_is_remote_error"] is True
            assert body["raw_response"] == {"message": words}


async def test_a_401_of_the_product_leaves_the_account_in_needs_reauth(receiver: Receiver) -> None:
    async with connected({"api_key": "wrong-key-1"}, receiver.url) as (api, account, upstream):
        answer = await ask(api, account, "/proxy/people")
        assert answer.status_code == 401
        assert answer.json()["truto_is_remote_error"] is True
        assert "wrong-key-1" not in answer.text
        assert await status_of(api, account) == "needs_reauth"
        assert (await ask(api, account, "/proxy/people")).status_code == 401
        assert len(upstream.arrived) == 1
        await eventually(lambda: "integrated_account:authentication_error" in receiver.names())
        assert "wrong-key-1" not in json.dumps(receiver.events)


async def test_a_new_account_goes_through_the_checks_of_the_definition(receiver: Receiver) -> None:
    install = {"steps": [{"type": "request", "config": {"path": "/people/1"}}, {"type": "update_context"}]}
    async with connected(receiver=receiver.url, actions={"post_install": install}) as (api, account, _):
        assert await status_of(api, account) == "active"
        context = (await api.get(f"/integrated-account/{account}")).json()["context"]
        assert context["fullName"] == "Person 1"
    check = {"validation": {"type": "request", "config": {"path": "/people/7"}}}
    async with connected({"api_key": KEY}, receiver.url, actions=check) as (api, account, _):
        row = (await api.get(f"/integrated-account/{account}")).json()
        assert (row["status"], "nobody" in row["last_error"]) == ("validation_error", True)
        await eventually(lambda: "integrated_account:validation_error" in receiver.names())


async def test_a_field_that_is_missing_is_named() -> None:
    async with connected({"region": "eu"}) as (api, account, upstream):
        row = (await api.get(f"/integrated-account/{account}")).json()
        assert (row["status"], row["last_error"]) == ("validation_error", "api_key is required")
        assert upstream.arrived == []


async def test_an_override_that_is_changed_counts_at_the_next_call() -> None:
    async with connected() as (api, account, upstream):
        install = (await api.get(f"/integrated-account/{account}")).json()["environment_integration_id"]
        changed = {"override": {"headers": {"X-New": "1"}}}
        await api.patch(f"/environment-integration/{install}", json=changed)
        await ask(api, account, "/proxy/people/1")
        assert upstream.last.headers["x-new"] == "1"
        await api.patch(f"/environment-integration/{install}", json={"override": {"error_expression": "("}})
        answer = await ask(api, account, "/proxy/people/1")
        assert (answer.status_code, "error_expression: is not valid JSONata" in answer.text) == (404, True)


async def test_a_sync_job_run_delivers_the_records_of_the_product(receiver: Receiver) -> None:
    async with connected(receiver=receiver.url) as (api, account, _):
        job = {"integration_name": "acme", "resources": [{"resource": "hris/employees"}, {"resource": "people"}]}
        job_id = (await api.post("/sync-job", json=job)).json()["id"]
        await api.post("/sync-job-run", json={"sync_job_id": job_id, "integrated_account_id": account})
        await eventually(lambda: "sync_job_run:completed" in receiver.names())
        unified, native = (event["payload"] for event in receiver.of("sync_job_run:record"))
        assert [each["name"] for each in unified["records"]] == [f"Person {n}" for n in range(1, 6)]
        assert native["records"] == PEOPLE


async def test_a_sync_job_run_of_a_resource_that_is_not_there_fails_with_the_reason(receiver: Receiver) -> None:
    async with connected(receiver=receiver.url) as (api, account, _):
        job_id = (await api.post("/sync-job", json={"resources": [{"resource": "things"}]})).json()["id"]
        await api.post("/sync-job-run", json={"sync_job_id": job_id, "integrated_account_id": account})
        await eventually(lambda: "sync_job_run:failed" in receiver.names())
        (event,) = receiver.of("sync_job_run:record_error")
        assert "has no 'things'" in event["payload"]["error"]["message"]


async def test_other_accounts_keep_their_imitation() -> None:
    async with connected() as (api, _, upstream):
        answer = await ask(api, ACCOUNT_ID, "/proxy/contacts")
        assert answer.json()["result"]
        assert upstream.arrived == []


async def test_batches_reach_the_product_too() -> None:
    async with connected() as (api, account, _):
        body = {"integrated_account_id": account, "resources": [{"resource": "people"}]}
        answer = (await api.post("/batch-request", json=body)).json()
        assert answer == {"result": {"people": PEOPLE}, "errors": {}}


async def test_no_read_shows_a_credential() -> None:
    async with connected() as (api, account, _):
        for path in (f"/integrated-account/{account}", "/integrated-account", "/sandbox/calls"):
            assert KEY not in (await api.get(path)).text


async def test_an_integration_is_installed_again_over_a_state_file(tmp_path: Path) -> None:
    file = tmp_path / "state"
    for version in ("1", "2"):
        definition = acme("http://127.0.0.1:1", headers={"X-V": version})
        async with open_sandbox(integrations=(definition,), state_file=file) as api:
            rows = (await api.get("/environment-integration")).json()["result"]
            (row,) = (row for row in rows if row["integration"]["name"] == "acme")
            assert row["integration"]["config"]["headers"] == {"X-V": version}
            methods = (await api.get("/unified-model-resource-method")).json()["result"]
            assert len([each for each in methods if each["integration_name"] == "acme"]) == 2


async def test_an_account_that_needs_reauth_is_connected_again_with_a_new_key() -> None:
    async with connected({"api_key": "wrong-key-1"}) as (api, account, _):
        assert (await ask(api, account, "/proxy/people")).status_code == 401
        body = {"account_id": account, "context": {"api_key": KEY}}
        assert (await api.post("/sandbox/connect", json=body)).status_code == 201
        async with asyncio.timeout(5):
            while await status_of(api, account) != "active":  # noqa: ASYNC110  asked as anybody would
                await asyncio.sleep(0.003)
        assert len((await ask(api, account, "/proxy/people", params={"limit": 9})).json()["result"]) == 5


async def test_an_account_has_what_was_filled_in_and_no_made_up_token() -> None:
    credentials = {
        "format": "oauth2_client_credentials",
        "config": {"fields": [{"name": "client_id"}, {"name": "client_secret", "type": "password"}]},
    }

    def tokens(request: Arrived) -> Any:
        return {"access_token": KEY} if request.path == "/oauth/token" else answering(request)

    async with serving(tokens) as upstream:
        credentials["config"] |= {"auth": {"tokenHost": upstream.url}}  # type: ignore[operator]
        definition = acme(upstream.url, credentials=credentials)
        async with open_sandbox(integrations=(definition,), integrations_allow=("127.0.0.1",)) as api:
            context = {"client_id": "i", "client_secret": "client-secret"}
            body = {"tenant_id": "t1", "integration": "acme", "context": context}
            account = (await api.post("/sandbox/connect", json=body)).json()["id"]
            async with asyncio.timeout(5):
                while await status_of(api, account) != "active":  # noqa: ASYNC110  asked as anybody would
                    await asyncio.sleep(0.003)
            assert [r.path for r in upstream.arrived] == ["/oauth/token"]
            row = (await api.get(f"/integrated-account/{account}")).json()
            assert row["authentication_method"] == "oauth2_client_credentials"
            assert (await ask(api, account, "/proxy/people/1")).json() == PEOPLE[0]
