"""What uvicorn would answer goes out, as one packet where it can."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ingress.exchange import whole_answer
from ingress.wire import WholeAnswersProtocol
from tests.unit.ingress.wires import Connection, settled

HEAD = b"HEAD / HTTP/1.1\r\nhost: here\r\n\r\n"
GET = b"GET /a%20b?c=d HTTP/1.1\r\nhost: here\r\n\r\n"
OK: list[dict[str, Any]] = [
    {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]},
    {"type": "http.response.body", "body": b"ok"},
]


def answering(*messages: dict[str, Any]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(dict(message))

    return app


async def test_a_head_and_its_body_are_one_packet() -> None:
    connection = await Connection(answering(*OK)).say(GET)
    assert connection.wire.sent == [b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 2\r\n\r\nok"]


async def test_the_last_answer_of_a_connection_says_so_in_the_same_packet() -> None:
    connection = await Connection(answering(*OK)).say(GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
    (packet,) = connection.wire.sent
    assert packet.endswith(b"\r\nconnection: close\r\n\r\nok")
    assert connection.wire.closed


async def test_each_answer_is_a_packet_of_its_own() -> None:
    connection = await Connection(answering(*OK)).say(GET, GET)
    assert len(connection.wire.sent) == 2


STREAMED: list[dict[str, Any]] = [
    {"type": "http.response.start", "status": 200, "headers": []},
    {"type": "http.response.body", "body": b"o", "more_body": True},
    {"type": "http.response.body", "body": b"k"},
]


@pytest.mark.bad_input(289)
@pytest.mark.parametrize("answer", [OK, STREAMED], ids=["whole", "streamed"])
@pytest.mark.parametrize("packet", [GET, GET + GET, HEAD], ids=["one", "pipelined", "head"])
async def test_an_answer_to_a_connection_that_was_reset_is_dropped_without_an_error(
    answer: list[dict[str, Any]], packet: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The transport is closed a moment before the protocol is told."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        connection.wire.closed = True
        for message in answer:
            await send(dict(message))

    connection = Connection(app)
    await connection.say(packet)
    connection.protocol.connection_lost(ConnectionResetError())
    await settled()
    assert connection.wire.sent == []
    assert caplog.records == []


async def test_what_a_reset_connection_was_answered_before_has_gone_out() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(dict(OK[0]))
        await send(dict(OK[1]))
        connection.wire.closed = True

    connection = Connection(app)
    await connection.say(GET + GET)
    assert len(connection.wire.sent) == 1


NAMES = st.sampled_from(
    [b"content-length", b"Content-Length", b"connection", b"transfer-encoding", b"x-one", b"bad name"]
)
VALUES = st.sampled_from(
    [b"0", b"2", b"4", b"02", b"close", b"chunked", b"a\r\nset-cookie: b", b"a\x00b", b"plain", b""]
)
STARTS = st.fixed_dictionaries(
    {
        "type": st.just("http.response.start"),
        "status": st.sampled_from([200, 204, 304, 404, 503]),
        "headers": st.lists(st.tuples(NAMES, VALUES), max_size=4) | st.just([(b"content-length", b"2")]),
    }
)
BODIES = st.fixed_dictionaries(
    {"type": st.just("http.response.body")},
    optional={"body": st.sampled_from([b"ok", b"", b"four"]), "more_body": st.booleans()},
)
REQUESTS = st.builds(
    lambda method, version, connection: b"%b / HTTP/%b\r\nhost: here\r\n%b\r\n" % (method, version, connection),
    st.sampled_from([b"GET", b"HEAD", b"POST"]),
    st.sampled_from([b"1.0", b"1.1"]),
    st.sampled_from([b"", b"connection: close\r\n", b"connection: keep-alive\r\n", b"expect: 100-continue\r\n"]),
)


@settings(max_examples=400)
@given(request=REQUESTS, start=STARTS, body=BODIES, further=st.lists(BODIES | STARTS, max_size=2))
@example(HEAD, *OK, [])
@example(GET, OK[0], {**OK[1], "more_body": True}, [OK[0]])
async def test_every_answer_is_what_uvicorn_would_have_sent(
    request: bytes, start: dict[str, Any], body: dict[str, Any], further: list[dict[str, Any]]
) -> None:
    app = answering(start, body, *further)
    theirs = await Connection(app, HttpToolsProtocol).say(request)
    ours = await Connection(app).say(request)
    assert (b"".join(ours.wire.sent), ours.wire.closed) == (b"".join(theirs.wire.sent), theirs.wire.closed)


@given(path=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=8))
async def test_the_application_finds_what_uvicorn_would_have_told_it(path: str) -> None:
    found: list[dict[str, Any]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.append({name: value for name, value in scope.items() if name not in ("client", "server")})
        await answering(*OK)(scope, receive, send)

    for protocol in (HttpToolsProtocol, WholeAnswersProtocol):
        await Connection(app, protocol).say(b"PUT /%b HTTP/1.0\r\nHost: here\r\nX-Two: 2\r\n\r\n" % path.encode())
    assert not found or found[0] == found[1]


@pytest.mark.parametrize("messages", [OK[:1], []], ids=["after its head", "before its head"])
async def test_an_application_that_fails_before_its_body_is_answered_for(messages: list[dict[str, Any]]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answering(*messages)(scope, receive, send)
        raise RuntimeError("a defect")

    connection = await Connection(app).say(GET)
    assert b"".join(connection.wire.sent).startswith(b"HTTP/1.1 500 ")
    assert connection.wire.closed


async def test_an_application_that_says_no_more_than_its_head_is_answered_for() -> None:
    connection = await Connection(answering(OK[0])).say(GET)
    assert b"".join(connection.wire.sent).startswith(b"HTTP/1.1 500 ")


async def test_a_sender_is_told_to_go_on_before_the_answer_and_never_after() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answering(*OK)(scope, receive, send)
        assert (await receive())["type"] == "http.disconnect"

    head = b"POST / HTTP/1.1\r\nhost: here\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    connection = await Connection(app).say(head)
    assert [packet[:12] for packet in connection.wire.sent] == [b"HTTP/1.1 200"]


@pytest.mark.parametrize("why", [None, ConnectionResetError()], ids=["in order", "by a reset"])
async def test_nothing_is_written_to_a_sender_that_has_hung_up(why: Exception | None) -> None:
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go_on.wait()
        await answering(*OK)(scope, receive, send)

    connection = await Connection(app).say(GET)
    connection.protocol.connection_lost(why)
    go_on.set()
    await settled()
    assert connection.wire.sent == []


async def test_requests_in_one_packet_are_answered_one_after_the_other() -> None:
    under_way: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        under_way.append(scope["path"])
        await asyncio.sleep(0)
        assert under_way.pop() == scope["path"]
        body = scope["path"].encode()
        start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]}
        await answering(start, {"type": "http.response.body", "body": body})(scope, receive, send)

    connection = await Connection(app).say(b"".join(b"GET /%d HTTP/1.1\r\nhost: here\r\n\r\n" % n for n in range(5)))
    for _ in range(5):
        await settled()
    assert [packet.rpartition(b"\r\n")[2] for packet in connection.wire.sent] == [b"/%d" % n for n in range(5)]


def test_a_plain_answer_is_spelled_at_once() -> None:
    assert whole_answer(404, [(b"content-length", b"2"), (b"x-one", b"1")], b"no") == (
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\nx-one: 1\r\n\r\nno"
    )


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-length", b"3")],
        [(b"content-length", b"2"), (b"connection", b"close")],
        [(b"content-length", b"2"), (b"transfer-encoding", b"chunked")],
        [(b"content-length", b"2"), (b"Connection", b"close")],
        [(b"content-length", b"2"), (b"x one", b"1")],
        [(b"content-length", b"2"), (b"x-one", b"1\r\nx-two: 2")],
    ],
    ids=["no length", "another length", "a connection", "an encoding", "an upper case", "a bad name", "a bad value"],
)
def test_what_takes_more_thought_is_left_to_uvicorn(headers: list[tuple[bytes, bytes]]) -> None:
    assert whole_answer(200, headers, b"ok") is None


def test_an_empty_length_before_another_one_is_left_to_uvicorn() -> None:
    assert whole_answer(200, [(b"content-length", b""), (b"content-length", b"0")], b"") is None
