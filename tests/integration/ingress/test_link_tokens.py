"""``POST /api/truto/link-token`` against something that answers as Truto does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from structlog.testing import capture_logs

from events import Store
from ingress.link_token import _ANSWER_SECONDS, MAX_WRONG_KEYS, LinkTokenRoute
from ingress.metrics import Metrics
from ingress.refusals import RefusalJournal
from tests.integration.ingress.edge import KEY, Edge, request, run_edge
from tests.servers import serve
from truto import AsyncTruto
from truto.retry import RATE_LIMIT_SECONDS, RetryPolicy

PATH = "/api/truto/link-token"
ALLOWED = {"authorization": f"Bearer {KEY}"}


@dataclass
class Truto:
    """Truto's ``/link-token``: remembers what it was asked, and answers what it is told to."""

    asked: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    content: dict[str, Any] = field(default_factory=lambda: {"link_token": "lt-1"})
    delay: float = 0.0
    retry_after: str | None = "0"

    async def link_token(self, request: Request) -> Response:
        self.asked.append(orjson.loads(await request.body()))
        await asyncio.sleep(self.delay)
        headers = {"retry-after": self.retry_after} if self.retry_after is not None else {}
        return Response(orjson.dumps(self.content), self.status, headers, "application/json")


@dataclass(frozen=True)
class Stage:
    edge: Edge
    truto: Truto

    async def ask(self, content: bytes | dict[str, Any], headers: dict[str, str] | None = None) -> httpx.Response:
        body = content if isinstance(content, bytes) else orjson.dumps(content)
        return await self.edge.http.post(PATH, content=body, headers=ALLOWED if headers is None else headers)


@asynccontextmanager
async def staged(store: Store, key: str | None = KEY) -> AsyncIterator[Stage]:
    truto = Truto()
    async with serve(Starlette(routes=[Route("/link-token", truto.link_token, methods=["POST"])])) as url:
        client = AsyncTruto(
            token="truto-api-token", base_url=url, timeout_seconds=0.3, retry=RetryPolicy(attempts=2, base_seconds=0.0)
        )
        async with run_edge(store, truto=client, link_token_key=key) as edge:
            yield Stage(edge, truto)


@pytest.fixture
async def stage(store: Store) -> AsyncIterator[Stage]:
    async with staged(store) as running:
        yield running


@pytest.mark.parametrize("name", ["tenantId", "tenant_id"])
async def test_a_tenant_gets_a_token_for_a_new_connection(stage: Stage, name: str) -> None:
    response = await stage.ask({name: " acme-1 "})
    assert (response.status_code, response.json()) == (200, {"linkToken": "lt-1"})
    assert stage.truto.asked == [{"tenant_id": "acme-1"}]


@pytest.mark.parametrize("name", ["integratedAccountId", "integrated_account_id"])
async def test_an_account_gets_a_token_to_reconnect_that_keeps_its_context(stage: Stage, name: str) -> None:
    assert (await stage.ask({name: "acc-1"})).status_code == 200
    assert stage.truto.asked == [{"integrated_account_id": "acc-1", "persist_previous_context": True}]


async def test_when_both_are_named_the_account_is_reconnected(stage: Stage) -> None:
    assert (await stage.ask({"tenantId": "acme-1", "integratedAccountId": "acc-1", "other": 1})).status_code == 200
    assert stage.truto.asked == [{"integrated_account_id": "acc-1", "persist_previous_context": True}]


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer  "], ids=repr)
async def test_the_scheme_is_read_as_the_standard_says(stage: Stage, scheme: str) -> None:
    assert (await stage.ask({"tenantId": "t"}, {"authorization": scheme + KEY})).status_code == 200


NOT_ALLOWED = [
    pytest.param([], id="absent"),
    pytest.param([b""], id="empty"),
    pytest.param([KEY.encode()], id="no-scheme"),
    pytest.param([b"Bearer"], id="no-key"),
    pytest.param([b"Basic " + KEY.encode()], id="basic"),
    pytest.param([b"Bearer\t" + KEY.encode()], id="tab"),
    pytest.param([b"Bearer " + KEY[:-1].encode()], id="prefix"),
    pytest.param([b"Bearer " + KEY.encode() + b"x"], id="one-more"),
    pytest.param([b"Bearer " + KEY.upper().encode()], id="capitals"),
    pytest.param([b"Bearer " + KEY.encode() + b"\xe9"], id="no-ascii"),
    pytest.param([b"Bearer " + KEY.encode() + b", x"], id="list"),
    pytest.param([b"Bearer " + KEY.encode()] * 2, id="twice"),
    pytest.param([b"Bearer x", b"Bearer " + KEY.encode()], id="bad-then-good"),
]


@pytest.mark.parametrize("presented", NOT_ALLOWED)
async def test_without_the_key_there_is_one_answer_and_no_call(stage: Stage, presented: list[bytes]) -> None:
    response = await stage.edge.http.post(
        PATH + "?key=" + KEY, content=b'{"tenantId":"t"}', headers=[(b"authorization", value) for value in presented]
    )
    assert response.status_code == 401
    assert response.json() == {
        "statusCode": 401,
        "error": "Unauthorized",
        "message": "Send Authorization: Bearer <LINK_TOKEN_KEY>.",
        "reason": "unauthorized",
    }
    assert response.headers["www-authenticate"] == "Bearer"
    assert stage.truto.asked == []


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        pytest.param(b"", 400, "not_json", id="empty"),
        pytest.param(b"tenantId=t", 400, "not_json", id="form"),
        pytest.param(b"[]", 400, "malformed", id="array"),
        pytest.param(b"null", 400, "malformed", id="null"),
        pytest.param(b"{}", 400, "malformed", id="nothing-named"),
        pytest.param(b'{"tenantId":null}', 400, "malformed", id="tenant-null"),
        pytest.param(b'{"tenantId":""}', 400, "malformed", id="tenant-empty"),
        pytest.param(b'{"tenantId":"  "}', 400, "malformed", id="tenant-blank"),
        pytest.param(b'{"tenantId":5}', 400, "malformed", id="tenant-number"),
        pytest.param(b'{"tenantId":{"a":1}}', 400, "malformed", id="tenant-object"),
        pytest.param(b'{"tenantId":"' + b"t" * 257 + b'"}', 400, "malformed", id="tenant-too-long"),
        pytest.param(b'{"tenantId":"t","integratedAccountId":" "}', 400, "malformed", id="account-blank"),
        pytest.param(b'{"tenantId":"' + b"t" * 17_000 + b'"}', 413, "body_too_large", id="too-large"),
    ],
)
async def test_what_is_not_a_request_is_refused_and_not_passed_on(
    stage: Stage, body: bytes, status: int, reason: str
) -> None:
    response = await stage.ask(body)
    assert (response.status_code, response.json()["reason"]) == (status, reason)
    assert stage.truto.asked == []


@pytest.mark.parametrize(
    ("answered", "status", "reason"),
    [
        (404, 404, "unknown_account"),
        (400, 400, "refused_by_truto"),
        (422, 400, "refused_by_truto"),
        (401, 502, "truto_refused"),
        (403, 502, "truto_refused"),
        (429, 503, "truto_unavailable"),
        (500, 503, "truto_unavailable"),
        (502, 503, "truto_unavailable"),
    ],
)
async def test_what_truto_refuses_is_told_in_our_words(stage: Stage, answered: int, status: int, reason: str) -> None:
    stage.truto.status = answered
    stage.truto.content = {"statusCode": answered, "error": "x", "message": "hidden-message"}
    with capture_logs() as logs:
        response = await stage.ask({"integratedAccountId": "acc-1"})
    assert (response.status_code, response.json()["reason"]) == (status, reason)
    assert "hidden" not in response.text + str(logs)
    assert response.headers.get("retry-after") == ("10" if status == 503 else None)


async def test_a_truto_that_does_not_answer_is_given_up(stage: Stage) -> None:
    stage.truto.delay = 0.5
    response = await stage.ask({"tenantId": "t"})
    assert (response.status_code, response.json()["reason"]) == (503, "truto_unavailable")


async def test_a_limit_that_truto_wants_sat_out_is_not_sat_out_here(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 429 that names no wait means ten seconds to the client; the person in front of the UI is told before."""
    monkeypatch.setattr("ingress.link_token._ANSWER_SECONDS", 0.2)
    stage.truto.status, stage.truto.retry_after = 429, None
    with capture_logs() as logs:
        response = await stage.ask({"tenantId": "t"})
    assert (response.status_code, response.json()["reason"]) == (503, "truto_unavailable")
    assert response.headers["retry-after"] == "10"
    assert [line["error"] for line in logs] == ["TimeoutError"]
    assert len(stage.truto.asked) == 1


def test_the_deadline_comes_before_the_wait_after_a_limit() -> None:
    assert _ANSWER_SECONDS < RATE_LIMIT_SECONDS


async def test_an_answer_that_is_not_trutos_is_no_token(stage: Stage) -> None:
    stage.truto.content = {"something": "else"}
    response = await stage.ask({"tenantId": "t"})
    assert (response.status_code, response.json()["reason"]) == (503, "truto_unavailable")


async def test_neither_key_nor_token_is_logged(stage: Stage) -> None:
    with capture_logs() as logs:
        await stage.ask({"tenantId": "hidden-tenant"})
        await stage.ask({"tenantId": "t"}, {"authorization": "Bearer hidden-key"})
    assert logs == [
        {"event": "link_token_created", "reconnect": False, "log_level": "info"},
        {"event": "link_token_refused", "status": 401, "reason": "unauthorized", "log_level": "warning"},
    ]


async def test_it_is_asked_for_by_post(stage: Stage) -> None:
    response = await stage.edge.http.get(PATH, headers=ALLOWED)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("key", [None, ""], ids=["none", "empty"])
async def test_without_a_key_in_the_settings_the_route_does_not_exist(store: Store, key: str | None) -> None:
    async with staged(store, key) as stage:
        assert (await stage.ask({"tenantId": "t"}, {"authorization": "Bearer x"})).status_code == 404


async def test_the_route_itself_refuses_to_work_without_a_key(store: Store) -> None:
    async with AsyncTruto(token="t") as truto:
        with pytest.raises(ValueError, match="needs a key"):
            LinkTokenRoute(truto, "", Metrics(), RefusalJournal(store))


async def test_a_caller_that_hangs_up_costs_truto_nothing(stage: Stage) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", stage.edge.port)
    head = request(b"{", b"Content-Length: 100", f"Authorization: Bearer {KEY}".encode(), path=PATH.encode())
    writer.write(head)
    await writer.drain()
    await asyncio.sleep(0.02)
    writer.close()
    await asyncio.sleep(0.05)
    assert stage.truto.asked == []


WRONG = {"authorization": "Bearer hidden-wrong-key"}


@pytest.mark.bad_input(197)
async def test_after_many_wrong_keys_further_ones_are_told_when_to_come_again(stage: Stage) -> None:
    answers = [await stage.ask({"tenantId": "t"}, WRONG) for _ in range(MAX_WRONG_KEYS + 5)]
    assert [answer.status_code for answer in answers] == [401] * MAX_WRONG_KEYS + [429] * 5
    assert {answer.json()["reason"] for answer in answers[MAX_WRONG_KEYS:]} == {"too_many_wrong_keys"}
    assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in answers[MAX_WRONG_KEYS:])
    assert stage.truto.asked == []


@pytest.mark.bad_input(197)
async def test_the_right_key_is_served_however_many_wrong_ones_came(stage: Stage) -> None:
    for _ in range(MAX_WRONG_KEYS + 5):
        await stage.ask({"tenantId": "t"}, WRONG)
    assert (await stage.ask({"tenantId": "t"})).status_code == 200


async def test_after_the_window_a_wrong_key_is_answered_as_the_first_one(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingress.link_token._WINDOW_SECONDS", 0.0)
    answers = [await stage.ask({"tenantId": "t"}, WRONG) for _ in range(MAX_WRONG_KEYS + 5)]
    assert {answer.status_code for answer in answers} == {401}


@pytest.mark.bad_input(197)
async def test_each_wrong_key_is_counted_and_a_flood_leaves_few_lines_and_notes(stage: Stage, store: Store) -> None:
    with capture_logs() as logs:
        for _ in range(100):
            await stage.ask({"tenantId": "t"}, WRONG)
    await stage.ask({"tenantId": "t"})
    figures = (await stage.edge.admin.get("/metrics")).text
    assert f'truto_worker_link_tokens_total{{outcome="unauthorized"}} {MAX_WRONG_KEYS}.0' in figures
    assert f'truto_worker_link_tokens_total{{outcome="too_many_wrong_keys"}} {100 - MAX_WRONG_KEYS}.0' in figures
    assert 'truto_worker_link_tokens_total{outcome="created"} 1.0' in figures
    assert [line["event"] for line in logs] == ["link_token_refused"] * (MAX_WRONG_KEYS + 1)
    async with asyncio.timeout(5):
        while len(noted := await store.notes.refusals()) < MAX_WRONG_KEYS + 1:  # noqa: ASYNC110  the journal writes beside
            await asyncio.sleep(0.05)
    assert {refused.source for refused in noted} == {"api/truto/link-token"}
    assert [refused.reason for refused in noted] == ["too_many_wrong_keys"] + ["unauthorized"] * MAX_WRONG_KEYS
    assert "hidden" not in str(logs) + str(noted)


async def test_a_request_that_is_refused_for_something_else_is_counted_by_its_reason(stage: Stage) -> None:
    await stage.ask({})
    assert 'truto_worker_link_tokens_total{outcome="malformed"} 1.0' in (await stage.edge.admin.get("/metrics")).text


@pytest.mark.bad_input(198)
@pytest.mark.parametrize("announced", [b"Content-Length: 10000", b"Transfer-Encoding: chunked"])
async def test_a_wrong_key_is_refused_before_its_body_is_read(stage: Stage, announced: bytes) -> None:
    head = request(b"", announced, b"Expect: 100-continue", b"Authorization: Bearer wrong", path=PATH.encode())
    answered = await stage.edge.talk(head)
    assert answered.startswith(b"HTTP/1.1 401 ")
    assert b"100 Continue" not in answered


@pytest.mark.bad_input(198)
async def test_a_right_key_is_asked_for_its_body(stage: Stage) -> None:
    key = f"Authorization: Bearer {KEY}".encode()
    head = request(b"", b"Content-Length: 16", b"Expect: 100-continue", key, path=PATH.encode())
    answered = await stage.edge.talk(head, b'{"tenantId":"t"}', pause=0.05)
    assert answered.startswith(b"HTTP/1.1 100 Continue")
    assert b'"lt-1"' in answered
