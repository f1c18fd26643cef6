"""What strangers do on the wire: too much, too slowly, out of order, or half. Nothing of it is ever accepted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from http import HTTPStatus

import orjson
import pytest
from structlog.testing import capture_logs

from events import Store
from ingress import Limits
from ingress.server import EdgeProtocol
from tests.integration.ingress.edge import HOOK, LIMITS, Edge, event, request, run_edge, signature_line

BODY = event()
CHUNKED = b"Transfer-Encoding: chunked"
HASTY = replace(LIMITS, head_seconds=0.15)


@pytest.fixture
async def hasty(store: Store) -> AsyncIterator[Edge]:
    async with run_edge(store, limits=HASTY) as running:
        yield running


def status(raw: bytes) -> int:
    return int(raw.split(b" ", 2)[1]) if raw else 0


def chunked(*pieces: bytes, trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  what is waited for lies in the server
            await asyncio.sleep(0.01)


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


@pytest.mark.bad_input(138)
@pytest.mark.parametrize("said", [b"", b"\r\n\r\n"], ids=["nothing", "empty lines"])
async def test_a_connection_that_asks_nothing_is_closed_without_an_answer(hasty: Edge, said: bytes) -> None:
    assert await hasty.talk(said) == b""


async def test_a_head_without_end_is_closed(edge: Edge) -> None:
    raw = await edge.talk(request(BODY)[:40], *[b"X-Filler: " + b"x" * 11_000 + b"\r\n"] * 6, pause=0.005)
    assert status(raw) == 431


NOT_A_REQUEST = {
    "broken-line": (b"POST webhooks HTTP/1.1\r\n\r\n", 400, "malformed_request"),
    "no-http": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "malformed_request"),
    "broken-header": (request(BODY, b"X : y"), 400, "malformed_request"),
    "broken-chunk": (request(b"z\r\n", CHUNKED), 400, "malformed_request"),
    "http-2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "malformed_request"),
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
        [b"Range: bytes=0-,0-,0-"],
        [b"X-Forwarded-For: 1.1.1.1", b"X-Forwarded-Proto: https"],
    ],
    ids=["expect", "range", "forwarded"],
)
async def test_headers_that_ask_for_something_else_change_nothing(edge: Edge, headers: list[bytes]) -> None:
    raw = await edge.talk(request(BODY, signature_line(BODY), *headers))
    assert status(raw.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")) == 200


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
async def test_the_body_of_who_offers_another_protocol_is_no_request(
    hasty: Edge, store: Store, protocol: bytes
) -> None:
    inner = request(BODY, signature_line(BODY))
    upgrade = request(inner, b"Upgrade: " + protocol).replace(b"Connection: close", b"Connection: upgrade")
    head, separator, body = upgrade.partition(b"\r\n\r\n")
    raw = await hasty.talk(head + separator, body, pause=0.02)
    assert raw.count(b"HTTP/1.1") == 1
    assert status(raw) == 401
    assert await nothing_in(store)


@pytest.mark.bad_input(240)
async def test_a_delivery_of_javas_client_is_accepted(edge: Edge) -> None:
    offer = [b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAAA"]
    whole = request(BODY, signature_line(BODY), *offer)
    raw = await edge.talk(whole.replace(b"Connection: close", b"Connection: close, Upgrade, HTTP2-Settings"))
    assert status(raw) == 200
    assert b'"accepted"' in raw


async def test_a_slash_at_the_end_changes_nothing(edge: Edge) -> None:
    assert status(await edge.talk(request(BODY, signature_line(BODY), path=HOOK.encode() + b"/"))) == 200


@pytest.mark.parametrize("path", [b"/webhooks/", b"/webhooks//", b"/webhooks/truto//", b"/webhooks/truto/x"])
async def test_other_slashes_name_no_source(edge: Edge, store: Store, path: bytes) -> None:
    assert status(await edge.talk(request(BODY, signature_line(BODY), path=path))) == 404
    assert await nothing_in(store)


async def test_http_1_0_is_served(edge: Edge) -> None:
    raw = await edge.talk(request(BODY, signature_line(BODY)).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert status(raw) == 200


async def test_the_path_is_the_one_in_the_request_line(edge: Edge, store: Store) -> None:
    raw = await edge.talk(request(BODY, signature_line(BODY), path=b"/livez?x=" + HOOK.encode()))
    assert status(raw) == 405
    assert await nothing_in(store)


OPEN = b"Connection: close\r\n"
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n"


def with_host(*hosts: bytes, version: bytes = b"1.1") -> bytes:
    """A delivery that is good but for its Host lines."""
    lines = b"".join(b"Host: %b\r\n" % host for host in hosts)
    whole = request(BODY, signature_line(BODY)).replace(b"Host: test\r\n", lines)
    return whole.replace(b"HTTP/1.1", b"HTTP/" + version)


BAD_HOSTS = {
    "none": with_host(),
    "two": with_host(b"test", b"other"),
    "the same twice": with_host(b"test", b"test"),
    "two with HTTP/1.0": with_host(b"test", b"test", version=b"1.0"),
    "empty": with_host(b""),
    "a path": with_host(b"test/../admin"),
    "a user": with_host(b"user@test"),
    "a list": with_host(b"test, other"),
    "a port that is none": with_host(b"test:http"),
    "two ports": with_host(b"test:80:80"),
    "half an address": with_host(b"[::1"),
    "longer than names are": with_host(b"a" * 256),
    "an address longer than addresses are": with_host(b"[" + b":" * 256 + b"]"),
    "not ASCII": with_host("t\u00ebst".encode()),
}


@pytest.mark.bad_input(130, 131, 132)
@pytest.mark.parametrize("name", BAD_HOSTS)
async def test_a_request_without_one_usable_host_is_refused(edge: Edge, store: Store, name: str) -> None:
    raw = await edge.talk(BAD_HOSTS[name])
    assert status(raw) == 400
    assert orjson.loads(raw.partition(b"\r\n\r\n")[2])["reason"] == "malformed_host"
    assert await nothing_in(store)


@pytest.mark.parametrize("host", [b"hooks.example.com", b"EXAMPLE:8000", b"10.0.0.1:80", b"[::1]:8000", b"my_service"])
async def test_a_host_that_names_one_is_fine(edge: Edge, host: bytes) -> None:
    assert status(await edge.talk(with_host(host))) == 200


@pytest.mark.bad_input(133)
async def test_http_1_0_may_leave_the_host_out(edge: Edge) -> None:
    assert status(await edge.talk(with_host(version=b"1.0"))) == 200


@pytest.mark.bad_input(134)
@pytest.mark.parametrize(
    "raw_request", [b"GET /livez\r\n\r\n", b"GET /livez HTTP/0.9\r\n\r\n", b"GET /livez HTTP/2.0\r\nHost: test\r\n\r\n"]
)
async def test_other_versions_of_http_are_refused(hasty: Edge, raw_request: bytes) -> None:
    assert status(await hasty.talk(raw_request)) == 400


@pytest.mark.bad_input(136)
@pytest.mark.parametrize(
    "head",
    [
        LIVEZ.replace(b"\r\n\r\n", b"\r\nContent-Length: 1000000000000\r\n\r\n"),
        LIVEZ.replace(b"\r\n\r\n", b"\r\n" + CHUNKED + b"\r\n\r\n1;"),
        request(b"", b"Content-Length: 10", path=b"/nowhere").replace(OPEN, b""),
    ],
    ids=["declared", "chunked", "a path that is none"],
)
async def test_a_request_that_is_answered_before_its_body_has_come_ends_its_connection(edge: Edge, head: bytes) -> None:
    raw = await edge.talk(head)
    assert status(raw) in (200, 404)
    assert b"connection: close" in raw.lower()


@pytest.mark.bad_input(137)
async def test_empty_lines_do_not_keep_a_connection(store: Store) -> None:
    async with run_edge(store, limits=replace(LIMITS, idle_seconds=0.2)) as edge:
        raw = await edge.talk(LIVEZ, *[b"\r\n"] * 40, pause=0.02)
    assert raw.count(b"HTTP/1.1") == 1


@pytest.mark.bad_input(139)
async def test_a_head_that_stops_half_way_is_answered_408(hasty: Edge) -> None:
    assert status(await hasty.talk(LIVEZ[:20])) == 408


@pytest.mark.bad_input(140)
async def test_whoever_does_not_read_answers_is_cut_off(store: Store) -> None:
    async with (
        run_edge(store, limits=replace(LIMITS, write_seconds=0.2)) as edge,
        edge.lines(window=4096) as [(_, writer)],
    ):
        await until(lambda: edge.connections_open == 1)
        sent = 0
        while edge.connections_open:
            writer.write(LIVEZ * 20)
            sent += 20
            await until(lambda: edge.server.server_state.total_requests == sent or not edge.connections_open)  # noqa: B023
        assert edge.turned_away("connection_timed_out", "answer_unread") == 1


@pytest.mark.bad_input(141)
async def test_of_too_many_requests_at_once_the_first_are_answered_and_the_connection_ends(edge: Edge) -> None:
    raw = await edge.talk(LIVEZ * 1000)
    assert 1 <= raw.count(b"HTTP/1.1 200 OK") <= 513
    assert edge.turned_away("request_refused", "malformed_request") is None


@pytest.mark.bad_input(143)
async def test_what_cannot_be_read_behind_a_request_does_not_answer_in_its_place(edge: Edge) -> None:
    delivery = request(BODY, signature_line(BODY)).replace(OPEN, b"")
    raw = await edge.talk(delivery + b"\x00\x01 nonsense\r\n\r\n")
    assert raw.count(b"HTTP/1.1") == 1
    assert status(raw) == 200


async def test_requests_behind_one_another_within_bounds_are_all_answered(edge: Edge) -> None:
    raw = await edge.talk(LIVEZ * 19 + LIVEZ.replace(b"\r\n\r\n", b"\r\n" + OPEN + b"\r\n"))
    assert raw.count(b"HTTP/1.1 200 OK") == 20


@pytest.fixture
async def narrow(store: Store) -> AsyncIterator[Edge]:
    """An ingress with room for forty connections, and for ten of its largest bodies."""
    async with run_edge(store, limits=NARROW) as running:
        yield running


NARROW = Limits(body_bytes=256 * 1024, receipt_seconds=5, buffered_bytes=2560 * 1024, connections=40)
UNSIGNED = b"X-Truto-Signature: format=sha256,v=" + b"0" * 64


@pytest.mark.bad_input(135)
@pytest.mark.parametrize("framing", ["declared", "chunked"])
async def test_bodies_that_never_end_take_no_more_memory_than_they_may(narrow: Edge, framing: str) -> None:
    size = NARROW.body_bytes - 100
    if framing == "declared":
        unfinished = request(b"x" * size, UNSIGNED, b"Content-Length: %d" % NARROW.body_bytes)
    else:
        unfinished = request(b"%x\r\n" % NARROW.body_bytes + b"x" * size, UNSIGNED, CHUNKED)
    async with narrow.lines(30) as lines:
        for _, writer in lines:
            writer.write(unfinished)
        await until(lambda: 0 < narrow.connections_open <= 10)
        assert narrow.budget.held <= NARROW.buffered_bytes
        assert (await narrow.deliver(BODY)).status_code == 200


async def test_what_there_is_no_room_for_is_answered_503(store: Store) -> None:
    async with (
        run_edge(store, limits=replace(NARROW, buffered_bytes=2 * NARROW.body_bytes)) as edge,
        edge.lines() as [(_, writer)],
    ):
        writer.write(request(b"x" * 250_000, UNSIGNED, b"Content-Length: 250001"))
        await until(lambda: edge.budget.held > 250_000)
        with capture_logs() as logs:
            raw = await edge.talk(request(b"x" * 200_000, UNSIGNED))
        assert status(raw) == 503
        assert b'"memory_exhausted"' in raw
        assert b"retry-after: 2" in raw
        assert "delivery_refused" not in [line["event"] for line in logs]
        assert edge.turned_away("memory_exhausted", "truto") == 1


async def test_small_bodies_that_never_end_keep_no_delivery_out(narrow: Edge) -> None:
    async with narrow.lines(35) as lines:
        for _, writer in lines:
            writer.write(request(b"x" * 60_000, UNSIGNED, b"Content-Length: 65000"))
        await until(lambda: narrow.budget.held > NARROW.buffered_bytes * 0.8)
        for number in range(20):
            assert (await narrow.deliver(event(f"e-{number}", filler="x" * 50_000))).status_code == 200


@pytest.mark.parametrize("how", ["hangs up", "is refused", "is too slow", "is accepted"])
async def test_room_is_given_back_when_a_delivery(store: Store, how: str) -> None:
    async with run_edge(store, limits=replace(NARROW, receipt_seconds=0.2)) as edge:
        large = event(filler="x" * 200_000)
        if how == "hangs up":
            async with edge.lines() as [(_, writer)]:
                writer.write(request(large, UNSIGNED, b"Content-Length: 200100"))
                await until(lambda: edge.budget.held > 0)
        elif how == "is too slow":
            assert status(await edge.talk(request(large, UNSIGNED, b"Content-Length: 250000"))) == 408
        else:
            line = UNSIGNED if how == "is refused" else signature_line(large)
            assert status(await edge.talk(request(large, line))) == (401 if how == "is refused" else 200)
        await until(lambda: edge.budget.held == 0)


async def test_an_idle_connection_keeps_nothing_of_its_last_request(edge: Edge) -> None:
    async with edge.lines() as [(_, writer)]:
        path = b"/webhooks/truto?" + b"q" * 20_000
        writer.write(request(b"x" * 50_000, UNSIGNED).replace(OPEN, b"").replace(HOOK.encode(), path))
        await until(lambda: edge.server.server_state.total_requests == 1)
        (connection,) = edge.server.server_state.connections
        assert isinstance(connection, EdgeProtocol)
        await until(lambda: not connection.scope)
        assert connection.cycle.pieces == []
        assert connection.url == b""


@pytest.mark.bad_input(142)
async def test_a_flood_of_idle_connections_keeps_no_delivery_out(narrow: Edge) -> None:
    assert (await narrow.deliver(BODY)).status_code == 200
    async with narrow.lines(3 * NARROW.connections):
        await until(lambda: (narrow.turned_away("connection_evicted", "silent") or 0) > 2 * NARROW.connections - 2)
        assert narrow.connections_open <= NARROW.connections
        assert (await narrow.deliver(event("e-2"))).status_code == 200
        assert status(await narrow.talk(request(BODY, signature_line(BODY)))) == 200


async def test_a_peer_with_too_many_connections_is_refused_some(store: Store) -> None:
    async with run_edge(store, limits=replace(LIMITS, connections_per_peer=2)) as edge:
        async with edge.lines(2):
            await until(lambda: edge.connections_open == 2)
            assert await edge.talk(LIVEZ) == b""
            assert edge.turned_away("connection_refused", "peer_limit") == 1
        await until(lambda: edge.connections_open == 0)
        assert status(await edge.talk(LIVEZ.replace(b"\r\n\r\n", b"\r\n" + OPEN + b"\r\n"))) == 200
