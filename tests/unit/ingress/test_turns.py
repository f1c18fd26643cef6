"""Turns in which large bodies are read."""

from __future__ import annotations

import asyncio

from ingress.turns import Turns


class Body:
    """A connection with so many pieces to read; it waits for its next turn after each of them."""

    def __init__(self, turns: Turns, pieces: int, read: list[Body]) -> None:
        self.turns, self.left, self.read = turns, pieces, read
        self.is_paused = False

    def pause_reading(self) -> None:
        self.is_paused = True

    def read_on(self) -> None:
        self.is_paused = False
        self.left -= 1
        self.read.append(self)
        if self.left:
            self.turns.wait(self)


async def next_round() -> None:
    await asyncio.sleep(0)


async def test_a_body_is_not_read_before_its_turn() -> None:
    turns, read = Turns(), list[Body]()
    body = Body(turns, 1, read)
    turns.wait(body)
    assert body.is_paused
    await next_round()
    assert read == [body]
    assert not body.is_paused


async def test_a_round_of_the_event_loop_reads_one_body_whatever_their_number() -> None:
    turns, read = Turns(), list[Body]()
    for _ in range(100):
        turns.wait(Body(turns, 10, read))
    await next_round()
    assert len(read) == 1
    await next_round()
    assert len(read) == 2


async def test_all_are_read_once_before_one_is_read_again() -> None:
    turns, read = Turns(), list[Body]()
    bodies = [Body(turns, 2, read) for _ in range(10)]
    for body in bodies:
        turns.wait(body)
    for _ in range(2 * len(bodies)):
        await next_round()
    assert read == [*bodies, *bodies]


async def test_who_comes_after_all_have_been_read_does_not_wait_for_anybody() -> None:
    turns, read = Turns(), list[Body]()
    for _ in range(2):
        turns.wait(body := Body(turns, 1, read))
        await next_round()
        assert read[-1] is body
