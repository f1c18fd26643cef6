"""Processes that are killed under load: rows 1, 3 and 4."""

from __future__ import annotations

import asyncio
import time

from tests.faults.conftest import Publish, Rigged

STARTING_SECONDS = 20.0
"""How long a process may take to start on a machine that has other things to do."""


async def test_killed_workers_lose_nothing_and_their_work_runs_again_in_time(rig: Rigged, publish: Publish) -> None:
    async with rig() as r:
        end = time.monotonic() + 6
        await asyncio.gather(r.load(150, 6), r.every(0.7, 1.3, end, r.kill_any_worker))
        await r.drained()
        verdict = await r.verdict(recovery_bound=r.setup.lease_seconds + 2.0)
        assert verdict.holds, verdict
        publish(1, "kill -9 of a worker", verdict, f"{len(r.faults)} kills")


async def test_a_killed_ingress_takes_no_acknowledged_event_with_it(rig: Rigged, publish: Publish) -> None:
    async with rig(workers=1, concurrency=60) as r:
        end = time.monotonic() + 6
        kills = r.every(0.8, 1.6, end, lambda: r.kill(r.ingress))
        await asyncio.gather(r.load(200, 6, patience=8), kills)
        await r.drained()
        verdict = await r.verdict(resume_bound=STARTING_SECONDS)
        assert verdict.holds, verdict
        publish(3, "kill -9 of the ingress in flight", verdict, f"{len(r.faults)} kills")


async def test_a_killed_redis_that_fsyncs_always_keeps_what_was_acknowledged(rig: Rigged, publish: Publish) -> None:
    async with rig(workers=2) as r:

        async def kill() -> None:
            if r.random.random() < 0.5:
                await r.client.bgrewriteaof()  # type: ignore[no-untyped-call]
            await r.kill_redis()

        end = time.monotonic() + 6
        await asyncio.gather(r.load(200, 6, patience=8), r.every(0.7, 1.5, end, kill))
        await r.drained()
        # While it rewrites its file, a child of the killed server holds the connections open: only the client's limit
        # of 5 s for an answer ends those.
        verdict = await r.verdict(resume_bound=5.0 + 1.5)
        assert verdict.holds, verdict
        publish(4, "kill -9 of Redis (fsync always)", verdict, f"{len(r.faults)} kills")
