"""Whatever strangers send, the app answers in its own envelope, never fails, and never takes in what is not signed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message, Scope

from events import Store
from events.embedded import EmbeddedRedis
from ingress import Limits, create_app, truto_source
from tests.integration.ingress.edge import HOOK, SECRET, event
from tests.servers import free_port
from truto.signature import sign

BODY = event()
PATHS = st.sampled_from([HOOK, "/webhooks/x", "/livez", "/readyz", "/metrics", "/", "//webhooks/truto"])
METHODS = st.sampled_from(["POST", "POST", "POST", "GET", "PUT", "HEAD", "OPTIONS", "TRACE", "post", ""])
NAMES = st.sampled_from(
    [b"content-type", b"content-length", b"content-encoding", b"x-truto-signature", b"host", b"authorization", b"range"]
)
VALUES = st.binary(max_size=60) | st.sampled_from(
    [
        b"application/json",
        b"multipart/form-data; boundary=b",
        b"multipart/form-data; boundary*=utf-8''%E2%82%AC",
        b"9" * 5000,
        b"5",
        b"x" * 40_000,
        b"identity",
    ]
)
HEADERS = st.lists(st.tuples(NAMES | st.binary(min_size=1, max_size=10), VALUES), max_size=6)
BODIES = st.binary(max_size=300) | st.sampled_from(
    [BODY, b"x" * 2000, b"[" * 900, b"--b\r\n\r\n" + BODY + b"\r\n--b--"]
)


@dataclass
class Stranger:
    """One request as the application sees it, piece by piece; what it answers is collected."""

    pieces: list[bytes]
    hangs_up: bool = False
    answers: list[Message] = field(default_factory=list)

    async def receive(self) -> Message:
        if self.pieces:
            piece = self.pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self.pieces) or self.hangs_up}
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.answers.append(message)


def scope_of(method: str, path: str, headers: list[tuple[bytes, bytes]]) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }


async def send_in(store: Store, scope: Scope, stranger: Stranger, *, admin: bool = False) -> int | None:
    """The status the app answers with, or that of its admin port; ``None`` when it has nobody to answer."""
    app = create_app(store, [truto_source([SECRET])], limits=Limits(body_bytes=1000, receipt_seconds=1))
    app = app.state.admin if admin else app
    await app(scope, stranger.receive, stranger.send)
    if not stranger.answers:
        return None
    start, *rest = stranger.answers
    content = b"".join(message.get("body", b"") for message in rest)
    status = int(start["status"])
    if status >= 400:
        told: dict[str, Any] = orjson.loads(content)
        assert told["statusCode"] == status
        assert told["reason"]
    return status


@pytest.fixture(params=["redis", "nobody"])
def url(request: pytest.FixtureRequest, redis_server: EmbeddedRedis) -> str:
    """Where the store is, or is not."""
    return redis_server.url if request.param == "redis" else f"redis://127.0.0.1:{free_port()}"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=METHODS | st.text(max_size=5),
    path=PATHS | st.text(max_size=20).map(lambda text: "/" + text) | st.text(max_size=5),
    headers=HEADERS,
    pieces=st.lists(BODIES, min_size=1, max_size=3),
    hangs_up=st.booleans(),
    signed=st.booleans(),
    admin=st.booleans(),
)
def test_nothing_that_is_sent_makes_the_app_fail(
    url: str,
    method: str,
    path: str,
    headers: list[tuple[bytes, bytes]],
    pieces: list[bytes],
    hangs_up: bool,
    signed: bool,
    admin: bool,
) -> None:
    if signed:
        headers = [*headers, (b"x-truto-signature", sign(b"".join(pieces), SECRET).encode())]

    async def scenario() -> int | None:
        store = Store.connect(url)
        try:
            stranger = Stranger(list(pieces), hangs_up)
            return await send_in(store, scope_of(method, path, headers), stranger, admin=admin)
        finally:
            await store.close()

    status = asyncio.run(scenario())
    assert status in (None, 200, 400, 401, 404, 405, 408, 413, 415, 431, 503)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    headers=HEADERS,
    presented=st.lists(st.binary(max_size=90) | st.just(sign(b"", SECRET).encode()), max_size=2),
    body=BODIES,
)
def test_without_a_valid_signature_nothing_is_ever_accepted(
    redis_server: EmbeddedRedis, headers: list[tuple[bytes, bytes]], presented: list[bytes], body: bytes
) -> None:
    signature = sign(body, SECRET).encode()
    forged = [(b"x-truto-signature", value) for value in presented if value != signature]
    forged += [(name, value) for name, value in headers if value != signature]

    async def scenario() -> tuple[int | None, int]:
        store = Store.connect(redis_server.url)
        try:
            await store.redis.flushall()
            status = await send_in(store, scope_of("POST", HOOK, forged), Stranger([body]))
            return status, await store.redis.dbsize()
        finally:
            await store.close()

    status, kept = asyncio.run(scenario())
    assert kept == 0
    assert status in (401, 413, 415, 431)
