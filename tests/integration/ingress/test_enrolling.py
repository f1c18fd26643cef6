"""Secrets that come by handshake, at a running ingress: let in by an operator, once, and known to every process."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from events import Store
from ingress.sources.loading import read_source
from tests.integration.ingress.edge import event
from tests.integration.ingress.test_sources import OTHER, SECRET, Running, running
from tests.servers import free_port

BODY = event()
ASANA = read_source("asana", {"preset": "asana"}, {})
LAX = read_source("asana", {"preset": "asana", "options": {"allow_context_overwrite": True}}, {})
NOTION = read_source("notion", {"preset": "notion"}, {})


def made(secret: str, body: bytes = BODY) -> str:
    return hmac.digest(secret.encode(), body, "sha256").hex()


async def shake(edge: Running, secret: str = SECRET) -> int:
    answered = await edge.http.post("/webhooks/asana", headers={"x-hook-secret": secret})
    assert (answered.headers.get("x-hook-secret") == secret) == (answered.status_code == 200)
    return answered.status_code


async def signed(edge: Running, secret: str = SECRET) -> int:
    return (await edge.post(to="asana", x_hook_signature=made(secret))).status_code


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await holds():  # noqa: ASYNC110  what is waited for is told by no event
            await asyncio.sleep(0.02)


@pytest.mark.bad_input(188)
async def test_a_stranger_who_comes_first_leaves_nothing_and_the_genuine_one_is_let_in(store: Store) -> None:
    async with running(store, ASANA) as edge:
        assert (await shake(edge, OTHER), await signed(edge, OTHER)) == (401, 401)
        assert await store.notes.source_context("asana") == {}
        await store.notes.open_enrolment("asana", 60)
        assert (await shake(edge), await signed(edge)) == (200, 200)
        assert (await shake(edge, OTHER), await signed(edge, OTHER)) == (401, 401)
    assert await store.notes.source_context("asana") == {"webhook_secret": SECRET}


@pytest.mark.bad_input(188)
async def test_the_refusal_names_the_command_that_lets_it_in(store: Store) -> None:
    with capture_logs() as logged:
        async with running(store, ASANA) as edge:
            refused = await edge.http.post("/webhooks/asana", headers={"x-hook-secret": SECRET})
            assert refused.json()["reason"] == "signature_mismatch"
            metrics = (await edge.admin.get("/metrics")).text
    assert 'truto_worker_refusals_total{reason="enrolment_closed",source="asana",status="401"} 1.0' in metrics
    (told,) = await store.notes.refusals()
    assert told.reason == "enrolment_closed"
    assert "truto-worker sources enrol asana --for 10m" in told.detail
    assert [line["detail"] for line in logged if line.get("reason") == "enrolment_closed"] == [told.detail]
    assert SECRET not in str(logged)


async def test_notion_is_enrolled_and_its_signed_events_are_accepted(store: Store) -> None:
    token = "secret_genuine_notion_token"
    page = b'{"type":"page.created","id":"1"}'
    json = {"content-type": "application/json"}
    async with running(store, NOTION) as edge:
        await store.notes.open_enrolment("notion", 60)
        shaken = await edge.http.post(
            "/webhooks/notion", content=orjson.dumps({"verification_token": token}), headers=json
        )
        assert shaken.status_code == 200
        signature = {"x-notion-signature": f"sha256={made(token, page)}"}
        answered = await edge.http.post("/webhooks/notion", content=page, headers=json | signature)
        assert answered.json() == {"status": "accepted", "events": [{"id": "1", "type": "page.created"}]}


@pytest.mark.bad_input(185)
@pytest.mark.parametrize("token", [[], {}, "short", [SECRET]], ids=str)
async def test_what_is_no_secret_leaves_the_window_open_for_the_genuine_one(store: Store, token: Any) -> None:
    json = {"content-type": "application/json"}
    async with running(store, NOTION) as edge:
        await store.notes.open_enrolment("notion", 60)
        for given, status in ((token, 401), (SECRET, 200)):
            body = orjson.dumps({"verification_token": given})
            assert (await edge.http.post("/webhooks/notion", content=body, headers=json)).status_code == status
    assert [told.reason for told in await store.notes.refusals()] == ["secret_unusable"]
    assert await store.notes.source_context("notion") == {"webhook_secret": SECRET}


@pytest.mark.bad_input(189)
async def test_an_option_does_not_let_a_stranger_exchange_the_secret(store: Store) -> None:
    await store.notes.keep_in_context("asana", {"webhook_secret": SECRET}, overwrite=False)
    async with running(store, LAX) as edge:
        assert (await shake(edge, OTHER), await signed(edge, OTHER), await signed(edge)) == (401, 401, 200)


@pytest.mark.bad_input(190)
async def test_of_handshakes_that_race_at_two_processes_one_is_let_in(store: Store) -> None:
    secrets = [f"secret number {number:02} of these" for number in range(12)]
    async with running(store, ASANA) as one, running(store, ASANA) as two:
        await store.notes.open_enrolment("asana", 60)
        edges = [(one, two)[number % 2] for number in range(12)]
        answers = await asyncio.gather(*(shake(*pair) for pair in zip(edges, secrets, strict=True)))
        assert sorted(answers) == [200] + [401] * 11
        winner = secrets[answers.index(200)]
        for edge in (one, two):
            await until(lambda edge=edge: _is(200, signed(edge, winner)))  # type: ignore[misc]  # binds the edge
            assert await signed(edge, secrets[answers.index(401)]) == 401


async def _is(status: int, answer: Awaitable[int]) -> bool:
    return await answer == status


@pytest.mark.bad_input(191)
async def test_a_handshake_after_the_window_is_refused(store: Store) -> None:
    async with running(store, ASANA) as edge:
        await store.notes.open_enrolment("asana", 0.05)
        await until(lambda: _closed(store))
        assert await shake(edge) == 401


async def _closed(store: Store) -> bool:
    return (await store.notes.enrolments(["asana"]))[0].open_until is None


@pytest.mark.bad_input(192)
async def test_a_sender_may_repeat_its_handshake_at_every_process_and_after_a_restart(store: Store) -> None:
    await store.notes.open_enrolment("asana", 60)
    async with running(store, ASANA) as one, running(store, ASANA) as two:
        assert [await shake(edge) for edge in (one, one, two, two)] == [200] * 4
    async with running(store, ASANA) as three:
        assert (await shake(three), await signed(three), await shake(three, OTHER)) == (200, 200, 401)


@pytest.mark.bad_input(193)
async def test_nothing_else_is_left_behind_without_proof_either(store: Store) -> None:
    block = {
        "signature_verification": {
            "format": "hmac",
            "config": {"compare_with": "{{headers.x-signature}}", "parts": ["raw_body"]},
        },
        "handle_verification": "body.event = 'ping' ? {'type':'meta','update_context':{'team': body.id}}",
    }
    on = read_source("s", {"webhook": block, "secrets": [SECRET]}, {})
    async with running(store, on) as edge:
        assert (await edge.post(x_signature="0" * 64)).status_code == 401
        assert await store.notes.source_context("s") == {}
        await store.notes.open_enrolment("s", 60)
        assert (await edge.post(x_signature="0" * 64)).json()["status"] == "ignored"
    assert await store.notes.source_context("s") == {"team": "e-1"}


@pytest.mark.bad_input(187)
@pytest.mark.parametrize("kept", [[], ["a list of more than 16 bytes"], "short"], ids=str)
async def test_an_unusable_secret_of_before_is_told_and_replaced_by_an_enrolment(store: Store, kept: Any) -> None:
    await store.notes.keep_in_context("asana", {"webhook_secret": kept}, overwrite=False)
    with capture_logs() as logged:
        async with running(store, ASANA) as edge:
            assert (await shake(edge), await signed(edge)) == (401, 401)
            await store.notes.open_enrolment("asana", 60)
            assert (await shake(edge), await signed(edge)) == (200, 200)
    told = next(line for line in logged if line["event"] == "secret_unusable")
    assert told["source"] == "asana"
    assert "truto-worker sources enrol asana" in told["hint"]


async def test_a_new_enrolment_keeps_the_old_secret_until_the_new_one_has_come(store: Store) -> None:
    await store.notes.open_enrolment("asana", 60)
    async with running(store, ASANA) as edge:
        assert await shake(edge) == 200
        await store.notes.open_enrolment("asana", 60)
        assert await signed(edge) == 200
        assert await shake(edge, OTHER) == 200
        assert (await signed(edge, OTHER), await signed(edge)) == (200, 401)


async def test_another_process_stops_believing_a_secret_that_is_replaced_or_forgotten(store: Store) -> None:
    """Nothing fails there that would make it ask: whoever has the old secret signs well."""
    await store.notes.open_enrolment("asana", 60)
    async with running(store, ASANA) as one, running(store, ASANA) as two:
        assert await shake(one) == 200
        assert await signed(two) == 200
        await store.notes.open_enrolment("asana", 60)
        assert await shake(one, OTHER) == 200
        await until(lambda: _is(401, signed(two)))
        assert await signed(two, OTHER) == 200
        await store.notes.forget_source("asana")
        for edge in (one, two):
            await until(lambda edge=edge: _is(401, signed(edge, OTHER)))  # type: ignore[misc]  # binds the edge
        assert await shake(two, OTHER) == 401


async def test_a_handshake_is_not_answered_before_its_secret_is_kept() -> None:
    nowhere = Store.connect(f"redis://127.0.0.1:{free_port()}")
    async with running(nowhere, ASANA) as edge:
        assert await shake(edge) == 503
        assert await signed(edge, OTHER) == 401
