"""Every method of a resource against the request that Truto documents for it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from truto import AsyncTruto, ProtocolError
from truto.models import CronTrigger, IntegratedAccount, SyncJob, SyncJobRun, Webhook, Workflow

CRUD = {
    "integrated_accounts": ("integrated-account", IntegratedAccount),
    "sync_jobs": ("sync-job", SyncJob),
    "sync_job_runs": ("sync-job-run", SyncJobRun),
    "sync_job_cron_triggers": ("sync-job-cron-trigger", CronTrigger),
    "workflows": ("workflow", Workflow),
    "webhooks": ("webhook", Webhook),
}


class Api:
    """Answers everything alike and remembers what it was asked."""

    def __init__(self, answer: object) -> None:
        self._answer = answer
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200, json=self._answer)

    @property
    def sent(self) -> tuple[str, str, Any]:
        [request] = self.requests
        return request.method, request.url.raw_path.decode(), json.loads(request.content or b"null")


def client(api: Api) -> AsyncTruto:
    return AsyncTruto(token="token-of-the-test", base_url="http://api.test", transport=httpx.MockTransport(api))


@pytest.mark.parametrize(("attribute", "path"), [(name, path) for name, (path, _) in CRUD.items()], ids=list(CRUD))
async def test_each_resource_has_its_path_and_model(attribute: str, path: str) -> None:
    model = CRUD[attribute][1]
    api = Api({"id": "1", "extra": 2})
    async with client(api) as truto:
        found = await getattr(truto, attribute).get("1")
    assert type(found) is model
    assert found.model_extra == {"extra": 2}
    assert api.sent == ("GET", f"/{path}/1", None)


async def test_list_yields_models_and_passes_filters_on() -> None:
    api = Api({"result": [{"id": "1"}, {"id": "2"}], "next_cursor": None})
    async with client(api) as truto:
        runs = [run async for run in truto.sync_job_runs.list(sync_job_id="job", **{"id[in]": "1,2"})]
    assert [run.id for run in runs] == ["1", "2"]
    assert isinstance(runs[0], SyncJobRun)
    assert api.sent == ("GET", "/sync-job-run?sync_job_id=job&id%5Bin%5D=1%2C2", None)


async def test_create_posts_the_fields() -> None:
    api = Api({"id": "1", "status": "created"})
    async with client(api) as truto:
        run = await truto.sync_job_runs.create(sync_job_id="job", integrated_account_id="a", args={"x": 1})
    assert run.status == "created"
    assert api.sent == ("POST", "/sync-job-run", {"sync_job_id": "job", "integrated_account_id": "a", "args": {"x": 1}})


async def test_update_patches_the_fields_and_sends_none_as_null() -> None:
    api = Api({"id": "1"})
    async with client(api) as truto:
        await truto.webhooks.update("1", is_active=True, event_types=None)
    assert api.sent == ("PATCH", "/webhook/1", {"is_active": True, "event_types": None})


async def test_delete_answers_nothing() -> None:
    api = Api({"id": "1"})
    async with client(api) as truto:
        await truto.sync_job_cron_triggers.delete("1")
    assert api.sent == ("DELETE", "/sync-job-cron-trigger/1", None)


ODD_ID = "../a/b?c#d%2e"
ENCODED = "..%2Fa%2Fb%3Fc%23d%252e"

EXTRA: dict[str, tuple[Callable[[AsyncTruto], Awaitable[bool]], tuple[str, str, Any]]] = {
    "webhooks.test": (lambda truto: truto.webhooks.test("1"), ("POST", "/webhook/test", {"id": "1"})),
    "schedule": (
        lambda truto: truto.sync_job_cron_triggers.schedule(ODD_ID),
        ("POST", f"/sync-job-cron-trigger/{ENCODED}/schedule", None),
    ),
    "refresh_credentials": (
        lambda truto: truto.integrated_accounts.refresh_credentials("1"),
        ("POST", "/integrated-account/refresh-credentials", {"id": "1"}),
    ),
}


@pytest.mark.parametrize("name", EXTRA)
@pytest.mark.parametrize(("answer", "success"), [({"success": True}, True), ({"success": False}, False), ({}, False)])
async def test_actions_tell_whether_they_succeeded(name: str, answer: object, success: bool) -> None:
    act, sent = EXTRA[name]
    api = Api(answer)
    async with client(api) as truto:
        assert await act(truto) is success
    assert api.sent == sent


async def test_an_id_cannot_change_the_path() -> None:
    api = Api({"id": "1"})
    async with client(api) as truto:
        await truto.webhooks.get(ODD_ID)
        await truto.unified("crm/../x", "contacts").get(ODD_ID, integrated_account_id="a")
    assert [request.url.raw_path.decode() for request in api.requests] == [
        f"/webhook/{ENCODED}",
        f"/unified/crm%2F..%2Fx/contacts/{ENCODED}?integrated_account_id=a",
    ]


@pytest.mark.parametrize("resource_id", ["", ".", ".."])
async def test_an_id_that_names_another_route_is_refused_before_sending(resource_id: str) -> None:
    api = Api({"id": "1"})
    async with client(api) as truto:
        with pytest.raises(ValueError, match="neither empty"):
            await truto.webhooks.delete(resource_id)
    assert api.requests == []


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"tenant_id": "acme-1"}, {"tenant_id": "acme-1"}),
        (
            {"integrated_account_id": "a", "persist_previous_context": True},
            {"integrated_account_id": "a", "persist_previous_context": True},
        ),
        ({"tenant_id": "acme-1", "integrated_account_id": ""}, {"tenant_id": "acme-1"}),
    ],
    ids=["connect", "reconnect", "empty-counts-as-absent"],
)
async def test_a_link_token_is_for_one_tenant_or_one_account(fields: dict[str, Any], body: dict[str, Any]) -> None:
    api = Api({"link_token": "lt_1"})
    async with client(api) as truto:
        assert (await truto.link_tokens.create(**fields)).link_token == "lt_1"
    assert api.sent == ("POST", "/link-token", body)


@pytest.mark.parametrize(
    "fields",
    [{}, {"tenant_id": ""}, {"tenant_id": "t", "integrated_account_id": "a"}],
    ids=["none", "empty", "both"],
)
async def test_a_link_token_for_none_or_both_is_refused(fields: dict[str, str]) -> None:
    api = Api({"link_token": "lt_1"})
    async with client(api) as truto:
        with pytest.raises(ValueError, match=r"tenant_id.*integrated_account_id"):
            await truto.link_tokens.create(**fields)
    assert api.requests == []


async def test_the_secret_of_a_new_webhook_is_readable_once_asked_for() -> None:
    async with client(Api({"id": "1", "secret": "s-1"})) as truto:
        hook = await truto.webhooks.create(target_url="https://x.test", event_types=["record:created"])
    assert hook.secret is not None
    assert hook.secret.get_secret_value() == "s-1"


UNIFIED: dict[str, tuple[Callable[[AsyncTruto], Awaitable[Any]], tuple[str, str, Any]]] = {
    "get": (
        lambda truto: truto.unified("crm", "contacts").get("1", integrated_account_id="a"),
        ("GET", "/unified/crm/contacts/1?integrated_account_id=a", None),
    ),
    "create": (
        lambda truto: truto.unified("crm", "contacts").create({"name": "x"}, integrated_account_id="a"),
        ("POST", "/unified/crm/contacts?integrated_account_id=a", {"name": "x"}),
    ),
    "update": (
        lambda truto: truto.unified("crm", "contacts").update("1", {"name": "x"}, integrated_account_id="a"),
        ("PATCH", "/unified/crm/contacts/1?integrated_account_id=a", {"name": "x"}),
    ),
}


@pytest.mark.parametrize("name", UNIFIED)
async def test_unified_records_are_plain_dicts(name: str) -> None:
    act, sent = UNIFIED[name]
    api = Api({"id": "1", "name": "x"})
    async with client(api) as truto:
        assert await act(truto) == {"id": "1", "name": "x"}
    assert api.sent == sent


async def test_unified_lists_are_walked() -> None:
    api = Api({"result": [{"id": "1"}], "next_cursor": None})
    async with client(api) as truto:
        contacts = truto.unified("crm", "contacts").list(integrated_account_id="a", limit=5)
        assert [record async for record in contacts] == [{"id": "1"}]
    assert api.sent == ("GET", "/unified/crm/contacts?limit=5&integrated_account_id=a", None)


async def test_unified_delete_answers_nothing_and_passes_parameters_on() -> None:
    api = Api({"id": "1"})
    async with client(api) as truto:
        await truto.unified("crm", "contacts").delete("1", integrated_account_id="a", truto_x=True)
    assert api.sent == ("DELETE", "/unified/crm/contacts/1?truto_x=true&integrated_account_id=a", None)


@pytest.mark.parametrize(
    ("window", "limit"),
    [(timedelta(0), 100), (timedelta(days=-1), 100), (timedelta(days=32), 100), (timedelta(1), 0), (timedelta(1), 101)],
    ids=["empty", "backwards", "too-long", "no-entries", "too-many"],
)
async def test_logs_that_truto_would_refuse_are_not_asked_for(window: timedelta, limit: int) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    async with client(Api({})) as truto:
        with pytest.raises(ValueError, match="logs"):
            truto.logs.list("mcp", after=start, before=start + window, limit=limit)


async def test_documents_are_listed_for_something() -> None:
    async with client(Api({})) as truto:
        with pytest.raises(ValueError, match="integration_id"):
            truto.documentation.list(limit=5)


async def test_an_answer_of_another_shape_is_a_protocol_error() -> None:
    async with client(Api([1])) as truto:
        with pytest.raises(ProtocolError):
            await truto.sync_jobs.get("1")
        with pytest.raises(ProtocolError):
            await truto.unified("crm", "contacts").get("1", integrated_account_id="a")
        with pytest.raises(ProtocolError):
            await truto.webhooks.test("1")
