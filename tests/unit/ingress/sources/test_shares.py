"""What unproven deliveries of one source may cost, and that it comes back."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ingress.answers import Refusal, not_authentic
from ingress.sources import shares
from ingress.sources.shares import BURST_CPU_SECONDS, BUSY, CPU_SECONDS_PER_SECOND, LARGE_BYTES, MAX_WAITING, Share


class Costly:
    """A delivery that takes CPU time, and may turn out to be authentic."""

    def __init__(self, seconds: float = 0.0, *, authentic: bool = False, size: int = 0) -> None:
        self._seconds = seconds
        self.size = size
        self.proven = False
        self._authentic = authentic

    def outcome(self) -> Any:
        began = time.thread_time()
        while time.thread_time() - began < self._seconds:
            pass
        self.proven = self._authentic
        return not_authentic("signature_mismatch")


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    class Clock:
        now = 1000.0

        def monotonic(self) -> float:
            return self.now

        thread_time = staticmethod(time.thread_time)

    clock = Clock()
    monkeypatch.setattr(shares, "time", clock)
    return clock


async def ask(share: Share, walk: Any) -> Any:
    return await share.outcome(walk)


async def test_what_is_used_up_is_refused_and_comes_back(threads: ThreadPoolExecutor, clock: Any) -> None:
    share = Share(threads, asyncio.Lock())
    spent = Costly(BURST_CPU_SECONDS + 0.01)
    assert (await ask(share, spent)).status == 401
    assert share.is_exhausted()
    assert await ask(share, Costly()) is BUSY
    clock.now += 1.0 / CPU_SECONDS_PER_SECOND
    assert not share.is_exhausted()
    assert (await ask(share, Costly())).status == 401


async def test_an_authentic_delivery_costs_nothing(threads: ThreadPoolExecutor, clock: Any) -> None:
    share = Share(threads, asyncio.Lock())
    for _ in range(3):
        assert await ask(share, Costly(BURST_CPU_SECONDS / 2, authentic=True)) is not BUSY
    assert not share.is_exhausted()


class Waiting(Costly):
    """A delivery whose evaluation ends when it is told to."""

    def __init__(self, running: list[Any], go_on: threading.Event, size: int = 0) -> None:
        super().__init__(size=size)
        self._running, self._go_on = running, go_on

    def outcome(self) -> Refusal:
        self._running.append(self)
        assert self._go_on.wait(10)
        return not_authentic("signature_mismatch")


async def test_one_source_takes_one_thread_and_few_places(threads: ThreadPoolExecutor) -> None:
    share, other = Share(threads, asyncio.Lock()), Share(threads, asyncio.Lock())
    go_on, running = threading.Event(), list[Any]()
    held = [asyncio.create_task(ask(share, Waiting(running, go_on))) for _ in range(MAX_WAITING)]
    while not running:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    assert await ask(share, Costly()) is BUSY
    assert (await ask(other, Costly())).status == 401
    assert len(running) == 1
    go_on.set()
    assert {outcome.status for outcome in await asyncio.gather(*held)} == {401}


@pytest.mark.bad_input(309)
async def test_of_large_bodies_one_is_evaluated_at_a_time_whatever_their_sources(threads: ThreadPoolExecutor) -> None:
    """Two would take more memory together than there is; a small one need not wait for them."""
    large = asyncio.Lock()
    shares_of = [Share(threads, large) for _ in range(3)]
    go_on, running = threading.Event(), list[Any]()
    held = [asyncio.create_task(ask(share, Waiting(running, go_on, LARGE_BYTES))) for share in shares_of[:2]]
    while not running:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    assert (await ask(shares_of[2], Costly(size=LARGE_BYTES - 1))).status == 401
    assert len(running) == 1
    go_on.set()
    assert {outcome.status for outcome in await asyncio.gather(*held)} == {401}
    assert len(running) == 2


async def test_what_has_waited_until_its_share_was_used_up_is_sent_away(threads: ThreadPoolExecutor) -> None:
    large = asyncio.Lock()
    share = Share(threads, large)
    async with large:
        waiting = asyncio.create_task(ask(share, Costly(size=LARGE_BYTES)))
        await asyncio.sleep(0)
        share._seconds = -1.0  # noqa: SLF001
    assert await waiting is BUSY
