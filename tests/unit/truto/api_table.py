"""Truto's API as its documents list it, and for each public method of the client what it has to send.

``DOCUMENTED`` is the list of routes; ``CASES`` has one entry for each method of the client. In routes, ``:id``
and the like stand for what the calls below pass as ``"id"``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from truto import AsyncTruto
from truto import models as m
from truto import platform_models as p

CRUD = "list get create update delete"
RESOURCES: dict[str, tuple[str, str, type[m.Model]]] = {
    "integrated_accounts": ("/integrated-account", CRUD, m.IntegratedAccount),
    "sandbox_accounts": ("/sandbox-integrated-account", "list get create delete", p.SandboxAccount),
    "environments": ("/environment", "list get update", p.Environment),
    "teams": ("/team", "list get update", p.Team),
    "users": ("/user", "list get", p.User),
    "api_tokens": ("/api-token", "list get", p.ApiToken),
    "categories": ("/category", "list", p.Category),
    "integrations": ("/integration", CRUD, p.Integration),
    "environment_integrations": ("/environment-integration", CRUD, p.EnvironmentIntegration),
    "sync_jobs": ("/sync-job", CRUD, m.SyncJob),
    "sync_job_runs": ("/sync-job-run", CRUD, m.SyncJobRun),
    "sync_job_cron_triggers": ("/sync-job-cron-trigger", CRUD, m.CronTrigger),
    "sync_job_templates": ("/sync-job-template", CRUD, p.SyncJobTemplate),
    "workflows": ("/workflow", CRUD, m.Workflow),
    "workflow_runs": ("/workflow-run", "list get delete", p.WorkflowRun),
    "webhooks": ("/webhook", CRUD, m.Webhook),
    "notification_destinations": ("/notification-destination", CRUD, p.NotificationDestination),
    "daemons": ("/daemon", CRUD, p.Daemon),
    "daemon_jobs": ("/daemon-job", CRUD, p.DaemonJob),
    "daemon_job_runs": ("/daemon-job-run", "list create update", p.DaemonJobRun),
    "daemon_job_cron_triggers": ("/daemon-job-cron-trigger", CRUD, p.DaemonJobCronTrigger),
    "datastores": ("/datastore", CRUD, p.Datastore),
    "static_gates": ("/static-gate", CRUD, p.StaticGate),
    "documentation": ("/documentation", "get create update delete", p.Document),
    "alarms": ("/alarm", CRUD, p.Alarm),
    "unified_models": ("/unified-model", CRUD, p.UnifiedModel),
    "unified_model_methods": ("/unified-model-resource-method", CRUD, p.UnifiedModelResourceMethod),
    "environment_unified_models": ("/environment-unified-model", CRUD, p.EnvironmentUnifiedModel),
    "environment_unified_model_methods": (
        "/environment-unified-model-resource-method",
        CRUD,
        p.EnvironmentUnifiedModelResourceMethod,
    ),
}

DOCUMENTED = [
    "POST /link-token",
    "POST /integrated-account/token",
    "GET /integrated-account",
    "GET /integrated-account/:id",
    "POST /integrated-account",
    "PATCH /integrated-account/:id",
    "DELETE /integrated-account/:id",
    "PATCH /integrated-account/:id/credentials",
    "POST /integrated-account/refresh-credentials",
    "POST /integrated-account/run-post-install-actions",
    "POST /integrated-account/bulk-delete",
    "GET /integrated-account/me",
    "PATCH /integrated-account/me",
    "GET /integrated-account/:id/capabilities",
    "GET /integrated-account/:id/tools",
    "GET /integrated-account/:id/mcp",
    "POST /integrated-account/:id/mcp",
    "GET /integrated-account/:id/mcp/:token_id",
    "PATCH /integrated-account/:id/mcp/:token_id",
    "DELETE /integrated-account/:id/mcp/:token_id",
    "GET /sandbox-integrated-account",
    "POST /sandbox-integrated-account",
    "GET /sandbox-integrated-account/:id",
    "DELETE /sandbox-integrated-account/:id",
    "GET /environment",
    "GET /environment/:id",
    "PATCH /environment/:id",
    "GET /team",
    "GET /team/:id",
    "PATCH /team/:id",
    "POST /team/:id/invite",
    "GET /user",
    "GET /user/:id",
    "GET /api-token",
    "GET /api-token/:id",
    "GET /category",
    "GET /integration",
    "GET /integration/:id",
    "POST /integration",
    "PATCH /integration/:id",
    "DELETE /integration/:id",
    "GET /integration/:id/tools",
    "GET /integration/:id/unified-apis",
    "GET /integration/:id/capabilities",
    "GET /environment-integration",
    "POST /environment-integration",
    "GET /environment-integration/:id",
    "PATCH /environment-integration/:id",
    "DELETE /environment-integration/:id",
    "GET /unified/:model/:resource",
    "GET /unified/:model/:resource/:id",
    "POST /unified/:model/:resource",
    "PATCH /unified/:model/:resource/:id",
    "DELETE /unified/:model/:resource/:id",
    "POST /unified/:model/:resource/:method",
    "GET /unified/meta/:model/:integration",
    "GET /unified/:model/:resource/meta/:method",
    "GET /unified/:model/:resource/:integration/meta/:method",
    "GET /proxy/:resource",
    "GET /proxy/:resource/:id",
    "POST /proxy/:resource",
    "PATCH /proxy/:resource/:id",
    "DELETE /proxy/:resource/:id",
    "POST /proxy/:resource/:method",
    "POST /proxy/_/:action",
    "PUT /custom/any/path",
    "GET /custom/any/path",
    "POST /batch-request",
    "GET /sync-job",
    "POST /sync-job",
    "GET /sync-job/:id",
    "PATCH /sync-job/:id",
    "DELETE /sync-job/:id",
    "GET /sync-job-run",
    "GET /sync-job-run/:id",
    "POST /sync-job-run",
    "PATCH /sync-job-run/:id",
    "DELETE /sync-job-run/:id",
    "GET /sync-job-cron-trigger",
    "POST /sync-job-cron-trigger",
    "GET /sync-job-cron-trigger/:id",
    "PATCH /sync-job-cron-trigger/:id",
    "DELETE /sync-job-cron-trigger/:id",
    "POST /sync-job-cron-trigger/:id/schedule",
    "GET /sync-job-template",
    "POST /sync-job-template",
    "GET /sync-job-template/:id",
    "PATCH /sync-job-template/:id",
    "DELETE /sync-job-template/:id",
    "GET /sync-job-run-state",
    "GET /sync-job-run-state/:id",
    "POST /sync-job-run-state",
    "PATCH /sync-job-run-state/:id",
    "DELETE /sync-job-run-state/:id",
    "GET /workflow",
    "POST /workflow",
    "GET /workflow/:id",
    "PATCH /workflow/:id",
    "DELETE /workflow/:id",
    "GET /workflow-run",
    "GET /workflow-run/:id",
    "DELETE /workflow-run/:id",
    "GET /webhook",
    "POST /webhook",
    "GET /webhook/:id",
    "PATCH /webhook/:id",
    "DELETE /webhook/:id",
    "POST /webhook/test",
    "GET /notification-destination",
    "POST /notification-destination",
    "GET /notification-destination/:id",
    "PATCH /notification-destination/:id",
    "DELETE /notification-destination/:id",
    "POST /notification-destination/test",
    "POST /integrated-account-webhook/:id",
    "POST /environment-integration-webhook/:id",
    "GET /daemon",
    "POST /daemon",
    "GET /daemon/:id",
    "PATCH /daemon/:id",
    "DELETE /daemon/:id",
    "GET /daemon-job",
    "POST /daemon-job",
    "GET /daemon-job/:id",
    "PATCH /daemon-job/:id",
    "DELETE /daemon-job/:id",
    "GET /daemon-job-run",
    "POST /daemon-job-run",
    "PATCH /daemon-job-run/:id",
    "DELETE /daemon-job-run/:id",
    "GET /daemon-job-cron-trigger",
    "POST /daemon-job-cron-trigger",
    "GET /daemon-job-cron-trigger/:id",
    "PATCH /daemon-job-cron-trigger/:id",
    "DELETE /daemon-job-cron-trigger/:id",
    "POST /daemon-job-cron-trigger/:id/schedule",
    "GET /datastore",
    "POST /datastore",
    "GET /datastore/:id",
    "PATCH /datastore/:id",
    "DELETE /datastore/:id",
    "POST /datastore/:id/test/:method",
    "GET /static-gate",
    "POST /static-gate",
    "GET /static-gate/:id",
    "PATCH /static-gate/:id",
    "DELETE /static-gate/:id",
    "POST /mcp/:token",
    "GET /log",
    "POST /file",
    "GET /documentation",
    "POST /documentation",
    "GET /documentation/:id",
    "PATCH /documentation/:id",
    "DELETE /documentation/:id",
    "GET /alarm",
    "POST /alarm",
    "GET /alarm/:id",
    "PATCH /alarm/:id",
    "DELETE /alarm/:id",
    "GET /unified-model",
    "POST /unified-model",
    "GET /unified-model/:id",
    "PATCH /unified-model/:id",
    "DELETE /unified-model/:id",
    "GET /unified-model-resource-method",
    "POST /unified-model-resource-method",
    "GET /unified-model-resource-method/:id",
    "PATCH /unified-model-resource-method/:id",
    "DELETE /unified-model-resource-method/:id",
    "GET /environment-unified-model",
    "POST /environment-unified-model",
    "GET /environment-unified-model/:id",
    "PATCH /environment-unified-model/:id",
    "DELETE /environment-unified-model/:id",
    "GET /environment-unified-model-resource-method",
    "POST /environment-unified-model-resource-method",
    "GET /environment-unified-model-resource-method/:id",
    "PATCH /environment-unified-model-resource-method/:id",
    "DELETE /environment-unified-model-resource-method/:id",
    "GET /ping",
]
"""Truto's API reference and skills, method by method; ``custom`` takes any method and path."""


@dataclass(frozen=True)
class Case:
    """One call: what it sends, what it gets, and what it has to make of that."""

    name: str
    act: Callable[[AsyncTruto], Any]
    """The call; a listing stands for walking it."""
    route: str
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    """Parsed JSON; bytes for anything else; ``None`` for no body."""
    answer: Any = field(default_factory=lambda: {"id": "id"})
    result: Any = None
    """A type for a typed result, a list of one for a listing, else the value itself."""


ACCOUNT = {"integrated_account_id": "account"}
PASSED_THROUGH = {"truto_body_passthrough": "true", **ACCOUNT}
PAGE: dict[str, Any] = {"result": [{"id": "id"}], "next_cursor": None}
SUCCESS = {"success": True}
DAY_1, DAY_2 = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _crud(
    name: str, path: str, operations: str, model: type[m.Model], at: Callable[[AsyncTruto], Any]
) -> Iterator[Case]:
    made = {
        "list": Case("", lambda t: at(t).list(limit=5), f"GET {path}", {"limit": "5"}, answer=PAGE, result=[model]),
        "get": Case("", lambda t: at(t).get("id"), f"GET {path}/:id", result=model),
        "create": Case("", lambda t: at(t).create(label="x"), f"POST {path}", body={"label": "x"}, result=model),
        "update": Case(
            "", lambda t: at(t).update("id", label=None), f"PATCH {path}/:id", body={"label": None}, result=model
        ),
        "delete": Case("", lambda t: at(t).delete("id"), f"DELETE {path}/:id"),
    }
    for operation in operations.split():
        case = made[operation]
        yield Case(f"{name}.{operation}", case.act, case.route, case.query, case.body, case.answer, case.result)


def _resources() -> Iterator[Case]:
    for name, (path, operations, model) in RESOURCES.items():
        yield from _crud(name, path, operations, model, lambda t, name=name: getattr(t, name))  # type: ignore[misc] # mypy cannot infer a lambda with a default


def _accounts() -> Iterator[Case]:
    path = "/integrated-account"
    yield Case(
        "link_tokens.create",
        lambda t: t.link_tokens.create(tenant_id="acme", region="eu"),
        "POST /link-token",
        body={"tenant_id": "acme", "region": "eu"},
        answer={"link_token": "lt"},
        result=m.LinkToken,
    )
    yield Case(
        "integrated_accounts.create_token",
        lambda t: t.integrated_accounts.create_token("id"),
        f"POST {path}/token",
        body={"integrated_account_id": "id"},
        answer={"integrated_account_token": "it"},
        result=p.AccountToken,
    )
    yield Case(
        "integrated_accounts.me", lambda t: t.integrated_accounts.me(), f"GET {path}/me", result=m.IntegratedAccount
    )
    yield Case(
        "integrated_accounts.update_me",
        lambda t: t.integrated_accounts.update_me(context={"a": 1}),
        f"PATCH {path}/me",
        body={"context": {"a": 1}},
        result=m.IntegratedAccount,
    )
    yield Case(
        "integrated_accounts.update_credentials",
        lambda t: t.integrated_accounts.update_credentials("id", context={"api_key": "k"}),
        f"PATCH {path}/:id/credentials",
        body={"context": {"api_key": "k"}},
        result=m.IntegratedAccount,
    )
    yield Case(
        "integrated_accounts.refresh_credentials",
        lambda t: t.integrated_accounts.refresh_credentials("id"),
        f"POST {path}/refresh-credentials",
        body={"id": "id"},
        answer=SUCCESS,
        result=True,
    )
    yield Case(
        "integrated_accounts.run_post_install_actions",
        lambda t: t.integrated_accounts.run_post_install_actions("id"),
        f"POST {path}/run-post-install-actions",
        body={"id": "id"},
        answer={"any": 1},
        result={"any": 1},
    )
    yield Case(
        "integrated_accounts.bulk_delete",
        lambda t: t.integrated_accounts.bulk_delete(whatever=["id"]),
        f"POST {path}/bulk-delete",
        body={"whatever": ["id"]},
        answer=SUCCESS,
        result=True,
    )
    yield from _describing("integrated_accounts", path, lambda t: t.integrated_accounts)
    for case in _crud(
        "integrated_accounts.mcp_tokens",
        f"{path}/:id/mcp",
        CRUD,
        p.McpToken,
        lambda t: _Second(t.integrated_accounts.mcp_tokens("id")),
    ):
        route = case.route.replace("/mcp/:id", "/mcp/:token_id")
        yield Case(case.name, case.act, route, case.query, case.body, case.answer, case.result)
    yield Case(
        "integrated_accounts.deliver_webhook",
        lambda t: t.integrated_accounts.deliver_webhook("id", {"any": 1}),
        "POST /integrated-account-webhook/:id",
        body={"any": 1},
        answer=b"taken, thanks",
    )


class _Second:
    """A resource whose own id is another one than its parent's."""

    def __init__(self, resource: Any) -> None:
        self._resource = resource

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._resource, name)
        return lambda *ids, **fields: method(*("token_id" for _ in ids), **fields)


def _describing(name: str, path: str, at: Callable[[AsyncTruto], Any]) -> Iterator[Case]:
    yield Case(
        f"{name}.capabilities",
        lambda t: at(t).capabilities("id", type="all"),
        f"GET {path}/:id/capabilities",
        {"type": "all"},
        answer={"proxy": [{}]},
        result=p.Capabilities,
    )
    yield Case(
        f"{name}.tools",
        lambda t: at(t).tools("id", methods=["list", "get"], tags="crm"),
        f"GET {path}/:id/tools",
        {"methods": "list,get", "tags": "crm"},
        answer={"result": [{"name": "t"}]},
        result=[p.Tool],
    )


def _platform() -> Iterator[Case]:
    yield Case(
        "teams.invite",
        lambda t: t.teams.invite("id", email="a@b.test"),
        "POST /team/:id/invite",
        body={"email": "a@b.test"},
        answer={"any": 1},
        result={"any": 1},
    )
    yield from _describing("integrations", "/integration", lambda t: t.integrations)
    yield Case(
        "integrations.unified_apis",
        lambda t: t.integrations.unified_apis("id"),
        "GET /integration/:id/unified-apis",
        answer=[1],
        result=[1],
    )
    yield Case(
        "environment_integrations.deliver_webhook",
        lambda t: t.environment_integrations.deliver_webhook("id", [1]),
        "POST /environment-integration-webhook/:id",
        body=[1],
        answer=b"",
    )
    for name, path in (("sync_job_cron_triggers", "sync-job"), ("daemon_job_cron_triggers", "daemon-job")):
        yield Case(
            f"{name}.schedule",
            lambda t, name=name: getattr(t, name).schedule("id"),  # type: ignore[misc] # mypy cannot infer a lambda with a default
            f"POST /{path}-cron-trigger/:id/schedule",
            answer=SUCCESS,
            result=True,
        )
    for name, path in (("webhooks", "webhook"), ("notification_destinations", "notification-destination")):
        yield Case(
            f"{name}.test",
            lambda t, name=name: getattr(t, name).test("id"),  # type: ignore[misc] # mypy cannot infer a lambda with a default
            f"POST /{path}/test",
            body={"id": "id"},
            answer=SUCCESS,
            result=True,
        )
    for case in _crud(
        "sync_job_run_states", "/sync-job-run-state", CRUD, p.SyncJobRunState, lambda t: t.sync_job_run_states("key")
    ):
        query = {**case.query, "state_key": "key"}
        yield Case(case.name, case.act, case.route, query, case.body, case.answer, case.result)
    yield Case(
        "workflows.create_from_yaml",
        lambda t: t.workflows.create_from_yaml("config: {}\n"),
        "POST /workflow",
        body=b"config: {}\n",
        result=m.Workflow,
    )
    yield Case(
        "daemon_job_runs.delete",
        lambda t: t.daemon_job_runs.delete("id"),
        "DELETE /daemon-job-run/:id",
        answer={"id": "id", "status": "stopped"},
        result=p.DaemonJobRun,
    )
    yield Case(
        "datastores.test",
        lambda t: t.datastores.test("id", "method"),
        "POST /datastore/:id/test/:method",
        answer=SUCCESS,
        result=True,
    )
    yield Case(
        "documentation.list",
        lambda t: t.documentation.list(entity_id="e"),
        "GET /documentation",
        {"entity_id": "e"},
        answer=PAGE,
        result=[p.Document],
    )
    yield Case(
        "logs.list",
        lambda t: t.logs.list("rapid_bridge", after=DAY_1, before=DAY_2, filters={"sync_job_run_id": "r"}),
        "GET /log",
        {
            "log_type": "rapid_bridge",
            "created_at[gt]": "2026-01-01T00:00:00.000Z",
            "created_at[lt]": "2026-01-02T03:04:05.000Z",
            "limit": "100",
            "log_type_filter[sync_job_run_id]": "r",
        },
        answer=PAGE,
        result=[p.LogEntry],
    )
    yield Case(
        "files.upload",
        lambda t: t.files.upload("a.png", b"bytes", content_type="image/png"),
        "POST /file",
        body=b"bytes",
        answer={"url": "https://files.test/1"},
        result=p.UploadedFile,
    )
    yield Case("ping", lambda t: t.ping(), "GET /ping", answer=b"pong")


def _records(name: str, path: str, at: Callable[[AsyncTruto], Any]) -> Iterator[Case]:
    yield Case(
        f"{name}.list",
        lambda t: at(t).list(**ACCOUNT, truto_exclude_fields=["a", "b"]),
        f"GET {path}",
        {"truto_exclude_fields": "a,b", **ACCOUNT},
        answer=PAGE,
        result=[dict],
    )
    yield Case(f"{name}.get", lambda t: at(t).get("id", **ACCOUNT), f"GET {path}/:id", ACCOUNT, result={"id": "id"})
    yield Case(
        f"{name}.create",
        lambda t: at(t).create({"name": "x"}, **ACCOUNT, truto_ignore_remote_data=True),
        f"POST {path}",
        {"truto_ignore_remote_data": "true", **ACCOUNT},
        {"name": "x"},
        result={"id": "id"},
    )
    yield Case(
        f"{name}.update",
        lambda t: at(t).update("id", {"name": "x"}, **ACCOUNT),
        f"PATCH {path}/:id",
        ACCOUNT,
        {"name": "x"},
        result={"id": "id"},
    )
    yield Case(f"{name}.delete", lambda t: at(t).delete("id", **ACCOUNT), f"DELETE {path}/:id", ACCOUNT)
    yield Case(
        f"{name}.call",
        lambda t: at(t).call("method", {"x": 1}, **ACCOUNT),
        f"POST {path}/:method",
        ACCOUNT,
        {"x": 1},
        {"result": [1]},
        {"result": [1]},
    )
    yield Case(
        f"{name}.upload",
        lambda t: at(t).upload(b"\x00raw", content_type="image/png", **ACCOUNT),
        f"POST {path}",
        PASSED_THROUGH,
        b"\x00raw",
        result={"id": "id"},
    )
    yield Case(
        f"{name}.download",
        lambda t: at(t).download("id", **ACCOUNT),
        f"GET {path}/:id",
        PASSED_THROUGH,
        answer=b"\xffraw",
        result=b"\xffraw",
    )


def _data() -> Iterator[Case]:
    yield from _records("unified", "/unified/:model/:resource", lambda t: t.unified("model", "resource"))
    yield from _records("proxy", "/proxy/:resource", lambda t: t.proxy("resource"))
    yield Case(
        "unified.meta",
        lambda t: t.unified("model", "resource").meta("method"),
        "GET /unified/:model/:resource/meta/:method",
        answer={"schema": {}},
        result={"schema": {}},
    )
    yield Case(
        "unified.integration_meta",
        lambda t: t.unified("model", "resource").integration_meta("integration", "method"),
        "GET /unified/:model/:resource/:integration/meta/:method",
        answer={"response_schema": {}},
        result={"response_schema": {}},
    )
    yield Case(
        "unified_documentation",
        lambda t: t.unified_documentation("model", "integration"),
        "GET /unified/meta/:model/:integration",
        {"format": "json"},
        answer=[1],
        result=[1],
    )
    yield Case(
        "unified_documentation_text",
        lambda t: t.unified_documentation_text("model", "integration"),
        "GET /unified/meta/:model/:integration",
        {"format": "md"},
        answer=b"# Contacts",
        result="# Contacts",
    )
    yield Case(
        "proxy_action",
        lambda t: t.proxy_action("action", {"x": 1}, integrated_account_id="account"),
        "POST /proxy/_/:action",
        ACCOUNT,
        {"x": 1},
        [1],
        [1],
    )
    yield Case(
        "custom.request",
        lambda t: t.custom.request(
            "PUT", "/any/path", json={"x": 1}, method_config={"y": 2}, q="z", integrated_account_id="account"
        ),
        "PUT /custom/any/path",
        {"q": "z", **ACCOUNT},
        {"x": 1, "methodConfig": {"y": 2}},
        {"result": []},
        {"result": []},
    )
    yield Case(
        "custom.download",
        lambda t: t.custom.download("GET", "any/path", integrated_account_id="account"),
        "GET /custom/any/path",
        ACCOUNT,
        answer=b"raw",
        result=b"raw",
    )
    yield Case(
        "batch",
        lambda t: t.batch(
            [{"resource": "a", "method": "list"}, {"resource": "b", "method": "list", "depends_on": ["a"]}],
            integrated_account_id="account",
            args={"x": 1},
        ),
        "POST /batch-request",
        body={
            "integrated_account_id": "account",
            "resources": [
                {"resource": "a", "method": "list"},
                {"resource": "b", "method": "list", "depends_on": ["a"]},
            ],
            "args": {"x": 1},
        },
        answer={"result": {"a": [1]}, "errors": {"b": [{}]}},
        result=p.BatchAnswer,
    )
    yield from _mcp()


def _mcp() -> Iterator[Case]:
    def rpc(method: str, params: dict[str, Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}

    introduction = {
        "protocolVersion": "2024-11-05",
        "capabilities": {},
        "clientInfo": {"name": "truto-worker", "version": "1"},
    }
    yield Case(
        "mcp.initialize",
        lambda t: t.mcp("token").initialize(),
        "POST /mcp/:token",
        body=rpc("initialize", introduction),
        answer={"result": {"protocolVersion": "2024-11-05"}},
        result={"protocolVersion": "2024-11-05"},
    )
    yield Case(
        "mcp.list_tools",
        lambda t: t.mcp("token").list_tools(),
        "POST /mcp/:token",
        body=rpc("tools/list", {}),
        answer={"result": {"tools": [{"name": "x"}]}},
        result=[{"name": "x"}],
    )
    yield Case(
        "mcp.call_tool",
        lambda t: t.mcp("token").call_tool("x", {"a": 1}),
        "POST /mcp/:token",
        body=rpc("tools/call", {"name": "x", "arguments": {"a": 1}}),
        answer={"result": {"content": []}},
        result={"content": []},
    )


CASES = [*_resources(), *_accounts(), *_platform(), *_data()]
