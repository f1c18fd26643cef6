"""What the actions of workflows do, against the sandbox and real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
from standardwebhooks import Webhook

from events import Event, Store
from sandbox import SandboxConfig, create_app
from tests.integration.truto.rude import rude
from tests.integration.worker.workflow_shop import Shop, flow, results, run_ends, say
from tests.integration.worker.workshop import (
    TENANT_SECRET,
    Receiver,
    delivered,
    ended,
    eventually,
    plain,
    working,
)
from truto import AsyncTruto
from truto.network import Allowed
from truto.samples import ACCOUNT_ID, SYNC_JOB_ID, TENANT_ID
from truto.signing_keys import SigningKeys
from worker.context import Context
from worker.emitting import MAX_EMITTED
from worker.notify import Notifier, TenantEndpoint
from worker.registry import Registry
from workflows.http import MAX_RESPONSE_BYTES, HttpRequests

CONFIG = (
    '( $sync_job_id := $mapValues(integration.name,{ "calcom": "51b79ace-a7b4-4077-93ba-8048a06ece2b" }); '
    '{ "sync_job_id": $sync_job_id, "integrated_account_id": integrated_account_id, '
    '"webhook_id": "9fda519d-148f-4cc5-bbac-4e373b16e5d4" } )'
)
SEED = {
    "id": "4a4de828-f4c9-4bea-8ef4-2d705aec43bc",
    "environment_id": "05daecaf-4365-42e8-8370-8127de5dd717",
    "trigger_name": "integrated_account:connected",
    "config": {
        "run_if": "integration.name = 'calcom'",
        "steps": [{"action": "run_sync_job", "config": CONFIG, "type": "run"}],
    },
}
CRON = {
    **SEED,
    "config": {
        "steps": [{"action": "run_sync_job", "config": CONFIG, "type": "run", "cron_expression": "0 */6 * * *"}]
    },
}


@pytest.fixture
async def shop(registry: Registry) -> AsyncIterator[Shop]:
    found = Shop(registry, HttpRequests(allowed=Allowed.parse(["127.0.0.1"]), transport=plain()))
    yield found
    await found.services.aclose()


@pytest.fixture
async def api() -> AsyncIterator[httpx.AsyncClient]:
    """The sandbox, asked directly."""
    app = create_app(SandboxConfig())
    headers = {"Authorization": "Bearer sandbox-token"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sandbox", headers=headers) as client,
    ):
        yield client


def client_of(api: httpx.AsyncClient) -> AsyncTruto:
    return AsyncTruto(token="sandbox-token", base_url="http://sandbox", transport=api._transport)  # noqa: SLF001


async def listed(api: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.get(path)).json()["result"]
    return found


@pytest.mark.parametrize("event_type", ["integrated_account:connected", "integrated_account:active"])
async def test_the_sample_of_the_documents_starts_a_sync_run(
    store: Store, registry: Registry, shop: Shop, api: httpx.AsyncClient, event_type: str
) -> None:
    shop.register(SEED)
    event = delivered(event_type)
    async with working(store, registry, truto=client_of(api)):
        await store.accept([event])
        run = await run_ends(store, event, "completed")
    (made,) = await listed(api, "/sync-job-run")
    assert (made["sync_job_id"], made["integrated_account_id"]) == (SYNC_JOB_ID, ACCOUNT_ID)
    assert made["webhook_id"] == "9fda519d-148f-4cc5-bbac-4e373b16e5d4"
    assert results(run)[0]["sync_job_run_id"] == made["id"]
    assert run.head["workflow_id"] == SEED["id"]


async def test_the_sample_with_a_cron_expression_schedules_one_trigger_however_often_it_runs(
    store: Store, registry: Registry, shop: Shop, api: httpx.AsyncClient
) -> None:
    shop.register(CRON)
    first, second = delivered("integrated_account:active"), delivered("integrated_account:active")
    async with working(store, registry, truto=client_of(api)):
        await store.accept([first])
        run = await run_ends(store, first, "completed")
        (made,) = await listed(api, "/sync-job-cron-trigger")
        await api.patch(f"/sync-job-cron-trigger/{made['id']}", json={"cron_expression": "0 0 * * *"})
        await store.accept([second])
        again = await run_ends(store, second, "completed")
    (trigger,) = await listed(api, "/sync-job-cron-trigger")
    assert (trigger["cron_expression"], trigger["integrated_account_id"]) == ("0 */6 * * *", ACCOUNT_ID)
    assert trigger["scheduled_at"]
    assert results(run)[0]["reused"] is False
    assert results(again)[0] == {
        "sync_job_cron_trigger_id": made["id"],
        "cron_expression": "0 */6 * * *",
        "reused": True,
    }
    assert await listed(api, "/sync-job-run") == []


async def test_a_mapping_miss_is_refused_before_any_call(
    store: Store, registry: Registry, shop: Shop, api: httpx.AsyncClient
) -> None:
    shop.register(CRON)
    payload = {"id": ACCOUNT_ID, "integration": {"name": "zendesk"}}
    event = delivered("integrated_account:active", data=payload)
    before = len((await api.get("/sandbox/calls")).json()["result"])
    async with working(store, registry, truto=client_of(api)):
        await store.accept([event])
        run = await run_ends(store, event, "failed")
    place, cause = "config.steps.0.config.sync_job_id", "must be a UUID, not 'zendesk'"
    assert run.error == f"{place}: {cause}; $mapValues gives back a value that its mapping lacks"
    calls = (await api.get("/sandbox/calls")).json()["result"]
    assert [call for call in calls[before:] if not call["path"].startswith("/sandbox")] == []


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"unified": "crm/contacts", "query": {"limit": 2}}, ("GET", "/unified/crm/contacts")),
        ({"unified": "crm/contacts", "method": "get", "id": "a/b"}, ("GET", "/unified/crm/contacts/a%2Fb")),
        ({"unified": "crm/contacts", "method": "create", "body": {"a": 1}}, ("POST", "/unified/crm/contacts")),
        ({"unified": "crm/contacts", "method": "update", "id": "1"}, ("PATCH", "/unified/crm/contacts/1")),
        ({"unified": "crm/contacts", "method": "delete", "id": "1"}, ("DELETE", "/unified/crm/contacts/1")),
        ({"unified": "crm/contacts", "method": "merge"}, ("POST", "/unified/crm/contacts/merge")),
        ({"proxy": "users"}, ("GET", "/proxy/users")),
        ({"custom": "/v1/things", "method": "put"}, ("PUT", "/custom/v1/things")),
        ({"batch": {"resources": []}}, ("POST", "/batch-request")),
    ],
    ids=lambda value: str(next(iter(value.values()))) if isinstance(value, dict) else "",
)
async def test_call_truto_reaches_the_data_plane_for_the_event_s_account(
    store: Store, registry: Registry, shop: Shop, config: dict[str, Any], expected: tuple[str, str]
) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"result": [{"id": 1}]})

    shop.register(flow({"action": "call_truto", "config": config}, trigger="integrated_account:active"))
    event = delivered("integrated_account:active")
    truto = AsyncTruto(token="t", base_url="http://api", transport=httpx.MockTransport(answer))
    async with working(store, registry, truto=truto):
        await store.accept([event])
        run = await run_ends(store, event, "completed")
    (request,) = seen
    path, _, query = request.url.raw_path.decode().partition("?")
    assert (request.method, path) == expected
    assert ACCOUNT_ID in (query or request.content.decode())
    assert results(run) == [{"result": [{"id": 1}]}]
    if request.method != "GET":
        assert request.headers["idempotency-key"].startswith(f"{event.key}:workflow:flow/0:1")


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"unified": "crm/contacts", "proxy": "users"},
        {"unified": "crm"},
        {"proxy": "users", "method": "get"},
        {"custom": "a", "method": "LIST"},
        {"unified": "a/b", "other": 1},
    ],
    ids=str,
)
async def test_a_call_that_means_nothing_fails(
    store: Store, registry: Registry, shop: Shop, config: dict[str, Any]
) -> None:
    shop.register(flow({"action": "call_truto", "config": config}, trigger="integrated_account:active"))
    event = delivered("integrated_account:active")
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "failed")
    assert "config.steps.0.config" in (run.error or "")


async def test_an_answer_that_says_fix_the_request_is_not_asked_for_again(
    store: Store, registry: Registry, shop: Shop
) -> None:
    calls = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        return httpx.Response(422, json={"statusCode": 422, "error": "x", "message": "no such field"})

    shop.register(flow({"action": "call_truto", "config": {"proxy": "a"}}, trigger="integrated_account:active"))
    event = delivered("integrated_account:active")
    truto = AsyncTruto(token="t", base_url="http://api", transport=httpx.MockTransport(answer))
    async with working(store, registry, truto=truto):
        await store.accept([event])
        run = await run_ends(store, event, "failed")
    assert len(calls) == 1
    assert "no such field" in (run.error or "")


async def test_http_request_is_signed_and_gives_what_was_answered(
    store: Store, registry: Registry, receiver: Receiver
) -> None:
    http = HttpRequests(secret=TENANT_SECRET, allowed=Allowed.parse(["127.0.0.1"]), transport=plain())
    shop = Shop(registry, http)
    config = {"url": f"{receiver.url}/hook?a=1", "json": {"order": "{{payload.n}}"}, "headers": {"x-team": "red"}}
    shop.register(flow({"action": "http_request", "config": config}))
    event = delivered(data={"n": 7})
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "completed")
    ((path, headers, body),) = receiver.requests
    assert (path, orjson.loads(body), headers["x-team"]) == ("/hook?a=1", {"order": "7"}, "red")
    assert headers["content-type"] == "application/json"
    assert headers["host"] == receiver.url.removeprefix("http://")
    (key,) = SigningKeys.parse(TENANT_SECRET, "host").keys_for(headers["host"], datetime.now(UTC))
    Webhook(key).verify(body, headers)
    assert results(run)[0]["status"] == 204
    await shop.services.aclose()


async def test_http_request_is_tried_again_with_the_same_id_where_that_may_help(
    store: Store, registry: Registry, receiver: Receiver
) -> None:
    http = HttpRequests(secret=TENANT_SECRET, allowed=Allowed.parse([receiver.url[7:]]), transport=plain())
    shop = Shop(registry, http)
    receiver.answers = [503, 429, 204]
    shop.register(flow({"action": "http_request", "config": {"url": receiver.url, "body": "text"}}))
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await run_ends(store, event, "completed")
    assert len(receiver.ids) == 3
    assert len(set(receiver.ids)) == 1
    await shop.services.aclose()


@pytest.mark.parametrize("status", [302, 404])
async def test_http_request_follows_no_redirect_and_does_not_repeat_a_refusal(
    store: Store, registry: Registry, shop: Shop, receiver: Receiver, status: int
) -> None:
    receiver.answers, receiver.location = [status], f"{receiver.url}/elsewhere"
    shop.register(flow({"action": "http_request", "config": {"url": receiver.url, "body": ""}}))
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "failed")
    assert f"answered {status}" in (run.error or "")
    assert len(receiver.requests) == 1


@pytest.mark.bad_input(228)
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/",
        "http://localhost/",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://192.168.1.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://0.0.0.0/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[fe80::1]/",
        "http://0177.1/",
        "http://0xa9.0xfe.0xa9.0xfe/",
        "http://169.254.43518/",
        "http://168.63.129.16/machine",
        "http://192.0.0.192/opc/v2/instance/",
        "http://100.100.100.200/latest/meta-data/",
        "http://[fec0::1]/",
        "http://[fd00:ec2::254]/latest/meta-data",
        "http://[2002:a9fe:a9fe::]/",
        "http://[::127.0.0.1]/",
        "http://255.255.255.255/",
        "http://[ff02::1]/",
    ],
)
async def test_http_request_reaches_nothing_inside_our_network(store: Store, registry: Registry, url: str) -> None:
    shop = Shop(registry, HttpRequests(transport=plain()))
    shop.register(flow({"action": "http_request", "config": {"url": url}, "retry": {"attempts": 1}}))
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "failed")
    assert "private network" in (run.error or "") or "cannot be resolved" in (run.error or "")
    await shop.services.aclose()


async def test_the_result_of_http_request_is_what_was_answered_with_few_of_its_headers(
    store: Store, registry: Registry, shop: Shop
) -> None:
    headers = {"x-secret": "1", "retry-after": "7"}
    async with rude(lambda exchange: exchange.answer(201, b'{"ok": true}', headers)) as server:
        shop.register(flow({"action": "http_request", "config": {"url": server.url, "method": "GET"}}))
        event = delivered()
        async with working(store, registry):
            await store.accept([event])
            run = await run_ends(store, event, "completed")
    answered = {"content-type": "application/json", "retry-after": "7"}
    assert results(run) == [{"status": 201, "headers": answered, "body": {"ok": True}}]


@pytest.mark.parametrize(
    ("config", "cause"),
    [
        ({"url": "ftp://a.example/"}, "http or https"),
        ({"url": "https://user:pw@a.example/"}, "without credentials"),
        ({"url": "https://a.example/", "json": {}, "body": ""}, "cannot go with json"),
        ({"url": "https://a.example/", "headers": {"Host": "b"}}, "is set by the worker"),
        ({"url": "https://a.example/", "headers": {"x": "a\r\nb: c"}}, "printable"),
        ({"url": "https://a.example/", "method": "TRACE"}, "config.method"),
        ({"url": "http://a.example:port/"}, "not a URL"),
        ({}, "url: is missing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_request_that_cannot_be_meant_fails(
    store: Store, registry: Registry, shop: Shop, config: dict[str, Any], cause: str
) -> None:
    shop.register(flow({"action": "http_request", "config": config}))
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "failed")
    assert cause in (run.error or "")


async def test_an_answer_that_is_too_large_fails_the_run(store: Store, registry: Registry, shop: Shop) -> None:
    async with rude(lambda exchange: exchange.answer(body=bytes(MAX_RESPONSE_BYTES + 1))) as server:
        shop.register(flow({"action": "http_request", "config": {"url": server.url, "method": "GET"}}))
        event = delivered()
        async with working(store, registry):
            await store.accept([event])
            run = await run_ends(store, event, "failed")
    assert "answered more than 131072 bytes" in (run.error or "")


async def test_tenant_and_operators_are_told(store: Store, registry: Registry, shop: Shop, receiver: Receiver) -> None:
    told = {"action": "notify_tenant", "config": {"kind": "order.paid", "data": {"n": "{{payload.n:num}}"}}}
    shop.register(flow(told, {"action": "notify_operators", "config": {"title": "Paid"}}))
    event = delivered(data={"n": 7, "tenant_id": "acme"})
    notifier = Notifier(TenantEndpoint(receiver.url + "/{tenant_id}", TENANT_SECRET), transport=plain())
    async with working(store, registry, notifier=notifier):
        await store.accept([event])
        run = await run_ends(store, event, "completed")
    ((path, _, body),) = receiver.requests
    assert (path, orjson.loads(body)["type"], orjson.loads(body)["data"]) == ("/acme", "order.paid", {"n": 7})
    assert results(run) == [{"sent": True}, {"reached": False}]


@pytest.mark.parametrize("source", ["truto", "partner"])
async def test_the_tenant_of_an_account_is_the_one_that_the_api_knows(
    store: Store, registry: Registry, shop: Shop, receiver: Receiver, api: httpx.AsyncClient, source: str
) -> None:
    """Whatever tenant a payload names: what is said about an account goes to its own tenant."""
    shop.register(flow({"action": "notify_tenant", "config": {"kind": "told"}}))
    event = delivered(source=source, data={"integrated_account_id": ACCOUNT_ID, "tenant_id": "somebody-else"})
    notifier = Notifier(TenantEndpoint(receiver.url + "/{tenant_id}", TENANT_SECRET), transport=plain())
    async with working(store, registry, notifier=notifier, truto=client_of(api)):
        await store.accept([event])
        await run_ends(store, event, "completed")
    assert [path for path, _, _ in receiver.requests] == [f"/{TENANT_ID}"]


async def test_a_tenant_that_another_source_names_is_not_believed(
    store: Store, registry: Registry, shop: Shop, receiver: Receiver
) -> None:
    shop.register(flow({"action": "notify_tenant", "config": {"kind": "told"}}))
    event = delivered(source="partner", data={"tenant_id": "somebody-else"})
    notifier = Notifier(TenantEndpoint(receiver.url + "/{tenant_id}", TENANT_SECRET), transport=plain())
    async with working(store, registry, notifier=notifier):
        await store.accept([event])
        run = await run_ends(store, event, "completed")
    assert (results(run), receiver.requests) == ([{"sent": False}], [])


async def test_an_emitted_event_starts_other_workflows_and_handlers(
    store: Store, registry: Registry, shop: Shop
) -> None:
    handled: list[Event] = []

    @registry.on("order:told", source="workflows")
    async def handle(event: Event, ctx: Context) -> None:
        handled.append(event)

    emit = {"action": "emit_event", "config": {"type": "order:told", "payload": {"n": "{{payload.n:num}}"}}}
    shop.register(flow(emit), other=flow(say("{{payload.n}}"), trigger="order:told"))
    event = delivered(data={"n": 7, "tenant_id": "acme"})
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "completed")
        await eventually(lambda: shop.log == ["7"] and len(handled) == 1)
    (emitted,) = handled
    assert emitted.payload == {"n": 7}
    assert emitted.tenant_id == "acme"
    assert results(run)[0] == {"id": emitted.id, "type": "order:told", "duplicate": False}


async def test_workflows_that_start_each_other_come_to_an_end(store: Store, registry: Registry, shop: Shop) -> None:
    def emits(event_type: str) -> dict[str, Any]:
        return {"action": "emit_event", "config": {"type": event_type, "payload": {"n": 1}}}

    shop.register(ping=flow(say("ping"), emits("b"), trigger="a"), pong=flow(say("pong"), emits("a"), trigger="b"))
    event = delivered("a")
    async with working(store, registry):
        await store.accept([event])

        async def has_ended() -> bool:
            return (await store.inspection.overview()).dead == 1

        await eventually(has_ended)
    assert len(shop.log) == MAX_EMITTED + 1
    (run,) = await store.runs.find(10, where=lambda run: run.status == "failed")
    assert "have emitted each other in a row" in (run.error or "")


async def test_run_handler_runs_a_handler_once_with_steps_of_its_own(
    store: Store, registry: Registry, shop: Shop
) -> None:
    log: list[object] = []

    @registry.on("nothing:ever")
    async def ship(event: Event, ctx: Context) -> None:
        await ctx.step("pack", log.append, "pack")
        await ctx.step("0", log.append, event.payload["n"])

    name = f"{__name__}.test_run_handler_runs_a_handler_once_with_steps_of_its_own.<locals>.ship"
    run_it = {"action": "run_handler", "config": {"handler": name}}
    shop.register(flow(run_it, run_it, {"action": "fail", "config": {"times": 1}}))
    event = delivered(data={"n": 7})
    async with working(store, registry):
        await store.accept([event])
        await run_ends(store, event, "completed")
        await ended(store, event)
    assert log == ["pack", 7, "pack", 7]
