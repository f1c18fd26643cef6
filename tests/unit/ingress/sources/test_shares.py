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
from ingress.sources.shares import BURST_CPU_SECONDS, BUSY, CPU_SECONDS_PER_SECOND, MAX_WAITING, Share


class Costly:
    """A delivery that takes CPU time, and may turn out to be authentic."""

    def __init__(self, seconds: float = 0.0, *, authentic: bool = False) -> None:
        self._seconds = seconds
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
    share = Share(threads)
    spent = Costly(BURST_CPU_SECONDS + 0.01)
    assert (await ask(share, spent)).status == 401
    assert share.is_exhausted()
    assert await ask(share, Costly()) is BUSY
    clock.now += 1.0 / CPU_SECONDS_PER_SECOND
    assert not share.is_exhausted()
    assert (await ask(share, Costly())).status == 401


async def test_an_authentic_delivery_costs_nothing(threads: ThreadPoolExecutor, clock: Any) -> None:
    share = Share(threads)
    for _ in range(3):
        assert await ask(share, Costly(BURST_CPU_SECONDS / 2, authentic=True)) is not BUSY
    assert not share.is_exhausted()


async def test_one_source_takes_one_thread_and_few_places(threads: ThreadPoolExecutor) -> None:
    share, other = Share(threads), Share(threads)
    go_on, running = threading.Event(), []

    class Waiting(Costly):
        def outcome(self) -> Refusal:
            running.append(self)
            assert go_on.wait(10)
            return not_authentic("signature_mismatch")

    held = [asyncio.create_task(ask(share, Waiting())) for _ in range(MAX_WAITING)]
    while not running:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    assert await ask(share, Costly()) is BUSY
    assert (await ask(other, Costly())).status == 401
    assert len(running) == 1
    go_on.set()
    assert {outcome.status for outcome in await asyncio.gather(*held)} == {401}
