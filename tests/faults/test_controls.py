"""Row 6, the negative controls: layouts that are known to lose, on which the checker has to say so."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

from events.embedded import EmbeddedRedis
from tests.faults.checker import State
from tests.faults.conftest import Publish, Rigged
from tests.faults.rig import Rig, until

STOCK = ("-m", "benchmarks.baselines", "enqueue")
"""Starlette and arq's ``enqueue_job`` as its documentation shows them."""


class FsyncedTail:
    """Remembers how long the append-only file was, so that a power cut can be imitated.

    With ``everysec`` the disk may lack the last second, and two when an fsync is slow (Redis documentation,
    persistence): the file is cut to what it was one second before.
    """

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._seen: deque[tuple[float, int, int]] = deque(maxlen=1000)

    @property
    def _file(self) -> Path:
        # Redis 6 has one file, Redis 7 a folder in which the newest increment is written.
        return max((self._rig.folder / "redis").rglob("*.aof"), key=lambda path: path.stat().st_mtime)

    async def watch(self) -> None:
        """Look every 20 ms, until cancelled."""
        while True:
            self._seen.append((time.monotonic(), self._file.stat().st_size, self._rig.sender.acked))
            await asyncio.sleep(0.02)

    def has_much_to_lose(self) -> bool:
        """Whether many events were acknowledged within the last second."""
        return bool(self._seen) and self._rig.sender.acked - self._a_second_ago()[2] >= 50

    def cut(self) -> None:
        """Take away what came in the last second."""
        os.truncate(self._file, self._a_second_ago()[1])

    def _a_second_ago(self) -> tuple[float, int, int]:
        limit = time.monotonic() - 1.0
        return next((seen for seen in reversed(self._seen) if seen[0] <= limit), self._seen[0])


async def test_everysec_loses_acknowledged_events_and_the_checker_says_so(rig: Rigged, publish: Publish) -> None:
    async with rig(server=lambda folder: EmbeddedRedis(folder, appendfsync="everysec"), workers=1) as r:
        tail = FsyncedTail(r)
        async with beside(r.load(400, 600)):
            await more_acknowledged(r, 300)
            await r.kill_redis()
        by_kill = len((await r.verdict(drained=False)).lost)
        async with beside(r.load(400, 600)), beside(tail.watch()):
            await asyncio.sleep(1)
            await until(tail.has_much_to_lose, 60, "there was no load")
            await r.kill_redis(before_restart=tail.cut)
        verdict = await r.verdict(drained=False)
        assert verdict.lost
        how = f"{by_kill} by a plain kill, the rest by a power cut (imitated)"
        publish(6.1, "CONTROL appendfsync everysec", verdict, "2 kills", how)


async def test_stock_enqueue_loses_acknowledged_events_and_the_checker_says_so(rig: Rigged, publish: Publish) -> None:
    async with rig(ingress_command=STOCK, workers=0) as r:
        r.states = lambda names: stock_states(r, list(names))  # type: ignore[method-assign]
        end = time.monotonic() + 30
        verdict = None
        while time.monotonic() < end and not (verdict and verdict.lost):
            async with beside(r.load(2000, 600, max_open=64, forged=0)):
                await more_acknowledged(r, 100)
                for _ in range(10):
                    await r.freeze_redis(0.03)  # a busy Redis: many connections wait for an answer when it dies
                    await asyncio.sleep(0.002)
                await r.freeze_redis(0.03, thaw=False)
                await r.kill_redis(down_seconds=0)
            verdict = await r.verdict(drained=False)
        assert verdict is not None
        assert verdict.lost
        kills = sum(fault.kind == "kill" for fault in r.faults)
        publish(6.2, "CONTROL stock enqueue_job", verdict, f"{kills} kills of Redis (fsync always)")


async def test_evicted_payloads_are_lost_and_the_checker_says_so(rig: Rigged, publish: Publish) -> None:
    async with rig(ingress_command=STOCK, workers=0) as r:
        r.states = lambda names: stock_states(r, list(names))  # type: ignore[method-assign]
        await r.client.config_set("maxmemory-policy", "volatile-lru")
        await r.client.config_set("maxmemory", "4mb")
        for _ in range(25):
            await asyncio.gather(*(r.send(filler="x" * 900, retries=()) for _ in range(100)))
        verdict = await r.verdict(drained=False)
        assert verdict.lost
        publish(6.3, "CONTROL volatile-lru, payloads that expire", verdict, "maxmemory 4 MB")


async def more_acknowledged(rig: Rig, count: int) -> None:
    """Wait until so many more events were acknowledged."""
    goal = rig.sender.acked + count
    await until(lambda: rig.sender.acked >= goal, 30, "acknowledgements did not come")


@asynccontextmanager
async def beside(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Let *work* go on while the block runs, and end it."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def stock_states(rig: Rig, names: list[str]) -> dict[str, State]:
    """Whether arq still has the payload of each job; no worker runs, so none of them can be done."""
    async with rig.client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.exists(f"arq:job:{name}")
        found = await pipe.execute()
    return {name: "waiting" if there else "missing" for name, there in zip(names, found, strict=True)}
