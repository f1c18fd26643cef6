"""A body that has come in whole is handed over with its request, and an offer of another protocol is ignored."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from ingress.body import HERE
from ingress.server import EdgeProtocol
from tests.unit.ingress.wires import Connection, connections, settled

HEAD = b"POST /webhooks/truto HTTP/1.1\r\nhost: here\r\ncontent-length: 4\r\n\r\n"


async def bodies_handed_over(*packets: bytes) -> list[bytes | None]:
    """What the application is given of each request's body when it begins, *packets* having come one by one."""
    handed: list[bytes | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        handed.append(scope.get("extensions", {}).get(HERE, {}).get("body"))
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    connection = await Connection(app, EdgeProtocol, connections=connections()).say(*packets)
    connection.protocol.connection_lost(None)
    return handed


async def test_a_body_that_came_with_its_head_is_handed_over() -> None:
    assert await bodies_handed_over(HEAD + b"body") == [b"body"]


@pytest.mark.parametrize("packets", [(HEAD, b"body"), (HEAD + b"bo", b"dy")], ids=["after", "in-part"])
async def test_a_body_that_is_still_to_come_is_not(packets: tuple[bytes, ...]) -> None:
    assert await bodies_handed_over(*packets) == [None]


async def test_of_requests_in_one_packet_each_is_given_its_own_body() -> None:
    assert await bodies_handed_over(HEAD + b"body" + HEAD + b"next" + HEAD, b"last") == [b"body", b"next", None]


async def test_the_pieces_of_a_body_are_handed_over_as_one() -> None:
    chunked = HEAD.replace(b"content-length: 4", b"transfer-encoding: chunked")
    assert await bodies_handed_over(chunked + b"2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n") == [b"body"]


OFFER = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAAA\r\n"
SMUGGLED = b"POST /webhooks/truto HTTP/1.1\r\nhost: here\r\ncontent-length: 5\r\n\r\ninner"


def offering(request: bytes, offer: bytes = OFFER) -> bytes:
    line, _, rest = request.partition(b"\r\n")
    return line + b"\r\n" + offer + rest


async def bodies_read(*packets: bytes) -> tuple[list[bytes], list[bytes]]:
    """Every body that the application reads, and every status line that is answered."""
    read: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        read.append((await receive())["body"])
        assert not {b"upgrade", b"http2-settings"} & {name for name, _ in scope["headers"]}
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    connection = Connection(app, EdgeProtocol, connections=connections())
    for packet in packets:
        if not connection.wire.closed:
            await connection.say(packet)
    connection.protocol.connection_lost(None)
    await settled()
    return read, [packet.split(b"\r\n")[0] for packet in connection.wire.sent]


@pytest.mark.bad_input(240)
async def test_an_offer_of_h2c_is_ignored() -> None:
    assert await bodies_read(offering(HEAD) + b"body" + HEAD + b"next") == (
        [b"body", b"next"],
        [b"HTTP/1.1 200 OK"] * 2,
    )


@pytest.mark.bad_input(240)
async def test_a_request_that_offers_h2c_without_a_body_is_answered() -> None:
    ask = b"GET /livez HTTP/1.1\r\nhost: here\r\n\r\n"
    assert await bodies_read(offering(ask) + offering(ask), ask) == ([b""] * 3, [b"HTTP/1.1 200 OK"] * 3)


@pytest.mark.bad_input(241)
async def test_the_body_behind_an_offer_is_never_read_as_a_request() -> None:
    head = b"POST /webhooks/truto HTTP/1.1\r\nhost: here\r\ncontent-length: %d\r\n\r\n" % len(SMUGGLED)
    assert await bodies_read(offering(head), SMUGGLED) == ([SMUGGLED], [b"HTTP/1.1 200 OK"])


@pytest.mark.bad_input(241)
@pytest.mark.parametrize("protocol", [b"websocket", b"h2c, websocket", b"TLS/1.0"])
async def test_after_the_offer_of_any_other_protocol_the_connection_ends(protocol: bytes) -> None:
    offer = b"connection: upgrade\r\nupgrade: " + protocol + b"\r\n"
    assert (await bodies_read(offering(HEAD, offer) + b"body" + SMUGGLED))[0] == [b"body"]


async def test_connect_is_refused_whatever_it_offers() -> None:
    ask = b"CONNECT here:80 HTTP/1.1\r\nhost: here\r\n\r\n"
    for head in (ask, offering(ask)):
        assert await bodies_read(head + SMUGGLED) == ([], [b"HTTP/1.1 400 Bad Request"])


def framed(body: bytes, *, chunked: bool) -> bytes:
    line = b"POST /webhooks/truto HTTP/1.1\r\nhost: here\r\n"
    if not chunked:
        return line + b"content-length: %d\r\n\r\n%b" % (len(body), body)
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return line + b"transfer-encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n"


@given(
    bodies=st.lists(
        st.tuples(st.sampled_from([b"", b"body", SMUGGLED, offering(SMUGGLED)]), st.booleans()), min_size=1, max_size=4
    ),
    offers=st.lists(st.booleans(), min_size=4, max_size=4),
    cuts=st.lists(st.integers(1, 400), max_size=8),
)
@settings(max_examples=150, deadline=None)
async def test_offers_change_nothing_of_what_is_read(
    bodies: list[tuple[bytes, bool]], offers: list[bool], cuts: list[int]
) -> None:
    requests = [framed(body, chunked=chunked) for body, chunked in bodies]
    stream = b"".join(offering(one) if offer else one for one, offer in zip(requests, offers, strict=False))
    packets, rest = [], stream
    for cut in cuts:
        packets.append(rest[:cut])
        rest = rest[cut:]
    read, answered = await bodies_read(*filter(None, [*packets, rest]))
    assert read == [body for body, _ in bodies]
    assert answered == [b"HTTP/1.1 200 OK"] * len(requests)
