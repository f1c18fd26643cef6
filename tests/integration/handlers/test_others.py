"""Runs, records and link tokens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.handlers.conftest import Scene
from truto.samples import ACCOUNT_ID, SYNC_JOB_ID

pytestmark = pytest.mark.filterwarnings("ignore:.imghdr. is deprecated:DeprecationWarning")  # apprise, at its import


@pytest.mark.parametrize("outcome", ["completed", "failed"])
async def test_a_tenant_learns_how_a_sync_ended(scene: Scene, outcome: str) -> None:
    assert await scene.send(f"sync_job_run:{outcome}") == "done"
    (message,) = await scene.inbox()
    assert (message["tenant_id"], message["verified"]) == ("acme-1", True)
    assert message["type"] == f"sync_job_run.{outcome}"
    assert message["data"]["integrated_account_id"] == ACCOUNT_ID
    assert message["data"]["sync_job_id"] == SYNC_JOB_ID


@pytest.mark.parametrize(("outcome", "messages"), [("completed", 0), ("failed", 1)])
async def test_operators_learn_of_failed_syncs_only(scene: Scene, outcome: str, messages: int) -> None:
    await scene.send(f"sync_job_run:{outcome}")
    assert len(scene.operators.requests) == messages


@pytest.mark.parametrize(
    "data",
    [{"id": "run-1"}, {"id": "run-1", "integrated_account_id": "00000000-0000-4000-8000-000000000000"}],
    ids=["unnamed", "gone"],
)
async def test_a_run_of_no_account_tells_nobody(scene: Scene, data: dict[str, Any]) -> None:
    assert await scene.send("sync_job_run:failed", data) == "discarded"
    assert await scene.inbox() == []


@pytest.mark.parametrize("action", ["record", "record_error"])
async def test_records_of_a_run_are_kept_until_somebody_wants_them(scene: Scene, action: str) -> None:
    assert await scene.send(f"sync_job_run:{action}") == "parked"


@pytest.mark.parametrize("fields", [("resource", "id"), ("resource_type", "resource_id")], ids=["short", "long"])
async def test_a_changed_record_is_read_through_the_unified_api(scene: Scene, fields: tuple[str, str]) -> None:
    data = {fields[0]: "crm/contacts", fields[1]: "1", "integrated_account_id": ACCOUNT_ID}
    assert await scene.send("record:updated", data) == "done"
    (call,) = await scene.made("GET", "/unified")
    assert call["path"].partition("?")[0] == "/unified/crm/contacts/1"
    assert call["status"] == 200


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"resource": "contacts", "id": "1", "integrated_account_id": ACCOUNT_ID},
        {"resource": "crm/contacts", "integrated_account_id": ACCOUNT_ID},
        {"resource": "crm/contacts", "id": "1"},
        {"resource": ["crm/contacts"], "id": "1", "integrated_account_id": ACCOUNT_ID},
    ],
    ids=["empty", "no-model", "no-id", "no-account", "no-text"],
)
async def test_a_record_that_cannot_be_named_is_left_alone(scene: Scene, data: dict[str, Any]) -> None:
    assert await scene.send("record:created", data) == "discarded"
    assert await scene.made("GET", "/unified") == []


async def test_a_record_that_is_gone_is_left_alone(scene: Scene) -> None:
    data = {"resource": "crm/contacts", "id": "9999", "integrated_account_id": ACCOUNT_ID}
    assert await scene.send("record:updated", data) == "discarded"
    assert "gone" in await scene.why()


@pytest.mark.parametrize(("data", "tenant"), [(None, "acme-1"), ({}, "unknown")], ids=["named", "unnamed"])
async def test_operators_learn_of_a_failed_connection_attempt(
    scene: Scene, data: dict[str, Any] | None, tenant: str
) -> None:
    assert await scene.send("link_token:connection_error", data) == "done"
    ((_, _, body),) = scene.operators.requests
    assert json.loads(body)["message"] == f"Tenant {tenant}"


async def test_a_tenants_endpoint_that_fails_for_a_while_is_tried_again(scene: Scene) -> None:
    """The inbox of a tenant whose id is no path of the sandbox answers 404, and the event is kept."""
    await scene.call("PATCH", f"/integrated-account/{ACCOUNT_ID}", tenant_id="a/b")
    assert await scene.send("sync_job_run:completed") == "dead"
    (kept,) = await scene.store.inspection.dead_letters()
    assert kept.note["error"] == "NotifyError: the tenant's endpoint answered 404"
    assert kept.note["attempts"] == 3
