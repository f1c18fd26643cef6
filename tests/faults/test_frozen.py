"""Processes that stop without dying: rows 7 and 8."""

from __future__ import annotations

import asyncio

from tests.faults.conftest import Publish, Rigged
from tests.faults.ledger import read_attempts


async def test_a_frozen_redis_is_told_as_503_and_never_acknowledged_past(rig: Rigged, publish: Publish) -> None:
    async with rig(workers=2) as r:
        loading = asyncio.create_task(r.load(60, 8, patience=12))
        await asyncio.sleep(0.8)
        await r.freeze_redis(6)
        await loading
        await r.drained()
        verdict = await r.verdict(resume_bound=5.0)
        assert verdict.holds, verdict
        attempts = read_attempts(r.folder / "attempts.jsonl")
        longest = max(attempt.ended - attempt.sent for attempt in attempts)
        refused = sum(attempt.status == 503 for attempt in attempts)
        assert refused
        assert longest < 6.0
        publish(7, "Redis frozen 6 s", verdict, "1 freeze", f"{refused} x 503, slowest answer {longest:.1f} s")


async def test_a_worker_frozen_beyond_its_lease_cannot_end_what_others_have_done(rig: Rigged, publish: Publish) -> None:
    async with rig(workers=3, concurrency=40) as r:

        async def freeze_each() -> None:
            for worker in r.workers[:2]:
                await r.freeze(worker, r.setup.lease_seconds + 1.0)

        async def work() -> None:
            for _ in range(330):
                await asyncio.sleep(0.0175)
                await r.send(seconds=0.4)

        await asyncio.gather(freeze_each(), work())
        await r.drained()
        verdict = await r.verdict()
        assert verdict.holds, verdict
        stale = await r.total("stale")
        assert stale, "no stale finish came"
        publish(8, "worker frozen beyond its lease", verdict, "2 freezes", f"{stale} stale finishes refused")
