"""What a source answers, and by which methods its handshakes come, over real HTTP."""

from __future__ import annotations

import hmac
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from events import Store
from ingress import Limits
from ingress.sources.loading import read_source
from ingress.sources.source import Source
from tests.integration.ingress.edge import run_edge
from tests.integration.ingress.test_sources import BODY, SECRET, signed, source

DISCORD = Ed25519PrivateKey.from_private_bytes(b"d" * 32)


def preset(name: str, *, secret: str = SECRET, **options: Any) -> Source:
    return read_source("s", {"preset": name, "secrets": [secret], "options": options}, {})


@asynccontextmanager
async def served(store: Store, on: Source) -> AsyncIterator[httpx.AsyncClient]:
    async with run_edge(store, sources=[on]) as edge:
        yield edge.http


def digest(content: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.digest(SECRET.encode(), content, algorithm)


def as_slack(body: bytes) -> dict[str, str]:
    moment = str(int(time.time()))
    return {
        "x-slack-request-timestamp": moment,
        "x-slack-signature": "v0=" + digest(f"v0:{moment}:".encode() + body).hex(),
        "content-type": "application/json",
    }


def as_discord(body: bytes) -> dict[str, str]:
    moment = str(int(time.time()))
    made = DISCORD.sign(moment.encode() + body).hex()
    return {"x-signature-timestamp": moment, "x-signature-ed25519": made, "content-type": "application/json"}


async def test_xero_is_answered_with_nothing_at_first_and_again(store: Store) -> None:
    body = b'{"events":[],"firstEventSequence":0,"lastEventSequence":0,"entropy":"HMXBPVXELKNQVVIKLSMJ"}'
    headers = {"content-type": "application/json", "x-xero-signature": b64encode(digest(body)).decode()}
    async with served(store, preset("xero")) as http:
        for _ in range(2):
            answered = await http.post("/webhooks/s", content=body, headers=headers)
            assert (answered.status_code, answered.content) == (200, b"")
            assert "set-cookie" not in answered.headers
        forged = await http.post("/webhooks/s", content=body, headers={**headers, "x-xero-signature": "x"})
        assert forged.status_code == 401


async def test_slack_is_answered_with_a_bare_200_and_its_challenge_all_the_same(store: Store) -> None:
    async with served(store, preset("slack")) as http:
        body = orjson.dumps({"type": "event_callback", "event_id": "E1", "event": {"type": "message"}})
        answered = await http.post("/webhooks/s", content=body, headers=as_slack(body))
        assert (answered.status_code, answered.content) == (200, b"")
        body = orjson.dumps({"type": "url_verification", "challenge": "c"})
        answered = await http.post("/webhooks/s", content=body, headers=as_slack(body))
        assert answered.json() == {"challenge": "c"}


async def test_discords_interaction_is_put_off_and_its_ping_answered(store: Store) -> None:
    on = preset("discord", secret=DISCORD.public_key().public_bytes_raw().hex())
    async with served(store, on) as http:
        for body, told in ((b'{"type":2,"id":"1"}', {"type": 5}), (b'{"type":1,"id":"2"}', {"type": 1})):
            answered = await http.post("/webhooks/s", content=body, headers=as_discord(body))
            assert (answered.status_code, answered.json()) == (200, told)
            assert answered.headers["content-type"] == "application/json"


async def test_twilio_is_answered_with_twiml(store: Store) -> None:
    body = b"Body=%3CResponse%3E&MessageSid=SM1"
    content = b"https://you.example/webhooks/sBody<Response>MessageSidSM1"
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "x-twilio-signature": b64encode(digest(content, "sha1")).decode(),
    }
    async with served(store, preset("twilio", public_url="https://you.example")) as http:
        answered = await http.post("/webhooks/s", content=body, headers=headers)
    assert (answered.status_code, answered.headers["content-type"]) == (200, "text/xml")
    assert answered.text == '<?xml version="1.0" encoding="UTF-8"?><Response/>'


@pytest.mark.parametrize(
    ("answer", "status", "content"),
    [
        ({"status": 202}, 202, b""),
        ({"status": 204}, 204, b""),
        ({"body": "[accepted]"}, 200, b"[accepted]"),
        ({"body": {"ok": True}}, 200, b'{"ok":true}'),
    ],
)
async def test_a_source_of_ones_own_answers_as_it_says(
    store: Store, answer: dict[str, Any], status: int, content: bytes
) -> None:
    async with served(store, source(options={"answer": answer, "event": {"id": "{{body.id}}"}})) as http:
        for _ in range(2):
            answered = await http.post("/webhooks/s", content=BODY, headers=signed(BODY))
            assert (answered.status_code, answered.content) == (status, content)
    assert (await store.inspection.overview()).ready == 1


async def test_what_is_refused_is_refused_in_the_usual_envelope(store: Store) -> None:
    async with served(store, source(options={"answer": {"body": "taken"}})) as http:
        answered = await http.post("/webhooks/s", content=b"[]", headers=signed(b"[]"))
        assert (answered.status_code, answered.json()["reason"]) == (400, "not_an_object")
        answered = await http.post("/webhooks/s", content=BODY, headers={"content-type": "application/json"})
        assert (answered.status_code, answered.json()["reason"]) == (401, "signature_mismatch")


# -- handshakes --------------------------------------------------------------------------------------------------------

CLOUD_EVENTS = (
    "method = 'OPTIONS' and $exists(headers.`webhook-request-origin`)"
    " ? {'type': 'verify', 'verification_response': {'status_code': 200, 'headers': {"
    "'webhook-allowed-origin': headers.`webhook-request-origin`, 'webhook-allowed-rate': '*'}}}"
    " : {'type': 'payload'}"
)


async def test_intercom_may_ask_by_head(store: Store) -> None:
    async with served(store, preset("intercom")) as http:
        assert (await http.head("/webhooks/s")).status_code == 200
        assert (await http.get("/webhooks/s")).status_code == 405
        assert (await http.post("/webhooks/s", content=BODY)).status_code == 401
    assert (await store.inspection.overview()).ready == 0


async def test_cloud_events_are_allowed_by_options(store: Store) -> None:
    on = source(options={"handshake_methods": ["OPTIONS"]}, handle_verification=CLOUD_EVENTS)
    async with served(store, on) as http:
        asked = await http.options("/webhooks/s", headers={"webhook-request-origin": "events.example"})
        assert asked.status_code == 200
        assert asked.headers["webhook-allowed-origin"] == "events.example"
        assert asked.headers["webhook-allowed-rate"] == "*"
        assert (await http.options("/webhooks/s")).status_code == 405
        assert (await http.post("/webhooks/s", content=BODY, headers=signed(BODY))).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"])
async def test_any_other_method_is_refused_with_those_that_are_not(store: Store, method: str) -> None:
    on = source(options={"handshake_methods": ["OPTIONS"]}, handle_verification=CLOUD_EVENTS)
    async with served(store, on) as http:
        refused = await http.request(method, "/webhooks/s")
    assert refused.status_code == 405
    assert refused.headers["allow"] in ("POST", "OPTIONS, POST")


async def test_the_old_spelling_allows_get_alone(store: Store) -> None:
    handle = "method != 'POST' ? {'type': 'verify'} : {'type': 'payload'}"
    async with served(store, source(options={"get_handshake": True}, handle_verification=handle)) as http:
        assert [(await http.request(m, "/webhooks/s")).status_code for m in ("GET", "HEAD", "OPTIONS")] == [
            200,
            405,
            405,
        ]


async def test_a_delivery_is_never_taken_by_another_method(store: Store) -> None:
    on = source(options={"handshake_methods": ["GET", "HEAD", "OPTIONS"]}, handle_verification="{'type': 'payload'}")
    async with served(store, on) as http:
        for method in ("GET", "HEAD", "OPTIONS"):
            asked = await http.request(method, "/webhooks/s", content=BODY, headers=signed(BODY))
            assert asked.status_code == 405
    assert (await store.inspection.overview()).ready == 0


# -- sizes -------------------------------------------------------------------------------------------------------------

SIZED = Limits(body_bytes=64 * 1024, buffered_bytes=1024 * 1024)


@pytest.mark.parametrize(("size", "status"), [(200 * 1024, 200), (300 * 1024, 413)])
@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
async def test_a_source_may_take_larger_bodies_than_others(
    store: Store, size: int, status: int, *, chunked: bool
) -> None:
    body = BODY[:-1] + b" " * (size - len(BODY)) + b"}"

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 32 * 1024):
            yield body[at : at + 32 * 1024]

    on = source(options={"max_body_bytes": 256 * 1024})
    async with run_edge(store, sources=[on, source("small")], limits=SIZED) as edge:
        content = pieces() if chunked else body
        assert (await edge.http.post("/webhooks/s", content=content, headers=signed(body))).status_code == status
        assert (await edge.http.post("/webhooks/small", content=body, headers=signed(body))).status_code == 413


async def test_a_source_takes_no_more_than_the_memory_for_all_bodies_allows(store: Store) -> None:
    body = BODY[:-1] + b" " * 600 * 1024 + b"}"
    async with run_edge(store, sources=[source(options={"max_body_bytes": 10_000_000})], limits=SIZED) as edge:
        assert (await edge.http.post("/webhooks/s", content=body, headers=signed(body))).status_code == 413


async def test_a_source_may_take_smaller_bodies_than_others(store: Store) -> None:
    body = BODY[:-1] + b" " * 2048 + b"}"
    async with run_edge(store, sources=[source(options={"max_body_bytes": 1024})], limits=SIZED) as edge:
        assert (await edge.http.post("/webhooks/s", content=body, headers=signed(body))).status_code == 413
