"""Every method of Truto's two SDKs, as the request it sends: each is answered, or refused as the documents say.

``ts`` is the TypeScript SDK, ``py`` the Python one. They send the same requests but for how they write arrays
(``a[0]=`` and ``a[]=``) and what they have beyond each other. Braces stand for ids of rows that are made first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from truto.samples import ACCOUNT_ID, ENVIRONMENT_ID, SYNC_JOB_ID, WEBHOOK_ID

MINE = {"integrated_account_id": ACCOUNT_ID}
HOURLY = "0 * * * *"
WINDOW = {"created_at[gt]": "2026-01-01T00:00:00.000Z", "created_at[lt]": "2026-01-31T00:00:00.000Z"}
BODIES: dict[str, dict[str, Any]] = {
    "integrated-account": {
        "tenant_id": "t",
        "environment_integration_id": "{environment-integration}",
        "context": {"api_key": "k"},
        "authentication_method": "api_key",
    },
    "sandbox-integrated-account": {"id": ACCOUNT_ID},
    "integration": {"name": "mine", "config": {"label": "Mine"}},
    "environment-integration": {"integration_id": "{integration}"},
    "unified-model": {"name": "marketing", "category": "marketing", "resources": {}, "scopes": {"campaigns": ["read"]}},
    "environment-unified-model": {"unified_model_id": "{unified-model}"},
    "sync-job": {"integration_name": "calcom", "label": "l", "resources": [], "default_runtime_version": "4"},
    "sync-job-run": {"sync_job_id": SYNC_JOB_ID, **MINE, "status": "created"},
    "sync-job-cron-trigger": {
        "sync_job_id": SYNC_JOB_ID,
        **MINE,
        "cron_expression": HOURLY,
        "environment_id": ENVIRONMENT_ID,
        "super_query": "wnam",
        "webhook_id": None,
    },
    "daemon": {"label": "d", "status": "active", "group_key": "g", "metadata": {}},
    "daemon-job": {"label": "j", "args_schema": {}, "args_validation": "true"},
    "daemon-job-run": {"daemon_job_id": "{daemon-job}", "daemon_id": "{daemon}", "status": "created"},
    "daemon-job-cron-trigger": {
        "daemon_job_id": "{daemon-job}",
        "daemon_id": "{daemon}",
        "cron_expression": HOURLY,
        "environment_id": ENVIRONMENT_ID,
    },
    "datastore": {"type": "s3", "label": "s", "config": {"bucket": "b"}, "environment_id": ENVIRONMENT_ID},
    "documentation": {"entity_id": "{integration}", "entity_type": "integration", "content": "text"},
    "alarm": {"alarm_type": "once", "date": "2026-12-01T00:00:00Z", "entity_id": "e"},
    "static-gate": {"name": "g", "domain": "d.example", "environment_id": ENVIRONMENT_ID, "created_by": None},
    "webhook": {"target_url": "https://example.com/hook", "environment_id": ENVIRONMENT_ID, "event_types": ["test"]},
    "workflow": {"trigger_name": "integrated_account:active", "config": {"steps": []}},
}
"""What creates one row of each resource, with the fields of the SDKs' types."""

CHANGES: dict[str, dict[str, Any]] = {
    "team": {"name": "T"},
    "environment": {"name": "E"},
    "integrated-account": {"context": {"a": 1}},
    "integration": {"version": 1, "name": "renamed", "config": {"label": None}},
    "environment-integration": {"show_in_catalog": False, "override": {"label": "L"}},
    "unified-model": {"version": 1, "name": "sales", "sharing": "ask", "scopes": {}},
    "environment-unified-model": {"override": {}},
    "sync-job": {"default_runtime_version": "3"},
    "sync-job-run": {"status": "running", "started_at": "2026-01-01T00:00:00Z"},
    "sync-job-cron-trigger": {"cron_expression": "5 * * * *", "meta": {}, "error_handling": "ignore"},
    "daemon": {"status": "stopping", "lock": None, "last_active_at": "2026-01-01T00:00:00Z"},
    "daemon-job": {"label": "k"},
    "daemon-job-run": {"status": "running", "started_at": "2026-01-01T00:00:00Z"},
    "daemon-job-cron-trigger": {"cron_expression": "5 * * * *", "daemon_group_key": None},
    "datastore": {"config": {"region": "r"}},
    "documentation": {"content": "other", "type": "note", "authentication_method": "oauth2"},
    "alarm": {"duration": 5},
    "static-gate": {"name": "h"},
    "webhook": {"is_active": False},
    "workflow": {"label": "w"},
}
FILTERS: dict[str, list[dict[str, str]]] = {
    "integrated-account": [{"tenant_id": "t"}, {"id[0]": ACCOUNT_ID, "id[1]": "b"}, {"id[]": ACCOUNT_ID}],
    "integration": [{"name": "calcom", "sharing": "allow"}],
    "environment-unified-model": [{"unified_model.name": "crm"}],
    "sync-job": [{"integration_name": "calcom"}],
    "sync-job-run": [{"sync_job_id": SYNC_JOB_ID, "status": "created", **MINE}],
    "sync-job-cron-trigger": [{"sync_job_id": SYNC_JOB_ID, **MINE}],
    "alarm": [{"alarm_type": "once", "entity_id": "e"}],
    "static-gate": [{"name": "g", "environment_id": ENVIRONMENT_ID}],
    "webhook": [{"is_active": "true", "environment_id": ENVIRONMENT_ID}],
    "workflow-run": [{"workflow_id": "w", "status": "created", "environment_id": ENVIRONMENT_ID}],
    "documentation": [
        {f"{kind}_id": "e"}
        for kind in ("integration", "environment_integration", "unified_model", "environment_unified_model")
    ],
}
"""The typed query parameters of each list."""


@dataclass(frozen=True)
class Sent:
    """One request of one SDK method; ``refused`` is the status of a refusal that is documented, and ``why`` where."""

    sdk: str
    name: str
    method: str
    path: str
    query: dict[str, Any] = field(default_factory=dict)
    body: Any = None
    refused: int | None = None
    why: str = ""

    def __str__(self) -> str:
        return f"{self.sdk}-{self.name}" + ("-" + "-".join(self.query) if self.query else "")


def crud(resource: str, verbs: str = "list get create update delete") -> list[Sent]:
    path, row = f"/{resource}", f"/{resource}/{{{resource}}}"
    filters = FILTERS.get(resource, [{}])
    made = {
        "list": [Sent("both", f"{resource}.list", "GET", path, {**each, "next_cursor": ""}) for each in filters],
        "get": [Sent("both", f"{resource}.get", "GET", row)],
        "create": [Sent("both", f"{resource}.create", "POST", path, body=BODIES.get(resource))],
        "update": [Sent("both", f"{resource}.update", "PATCH", row, body=CHANGES.get(resource))],
        "delete": [Sent("both", f"{resource}.delete", "DELETE", row)],
    }
    return [sent for verb in verbs.split() for sent in made[verb]]


def data(api: str, path: str, body: dict[str, Any]) -> list[Sent]:
    return [
        Sent("both", f"{api}.list", "GET", path, {**MINE, "limit": 5}),
        Sent("both", f"{api}.get", "GET", f"{path}/1", MINE),
        Sent("both", f"{api}.create", "POST", path, MINE, body),
        Sent("both", f"{api}.update", "PATCH", f"{path}/1", MINE, body),
        Sent("both", f"{api}.delete", "DELETE", f"{path}/1", MINE),
        Sent("both", f"{api}.customMethod", "POST", f"{path}/search", MINE, {"query": "ada"}),
    ]


def rpc(method: str, **more: Any) -> dict[str, Any]:
    return {"method": method, "jsonrpc": "2.0", **more}


NO_POST = "docs: runs are made by Truto only"
METHODS = [
    *crud("user", "list get"),
    *crud("team", "list get update"),
    *crud("api-token", "list get"),
    *crud("category", "list"),
    *crud("environment", "list get update"),
    *crud("integrated-account"),
    *crud("sandbox-integrated-account", "list get create delete"),
    *crud("integration"),
    *crud("environment-integration", "list get update delete"),
    *crud("unified-model"),
    *crud("environment-unified-model"),
    *crud("sync-job"),
    *crud("sync-job-run"),
    *crud("sync-job-cron-trigger"),
    *crud("daemon"),
    *crud("daemon-job"),
    *crud("daemon-job-run"),
    *crud("daemon-job-cron-trigger"),
    *crud("datastore"),
    *crud("documentation"),
    *crud("alarm"),
    *crud("static-gate"),
    *crud("webhook"),
    *crud("workflow"),
    *crud("workflow-run", "list"),
    Sent("both", "workflow-run.get", "GET", "/workflow-run/none", refused=404, why="skill: errors, an unknown id"),
    Sent("both", "workflow-run.create", "POST", "/workflow-run", body={"workflow_id": "w"}, refused=405, why=NO_POST),
    Sent("both", "workflow-run.update", "PATCH", "/workflow-run/w", body={"status": "s"}, refused=405, why=NO_POST),
    Sent("both", "documentation.list", "GET", "/documentation", refused=400, why="skill: documentation, a filter id"),
    Sent("both", "integration.install", "POST", "/environment-integration", body={"integration_id": "{integration}"}),
    Sent("ts", "link_token.new", "POST", "/link-token", body={"tenant_id": "t", "unified_model_id": "m"}),
    Sent("ts", "link_token.existing", "POST", "/link-token", body={**MINE, "unified_model_id": "m"}),
    Sent(
        "py", "link_token.create", "POST", "/link-token", body={"tenant_id": "t", "environment_unified_model_id": "m"}
    ),
    Sent("both", "refreshCredentials", "POST", "/integrated-account/refresh-credentials", body={"id": ACCOUNT_ID}),
    Sent(
        "py",
        "run_post_install_actions",
        "POST",
        "/integrated-account/run-post-install-actions",
        body={"id": ACCOUNT_ID},
    ),
    Sent("ts", "integratedAccount.tools", "GET", f"/integrated-account/{ACCOUNT_ID}/tools", {"methods": "list"}),
    Sent("both", "account webhook", "POST", f"/integrated-account-webhook/{ACCOUNT_ID}", body={"a": 1}),
    Sent(
        "both", "install webhook", "POST", "/environment-integration-webhook/{environment-integration}", body={"a": 1}
    ),
    Sent("both", "syncJobCronTrigger.schedule", "POST", "/sync-job-cron-trigger/{sync-job-cron-trigger}/schedule"),
    Sent(
        "both", "daemonJobCronTrigger.schedule", "POST", "/daemon-job-cron-trigger/{daemon-job-cron-trigger}/schedule"
    ),
    Sent("both", "datastore.test", "POST", "/datastore/{datastore}/test/write", body={"key": "k"}),
    Sent("both", "webhook.test", "POST", "/webhook/test", body={"id": WEBHOOK_ID}),
    Sent(
        "ts",
        "log.list",
        "GET",
        "/log",
        {"log_type": "unified_proxy_api", **WINDOW, "log_type_filter[request_type]": "proxy"},
    ),
    Sent("py", "log.list", "GET", "/log", {"log_type": "webhook", **WINDOW}),
    Sent("both", "log.list", "GET", "/log", refused=400, why="skill: files-and-logs, log_type is required"),
    Sent(
        "ts",
        "batchRequest.create",
        "POST",
        "/batch-request",
        body={
            **MINE,
            "args": {"a": 1},
            "resources": [
                {"resource": "crm/companies", "method": "list", "name": "first"},
                {"resource": "crm/contacts", "method": "list", "depends_on": "first", "response_format": "raw"},
            ],
        },
    ),
    *data("unifiedApi", "/unified/crm/contacts", {"first_name": "A"}),
    Sent("ts", "unifiedApi.meta", "GET", "/unified/crm/contacts/meta/list", MINE),
    *data("proxyApi", "/proxy/contacts", {"firstName": "A"}),
    Sent(
        "both", "unifiedApi.get", "GET", "/unified/crm/contacts/none", MINE, refused=404, why="skill: errors, unknown"
    ),
    Sent("both", "unifiedApi.list", "GET", "/unified/crm/contacts", refused=400, why="skill: integrated_account_id"),
    Sent("both", "customApi.request", "GET", "/custom/v1/reports", {**MINE, "a": "b"}),
    *(
        Sent("both", f"customApi.{m}", m, "/custom/v1/reports", MINE, {"methodConfig": {}})
        for m in ("POST", "PATCH", "PUT")
    ),
    Sent("both", "customApi.DELETE", "DELETE", "/custom/v1/reports/1", MINE),
    Sent("both", "mcp.initialize", "POST", "/mcp/{mcp}", body=rpc("initialize", id=0, params={"clientInfo": {}})),
    Sent("both", "mcp.listTools", "POST", "/mcp/{mcp}", body=rpc("tools/list", id=1)),
    Sent(
        "both",
        "mcp.callTool",
        "POST",
        "/mcp/{mcp}",
        body=rpc("tools/call", id=2, params={"name": "x", "arguments": {}}),
    ),
    Sent("both", "mcp.call", "POST", "/mcp/none", body=rpc("tools/list", id=1), refused=401, why="skill: mcp tokens"),
    Sent("py", "ping", "GET", "/ping"),
]


async def filled(api: httpx.AsyncClient, value: Any) -> Any:
    """*value* with each ``{resource}`` replaced by the id of a row, made where none is there."""
    if isinstance(value, dict):
        return {name: await filled(api, each) for name, each in value.items()}
    if not isinstance(value, str) or "{" not in value:
        return value
    before, _, rest = value.partition("{")
    resource, _, after = rest.partition("}")
    return f"{before}{await row_of(api, resource)}{after}"


async def row_of(api: httpx.AsyncClient, resource: str) -> str:
    if resource == "mcp":
        made = await api.post(f"/integrated-account/{ACCOUNT_ID}/mcp", json={"name": "m"})
        return str(made.json()["token"])
    if resource in ("user", "team", "api-token", "category", "environment"):
        return str((await api.get(f"/{resource}")).json()["result"][0]["id"])
    body = await filled(api, BODIES[resource])
    made = await api.post(f"/{resource}", json=body)
    if made.status_code == 400:  # its name is taken: it was made for another row
        listed = (await api.get(f"/{resource}", params={"name": body["name"]})).json()
        return str(listed["result"][0]["id"])
    return str(made.json()["id"])


@pytest.mark.parametrize("sent", METHODS, ids=str)
async def test_a_method_of_the_sdks_is_answered_as_documented(wired: httpx.AsyncClient, sent: Sent) -> None:
    path, body = await filled(wired, sent.path), await filled(wired, sent.body)
    content = {"json": body} if body is not None else {}
    answer = await wired.request(sent.method, path, params=sent.query, **content)
    assert answer.status_code == (sent.refused or 200), answer.text
    if sent.refused:
        assert sent.why
        assert answer.json().keys() >= {"statusCode", "error", "message"}
        return
    found = answer.json()
    if sent.name.endswith(".list"):
        assert isinstance(found["result"], list)
        assert "next_cursor" in found


async def test_documentation_is_listed_by_what_it_is_about(api: httpx.AsyncClient) -> None:
    about = {"content": "text", "type": "readme"}
    ids = [await row_of(api, "integration"), await row_of(api, "unified-model")]
    kinds = ["integration", "unified_model"]
    for entity_id, kind in zip(ids, kinds, strict=True):
        await api.post("/documentation", json={**about, "entity_id": entity_id, "entity_type": kind})
    await api.post("/documentation", json={**about, "entity_id": ids[0]})
    found = (await api.get("/documentation", params={"integration_id": ids[0]})).json()["result"]
    assert [each["entity_type"] for each in found] == ["integration", None]
    assert (await api.get("/documentation", params={"unified_model_id": ids[0]})).json()["result"] != found
    narrowed = await api.get("/documentation", params={"unified_model_id": ids[1], "type": "note"})
    assert narrowed.json()["result"] == []


@pytest.mark.parametrize(
    ("resource", "install", "nested", "key"),
    [
        ("integration", "environment-integration", "integration", "integration_id"),
        ("unified-model", "environment-unified-model", "unified_model", "unified_model_id"),
    ],
)
async def test_a_row_shows_its_team_and_where_it_is_installed(
    api: httpx.AsyncClient, resource: str, install: str, nested: str, key: str
) -> None:
    row_id = await row_of(api, resource)
    before = (await api.get(f"/{resource}/{row_id}")).json()
    assert before["installed_environment"] == []
    installed = (await api.post(f"/{install}", json={key: row_id})).json()
    shown = (await api.get(f"/{resource}/{row_id}")).json()
    team = (await api.get("/team")).json()["result"][0]
    assert (shown["team"], shown["team_id"]) == (team, team["id"])
    assert shown["installed_environment"] == [ENVIRONMENT_ID]
    assert installed[nested] == shown
    assert (await api.get(f"/{install}/{installed['id']}")).json()[nested] == shown


async def test_a_unified_model_keeps_what_the_sdk_s_type_has(api: httpx.AsyncClient) -> None:
    made = (await api.post("/unified-model", json={**BODIES["unified-model"], "sharing": "ask"})).json()
    assert (made["category"], made["sharing"], made["scopes"]) == ("marketing", "ask", {"campaigns": ["read"]})


async def test_a_model_that_is_gone_leaves_its_installation_readable(api: httpx.AsyncClient) -> None:
    model = await row_of(api, "unified-model")
    installed = (await api.post("/environment-unified-model", json={"unified_model_id": model})).json()
    await api.delete(f"/unified-model/{model}")
    assert (await api.get(f"/environment-unified-model/{installed['id']}")).json()["unified_model"] is None


MAPPINGS = ["unified-model", "environment-unified-model"]


@pytest.mark.parametrize("model", MAPPINGS)
async def test_a_mapping_names_its_method_as_documented(api: httpx.AsyncClient, model: str) -> None:
    key = f"{model.replace('-', '_')}_id"
    names = {"resource_name": "contacts", "integration_name": "salesforce", "method_name": "list"}
    body = {key: await row_of(api, model), **names, "config": {"response_mapping": "a", "query_mapping": "b"}}
    made = (await api.post(f"/{model}-resource-method", json=body)).json()
    assert made.items() >= body.items()
    for name, value in {**names, key: str(body[key])}.items():
        listed = await api.get(f"/{model}-resource-method", params={name: value})
        assert [each["id"] for each in listed.json()["result"]] == [made["id"]]
    assert (await api.get(f"/{model}-resource-method", params={"method_name": "get"})).json()["result"] == []


@pytest.mark.parametrize("model", MAPPINGS)
async def test_a_mapping_s_config_is_merged_and_null_removes(api: httpx.AsyncClient, model: str) -> None:
    key = f"{model.replace('-', '_')}_id"
    body = {key: await row_of(api, model), "resource_name": "r", "method_name": "m", "config": {"a": "1", "b": "2"}}
    path = f"/{model}-resource-method"
    made = (await api.post(path, json=body)).json()
    changed = (await api.patch(f"{path}/{made['id']}", json={"config": {"b": None, "c": "3"}})).json()
    assert changed["config"] == {"a": "1", "c": "3"}


async def test_a_mapping_s_version_may_be_named_and_is_then_checked(api: httpx.AsyncClient) -> None:
    body = {"unified_model_id": await row_of(api, "unified-model"), "resource_name": "r", "method_name": "m"}
    path = "/unified-model-resource-method"
    row = f"{path}/{(await api.post(path, json=body)).json()['id']}"
    assert (await api.patch(row, json={"config": {}})).json()["version"] == 2
    assert (await api.patch(row, json={"config": {}, "version": 2})).json()["version"] == 3
    assert (await api.patch(row, json={"config": {}, "version": 2})).status_code == 409


async def test_an_integration_s_config_is_merged(api: httpx.AsyncClient) -> None:
    path = f"/integration/{await row_of(api, 'integration')}"
    changed = await api.patch(path, json={"version": 1, "config": {"base_url": "u", "label": None}})
    assert changed.json()["config"] == {"base_url": "u"}


@pytest.mark.parametrize(("given", "kept"), [("4", "4"), (4, "4"), (None, "3")])
@pytest.mark.parametrize("path", ["/sync-job", "/sync-job-template"])
async def test_a_runtime_version_is_text(api: httpx.AsyncClient, path: str, given: Any, kept: str) -> None:
    made = (await api.post(path, json={"label": "l", "default_runtime_version": given})).json()
    assert made["default_runtime_version"] == kept
    listed = await api.get(path, params={"default_runtime_version": kept})
    assert made["id"] in [each["id"] for each in listed.json()["result"]]


@pytest.mark.parametrize("given", ["four", "", 4.5, True, -1, [4]])
async def test_what_is_no_runtime_version_is_refused(api: httpx.AsyncClient, given: Any) -> None:
    answer = await api.post("/sync-job", json={"default_runtime_version": given})
    assert answer.json()["details"]["failures"][0]["path"] == "default_runtime_version"
