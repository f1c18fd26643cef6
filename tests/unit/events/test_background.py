"""Work beside a block lives as long as the block."""

from __future__ import annotations

import asyncio

import pytest

from events.background import background


class Work:
    """Goes on for ever; *deaf* to so many cancellations."""

    def __init__(self, deaf: int = 0) -> None:
        self.begun = asyncio.Event()
        self.heard = 0
        self._deaf = deaf

    async def run(self) -> None:
        self.begun.set()
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                self.heard += 1
                if self.heard > self._deaf:
                    raise


async def test_it_runs_while_the_block_does() -> None:
    work = Work()
    async with background(work.run(), "work"):
        await asyncio.wait_for(work.begun.wait(), 5)
        assert work.heard == 0
    assert work.heard == 1


async def test_a_cancellation_that_is_swallowed_is_said_again() -> None:
    work = Work(deaf=2)
    async with asyncio.timeout(5), background(work.run(), "work"):
        await work.begun.wait()
    assert work.heard == 3


async def _fail_beside(work: Work) -> None:
    async with background(work.run(), "work"):
        await work.begun.wait()
        raise KeyError


async def test_it_ends_when_the_block_fails() -> None:
    work = Work()
    with pytest.raises(KeyError):
        await _fail_beside(work)
    assert work.heard == 1


async def test_work_that_is_over_is_let_be() -> None:
    async def run() -> None:
        over.set()

    over = asyncio.Event()
    async with background(run(), "work"):
        await over.wait()


async def test_work_that_fails_leaves_the_block_alone() -> None:
    async def run() -> None:
        raise ValueError("only logged")

    reached = False
    async with background(run(), "work"):
        await asyncio.sleep(0)
        reached = True
    assert reached
