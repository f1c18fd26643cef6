"""An answer for many is worked out once, kept for a second, and given up by those who have waited long enough."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from ingress.snapshot import Snapshot


class Work:
    """Answers with how often it was begun, once it may."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        await self.may_end.wait()
        return self.begun


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    return lambda seconds: monkeypatch.setattr("ingress.snapshot._FRESH_SECONDS", seconds)


async def after(work: Work, *asked: Awaitable[int]) -> list[int | BaseException]:
    waiting = asyncio.gather(*asked, return_exceptions=True)
    await asyncio.sleep(0)
    work.may_end.set()
    return await waiting


async def test_a_thousand_who_ask_at_once_are_answered_by_one_piece_of_work() -> None:
    work = Work()
    snapshot = Snapshot(work)
    assert await after(work, *(snapshot.get() for _ in range(1000))) == [1] * 1000


async def test_an_answer_serves_those_who_ask_within_the_second() -> None:
    work = Work()
    work.may_end.set()
    snapshot = Snapshot(work)
    assert [await snapshot.get() for _ in range(1000)] == [1] * 1000


async def test_a_stale_answer_is_worked_out_anew(fresh: Callable[[float], None]) -> None:
    fresh(0)
    work = Work()
    work.may_end.set()
    snapshot = Snapshot(work)
    assert [await snapshot.get(), await snapshot.get()] == [1, 2]


async def test_nobody_waits_longer_than_the_patience_and_latecomers_not_at_all() -> None:
    work = Work()
    snapshot = Snapshot(work, patience_seconds=1)
    with pytest.raises(TimeoutError):
        await snapshot.get()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await snapshot.get()
    assert time.monotonic() - began < 1
    assert work.begun == 1
    await snapshot.aclose()


async def test_work_that_was_given_up_goes_on_and_its_answer_is_used(fresh: Callable[[float], None]) -> None:
    fresh(60)
    work = Work()
    snapshot = Snapshot(work, patience_seconds=0.01)
    with pytest.raises(TimeoutError):
        await snapshot.get()
    work.may_end.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await snapshot.get() == 1


async def test_who_hangs_up_does_not_end_the_work_of_the_others() -> None:
    work = Work()
    snapshot = Snapshot(work)
    gone = asyncio.ensure_future(snapshot.get())
    await asyncio.sleep(0)
    gone.cancel()
    assert await after(work, snapshot.get()) == [1]


async def test_what_goes_wrong_is_told_to_everyone_and_tried_again_later(fresh: Callable[[float], None]) -> None:
    async def fail() -> int:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    snapshot = Snapshot(fail)
    told = await asyncio.gather(snapshot.get(), snapshot.get(), return_exceptions=True)
    assert [type(error) for error in told] == [ZeroDivisionError, ZeroDivisionError]
    fresh(0)
    with pytest.raises(ZeroDivisionError):
        await snapshot.get()


async def test_once_closed_the_work_has_ended_and_who_waits_is_told() -> None:
    work = Work()
    snapshot = Snapshot(work)
    waiting = asyncio.ensure_future(snapshot.get())
    while not work.begun:  # noqa: ASYNC110  it has begun after a round or two
        await asyncio.sleep(0)
    await snapshot.aclose()
    with pytest.raises(TimeoutError):
        await waiting
    with pytest.raises(TimeoutError):
        await snapshot.get()
    assert work.begun == 1


async def test_closing_what_was_never_asked_does_nothing() -> None:
    snapshot = Snapshot(Work())
    await snapshot.aclose()
    with pytest.raises(TimeoutError):
        await snapshot.get()
