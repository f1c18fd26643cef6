"""A body that has come in whole is handed over with its request."""

from __future__ import annotations

import pytest
from starlette.types import Receive, Scope, Send

from ingress.body import HERE
from ingress.server import EdgeProtocol
from tests.unit.ingress.wires import Connection, connections

HEAD = b"POST /webhooks/truto HTTP/1.1\r\nhost: here\r\ncontent-length: 4\r\n\r\n"


async def bodies_handed_over(*packets: bytes) -> list[bytes | None]:
    """What the application is given of each request's body when it begins, *packets* having come one by one."""
    given: list[bytes | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        given.append(scope.get("extensions", {}).get(HERE, {}).get("body"))
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    connection = await Connection(app, EdgeProtocol, connections=connections()).say(*packets)
    connection.protocol.connection_lost(None)
    return given


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
