"""Webhooks: who gets what, retries, deactivation, the log."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx
import pytest

from tests.integration.sandbox.conftest import SECRET, Receiver, eventually, open_sandbox
from tests.servers import free_port
from truto.samples import ACCOUNT_ID, WEBHOOK_ID

ACCOUNT = f"/integrated-account/{ACCOUNT_ID}"


async def attempts(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.get("/sandbox/deliveries")).json()["result"]
    return found


async def attempted(api: httpx.AsyncClient, count: int) -> list[dict[str, Any]]:
    """The delivery log once it holds *count* attempts."""
    for _ in range(1000):
        if len(found := await attempts(api)) >= count:
            return found
        await asyncio.sleep(0.005)
    raise AssertionError(f"fewer than {count} attempts")


async def touch_account(api: httpx.AsyncClient) -> None:
    """Make one ``integrated_account:updated``."""
    assert (await api.patch(ACCOUNT, json={"context": {}})).status_code == 200


async def test_a_delivery_carries_truto_s_envelope_and_headers(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    await touch_account(wired)
    await eventually(lambda: bool(receiver.requests))
    headers, _ = receiver.requests[0]
    event = receiver.events[0]
    assert (headers["user-agent"], headers["content-type"]) == ("truto", "application/json")
    assert headers["x-truto-signature"].startswith("format=sha256,v=")
    assert event["event"] == event["event_type"] == "integrated_account:updated"
    assert event["webhook_id"] == WEBHOOK_ID
    assert str(uuid.UUID(event["id"])) == event["id"]
    assert event["created_at"].endswith("Z")


async def test_the_signature_can_be_base64(receiver: Receiver) -> None:
    settings = {"webhook_url": receiver.url, "webhook_secret": SECRET, "signature_encoding": "base64"}
    async with open_sandbox(**settings) as api:
        await touch_account(api)
        await eventually(lambda: bool(receiver.requests))
    assert receiver.requests[0][0]["x-truto-signature"].endswith("=")
    receiver.check_signatures()


async def test_a_refused_delivery_is_repeated_unchanged_three_times(
    wired: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.answers["*"] = [500, 404, 503, 200]
    await touch_account(wired)
    log = await attempted(wired, 4)
    assert [(entry["attempt"], entry["status"]) for entry in log] == [(1, 500), (2, 404), (3, 503), (4, 200)]
    assert len({body for _, body in receiver.requests}) == 1


async def test_after_three_retries_the_event_is_dropped(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    receiver.answers["*"] = [500]
    await touch_account(wired)
    await attempted(wired, 4)
    await asyncio.sleep(0.06)
    assert len(receiver.requests) == 4


async def test_a_target_that_is_not_there_is_logged_with_its_error() -> None:
    url = f"http://127.0.0.1:{free_port()}/hook"
    async with open_sandbox(webhook_url=url, webhook_secret=SECRET) as api:
        await touch_account(api)
        log = await attempted(api, 4)
    assert {entry["status"] for entry in log} == {None}
    assert "ConnectError" in log[0]["error"]
    assert (log[0]["target_url"], log[0]["event"]) == (url, "integrated_account:updated")


async def test_prolonged_failure_switches_the_webhook_off_until_it_is_switched_on(receiver: Receiver) -> None:
    receiver.answers["*"] = [500]
    settings = {"webhook_url": receiver.url, "webhook_secret": SECRET, "deactivate_after": 2, "retry_delays": ()}
    async with open_sandbox(**settings) as api:
        for count in (1, 2):
            await touch_account(api)
            await attempted(api, count)
        assert (await api.get(f"/webhook/{WEBHOOK_ID}")).json()["is_active"] is False
        await touch_account(api)
        await asyncio.sleep(0.03)
        assert len(receiver.requests) == 2
        assert (await api.patch(f"/webhook/{WEBHOOK_ID}", json={"is_active": True})).json()["is_active"] is True
        await touch_account(api)
        await attempted(api, 3)
        assert (await api.get(f"/webhook/{WEBHOOK_ID}")).json()["is_active"] is True


async def test_an_accepted_event_starts_the_count_of_failures_anew(receiver: Receiver) -> None:
    receiver.answers["*"] = [500, 200, 500]
    settings = {"webhook_url": receiver.url, "webhook_secret": SECRET, "deactivate_after": 2, "retry_delays": ()}
    async with open_sandbox(**settings) as api:
        for count in (1, 2, 3):
            await touch_account(api)
            await attempted(api, count)
        assert (await api.get(f"/webhook/{WEBHOOK_ID}")).json()["is_active"] is True


@pytest.mark.parametrize("how", ["deleted", "deactivated"])
async def test_a_webhook_that_is_gone_gets_no_more_retries(receiver: Receiver, how: str) -> None:
    receiver.answers["*"] = [500]
    settings = {"webhook_url": receiver.url, "webhook_secret": SECRET, "retry_delays": (0.05,)}
    async with open_sandbox(**settings) as api:
        await touch_account(api)
        await attempted(api, 1)
        if how == "deleted":
            await api.delete(f"/webhook/{WEBHOOK_ID}")
        else:
            await api.patch(f"/webhook/{WEBHOOK_ID}", json={"is_active": False})
        await asyncio.sleep(0.1)
        assert len(await attempts(api)) == 1


async def test_only_subscribed_types_are_delivered(api: httpx.AsyncClient, receiver: Receiver) -> None:
    types = ["integrated_account:deleted"]
    hook = (await api.post("/webhook", json={"target_url": receiver.url, "event_types": types})).json()
    await touch_account(api)
    await api.delete(ACCOUNT)
    await eventually(lambda: receiver.names() == types)
    assert receiver.events[0]["webhook_id"] == hook["id"]


async def test_two_webhooks_get_the_same_event(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    await wired.post("/webhook", json={"target_url": receiver.url})
    await touch_account(wired)
    await eventually(lambda: len(receiver.events) == 2)
    assert len({event["id"] for event in receiver.events}) == 1
    assert len({event["webhook_id"] for event in receiver.events}) == 2


async def test_events_are_delivered_side_by_side(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    together = asyncio.Barrier(3)

    async def meet(_event: dict[str, Any]) -> None:
        await asyncio.wait_for(together.wait(), 3)

    receiver.delay = meet
    for _ in range(3):
        await touch_account(wired)
    assert {entry["status"] for entry in await attempted(wired, 3)} == {200}


async def test_a_secret_is_shown_once(api: httpx.AsyncClient) -> None:
    hook = (await api.post("/webhook", json={"target_url": "https://example.test/hook"})).json()
    assert str(uuid.UUID(hook["secret"])) == hook["secret"]
    assert (hook["is_active"], hook["event_types"]) == (True, None)
    path = f"/webhook/{hook['id']}"
    for answer in (
        await api.get(path),
        await api.get("/webhook"),
        await api.patch(path, json={"event_types": ["test"]}),
    ):
        assert hook["secret"] not in answer.text


@pytest.mark.parametrize("url", [None, "", "ftp://example.test", "http://", "http://a:99999", 7], ids=repr)
async def test_a_webhook_needs_an_address(api: httpx.AsyncClient, url: object) -> None:
    answer = await api.post("/webhook", json={"target_url": url})
    assert answer.status_code == 400
    assert answer.json()["details"]["failures"][0]["path"] == "target_url"


async def test_testing_a_webhook_delivers_foo_bar(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    assert (await wired.post("/webhook/test", json={"id": WEBHOOK_ID})).json() == {"success": True}
    assert (receiver.events[0]["event"], receiver.events[0]["payload"]) == ("test", {"foo": "bar"})
    receiver.check_signatures()


async def test_testing_a_webhook_can_simulate_a_type(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    await wired.post("/webhook/test", json={"id": WEBHOOK_ID, "event_type": "integrated_account:active"})
    assert receiver.events[0]["payload"]["id"] == ACCOUNT_ID


async def test_testing_a_failing_webhook_answers_the_envelope(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    receiver.answers["*"] = [500]
    answer = await wired.post("/webhook/test", json={"id": WEBHOOK_ID})
    assert answer.json() == {"statusCode": 502, "error": "Bad Gateway", "message": "The webhook's target answered 500"}
    assert len(receiver.requests) == 1


async def test_testing_a_webhook_whose_target_is_gone_says_so(api: httpx.AsyncClient) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    hook = (await api.post("/webhook", json={"target_url": url})).json()
    answer = await api.post("/webhook/test", json={"id": hook["id"]})
    assert (answer.status_code, answer.json()["message"]) == (502, "The webhook's target did not answer")


async def test_the_log_lists_deliveries_page_by_page(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    receiver.answers["*"] = [500, 200]
    await touch_account(wired)
    log = await attempted(wired, 2)
    first = (await wired.get("/log", params={"log_type": "webhook", "limit": 1})).json()
    assert (first["limit"], len(first["result"])) == (1, 1)
    assert first["result"][0] == {
        "id": log[0]["event_id"],
        "event": "integrated_account:updated",
        "webhook_id": WEBHOOK_ID,
        "environment_id": first["result"][0]["environment_id"],
        "webhook_endpoint_status": 500,
        "status": "failure",
        "timestamp": first["result"][0]["timestamp"],
        "service": "truto-api",
        "queue": "webhooks",
    }
    params = {"log_type": "webhook", "limit": 1, "next_cursor": first["next_cursor"]}
    second = (await wired.get("/log", params=params)).json()
    assert (second["result"][0]["status"], second["next_cursor"]) == ("success", None)


@pytest.mark.parametrize("name", ["event", "log_type_filter[event]"])
async def test_the_log_can_be_filtered_both_ways(wired: httpx.AsyncClient, name: str) -> None:
    await touch_account(wired)
    await wired.post("/webhook/test", json={"id": WEBHOOK_ID})
    await attempted(wired, 2)
    found = (await wired.get("/log", params={"log_type": "webhook", name: "test"})).json()["result"]
    assert [entry["event"] for entry in found] == ["test"]


@pytest.mark.parametrize(("log_type", "status"), [("mcp", 200), ("gossip", 400), (None, 400)], ids=str)
async def test_the_log_needs_a_type_that_exists(api: httpx.AsyncClient, log_type: str | None, status: int) -> None:
    answer = await api.get("/log", params={"log_type": log_type} if log_type else {})
    assert answer.status_code == status
