"""Long tier: a store that is full, damaged, or deep in work: rows 13, 14, 22 and 23."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from pathlib import Path

import orjson
import pytest

from events import CorruptEvent, Verified
from events.event import read_stored
from events.identity import event_key
from tests.faults.conftest import Publish, Rigged
from tests.faults.rig import Rig, until

pytestmark = pytest.mark.long


async def test_a_full_disk_is_told_as_503_and_costs_nothing_that_was_acknowledged(
    rig: Rigged, publish: Publish
) -> None:
    async with rig(workers=1) as r:
        file = next((r.folder / "redis").rglob("*.aof"))
        loading = asyncio.create_task(r.load(150, 40, patience=30))
        for _ in range(3):
            await asyncio.sleep(2)
            began = time.monotonic()
            assert r.redis.pid is not None
            # What a full disk does to a file: not a byte more. It needs no file system of its own, and no root.
            limit = file.stat().st_size + 50_000
            resource.prlimit(r.redis.pid, resource.RLIMIT_FSIZE, (limit, limit))
            await until(lambda: not is_running(r.redis.pid), 20, "Redis did not notice")
            await asyncio.sleep(1)
            await asyncio.to_thread(r.redis.kill)
            await asyncio.to_thread(r.redis.start)
            r.note("disk full", "store", began=began)
        await loading
        await r.drained()
        verdict = await r.verdict(resume_bound=6.5)
        assert verdict.holds, verdict
        publish(13, "disk full, then room again", verdict, f"{len(r.faults)} times")


def is_running(pid: int | None) -> bool:
    """Whether that process, a child of ours, has not ended."""
    return pid is not None and Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


async def test_a_full_memory_refuses_before_it_loses_and_is_worked_off(rig: Rigged, publish: Publish) -> None:
    async with rig(workers=0) as r:
        used = int((await r.client.info("memory"))["used_memory"])
        await r.client.config_set("maxmemory", used + 8 * 1024 * 1024)
        refused_from = 0
        for _ in range(200):
            answers = await asyncio.gather(*(r.send(filler="x" * 1500, retries=()) for _ in range(100)))
            if not any(answers):
                refused_from = r.sender.acked
                break
        assert refused_from, "the memory did not fill"
        r.add_worker()
        assert await r.send(seconds=0.01, retries=(0.3,) * 60), "acknowledgements did not resume"
        await r.drained()
        verdict = await r.verdict()
        assert verdict.holds, verdict
        publish(14, "maxmemory reached, noeviction", verdict, "1", f"503 after {refused_from:,}, then worked off")


async def test_damaged_payloads_are_kept_and_hold_nothing_up(rig: Rigged, publish: Publish) -> None:
    async with rig(workers=0) as r:
        names = [f"event-{number}" for number in range(1000)]
        for start in range(0, 1000, 100):
            await asyncio.gather(*(r.send(event_id=name, seconds=0.005) for name in names[start : start + 100]))
        damaged = r.random.sample(names, 300)
        names_now = {await flip_a_byte(r, name) for name in damaged}
        for _ in range(2):
            r.add_worker(MAX_ATTEMPTS="3")  # many handlers miss what a flipped byte took from them, each time anew
        await r.drained()
        states = await r.states(names)
        kept = frozenset(name for name in damaged if states[name] == "kept")
        # What a flipped byte turned into another valid event may have run as that, or not as the one that was sent.
        r.wanted = {name: handlers for name, handlers in r.wanted.items() if name not in damaged}
        verdict = await r.verdict(kept=kept)
        assert not verdict.lost
        assert set(verdict.broken) <= {"I3 repeated without cause", "I4 not authentic", "I7 in a log"}, verdict
        # A flipped digit may give a damaged event the name of another one, which then ran twice by its name.
        twice = {found.partition(":")[0] for found in verdict.broken.get("I3 repeated without cause", ())}
        assert twice <= names_now, verdict
        assert not any(fault.kind == "crash" for fault in r.faults)
        publish(22, "bytes flipped in stored events", verdict, f"{len(damaged)} flips", f"{len(kept)} kept, rest ran")


async def flip_a_byte(rig: Rig, name: str) -> str | None:
    """Damage what is stored of an event; the name under which it can still be read, if it can."""
    key = f"tw:event:{event_key('truto', name)}"
    stored = bytearray(await rig.client.get(key) or b"")
    stored[rig.random.randrange(len(stored))] ^= 1 << rig.random.randrange(8)
    await rig.client.set(key, bytes(stored))
    try:
        return read_stored(bytes(stored)).id
    except CorruptEvent:
        return None


async def test_redis_starts_from_a_file_whose_end_is_torn(rig: Rigged, publish: Publish) -> None:
    async with rig(workers=0) as r:
        max_lost = 0
        for _ in range(20):
            await asyncio.gather(*(r.send(seconds=0) for _ in range(5)))
            await r.send(seconds=0)

            def tear() -> None:
                file = next((r.folder / "redis").rglob("*.aof"))
                os.truncate(file, file.stat().st_size - r.random.randint(1, 100))

            await r.kill_redis(before_restart=tear)
            max_lost += 1
        verdict = await r.verdict(drained=False)
        assert len(verdict.lost) <= max_lost, "more than the last command of each tear"
        publish(22.1, "append-only file torn by 1-100 bytes", verdict, "20 tears", "each takes its last command")


EVENTS = 1_000_000


async def test_a_backlog_of_a_million_is_worked_off(rig: Rigged, publish: Publish) -> None:
    workers = 2
    async with rig(workers=0, lease_seconds=15, concurrency=100, handlers="benchmarks.noop_handlers") as r:
        began = time.monotonic()
        for start in range(0, EVENTS, 1000):
            await r.store.accept([backlogged(number) for number in range(start, start + 1000)])
        accepted = EVENTS / (time.monotonic() - began)
        memory = int((await r.client.info("memory"))["used_memory"])
        for _ in range(workers):
            r.add_worker(LOG_LEVEL="warning")
        began = time.monotonic()
        await r.drained(1800)
        rate = EVENTS / (time.monotonic() - began)
        peaks = [peak_rss(worker.pid) for worker in r.workers]
        assert await r.total("done") == EVENTS
        assert not r.faults
        verdict = await r.verdict()
        figures = (
            f"{EVENTS:,} of 1 KiB; accepted {accepted:,.0f}/s; worked off {rate:,.0f}/s by {workers} workers; "
            f"Redis {memory / 1e9:.2f} GB; worker RSS {max(peaks) / 1e6:.0f} MB"
        )
        publish(23, "backlog", verdict, "0", figures)


def backlogged(number: int) -> Verified:
    """An event of 1 KiB."""
    body = orjson.dumps({"id": f"backlog-{number}", "event": "bench:noop", "payload": {"filler": "x" * 960}})
    return Verified("truto", "bench:noop", f"backlog-{number}", body)


def peak_rss(pid: int) -> int:
    """The most memory (bytes) that a process has held."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
