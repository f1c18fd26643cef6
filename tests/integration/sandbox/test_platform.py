"""The platform's table of resources: what each can do, and what some do differently."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from sandbox.fields import Field
from sandbox.platform_api import merge
from sandbox.platform_resources import RESOURCES, Resource
from tests.integration.sandbox.conftest import Receiver, eventually

BY_PATH = {resource.path: resource for resource in RESOURCES}
WRITABLE = [resource for resource in RESOURCES if "create" in resource.verbs]
SEEDED = [resource for resource in RESOURCES if "create" not in resource.verbs]


def plausible(field: Field) -> Any:
    """A value that *field* takes."""
    if field.stored:
        return field.default
    if "enum" in field.schema:
        return field.schema["enum"][0]
    values = {"string": "0 0 * * *", "object": {"a": 1}, "array": [], "boolean": True, "integer": 7}
    return values.get(field.schema.get("type", ""), "x")


async def make(api: httpx.AsyncClient, resource: Resource, **more: Any) -> dict[str, Any]:
    """A row of *resource*, with whatever it refers to made first."""
    body = {name: plausible(field) for name, field in resource.writable.items()}
    for name, path in resource.references.items():
        body[name] = (await make(api, BY_PATH[path]))["id"] if path not in SEEDS else await first(api, path)
    answer = await api.post(resource.path, json={**body, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


SEEDS = {"/integration", "/unified-model"}


async def first(api: httpx.AsyncClient, path: str) -> str:
    return str((await api.get(path)).json()["result"][0]["id"])


@pytest.mark.parametrize("resource", WRITABLE, ids=lambda each: each.path)
async def test_a_row_can_be_made_read_listed_and_changed(api: httpx.AsyncClient, resource: Resource) -> None:
    made = await make(api, resource)
    path = f"{resource.path}/{made['id']}"
    read = (await api.get(path)).json()
    assert read == {key: value for key, value in made.items() if key != resource.secret}
    params = {name: read[name] for name in resource.listed_by[:1]}
    assert read in (await api.get(resource.path, params=params)).json()["result"]
    version = {"version": read["version"]} if resource.locked else {}
    assert (await api.patch(path, json=version)).status_code == 200


@pytest.mark.parametrize("resource", [each for each in WRITABLE if not each.stops], ids=lambda each: each.path)
async def test_a_deleted_row_is_gone(api: httpx.AsyncClient, resource: Resource) -> None:
    path = f"{resource.path}/{(await make(api, resource))['id']}"
    assert set((await api.delete(path)).json()) == {"id"}
    assert [(await api.request(method, path)).status_code for method in ("GET", "DELETE")] == [404, 404]


@pytest.mark.parametrize("resource", WRITABLE, ids=lambda each: each.path)
async def test_a_row_without_what_it_needs_is_refused_field_by_field(
    api: httpx.AsyncClient, resource: Resource
) -> None:
    answer = await api.post(resource.path, json={})
    required = [name for name, field in resource.writable.items() if field.required]
    assert answer.status_code == 400
    assert [failure["path"] for failure in answer.json()["details"]["failures"]] == required


@pytest.mark.parametrize("resource", SEEDED, ids=lambda each: each.path)
async def test_what_only_the_dashboard_makes_can_be_read(api: httpx.AsyncClient, resource: Resource) -> None:
    row_id = await first(api, resource.path)
    assert (await api.get(f"{resource.path}/{row_id}")).json()["id"] == row_id
    assert (await api.post(resource.path, json={})).status_code == 405
    assert (await api.delete(f"{resource.path}/{row_id}")).status_code == 405


async def test_an_environment_can_be_renamed(api: httpx.AsyncClient) -> None:
    path = f"/environment/{await first(api, '/environment')}"
    assert (await api.patch(path, json={"name": "Production", "team_id": "x"})).json()["name"] == "Production"
    assert (await api.get(path)).json()["team_id"] != "x"


@pytest.mark.parametrize("resource", [each for each in RESOURCES if each.locked], ids=lambda each: each.path)
async def test_a_change_names_the_version_it_read(api: httpx.AsyncClient, resource: Resource) -> None:
    path = f"{resource.path}/{(await make(api, resource))['id']}"
    assert (await api.patch(path, json={})).json()["details"]["failures"][0]["path"] == "version"
    assert (await api.patch(path, json={"version": 1})).json()["version"] == 2
    stale = await api.patch(path, json={"version": 1})
    assert (stale.status_code, "version 2" in stale.json()["message"]) == (409, True)


@pytest.mark.parametrize("resource", [each for each in RESOURCES if each.unique], ids=lambda each: each.path)
async def test_a_name_is_given_once(api: httpx.AsyncClient, resource: Resource) -> None:
    made = await make(api, resource)
    again = await api.post(resource.path, json={"name": made["name"], "config": {}})
    assert again.json()["details"]["failures"][0] == {"path": "name", "message": "is taken"}


@pytest.mark.parametrize("resource", [each for each in RESOURCES if each.references], ids=lambda each: each.path)
async def test_what_a_row_refers_to_has_to_exist(api: httpx.AsyncClient, resource: Resource) -> None:
    body = {name: plausible(field) for name, field in resource.writable.items()}
    assert (await api.post(resource.path, json=body)).status_code == 404


async def test_an_environment_s_model_is_the_same_at_a_second_post(
    wired: httpx.AsyncClient, receiver: Receiver
) -> None:
    body = {"unified_model_id": await first(wired, "/unified-model")}
    made, again = [(await wired.post("/environment-unified-model", json=body)).json()["id"] for _ in range(2)]
    assert made == again
    await wired.patch(f"/environment-unified-model/{made}", json={"override": {}})
    await wired.delete(f"/environment-unified-model/{made}")
    await eventually(lambda: len(receiver.events) == 3)
    assert {name.rpartition(":")[2] for name in receiver.names()} == {"created", "updated", "deleted"}


async def test_a_static_gate_s_token_is_shown_once(api: httpx.AsyncClient) -> None:
    made = await make(api, BY_PATH["/static-gate"])
    assert made["api_token"]
    assert made["api_token"] not in (await api.get("/static-gate")).text


async def test_a_datastore_s_config_is_merged_at_every_level(api: httpx.AsyncClient) -> None:
    made = await make(api, BY_PATH["/datastore"], type="s3", config={"bucket": "b", "auth": {"key": 1, "region": "a"}})
    changed = await api.patch(f"/datastore/{made['id']}", json={"config": {"auth": {"region": "b"}}})
    assert changed.json()["config"] == {"bucket": "b", "auth": {"key": 1, "region": "b"}}
    assert (await api.patch(f"/datastore/{made['id']}", json={"config": None})).status_code == 400
    assert merge({"a": {"b": 1}}, {"a": 2}) == {"a": 2}


@pytest.mark.parametrize(("kind", "status"), [("s3", 200), ("qdrant", 400)])
async def test_only_object_stores_can_be_tested(api: httpx.AsyncClient, kind: str, status: int) -> None:
    made = await make(api, BY_PATH["/datastore"], type=kind)
    assert (await api.post(f"/datastore/{made['id']}/test/write")).status_code == status


async def test_a_notification_destination_can_be_tested(api: httpx.AsyncClient) -> None:
    made = await make(api, BY_PATH["/notification-destination"])
    assert (await api.post("/notification-destination/test", json={"id": made["id"]})).json() == {"success": True}
    assert (await api.post("/notification-destination/test", json={"id": "none"})).status_code == 404


async def test_somebody_can_be_invited_to_a_team(api: httpx.AsyncClient) -> None:
    path = f"/team/{await first(api, '/team')}/invite"
    assert (await api.post(path, json={"email": "a@b.example"})).json() == {"success": True}
    assert (await api.post(path, json={})).status_code == 400


async def test_a_daemon_s_trigger_counts_once_scheduled(api: httpx.AsyncClient) -> None:
    made = await make(api, BY_PATH["/daemon-job-cron-trigger"])
    path = f"/daemon-job-cron-trigger/{made['id']}"
    assert made["scheduled_at"] is None
    assert (await api.post(f"{path}/schedule")).json() == {"success": True}
    assert (await api.get(path)).json()["scheduled_at"]


async def test_a_daemon_job_run_is_stopped_and_not_forgotten(api: httpx.AsyncClient) -> None:
    made = await make(api, BY_PATH["/daemon-job-run"], status="completed")
    path = f"/daemon-job-run/{made['id']}"
    assert made["status"] == "created"
    assert (await api.patch(path, json={"status": "running"})).json()["status"] == "running"
    assert (await api.delete(path)).json()["status"] == "stopped"
    assert (await api.get(path)).json()["status"] == "stopped"


async def test_documentation_is_listed_for_one_entity(api: httpx.AsyncClient) -> None:
    made = await make(api, BY_PATH["/documentation"])
    assert (await api.get("/documentation")).status_code == 400
    found = (await api.get("/documentation", params={"entity_id": made["entity_id"]})).json()["result"]
    assert [row["id"] for row in found] == [made["id"]]


async def test_an_integration_can_be_installed_once_and_uninstalled(
    wired: httpx.AsyncClient, receiver: Receiver
) -> None:
    made = await make(wired, BY_PATH["/integration"], name="acme_crm")
    body = {"integration_id": made["id"], "override": {"label": "Acme"}}
    install = (await wired.post("/environment-integration", json=body)).json()
    again = (await wired.post("/environment-integration", json={"integration_id": made["id"]})).json()
    assert (again["id"], again["override"]) == (install["id"], {"label": "Acme"})
    account = (await wired.post("/sandbox/connect", json={"tenant_id": "t", "integration": "acme_crm"})).json()
    assert account["environment_integration_id"] == install["id"]
    assert (await wired.delete(f"/environment-integration/{install['id']}")).json() == {"id": install["id"]}
    assert (await wired.get(f"/integrated-account/{account['id']}")).status_code == 404
    await eventually(lambda: bool(receiver.of("integrated_account:deleted")))
    await eventually(lambda: bool(receiver.of("environment_integration:deleted")))
    assert len(receiver.of("environment_integration:created")) == 1


async def test_what_does_not_exist_cannot_be_installed(api: httpx.AsyncClient) -> None:
    assert (await api.post("/environment-integration", json={"integration_id": "none"})).status_code == 404
