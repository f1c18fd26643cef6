"""Rolling deploys: row 17."""

from __future__ import annotations

import asyncio

from tests.faults.conftest import Publish, Rigged
from tests.faults.rig import Rig, Supervised, until

NEXT_VERSION = "tests.faults.team,tests.faults.team_v2"


async def test_a_rolling_deploy_drops_nothing_and_its_new_event_type_runs(rig: Rigged, publish: Publish) -> None:
    async with rig(workers=3, grace_seconds=1) as r:
        old = list(r.workers)

        async def deploy() -> list[int]:
            codes = []
            for worker in old:
                await started(r.add_worker(HANDLERS=NEXT_VERSION))
                # Both versions work side by side, and the old one parks what it does not know; three workers, so that
                # one of these comes to the one that has to go.
                await asyncio.gather(*(r.send("order:stubborn", seconds=3) for _ in range(3)))
                await asyncio.sleep(0.2)
                codes.append(await r.retire(worker, 1.7))
            return codes

        deploying = asyncio.create_task(deploy())
        loading = asyncio.create_task(r.load(100, 5))
        new_ones = 0
        while not deploying.done():
            await r.send("order:refunded", event_id=f"refund-{new_ones}", seconds=0.01)
            new_ones += 1
            await asyncio.sleep(0.05)
        codes = await deploying
        await loading
        await until(lambda: none_parked(r), 20, "what the old version had parked did not run")
        await r.drained()
        verdict = await r.verdict()
        assert verdict.holds, verdict
        how = ", ".join("drained" if code == 0 else "killed" for code in codes)
        publish(17, "rolling deploy", verdict, f"3 workers replaced ({how})", f"{new_ones} of a new type ran")


async def none_parked(rig: Rig) -> bool:
    """Whether nothing waits for another version."""
    return bool(await rig.client.zcard("tw:parked") == 0)


async def started(worker: Supervised) -> None:
    """Wait until it works."""
    await until(lambda: worker.said("worker_started"), 20, "the worker did not start")
