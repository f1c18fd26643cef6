from __future__ import annotations

import json

import httpx
import pytest

import handlers.integrated_account
from events import Store
from handlers.integrated_account import SyncJobs
from tests.integration.handlers.conftest import Scene, open_scene
from tests.integration.worker.workshop import eventually
from truto.samples import ACCOUNT_ID, SYNC_JOB_ID, TENANT_ID

pytestmark = pytest.mark.filterwarnings("ignore:.imghdr. is deprecated:DeprecationWarning")  # apprise, at its import

ERRORS = ["post_install_error", "validation_error", "authentication_error"]


async def test_an_account_that_becomes_active_starts_one_run_of_its_sync_job(scene: Scene) -> None:
    assert await scene.send("integrated_account:active") == "done"
    (run,) = await scene.runs()
    assert (run["sync_job_id"], run["integrated_account_id"]) == (SYNC_JOB_ID, ACCOUNT_ID)


async def test_an_account_that_becomes_active_again_starts_no_further_run(scene: Scene) -> None:
    assert await scene.send("integrated_account:active") == "done"
    assert await scene.send("integrated_account:active") == "discarded"
    assert "already" in await scene.why()
    assert len(await scene.runs()) == 1


@pytest.mark.parametrize("status", ["failed", "stopped"])
async def test_a_first_run_that_came_to_nothing_is_started_again(scene: Scene, status: str) -> None:
    await scene.send("integrated_account:active")
    (run,) = await scene.runs()
    await eventually(lambda: _completed(scene))
    await scene.call("PATCH", f"/sync-job-run/{run['id']}", status=status)
    assert await scene.send("integrated_account:active") == "done"
    assert len(await scene.runs()) == 2


async def _completed(scene: Scene) -> bool:
    return all(run["status"] == "completed" for run in await scene.runs())


@pytest.mark.parametrize("jobs", ["", "hubspot=51b79ace-a7b4-4077-93ba-8048a06ece2b"], ids=["none", "another"])
async def test_without_a_job_for_its_integration_nothing_is_started(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, jobs: str
) -> None:
    monkeypatch.setattr(handlers.integrated_account, "SYNC_JOBS", SyncJobs.parse(jobs))
    assert await scene.send("integrated_account:active") == "discarded"
    assert "SYNC_JOBS" in await scene.why()
    assert await scene.runs() == []


async def test_an_account_that_is_active_no_more_starts_nothing(scene: Scene) -> None:
    await scene.call("POST", f"/sandbox/accounts/{ACCOUNT_ID}/revoke")
    assert await scene.send("integrated_account:active") == "discarded"
    assert "needs_reauth by now" in await scene.why()
    assert await scene.runs() == []


@pytest.mark.parametrize("action", ["active", *ERRORS])
@pytest.mark.parametrize("data", [{}, {"id": "00000000-0000-4000-8000-000000000000"}], ids=["unnamed", "gone"])
async def test_an_event_of_no_account_needs_nothing(scene: Scene, action: str, data: dict[str, str]) -> None:
    assert await scene.send(f"integrated_account:{action}", data) == "discarded"
    assert await scene.inbox() == []


class LosesAnAnswer(httpx.AsyncHTTPTransport):
    """The first write is carried out, and its answer never comes."""

    lost = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if request.method == "POST" and not self.lost:
            self.lost += 1
            await response.aclose()
            raise httpx.ReadError("the connection broke", request=request)
        return response


async def test_a_run_whose_making_was_not_answered_is_not_made_again(store: Store) -> None:
    transport = LosesAnAnswer(verify=False)
    async with open_scene(store, transport) as scene:
        assert await scene.send("integrated_account:active") == "discarded"
        assert "already" in await scene.why()
        assert len(await scene.runs()) == 1
    assert transport.lost == 1


@pytest.mark.parametrize("problem", ERRORS)
async def test_an_account_that_broke_makes_the_tenant_a_way_to_mend_that_very_account(
    scene: Scene, problem: str
) -> None:
    await scene.call("PATCH", f"/integrated-account/{ACCOUNT_ID}", status="needs_reauth")
    assert await scene.send(f"integrated_account:{problem}") == "done"
    (message,) = await scene.inbox()
    assert (message["tenant_id"], message["verified"]) == ("acme-1", True)
    assert message["type"] == "integrated_account.reconnect_needed"
    assert message["data"]["integrated_account_id"] == ACCOUNT_ID
    assert message["data"]["integration"] == "calcom"
    assert message["data"]["problem"] == problem
    assert message["data"]["last_error"]
    account = await scene.call("POST", "/sandbox/connect", link_token=message["data"]["link_token"])
    assert account["id"] == ACCOUNT_ID


async def test_operators_learn_of_an_account_that_broke_without_its_link_token(scene: Scene) -> None:
    await scene.call("PATCH", f"/integrated-account/{ACCOUNT_ID}", status="needs_reauth")
    await scene.send("integrated_account:authentication_error")
    ((_, _, body),) = scene.operators.requests
    told = json.loads(body)
    assert ACCOUNT_ID in told["title"]
    assert "authentication_error" in told["title"]
    assert "acme-1" in told["message"]
    (message,) = await scene.inbox()
    assert message["data"]["link_token"] not in body.decode()


@pytest.mark.parametrize("problem", ERRORS)
async def test_an_account_that_has_healed_since_bothers_nobody(scene: Scene, problem: str) -> None:
    assert await scene.send(f"integrated_account:{problem}") == "discarded"
    assert "healed" in await scene.why()
    assert await scene.inbox() == []
    assert scene.operators.requests == []


async def test_a_deleted_account_loses_its_cron_triggers_and_nobody_elses(scene: Scene) -> None:
    other = await scene.call("POST", "/sandbox/connect", tenant_id="other-1")
    trigger = {"sync_job_id": SYNC_JOB_ID, "cron_expression": "0 * * * *"}
    for account in [ACCOUNT_ID, ACCOUNT_ID, other["id"]]:
        await scene.call("POST", "/sync-job-cron-trigger", integrated_account_id=account, **trigger)
    await scene.call("DELETE", f"/integrated-account/{ACCOUNT_ID}")
    assert await scene.send("integrated_account:deleted") == "done"
    left = await scene.get("/sync-job-cron-trigger")
    assert [each["integrated_account_id"] for each in left] == [other["id"]]


class DeletesFirst(httpx.AsyncHTTPTransport):
    """Somebody else deletes everything a moment earlier."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            await (await super().handle_async_request(request)).aread()
        return await super().handle_async_request(request)


async def test_a_cron_trigger_that_is_gone_already_is_as_good_as_removed(store: Store) -> None:
    async with open_scene(store, DeletesFirst(verify=False)) as scene:
        for minute in range(2):
            await scene.call(
                "POST",
                "/sync-job-cron-trigger",
                sync_job_id=SYNC_JOB_ID,
                cron_expression=f"{minute} * * * *",
                integrated_account_id=ACCOUNT_ID,
            )
        assert await scene.send("integrated_account:deleted") == "done"
        assert await scene.get("/sync-job-cron-trigger") == []


async def test_cleaning_up_twice_does_nothing_more(scene: Scene) -> None:
    assert await scene.send("integrated_account:deleted") == "done"
    assert await scene.send("integrated_account:deleted") == "done"
    assert await scene.made("DELETE", "/sync-job-cron-trigger") == []


async def test_a_deletion_that_names_no_account_needs_nothing(scene: Scene) -> None:
    assert await scene.send("integrated_account:deleted", {}) == "discarded"


@pytest.mark.parametrize("action", ["created", "updated", "reactivated", "post_connect_form_submitted"])
async def test_events_without_meaning_for_us_are_done_without_a_call(scene: Scene, action: str) -> None:
    assert await scene.send(f"integrated_account:{action}") == "done"
    assert [call for call in await scene.get("/sandbox/calls") if call["path"].startswith("/integrated")] == []


@pytest.mark.parametrize("action", ERRORS)
async def test_the_link_token_goes_to_the_tenant_that_the_api_names(scene: Scene, action: str) -> None:
    """Whoever could write a payload would otherwise choose who may connect the account."""
    await scene.call("POST", f"/sandbox/accounts/{ACCOUNT_ID}/revoke")
    assert await scene.send(f"integrated_account:{action}", {"id": ACCOUNT_ID, "tenant_id": "somebody-else"}) == "done"
    assert {told["tenant_id"] for told in await scene.inbox()} == {TENANT_ID}
