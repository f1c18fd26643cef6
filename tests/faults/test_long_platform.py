"""Long tier: a platform in trouble, and handlers that block: rows 15 and 20."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.faults.conftest import Publish, Rigged
from tests.faults.ledger import Run, read_runs
from tests.faults.proxy import Cut, Proxy
from tests.faults.rig import TOKEN, Rig, Supervised
from tests.servers import free_port
from truto import AsyncTruto
from truto.samples import SYNC_JOB_ID

pytestmark = pytest.mark.long

TROUBLES: tuple[dict[str, object], ...] = (
    {"outage": True},
    {"error_rate": 0.5},
    {"rate_limited": True},
    {"latency_seconds": 1.5},
    {},  # answers are cut off after the call was processed
)


@asynccontextmanager
async def platform(rig: Rig) -> AsyncIterator[tuple[str, Proxy]]:
    """A sandbox process, and a proxy in front of it that the workers use."""
    port = free_port()
    command = ("-m", "cli", "sandbox", "--port", str(port), "--step-seconds", "60", "--no-rate-limits")
    sandbox = Supervised("sandbox", command, {"TRUTO_API_TOKEN": TOKEN}, rig.folder)
    proxy = Proxy(lambda: f"http://127.0.0.1:{port}")
    await proxy.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for _ in range(600):
                try:
                    await client.get("/inbox")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}", proxy
    finally:
        sandbox.popen.kill()
        sandbox.popen.wait()
        await proxy.stop()


async def effects(url: str) -> Counter[str]:
    """How many runs each event has started."""
    async with AsyncTruto(token=TOKEN, base_url=url) as truto:
        return Counter([str(run.args["event"]) async for run in truto.sync_job_runs.list(sync_job_id=SYNC_JOB_ID)])


async def test_each_event_has_its_effect_once_through_all_troubles_of_the_platform(
    rig: Rigged, publish: Publish
) -> None:
    async with rig(workers=0) as r, platform(r) as (url, proxy), httpx.AsyncClient(base_url=url) as control:
        for _ in range(2):
            r.add_worker(TRUTO_API_URL=f"http://127.0.0.1:{proxy.port}", MAX_ATTEMPTS="4")
        sent = 0

        async def send_for(seconds: float) -> None:
            nonlocal sent
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                sent += 1
                await r.send("order:synced", event_id=f"sync-{sent}")
                await asyncio.sleep(0.02)

        for trouble in TROUBLES:
            await control.put("/sandbox/faults", json=trouble)
            sending = asyncio.create_task(send_for(12))
            while not trouble and not sending.done():
                await proxy.cut(Cut("reply", 0), 0.5)
                await asyncio.sleep(0.1)
            await sending
        await control.put("/sandbox/faults", json={})
        await r.drained(180)
        dead = await r.store.inspection.dead_letters(10_000)
        replayed = await r.store.inspection.replay([kept.member for kept in dead])
        await r.drained(120)
        found = await effects(url)
        verdict = await r.verdict()
        assert verdict.holds, verdict
        assert found == Counter({f"sync-{number}": 1 for number in range(1, sent + 1)})
        tried = f"{replayed} dead letters replayed, each effect exactly once"
        publish(15, "platform down, 5xx, 429, slow, cut off", verdict, f"{len(TROUBLES)} troubles", tried)


async def test_a_handler_that_blocks_costs_repetitions_and_no_event(rig: Rigged, publish: Publish) -> None:
    async with rig(workers=3, lease_seconds=2) as r:
        loading = asyncio.create_task(r.load(60, 40))
        blocking = [f"blocking-{number}" for number in range(8)]
        for name in blocking:
            await r.send("order:blocking", event_id=name, seconds=2 * r.setup.lease_seconds)
            await asyncio.sleep(4)
        await loading
        await r.drained(120)
        for run in read_runs(r.folder / "runs.jsonl"):
            if run.handler == "block":
                declare_blocked(r, run)
        states = await r.states(blocking)
        kept = frozenset(name for name in blocking if states[name] == "kept")
        verdict = await r.verdict(kept=kept)
        assert verdict.holds, verdict
        assert any(worker.said("event_loop_blocked") for worker in r.workers)
        publish(20, "event loop blocked for 2 leases", verdict, f"{len(blocking)} events", f"{len(kept)} of them dead")


def declare_blocked(rig: Rig, run: Run) -> None:
    """A blocked loop is a fault of its process: write it down as one."""
    rig.note("blocked", "worker", run.pid, began=run.began, ended=run.ended)
