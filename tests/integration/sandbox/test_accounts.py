"""Accounts: link tokens, the connection's lifecycle, reads and changes."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from tests.integration.sandbox.conftest import Receiver, eventually
from truto.samples import ACCOUNT_ID, SYNC_JOB_ID, TENANT_ID

ACCOUNT = f"/integrated-account/{ACCOUNT_ID}"


async def connect(api: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await api.post("/sandbox/connect", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def link_token(api: httpx.AsyncClient, **body: Any) -> str:
    answer = await api.post("/link-token", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["link_token"])


async def test_the_sample_account_and_job_are_there(api: httpx.AsyncClient) -> None:
    account = (await api.get(ACCOUNT)).json()
    assert (account["tenant_id"], account["status"], account["integration"]["name"]) == (TENANT_ID, "active", "calcom")
    assert (await api.get(f"/sync-job/{SYNC_JOB_ID}")).json()["integration_name"] == "calcom"


async def test_a_new_connection_is_created_then_active(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    account = await connect(wired, tenant_id="globex-2", integration="hubspot")
    assert account["status"] == "connecting"
    await eventually(lambda: len(receiver.events) == 2)
    assert sorted(receiver.names()) == ["integrated_account:active", "integrated_account:created"]
    active = receiver.of("integrated_account:active")[0]["payload"]
    assert (active["id"], active["tenant_id"], active["status"]) == (account["id"], "globex-2", "active")
    receiver.check_signatures()


@pytest.mark.parametrize("outcome", ["post_install_error", "validation_error"])
async def test_a_failed_connection_keeps_its_account_and_says_why(
    wired: httpx.AsyncClient, receiver: Receiver, outcome: str
) -> None:
    account = await connect(wired, tenant_id="t", outcome=outcome)
    await eventually(lambda: bool(receiver.of(f"integrated_account:{outcome}")))
    kept = (await wired.get(f"/integrated-account/{account['id']}")).json()
    assert kept["status"] == outcome
    assert kept["last_error"]


async def test_a_link_token_names_the_tenant_and_is_used_once(api: httpx.AsyncClient) -> None:
    token = await link_token(api, tenant_id="initech-3")
    assert (await connect(api, link_token=token))["tenant_id"] == "initech-3"
    again = await api.post("/sandbox/connect", json={"link_token": token})
    assert (again.status_code, again.json()["error"]) == (400, "Bad Request")


async def test_a_reconnect_updates_and_activates_the_same_account(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    await wired.post(f"/sandbox/accounts/{ACCOUNT_ID}/revoke")
    token = await link_token(wired, integrated_account_id=ACCOUNT_ID, persist_previous_context=True)
    assert (await connect(wired, link_token=token))["id"] == ACCOUNT_ID
    await eventually(lambda: bool(receiver.of("integrated_account:active")))
    await eventually(lambda: len(receiver.events) == 3)
    assert "integrated_account:created" not in receiver.names()
    assert "integrated_account:updated" in receiver.names()
    assert (await wired.get(ACCOUNT)).json()["last_error"] is None


@pytest.mark.parametrize(("keeps", "plan"), [(True, "gold"), (False, None)], ids=["kept", "dropped"])
async def test_a_reconnect_keeps_the_context_only_if_asked(
    api: httpx.AsyncClient, keeps: bool, plan: str | None
) -> None:
    await api.patch(ACCOUNT, json={"context": {"plan": "gold"}})
    token = await link_token(api, integrated_account_id=ACCOUNT_ID, persist_previous_context=keeps)
    assert (await connect(api, link_token=token))["context"].get("plan") == plan


async def test_given_both_kinds_of_fields_the_account_wins_silently(api: httpx.AsyncClient) -> None:
    token = await link_token(api, tenant_id="someone-else", integrated_account_id=ACCOUNT_ID)
    assert (await connect(api, link_token=token))["id"] == ACCOUNT_ID


async def test_a_reconnect_token_dies_with_its_account(api: httpx.AsyncClient) -> None:
    token = await link_token(api, integrated_account_id=ACCOUNT_ID)
    await api.delete(ACCOUNT)
    assert (await api.post("/sandbox/connect", json={"link_token": token})).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"outcome": "active"}, 400),
        ({"tenant_id": "t", "outcome": "exploded"}, 400),
        ({"link_token": "unknown"}, 404),
    ],
    ids=["empty", "no-tenant", "unknown-outcome", "unknown-token"],
)
async def test_a_connection_that_makes_no_sense_is_refused(
    api: httpx.AsyncClient, body: dict[str, Any], status: int
) -> None:
    assert (await api.post("/sandbox/connect", json=body)).status_code == status


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ({"integrated_account_id": "unknown"}, 404)],
    ids=["neither-field", "unknown-account"],
)
async def test_a_link_token_needs_somebody_to_connect(
    api: httpx.AsyncClient, body: dict[str, Any], status: int
) -> None:
    assert (await api.post("/link-token", json=body)).status_code == status


async def test_a_deletion_during_the_connection_ends_it(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    account = await connect(wired, tenant_id="t")
    assert (await wired.delete(f"/integrated-account/{account['id']}")).json() == {"id": account["id"]}
    second = await connect(wired, tenant_id="t2")
    await eventually(lambda: bool(receiver.of("integrated_account:active")))
    assert [event["payload"]["id"] for event in receiver.of("integrated_account:active")] == [second["id"]]
    await eventually(lambda: bool(receiver.of("integrated_account:deleted")))
    assert receiver.of("integrated_account:deleted")[0]["payload"] == {"id": account["id"]}


async def test_a_revoked_account_needs_to_be_reconnected(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    answer = await wired.post(f"/sandbox/accounts/{ACCOUNT_ID}/revoke")
    assert answer.json()["status"] == "needs_reauth"
    await eventually(lambda: receiver.names() == ["integrated_account:authentication_error"])
    refused = await wired.get("/unified/crm/contacts", params={"integrated_account_id": ACCOUNT_ID})
    assert (refused.status_code, refused.json()["truto_is_remote_error"]) == (401, True)
    refresh = await wired.post("/integrated-account/refresh-credentials", json={"id": ACCOUNT_ID})
    assert (refresh.status_code, refresh.json()["truto_is_remote_error"]) == (401, True)


async def test_revoking_what_does_not_exist_is_a_404(api: httpx.AsyncClient) -> None:
    assert (await api.post("/sandbox/accounts/none/revoke")).status_code == 404


async def test_refreshing_live_credentials_succeeds(api: httpx.AsyncClient) -> None:
    answer = await api.post("/integrated-account/refresh-credentials", json={"id": ACCOUNT_ID})
    assert answer.json() == {"success": True}


async def test_a_patch_merges_the_context_and_hides_credentials(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    changed = await wired.patch(ACCOUNT, json={"context": {"plan": "gold", "api_key": "hush"}, "tenant_id": "acme-2"})
    assert changed.json()["tenant_id"] == "acme-2"
    assert changed.json()["context"] == {"oauth": {"scope": ["read"], "token": {}}, "plan": "gold"}
    await eventually(lambda: receiver.names() == ["integrated_account:updated"])
    assert b"hush" not in receiver.requests[0][1]
    assert (await wired.get("/integrated-account", params={"context.api_key": "hush"})).json()["result"] == []


async def test_a_patch_without_a_context_leaves_it(api: httpx.AsyncClient) -> None:
    assert (await api.patch(ACCOUNT, json={"status": "active"})).json()["context"]["oauth"]["scope"] == ["read"]


async def test_an_account_cannot_get_a_status_that_does_not_exist(api: httpx.AsyncClient) -> None:
    answer = await api.patch(ACCOUNT, json={"status": "splendid", "tenant_id": None})
    assert answer.status_code == 400
    assert [failure["path"] for failure in answer.json()["details"]["failures"]] == ["tenant_id", "status"]


async def test_an_account_token_reaches_its_own_account_only(api: httpx.AsyncClient) -> None:
    answer = await api.post("/integrated-account/token", json={"integrated_account_id": ACCOUNT_ID})
    as_account = {"Authorization": f"Bearer {answer.json()['integrated_account_token']}"}
    assert (await api.get("/integrated-account/me", headers=as_account)).json()["id"] == ACCOUNT_ID
    changed = await api.patch(
        "/integrated-account/me", headers=as_account, json={"context": {"a": 1}, "tenant_id": "x"}
    )
    assert (changed.json()["context"]["a"], changed.json()["tenant_id"]) == (1, TENANT_ID)
    assert (await api.get("/unified/crm/users", headers=as_account)).status_code == 200
    assert (await api.get("/sync-job", headers=as_account)).status_code == 403
    assert (await api.get("/integrated-account/me")).status_code == 400


async def test_an_environment_integration_replaces_its_override_whole(
    wired: httpx.AsyncClient, receiver: Receiver
) -> None:
    install = (await wired.get("/environment-integration", params={"integration.name": "calcom"})).json()["result"][0]
    path = f"/environment-integration/{install['id']}"
    await wired.patch(path, json={"override": {"base_url": "https://a.example", "label": "A"}})
    changed = (await wired.patch(path, json={"override": {"label": "B"}})).json()
    assert changed["override"] == {"label": "B"}
    assert (await wired.patch(path, json={"override": None, "is_enabled": False})).json()["override"] == {}
    await eventually(lambda: len(receiver.of("environment_integration:updated")) == 3)
    assert (await wired.patch(path, json={"is_enabled": True})).json()["is_enabled"] is True


async def test_accounts_of_one_integration_share_its_installation(api: httpx.AsyncClient) -> None:
    first, second = (
        await connect(api, tenant_id="a", integration="jira"),
        await connect(api, tenant_id="b", integration="jira"),
    )
    assert first["environment_integration_id"] == second["environment_integration_id"]


async def test_a_failed_attempt_makes_no_account(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    token = await link_token(wired, tenant_id="hooli-4")
    body = {"link_token": token, "integration": "jira", "outcome": "connection_error"}
    assert (await wired.post("/sandbox/connect", json=body)).status_code == 400
    await eventually(lambda: receiver.names() == ["link_token:connection_error"])
    payload = receiver.events[0]["payload"]
    assert (payload["tenant_id"], payload["integration"]["name"]) == ("hooli-4", "jira")
    assert len((await wired.get("/integrated-account")).json()["result"]) == 1


@pytest.mark.parametrize("by", ["account_id", "tenant_id"])
async def test_a_failed_attempt_leaves_the_account_as_it_was(
    wired: httpx.AsyncClient, receiver: Receiver, by: str
) -> None:
    who = {"account_id": ACCOUNT_ID} if by == "account_id" else {"tenant_id": TENANT_ID}
    assert (await wired.post("/sandbox/connect", json={**who, "outcome": "connection_error"})).status_code == 400
    await eventually(lambda: bool(receiver.events))
    assert receiver.events[0]["payload"]["tenant_id"] == TENANT_ID
    assert (await wired.get(ACCOUNT)).json()["status"] == "active"


async def test_an_account_can_be_reconnected_by_hand(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    assert (await connect(wired, account_id=ACCOUNT_ID))["status"] == "connecting"
    await eventually(lambda: len(receiver.events) == 2)
    assert "integrated_account:created" not in receiver.names()
    assert (await wired.post("/sandbox/connect", json={"account_id": "none"})).status_code == 404


async def test_a_link_token_can_bring_context_and_region(api: httpx.AsyncClient) -> None:
    token = await link_token(api, tenant_id="t", context={"plan": "gold"}, region="eu", scopes=["read"])
    account = await connect(api, link_token=token)
    assert (account["context"]["plan"], account["region"]) == ("gold", "eu")


async def test_an_expired_link_token_is_unknown(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await link_token(api, tenant_id="t")
    later = time.time() + 7 * 24 * 3600 + 1
    monkeypatch.setattr("sandbox.lifecycle.time.time", lambda: later)
    assert (await api.post("/sandbox/connect", json={"link_token": token})).status_code == 404


IMPORTED = {"tenant_id": "t", "context": {"api_key": "hush", "plan": "x"}, "authentication_method": "api_key"}


async def test_credentials_can_be_imported(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    install = (await wired.get("/environment-integration")).json()["result"][0]["id"]
    body = {**IMPORTED, "environment_integration_id": install, "region": "apac"}
    made = (await wired.post("/integrated-account", json=body)).json()
    assert (made["context"], made["region"], made["authentication_method"]) == ({"plan": "x"}, "apac", "api_key")
    await eventually(lambda: bool(receiver.of("integrated_account:active")))
    unknown = await wired.post("/integrated-account", json={**IMPORTED, "environment_integration_id": "none"})
    assert unknown.status_code == 404


async def test_credentials_alone_can_be_changed(api: httpx.AsyncClient) -> None:
    changed = await api.patch(f"{ACCOUNT}/credentials", json={"context": {"api_key": "hush", "shop": "s"}})
    assert changed.json()["context"]["shop"] == "s"
    assert "hush" not in changed.text
    assert (await api.patch(f"{ACCOUNT}/credentials", json={})).status_code == 400


async def test_post_install_actions_can_be_run_again(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    answer = await wired.post("/integrated-account/run-post-install-actions", json={"id": ACCOUNT_ID})
    assert answer.json() == {"success": True}
    await eventually(lambda: receiver.names() == ["integrated_account:active"])


async def test_many_accounts_can_be_deleted_at_once(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    body = {"ids": [ACCOUNT_ID, "unknown"]}
    assert (await wired.post("/integrated-account/bulk-delete", json=body)).json() == {"success": True}
    await eventually(lambda: receiver.names() == ["integrated_account:deleted"])
    assert (await wired.get(ACCOUNT)).status_code == 404


async def test_a_sandbox_copy_is_an_account_of_its_own(api: httpx.AsyncClient) -> None:
    copy = (await api.post("/sandbox-integrated-account", json={"id": ACCOUNT_ID})).json()
    assert (copy["is_sandbox"], copy["tenant_id"]) == (True, TENANT_ID)
    listed = (await api.get("/sandbox-integrated-account")).json()["result"]
    assert [row["id"] for row in listed] == [copy["id"]]
    path = f"/sandbox-integrated-account/{copy['id']}"
    assert (await api.get(path)).json()["id"] == copy["id"]
    assert (await api.get(f"/sandbox-integrated-account/{ACCOUNT_ID}")).status_code == 404
    assert (await api.delete(path)).json() == {"id": copy["id"]}
    assert (await api.get(ACCOUNT)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/proxy/users", 200),
        ("GET", "/custom/users", 200),
        ("GET", "/integrated-account/me", 200),
        ("GET", ACCOUNT, 403),
        ("GET", "/log", 403),
        ("POST", "/integrated-account/me", 403),
        ("DELETE", "/integrated-account/me", 403),
        ("POST", "/link-token", 403),
        ("POST", "/file", 403),
    ],
)
async def test_an_account_token_s_reach(api: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await api.post("/integrated-account/token", json={"integrated_account_id": ACCOUNT_ID})
    headers = {"Authorization": f"Bearer {answer.json()['integrated_account_token']}"}
    assert (await api.request(method, path, headers=headers)).status_code == status
