"""Deliveries over real HTTP into a real Redis: what is taken, what is refused, and that a refusal leaves nothing."""

from __future__ import annotations

import asyncio
import logging

import httpx
import orjson
import pytest
from structlog.testing import capture_logs

from events import Store
from tests.integration.events.deliveries import claim_one
from tests.integration.ingress.edge import HOOK, OLD_SECRET, SECRET, Edge, event, request, signature_line
from truto.signature import sign


def envelope(response: httpx.Response) -> tuple[int, str]:
    """The status and reason of a refusal, after a look at its shape."""
    told = response.json()
    assert set(told) == {"statusCode", "error", "message", "reason"}
    assert told["statusCode"] == response.status_code
    assert response.headers["content-type"] == "application/json"
    return response.status_code, told["reason"]


async def test_an_authentic_delivery_is_accepted_and_in_redis_before_the_answer(edge: Edge, store: Store) -> None:
    body = event(payload={"n": 1})
    response = await edge.deliver(body)
    assert (response.status_code, response.json()) == (
        200,
        {"status": "accepted", "events": [{"id": "e-1", "type": "ping"}]},
    )
    lease = await claim_one(store)
    assert lease.event.raw == body
    assert lease.event.headers["content-type"] == "application/json"


@pytest.mark.bad_input(40)
async def test_a_second_delivery_is_a_duplicate_with_no_effect(edge: Edge, store: Store) -> None:
    await edge.deliver(event())
    again = await edge.deliver(event())
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    await claim_one(store)


@pytest.mark.bad_input(41)
async def test_to_the_sender_a_conflict_is_a_duplicate_and_to_the_operator_a_conflict(edge: Edge, store: Store) -> None:
    await edge.deliver(event())
    with capture_logs() as logs:
        response = await edge.deliver(event(changed=True))
    assert (response.status_code, response.json()["status"]) == (200, "duplicate")
    assert [(line["outcome"], line["log_level"]) for line in logs] == [("conflict", "warning")]
    assert 'outcome="conflict"' in (await edge.admin.get("/metrics")).text
    assert (await claim_one(store)).event.raw == event()


@pytest.mark.bad_input(44)
async def test_a_hundred_identical_deliveries_at_once_have_one_effect(edge: Edge, store: Store) -> None:
    answers = await asyncio.gather(*(edge.deliver(event()) for _ in range(100)))
    assert sorted(answer.json()["status"] for answer in answers) == ["accepted"] + ["duplicate"] * 99
    await claim_one(store)


async def test_both_secrets_count_while_they_rotate(edge: Edge) -> None:
    assert (await edge.deliver(event("1"), secret=SECRET)).status_code == 200
    assert (await edge.deliver(event("2"), secret=OLD_SECRET)).status_code == 200
    assert 'truto_worker_secret_used_total{position="1",source="truto"} 1.0' in (await edge.admin.get("/metrics")).text


async def test_an_unknown_type_and_an_odd_id_are_accepted(edge: Edge, store: Store) -> None:
    body = orjson.dumps({"event": "no.such:thing", "id": "a\n\x1b[31m\0" + "x" * 10_000})
    told = (await edge.deliver(body)).json()["events"][0]
    assert told["type"] == "no.such:thing"
    assert told["id"].startswith("sha256:")
    assert (await claim_one(store)).event.id == told["id"]


async def test_a_form_is_taken_apart_and_kept_whole(edge: Edge, store: Store) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="data"\r\n\r\n' + event() + b"\r\n--b--\r\n"
    assert (await edge.deliver(body, content_type="multipart/form-data; boundary=b")).status_code == 200
    lease = await claim_one(store)
    assert lease.event.raw == event()
    assert await store.bodies.raw(lease.event) == body


async def test_a_chunked_delivery_is_accepted(edge: Edge) -> None:
    async def pieces() -> object:
        for byte in event():
            yield bytes([byte])

    headers = {"x-truto-signature": sign(event(), SECRET)}
    assert (await edge.http.post(HOOK, content=pieces(), headers=headers)).status_code == 200  # type: ignore[arg-type]  # an async generator


BODY = event()
GOOD = {"x-truto-signature": sign(BODY, SECRET), "content-type": "application/json"}
NOT_AUTHENTIC = [
    pytest.param([], id="no-signature"),
    pytest.param([b""], id="empty"),
    pytest.param([sign(BODY, "another").encode()], id="wrong-secret"),
    pytest.param([sign(BODY + b"\n", SECRET).encode()], id="another-body"),
    pytest.param([GOOD["x-truto-signature"].encode()] * 2, id="twice"),
    pytest.param([GOOD["x-truto-signature"].encode(), b"v=1"], id="good-then-bad"),
    pytest.param([b"v=1", GOOD["x-truto-signature"].encode()], id="bad-then-good"),
    pytest.param([b"format=sha256,v=\xe9\xff"], id="no-ascii"),
    pytest.param([b"format=sha256,v=" + b"0" * 64], id="wrong-digest"),
    pytest.param([GOOD["x-truto-signature"].encode() + b"\xe9"], id="good-with-a-tail"),
]


@pytest.mark.parametrize("presented", NOT_AUTHENTIC)
async def test_a_delivery_that_is_not_authentic_is_refused_in_one_body(
    edge: Edge, store: Store, presented: list[bytes]
) -> None:
    headers = [(b"content-type", b"application/json")] + [(b"x-truto-signature", value) for value in presented]
    response = await edge.http.post(HOOK, content=BODY, headers=headers)
    assert response.content == (
        b'{"statusCode":401,"error":"Unauthorized","message":"The delivery is not authentic.",'
        b'"reason":"signature_mismatch"}'
    )
    assert response.status_code == 401
    assert await store.redis.dbsize() == 0


MALFORMED = {
    "empty": (b"", "not_json"),
    "not-json": (b"event=ping", "not_json"),
    "half-json": (b'{"event":"a","n":', "not_json"),
    "deep": (b"[" * 60_000, "not_json"),
    "array": (b"[]", "not_an_object"),
    "text": (b'"ping"', "not_an_object"),
    "no-name": (b'{"id":"1"}', "event_name_missing"),
    "long-name": (b'{"event":"' + b"a" * 257 + b'"}', "event_name_malformed"),
}


@pytest.mark.parametrize("case", MALFORMED)
async def test_an_authentic_delivery_without_an_event_is_malformed(edge: Edge, store: Store, case: str) -> None:
    body, reason = MALFORMED[case]
    assert envelope(await edge.deliver(body)) == (400, reason)
    assert await store.redis.dbsize() == 0


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"content_type": "text/plain"}, 415, "unsupported_media_type"),
        ({"content_type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
        ({"content_encoding": "gzip"}, 415, "unsupported_encoding"),
        ({"content_encoding": "br"}, 415, "unsupported_encoding"),
        ({"x_filler": "x" * 33_000}, 431, "headers_too_large"),
        ({f"x_{n}": "y" for n in range(101)}, 431, "headers_too_large"),
    ],
    ids=["text", "form", "gzip", "brotli", "large-header", "many-headers"],
)
async def test_an_unusable_head_is_refused(
    edge: Edge, store: Store, headers: dict[str, str], status: int, reason: str
) -> None:
    response = await edge.deliver(BODY, **headers)
    assert envelope(response) == (status, reason)
    assert response.headers["connection"] == "close"
    assert await store.redis.dbsize() == 0


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "OPTIONS", "TRACE", "DELETE", "PATCH"])
async def test_another_method_is_told_the_right_one(edge: Edge, store: Store, method: str) -> None:
    response = await edge.http.request(method, HOOK, headers=GOOD)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert method == "HEAD" or envelope(response) == (405, "method_not_allowed")
    assert await store.redis.dbsize() == 0


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/webhooks/github", "unknown_source"),
        ("/webhooks/TRUTO", "unknown_source"),
        ("/webhooks/truto%0a", "unknown_source"),
        ("/webhooks/truto//", "not_found"),
        ("/webhooks/truto%2f..", "not_found"),
        ("//webhooks/truto", "not_found"),
        ("/webhooks/", "not_found"),
        ("/webhooks", "not_found"),
        ("/", "not_found"),
        ("/api/truto/link-token", "not_found"),
        ("/console", "not_found"),
        ("/docs", "not_found"),
    ],
)
async def test_what_does_not_exist_is_not_found_and_nobody_is_redirected(
    edge: Edge, store: Store, path: str, reason: str
) -> None:
    raw = await edge.talk(request(BODY, signature_line(BODY), path=path.encode()))
    head, _, content = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert b"location:" not in head.lower()
    assert orjson.loads(content)["reason"] == reason
    assert await store.redis.dbsize() == 0


async def test_an_escaped_path_to_a_source_is_that_source(edge: Edge) -> None:
    assert b" 200 OK" in await edge.talk(request(BODY, signature_line(BODY), path=b"/webhooks/%74ruto"))


async def test_an_unknown_source_is_counted_under_one_name(edge: Edge) -> None:
    await edge.http.post("/webhooks/evil-label", content=b"{}")
    text = (await edge.admin.get("/metrics")).text
    assert 'truto_worker_refusals_total{reason="unknown_source",source="unknown",status="404"} 1.0' in text
    assert "evil-label" not in text


async def test_no_secret_signature_or_body_is_logged(
    edge: Edge, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    hidden = event("e-1", payload={"ssn": "hidden-payload"})
    malformed = b'{"payload":"hidden-payload"}'
    with capture_logs() as logs:
        assert (await edge.deliver(hidden)).status_code == 200
        assert (await edge.deliver(hidden, secret="hidden-secret")).status_code == 401
        assert (await edge.deliver(malformed)).status_code == 400
        assert (await edge.deliver(hidden, content_type="hidden-payload/x")).status_code == 415
        await edge.http.post("/webhooks/x", content=hidden)
    written = capfd.readouterr()
    everything = f"{logs}{caplog.text}{written.out}{written.err}"
    assert [line["event"] for line in logs] == ["delivery", *["delivery_refused"] * 4]
    for secret in ("hidden", SECRET, OLD_SECRET, sign(hidden, SECRET)):
        assert secret not in everything


async def test_the_log_line_of_a_delivery_says_what_is_needed_to_find_it(edge: Edge) -> None:
    with capture_logs() as logs:
        await edge.deliver(BODY)
    assert logs == [
        {
            "event": "delivery",
            "source": "truto",
            "outcome": "accepted",
            "event_id": "e-1",
            "event_type": "ping",
            "bytes": len(BODY),
            "log_level": "info",
        }
    ]


async def test_the_cause_of_a_401_is_for_the_log_and_the_figures_only(edge: Edge) -> None:
    with capture_logs() as logs:
        await edge.http.post(HOOK, content=BODY)
    assert logs[0]["reason"] == "signature_missing"
    assert 'reason="signature_missing",source="truto",status="401"} 1.0' in (await edge.admin.get("/metrics")).text
