"""What goes out of a connection goes out whole."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ingress.server import _WholeAnswers


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
