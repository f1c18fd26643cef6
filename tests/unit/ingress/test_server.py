"""What goes out of a connection goes out whole; what has come in whole is known to have."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from ingress.body import HERE
from ingress.server import EdgeProtocol, _WholeAnswers


class Wire(asyncio.Transport):
    """Remembers what is sent on it, packet by packet."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """Packets come one by one anyway."""

    def resume_reading(self) -> None:
        """Packets come one by one anyway."""


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def answers(wire: Wire) -> _WholeAnswers:
    return _WholeAnswers(wire, asyncio.get_running_loop())


async def test_a_head_and_its_body_are_one_packet(wire: Wire, answers: _WholeAnswers) -> None:
    answers.write(b"head ")
    answers.write(b"body")
    assert wire.sent == []
    await asyncio.sleep(0)
    assert wire.sent == [b"head body"]


async def test_the_next_answer_is_another_packet(wire: Wire, answers: _WholeAnswers) -> None:
    for answer in (b"one", b"two"):
        answers.write(answer)
        await asyncio.sleep(0)
    assert wire.sent == [b"one", b"two"]


async def test_what_is_held_is_sent_before_the_connection_is_closed(wire: Wire, answers: _WholeAnswers) -> None:
    answers.write(b"last words")
    answers.close()
    await asyncio.sleep(0)
    assert (wire.sent, wire.closed) == ([b"last words"], True)


async def test_nothing_is_written_to_a_sender_that_has_hung_up(wire: Wire, answers: _WholeAnswers) -> None:
    answers.write(b"too late")
    wire.close()
    await asyncio.sleep(0)
    assert wire.sent == []


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
