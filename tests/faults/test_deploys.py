"""Rolling deploys: row 17."""

from __future__ import annotations

import asyncio

from tests.faults.conftest import Publish, Rigged

NEXT_VERSION = "tests.faults.team,tests.faults.team_v2"


async def test_a_rolling_deploy_drops_nothing_and_its_new_event_type_runs(rig: Rigged, publish: Publish) -> None:
    async with rig(workers=3, grace_seconds=1) as r:
        old = list(r.workers)
        new_type = [f"refund-{number}" for number in range(45)]

        async def send_new_type() -> None:
            for name in new_type:
                await r.send("order:refunded", event_id=name, seconds=0.01)
                await asyncio.sleep(0.1)

        async def deploy() -> list[int]:
            codes = []
            for worker in old:
                await r.send("order:stubborn", seconds=3)
                r.add_worker(HANDLERS=NEXT_VERSION)
                codes.append(await r.retire(worker, 1.7))
            return codes

        _, _, codes = await asyncio.gather(r.load(100, 5), send_new_type(), deploy())
        await r.drained()
        verdict = await r.verdict()
        assert verdict.holds, verdict
        how = ", ".join("drained" if code == 0 else "killed" for code in codes)
        publish(17, "rolling deploy", verdict, f"3 workers replaced ({how})", "45 of a new type parked, then run")
