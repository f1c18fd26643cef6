"""A body that has come in whole is known to have."""

from __future__ import annotations

import asyncio

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from ingress.body import HERE
from ingress.server import EdgeProtocol
from tests.unit.ingress.wires import Wire

HEAD = b"POST /webhooks/truto HTTP/1.1\r\nhost: here\r\ncontent-length: 4\r\n\r\n"


async def bodies_known_to_be_here(*packets: bytes) -> list[bool]:
    """What the application finds said of each request's body when it begins, *packets* having come one by one."""
    said: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        said.append(HERE in scope.get("extensions", ()))
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    config = uvicorn.Config(app, lifespan="off", log_config=None)
    config.load()
    protocol = EdgeProtocol(config, ServerState(), {})
    protocol.connection_made(Wire())
    for packet in packets:
        protocol.data_received(packet)
        for _ in range(5):
            await asyncio.sleep(0)
    protocol.connection_lost(None)
    return said


async def test_a_body_that_came_with_its_head_is_known_to_be_here() -> None:
    assert await bodies_known_to_be_here(HEAD + b"body") == [True]


@pytest.mark.parametrize("packets", [(HEAD, b"body"), (HEAD + b"bo", b"dy")], ids=["after", "in-part"])
async def test_a_body_that_is_still_to_come_is_not(packets: tuple[bytes, ...]) -> None:
    assert await bodies_known_to_be_here(*packets) == [False]


async def test_of_requests_in_one_packet_each_is_told_of_its_own_body() -> None:
    assert await bodies_known_to_be_here(HEAD + b"body" + HEAD, b"body") == [True, False]
