"""Large events in the memory that the shipped files give a worker: row 24."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.conftest import Publish, Rigged
from tests.faults.rig import Rig, until
from tests.faults.test_long_store import peak_rss

GIVEN_BYTES = 512 * 1024 * 1024
BODY_BYTES = 10 * 1024 * 1024
_MAX_PENDING = 40  # Redis has to hold them


@contextmanager
def at_most(memory: int, pid: int) -> Iterator[None]:
    """Let the kernel kill process *pid* when it takes more *memory* (bytes), where a control group can be made."""
    group = Path(f"/sys/fs/cgroup/memory/tw-faults-{pid}")
    try:
        group.mkdir()
    except OSError:
        yield
        return
    try:
        (group / "memory.limit_in_bytes").write_text(
            str(memory - _rss(pid))
        )  # what it has by now stays charged elsewhere
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        for left in (group / "cgroup.procs").read_text().split():
            (group.parent / "cgroup.procs").write_text(left)
        group.rmdir()


def _rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.bad_input(210)
@pytest.mark.parametrize("count", [48, pytest.param(500, marks=pytest.mark.long)])
async def test_a_worker_in_its_shipped_memory_works_large_events_off_and_is_not_killed(
    rig: Rigged, publish: Publish, count: int
) -> None:
    async with rig(workers=1, lease_seconds=5, concurrency=50) as r:
        (worker,) = r.workers
        with at_most(GIVEN_BYTES, worker.pid):
            await deliver(r, count)
            await r.drained(60 + count)
            peak = peak_rss(worker.pid)
        verdict = await r.verdict()
        assert verdict.holds, verdict
        assert not r.faults
        assert worker.starts == 1
        assert peak <= 200 * 1024 * 1024
        publish(24, f"{count} events of 10 MB, worker in 512 MiB", verdict, "0", f"peak {peak / 1e6:.0f} MB")


async def deliver(r: Rig, count: int) -> None:
    """Four at a time, every third of them for two handlers; wait while the worker is far behind."""
    filler = "x" * (BODY_BYTES - 500)
    for start in range(0, count, 4):
        async with asyncio.TaskGroup() as group:
            for number in range(start, min(start + 4, count)):
                kind = "order:split" if number % 3 == 0 else "order:paid"
                group.create_task(r.send(kind, event_id=f"large-{number}", filler=filler))
        await until(lambda: has_few_pending(r), 60, "the worker does not work them off")


async def has_few_pending(r: Rig) -> bool:
    view = await r.store.inspection.overview()
    return view.ready + view.waiting <= _MAX_PENDING
