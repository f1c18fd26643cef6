"""What strangers do on the wire: too much, too slowly, out of order, or half. Nothing of it is ever accepted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from http import HTTPStatus

import orjson
import pytest
from structlog.testing import capture_logs

from events import Store
from ingress.server import EdgeProtocol
from tests.integration.ingress.edge import HOOK, LIMITS, Edge, event, request, run_edge, signature_line

BODY = event()
CHUNKED = b"Transfer-Encoding: chunked"


class HastyProtocol(EdgeProtocol):
    head_seconds = 0.15


@pytest.fixture
async def hasty(store: Store) -> AsyncIterator[Edge]:
    async with run_edge(store, protocol=HastyProtocol) as running:
        yield running


def status(raw: bytes) -> int:
    return int(raw.split(b" ", 2)[1]) if raw else 0


def chunked(*pieces: bytes, trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"


async def nothing_in(store: Store) -> bool:
    return int(await store.redis.dbsize()) == 0


async def test_a_body_declared_too_large_is_refused_before_it_is_sent(edge: Edge, store: Store) -> None:
    length = b"Content-Length: %d" % (LIMITS.body_bytes + 1)
    started = time.perf_counter()
    raw = await edge.talk(request(b"", signature_line(b""), length))
    assert status(raw) == 413
    assert b"connection: close" in raw.lower()
    assert time.perf_counter() - started < LIMITS.receipt_seconds
    assert await nothing_in(store)


async def test_a_chunked_body_is_refused_where_it_grows_too_large(edge: Edge, store: Store) -> None:
    raw = await edge.talk(request(b"", CHUNKED, signature_line(b"")), chunked(b"x" * LIMITS.body_bytes, b"x"))
    assert status(raw) == 413
    assert await nothing_in(store)


async def test_the_largest_body_is_accepted(edge: Edge) -> None:
    body = event(filler="")
    body = event(filler="x" * (LIMITS.body_bytes - len(body)))
    assert status(await edge.talk(request(body, signature_line(body)))) == 200


@pytest.mark.parametrize("framing", [CHUNKED, b"Content-Length: 100"], ids=["chunked", "declared"])
async def test_a_body_that_comes_too_slowly_is_refused_in_time(edge: Edge, store: Store, framing: bytes) -> None:
    started = time.perf_counter()
    raw = await edge.talk(request(b"1", framing, signature_line(BODY)))
    assert status(raw) == 408
    assert b'"body_too_slow"' in raw
    assert time.perf_counter() - started < 1
    assert await nothing_in(store)


@pytest.mark.bad_input(21)
async def test_a_signature_in_the_trailers_counts_for_nothing(edge: Edge, store: Store) -> None:
    raw = await edge.talk(request(b"", CHUNKED), chunked(BODY, trailers=signature_line(BODY) + b"\r\n"))
    assert status(raw) == 401
    assert await nothing_in(store)


async def test_trailers_do_not_reach_the_next_request(edge: Edge, store: Store) -> None:
    open_request = request(b"", CHUNKED).replace(b"Connection: close\r\n", b"")
    first = open_request + chunked(BODY, trailers=signature_line(BODY) + b"\r\n")
    raw = await edge.talk(first + request(BODY))
    assert raw.count(b"HTTP/1.1 401 ") == 2
    assert await nothing_in(store)


async def test_trailers_are_not_collected(edge: Edge) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(request(b"", CHUNKED, signature_line(b"")) + b"0\r\n" + b"a: b\r\n" * 1000)
    await writer.drain()
    await asyncio.sleep(0.05)
    (connection,) = edge.server.server_state.connections
    assert isinstance(connection, EdgeProtocol)
    assert len(connection.headers) == 0
    writer.close()


async def test_a_head_that_comes_too_slowly_is_closed(hasty: Edge, store: Store) -> None:
    started = time.perf_counter()
    raw = await hasty.talk(*[bytes([byte]) for byte in request(BODY)[:20]], pause=0.02)
    assert status(raw) in (0, 408)
    assert time.perf_counter() - started < 1
    assert await nothing_in(store)


async def test_a_connection_that_says_nothing_is_closed(hasty: Edge) -> None:
    assert status(await hasty.talk(b"")) == 408


async def test_a_head_without_end_is_closed(edge: Edge) -> None:
    raw = await edge.talk(request(BODY)[:40], *[b"X-Filler: " + b"x" * 11_000 + b"\r\n"] * 6, pause=0.005)
    assert status(raw) == 431


NOT_A_REQUEST = {
    "broken-line": (b"POST webhooks HTTP/1.1\r\n\r\n", 400, "malformed_request"),
    "no-http": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "malformed_request"),
    "broken-header": (request(BODY, b"X : y"), 400, "malformed_request"),
    "broken-chunk": (request(b"z\r\n", CHUNKED), 400, "malformed_request"),
    "http-2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "malformed_request"),
    "nothing": (b"", 408, "headers_too_slow"),
    "half-a-head": (request(BODY)[:40], 408, "headers_too_slow"),
    "large-head": (request(BODY)[:40] + b"X: " + b"x" * 70_000, 431, "headers_too_large"),
}


@pytest.mark.parametrize("name", NOT_A_REQUEST)
async def test_what_never_becomes_a_request_is_refused_in_the_usual_envelope(hasty: Edge, name: str) -> None:
    sent, expected, reason = NOT_A_REQUEST[name]
    head, _, body = (await hasty.talk(sent)).partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    headers = dict(field.lower().split(": ") for field in fields)
    assert line == f"HTTP/1.1 {expected} {HTTPStatus(expected).phrase}"
    assert (headers["connection"], headers["content-type"]) == ("close", "application/json")
    assert int(headers["content-length"]) == len(body)
    told = orjson.loads(body)
    assert (told["statusCode"], told["error"], told["reason"]) == (expected, HTTPStatus(expected).phrase, reason)


async def test_twenty_thousand_headers_are_refused(edge: Edge, store: Store) -> None:
    raw = await edge.talk(request(BODY, signature_line(BODY), *[b"x: y"] * 20_000))
    assert status(raw) in (0, 431)
    assert await nothing_in(store)


@pytest.mark.bad_input(80)
async def test_a_token_of_two_megabytes_ends_the_connection(edge: Edge, store: Store) -> None:
    raw = await edge.talk(request(BODY, signature_line(BODY), b"Authorization: Bearer " + b"x" * 2_000_000))
    assert status(raw) in (0, 431)  # who still sends when the connection is closed may not get to read the answer
    assert await nothing_in(store)


async def test_idle_connections_do_not_keep_others_out(edge: Edge) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", edge.port) for _ in range(200)]
    assert (await edge.deliver(BODY)).status_code == 200
    for _, writer in idle:
        writer.close()


@pytest.mark.parametrize("framing", [CHUNKED, b"Content-Length: 1000"], ids=["chunked", "declared"])
async def test_a_sender_that_hangs_up_leaves_nothing(edge: Edge, store: Store, framing: bytes) -> None:
    with capture_logs() as logs:
        _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(request(b"5\r\n{", framing, signature_line(BODY)))
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.close()
        await asyncio.sleep(0.05)
    assert [line["event"] for line in logs] == ["delivery_abandoned"]
    assert await nothing_in(store)


async def test_a_body_cut_off_by_the_end_of_the_connection_is_not_accepted(edge: Edge, store: Store) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(request(BODY, signature_line(BODY), b"Content-Length: %d" % (len(BODY) + 1)))
    writer.write_eof()
    await asyncio.sleep(0.05)
    assert await nothing_in(store)
    writer.close()


async def test_pipelined_deliveries_are_answered_in_order(edge: Edge) -> None:
    bodies = [event(str(n)) for n in range(5)]
    requests = [request(body, signature_line(body)) for body in bodies]
    kept_open = [one.replace(b"Connection: close\r\n", b"") for one in requests[:-1]]
    raw = await edge.talk(b"".join(kept_open) + requests[-1])
    assert raw.count(b"HTTP/1.1 200 OK") == 5
    positions = [raw.index(b'"id":"%d"' % n) for n in range(5)]
    assert positions == sorted(positions)


async def test_a_body_is_not_read_as_the_next_request(edge: Edge, store: Store) -> None:
    inner = request(BODY, signature_line(BODY))
    raw = await edge.talk(request(inner))
    assert raw.count(b"HTTP/1.1") == 1
    assert status(raw) == 401
    assert await nothing_in(store)


@pytest.mark.parametrize(
    "raw_request",
    [
        pytest.param(
            request(chunked(BODY), signature_line(BODY), CHUNKED, b"Content-Length: 5"), id="length-and-chunked"
        ),
        pytest.param(request(BODY, signature_line(BODY), b"Content-Length: 5", b"Content-Length: 6"), id="two-lengths"),
        pytest.param(request(BODY, signature_line(BODY), b"Content-Length: -1"), id="negative-length"),
        pytest.param(request(BODY, signature_line(BODY), b"Content-Length: +5"), id="signed-length"),
        pytest.param(request(BODY, signature_line(BODY), b"Content-Length: 0x5"), id="hexadecimal-length"),
        pytest.param(request(BODY, signature_line(BODY), b"Content-Length: " + b"9" * 30), id="huge-length"),
        pytest.param(request(chunked(BODY), signature_line(BODY), b"Transfer-Encoding: xchunked"), id="xchunked"),
        pytest.param(request(b"5\r\nabcdeXX0\r\n\r\n", signature_line(BODY), CHUNKED), id="broken-chunk-end"),
        pytest.param(request(b"z\r\n" + BODY, signature_line(BODY), CHUNKED), id="broken-chunk-length"),
        pytest.param(request(BODY, signature_line(BODY)).replace(b"\r\n", b"\n"), id="bare-newlines"),
        pytest.param(request(BODY, b"X: a\r\n b", signature_line(BODY) + b"\r\n\tfolded"), id="folded-header"),
        pytest.param(request(BODY, signature_line(BODY).replace(b":", b" :")), id="space-before-colon"),
        pytest.param(request(BODY, b"X: a\0b", signature_line(BODY)), id="nul-in-header"),
        pytest.param(request(BODY, b"X: a\rb", signature_line(BODY)), id="return-in-header"),
        pytest.param(request(BODY, signature_line(BODY), path=b"@evil/webhooks/truto"), id="path-without-slash"),
        pytest.param(request(BODY, signature_line(BODY), path=b"/webhooks/tr\xc3\xbcto"), id="path-not-ascii"),
        pytest.param(request(BODY, signature_line(BODY), path=b"*"), id="asterisk"),
        pytest.param(request(BODY, signature_line(BODY), method=b"CONNECT", path=b"test:80"), id="connect"),
        pytest.param(request(BODY, signature_line(BODY), method=b"post"), id="method-in-small-letters"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="tls"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="http-2"),
        pytest.param(b"POST /webhooks/truto\r\n\r\n" + BODY, id="http-0.9"),
        pytest.param(b"\0" * 1000, id="zeros"),
    ],
)
async def test_a_request_that_could_be_read_in_two_ways_is_not_accepted(
    hasty: Edge, store: Store, raw_request: bytes
) -> None:
    answered = status(await hasty.talk(raw_request))
    assert answered == 0 or 400 <= answered < 500
    assert await nothing_in(store)
    assert (await hasty.http.get("/livez")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [b"Expect: 100-continue"],
        [b"Host: x/../admin"],
        [b"Range: bytes=0-,0-,0-"],
        [b"X-Forwarded-For: 1.1.1.1", b"X-Forwarded-Proto: https"],
    ],
    ids=["expect", "second-host", "range", "forwarded"],
)
async def test_headers_that_ask_for_something_else_change_nothing(edge: Edge, headers: list[bytes]) -> None:
    raw = await edge.talk(request(BODY, signature_line(BODY), *headers))
    assert status(raw.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")) == 200


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
async def test_who_wants_another_protocol_gets_one_refusal_and_no_more(
    hasty: Edge, store: Store, protocol: bytes
) -> None:
    inner = request(BODY, signature_line(BODY))
    upgrade = request(inner, b"Upgrade: " + protocol).replace(b"Connection: close", b"Connection: upgrade")
    head, separator, body = upgrade.partition(b"\r\n\r\n")
    raw = await hasty.talk(head + separator, body, body, pause=0.02)
    assert raw.count(b"HTTP/1.1") == 1
    assert 400 <= status(raw) < 500
    assert await nothing_in(store)


async def test_http_1_0_is_served(edge: Edge) -> None:
    raw = await edge.talk(request(BODY, signature_line(BODY)).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert status(raw) == 200


async def test_the_path_is_the_one_in_the_request_line(edge: Edge, store: Store) -> None:
    raw = await edge.talk(request(BODY, signature_line(BODY), path=b"/livez?x=" + HOOK.encode()))
    assert status(raw) == 405
    assert await nothing_in(store)
