"""Public keys that are asked for one at a time, by the name that a token gives: what is asked, and how often."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import time
from typing import Any

import httpx
import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from structlog.testing import capture_logs

from events import Store
from ingress.answers import Refusal
from ingress.sources.loading import read_source
from ingress.sources.named_keys import MAX_FETCHES
from ingress.sources.source import Source
from ingress.sources.table import SourceTable
from ingress.verification.outcome import Accepted
from tests.unit.ingress.sources.senders import EC_KEYS, PLAID_JWK, PLAID_KID, of_headers, plaid, public_der
from truto.jwks import JwksClient

SECRET = "a-secret-of-my-account"
URL = "https://production.plaid.com/webhook_verification_key/get"
BODY = orjson.dumps({"webhook_type": "ITEM", "webhook_code": "ERROR", "item_id": "i-1"})
KNOWN, STRANGER = (public_der(key) for key in EC_KEYS)


class Plaid:
    """What answers at Plaid's address, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.keys: dict[str, dict[str, Any]] = {PLAID_KID: dict(PLAID_JWK)}
        self.instead: Response | None = None
        self.was_asked = asyncio.Event()
        self.let_go = asyncio.Event()
        self.let_go.set()

    async def answer(self, request: Request) -> Response:
        question = json.loads(await request.body())
        self.asked.append((f"{request.method} {request.url}", question))
        self.was_asked.set()
        await self.let_go.wait()
        if self.instead is not None:
            return self.instead
        if question["secret"] != SECRET:
            return JSONResponse({"error_code": "INVALID_API_KEYS"}, 400)
        if question["key_id"] not in self.keys:
            return JSONResponse({"error_code": "INVALID_WEBHOOK_VERIFICATION_KEY_ID"}, 400)
        return JSONResponse({"key": self.keys[question["key_id"]], "request_id": "r"})

    @asynccontextmanager
    async def table(self, store: Store, *sources: Source) -> AsyncIterator[SourceTable]:
        app = Starlette(routes=[Route("/{path:path}", self.answer, methods=["GET", "POST"])])
        table = SourceTable(store, sources or [source()], client=JwksClient(transport=httpx.ASGITransport(app)))
        async with table.running():
            yield table


def source(secret: str = SECRET) -> Source:
    jwt = {"key_request": {"fields": {"client_id": "c-1", "secret": secret}}}
    return read_source("s", {"preset": "plaid", "options": {"jwt": jwt}}, {})


async def sent(table: SourceTable, *, kid: str = PLAID_KID, key: str = KNOWN, body: bytes = BODY) -> Any:
    on = table.get("s")
    assert isinstance(on, Source)
    headers = {"content-type": "application/json", **plaid(BODY, key, at=time(), kid=kid)}
    return await table.verify(on, of_headers(headers, body))


async def refusal_of(table: SourceTable, **more: Any) -> tuple[int, str]:
    outcome = await sent(table, **more)
    assert isinstance(outcome, Refusal), outcome
    return outcome.status, outcome.logged_reason


async def test_the_first_delivery_waits_for_its_key_and_the_next_one_does_not(store: Store) -> None:
    sender = Plaid()
    async with sender.table(store) as table:
        assert isinstance(await sent(table), Accepted)
        assert isinstance(await sent(table), Accepted)
    assert sender.asked == [(f"POST {URL}", {"client_id": "c-1", "secret": SECRET, "key_id": PLAID_KID})]


async def test_a_key_is_asked_for_once_for_all_who_wait_for_it(store: Store) -> None:
    sender = Plaid()
    sender.let_go.clear()
    async with sender.table(store) as table:
        waiting = [asyncio.create_task(sent(table)) for _ in range(50)]
        await sender.was_asked.wait()
        sender.let_go.set()
        assert {type(outcome) for outcome in await asyncio.gather(*waiting)} == {Accepted}
    assert len(sender.asked) == 1


async def test_what_the_key_does_not_explain_is_refused(store: Store) -> None:
    async with Plaid().table(store) as table:
        assert await refusal_of(table, key=STRANGER) == (401, "signature_mismatch")
        assert await refusal_of(table, body=BODY + b" ") == (401, "jwt_body_mismatch")


@pytest.mark.bad_input(313)
async def test_a_key_that_the_sender_does_not_know_is_refused_and_not_asked_for_again(store: Store) -> None:
    sender = Plaid()
    async with sender.table(store) as table:
        for _ in range(3):
            assert await refusal_of(table, kid="k-2") == (401, "jwt_key_unknown")
    assert len(sender.asked) == 1


@pytest.mark.bad_input(313)
async def test_a_thousand_unknown_keys_cost_a_few_requests_and_hold_up_no_known_one(store: Store) -> None:
    sender = Plaid()
    async with sender.table(store) as table:
        assert isinstance(await sent(table), Accepted)
        answers = [await refusal_of(table, kid=f"k-{number}") for number in range(1000)]
        assert isinstance(await sent(table), Accepted)
    assert len(sender.asked) == MAX_FETCHES
    assert set(answers) == {(401, "jwt_key_unknown"), (503, "key_unavailable")}


@pytest.mark.bad_input(314)
@pytest.mark.parametrize(
    "instead",
    [
        RedirectResponse("https://evil.example/key", 307),
        Response(b"nope"),
        JSONResponse({"key": None}),
        JSONResponse([PLAID_JWK]),
        JSONResponse({"key": {**PLAID_JWK, "kid": "another"}}),
        JSONResponse({"key": {**PLAID_JWK, "use": "enc"}}),
        JSONResponse({"key": {**PLAID_JWK, "kty": "oct", "k": "c2VjcmV0"}}),
        Response(b"[" * 1_000_000),
    ],
    ids=["redirect", "text", "null", "list", "another", "for-encryption", "symmetric", "huge"],
)
async def test_an_answer_that_is_no_key_opens_nothing(store: Store, instead: Response) -> None:
    sender = Plaid()
    sender.instead = instead
    async with sender.table(store) as table:
        assert await refusal_of(table) == (401, "jwt_key_unknown")
    assert len(sender.asked) == 1


@pytest.mark.bad_input(312)
async def test_a_key_that_has_expired_is_refused_however_often_it_is_named(store: Store) -> None:
    sender = Plaid()
    sender.keys[PLAID_KID]["expired_at"] = int(time()) - 1
    async with sender.table(store) as table:
        for _ in range(3):
            assert await refusal_of(table) == (401, "jwt_key_expired")
    assert len(sender.asked) == 1


async def test_a_key_that_expires_while_it_is_known_is_noticed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingress.sources.table._KEYS_LIVE_SECONDS", 0.05)
    sender = Plaid()
    async with sender.table(store) as table:
        assert isinstance(await sent(table), Accepted)
        sender.keys[PLAID_KID]["expired_at"] = int(time()) - 1
        async with asyncio.timeout(5):
            while isinstance(outcome := await sent(table), Accepted):  # noqa: ASYNC110  it is asked by a delivery
                await asyncio.sleep(0.02)
        assert outcome.logged_reason == "jwt_key_expired"


async def test_a_known_key_stays_while_its_sender_cannot_be_asked(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingress.sources.table._KEYS_LIVE_SECONDS", 0.02)
    sender = Plaid()
    async with sender.table(store) as table:
        assert isinstance(await sent(table), Accepted)
        sender.instead = JSONResponse({"error_code": "INVALID_API_KEYS"}, 400)
        asked = len(sender.asked)
        async with asyncio.timeout(5):
            while len(sender.asked) < asked + 3:  # noqa: ASYNC110  nothing tells
                await asyncio.sleep(0.01)
        assert isinstance(await sent(table), Accepted)


async def test_a_sender_whose_key_cannot_be_fetched_now_is_told_to_come_again(store: Store) -> None:
    sender = Plaid()
    sender.instead = Response(status_code=503)
    async with sender.table(store) as table:
        assert await refusal_of(table) == (503, "key_unavailable")
        sender.instead = None
        assert isinstance(await sent(table), Accepted)


async def test_wrong_credentials_are_told_by_the_code_of_the_answer_and_shown_nowhere(store: Store) -> None:
    with capture_logs() as logs:
        async with Plaid().table(store, source("a-wrong-secret-of-mine")) as table:
            assert await refusal_of(table) == (401, "jwt_key_unknown")
    (told,) = [line for line in logs if line["event"] == "key_failed"]
    assert told["error"] == "the key was answered with 400 (INVALID_API_KEYS)"
    assert told["kid"] == PLAID_KID
    assert "of-mine" not in str(logs)


async def test_a_token_that_cannot_be_read_makes_no_request_leave(store: Store) -> None:
    sender = Plaid()
    async with sender.table(store) as table:
        on = table.get("s")
        assert isinstance(on, Source)
        for value in ("", "x", "a.b.c", "e30.e30.e30", "eyJhbGciOiJub25lIiwia2lkIjoiayJ9.e30.e30"):
            assert isinstance(await table.verify(on, of_headers({"plaid-verification": value}, BODY)), Refusal)
    assert sender.asked == []


async def test_other_credentials_for_a_source_begin_with_no_key(store: Store) -> None:
    sender = Plaid()
    async with sender.table(store) as table:
        assert isinstance(await sent(table), Accepted)
        await table.replace([source("another")])
        assert await refusal_of(table) == (401, "jwt_key_unknown")
    assert [question["secret"] for _, question in sender.asked] == [SECRET, "another"]
