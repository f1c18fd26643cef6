"""Connections that break: row 9."""

from __future__ import annotations

import asyncio
import time

from tests.faults.conftest import Publish, Rigged
from tests.faults.proxy import Cut

ALL = 1 << 20
CUTS = [
    *(Cut("request", after) for after in (0, 1, 3, 60, ALL)),
    *(Cut("reply", after) for after in (0, 1, 3, 5)),
]
"""Before and inside a request, after it and before its reply, inside the reply."""


async def test_a_reset_before_or_after_the_reply_is_never_a_false_acknowledgement(
    rig: Rigged, publish: Publish
) -> None:
    async with rig(workers=2, proxied=True) as r:
        assert r.proxy is not None
        loading = asyncio.create_task(r.load(150, 4, patience=10))
        end, cuts = time.monotonic() + 4, 0
        while time.monotonic() < end:
            if await r.proxy.cut(r.random.choice(CUTS), 1.0):
                r.note("reset", "store")
                cuts += 1
            await asyncio.sleep(r.random.uniform(0.02, 0.08))
        await loading
        await r.drained()
        verdict = await r.verdict(resume_bound=5.0)
        assert verdict.holds, verdict
        publish(9, "connection to Redis reset", verdict, f"{cuts} resets")
