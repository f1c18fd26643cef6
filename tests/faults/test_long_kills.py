"""Long tier: everything killed, over and over: rows 1, 2, 3 and 4 at volume, and 5."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from events.embedded import EmbeddedRedis
from tests.faults.conftest import Publish, Rigged
from tests.faults.rig import Rig
from tests.faults.test_kills import STARTING_SECONDS

pytestmark = pytest.mark.long

LEAST_ACKED = 200_000
LEAST_KILLS = 200


async def test_two_hundred_kills_of_everything_lose_none_of_two_hundred_thousand(rig: Rigged, publish: Publish) -> None:
    async with rig(workers=3, concurrency=40) as r:
        kinds: dict[str, int] = {"worker": 0, "ingress": 0, "Redis": 0}

        async def kill_something() -> None:
            kind = r.random.choice([*["worker"] * 4, *["ingress"] * 2, *["Redis"] * 2])
            kinds[kind] += 1
            if kind == "Redis":
                if r.random.random() < 0.5 and not await rewrite(r):
                    return
                await r.kill_redis()
            elif kind == "ingress":
                r.kill(r.ingress)
            else:
                r.kill_any_worker()

        async def kill_on() -> None:
            while r.sender.acked < LEAST_ACKED or sum(kinds.values()) < LEAST_KILLS:
                await r.every(1.5, 4.0, time.monotonic() + 20, kill_something)

        killing = asyncio.create_task(kill_on())
        while not killing.done():
            await r.load(450, 10, patience=20)
        await killing
        await r.drained(300)
        verdict = await r.verdict(resume_bound=STARTING_SECONDS)
        assert verdict.holds, verdict
        how = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        publish(25, "kill -9 of everything", verdict, f"{sum(kinds.values())} kills ({how})")


async def rewrite(rig: Rig) -> bool:
    """Let Redis begin to rewrite its file, so that the kill comes in the middle; whether it does."""
    try:
        return bool(await rig.client.execute_command("BGREWRITEAOF"))  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001  it is away, or rewrites already
        return False


async def test_work_goes_on_after_all_workers_were_killed_at_once(rig: Rigged, publish: Publish) -> None:
    async with rig() as r:

        def kill_all() -> None:
            for worker in r.workers:
                r.kill(worker)

        end = time.monotonic() + 45
        await asyncio.gather(r.load(120, 45), r.every(5, 8, end, kill_all))
        await r.drained()
        verdict = await r.verdict(recovery_bound=r.setup.lease_seconds + 2.0 + STARTING_SECONDS)
        assert verdict.holds, verdict
        publish(2, "kill -9 of all workers", verdict, f"{len(r.faults)} kills")


class OnLoopDevice(EmbeddedRedis):
    """A Redis on a file system in a file. A copy of that file is what a power cut leaves: without the page cache."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder
        self.image = folder.with_suffix(".img")

    def make(self) -> None:
        """Create and mount the file system; needs root."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.image.open("wb") as image:
            image.truncate(192 * 1024 * 1024)
        run("mkfs.ext4", "-q", "-F", str(self.image))
        run("mount", "-o", "loop", str(self.image), str(self.folder))

    def start(self) -> None:
        """Start, on a new file system the first time."""
        if not self.image.exists():
            self.make()
        super().start()

    def lose_power(self) -> None:
        """Stop the server where it stands, and put the copy that a power cut would have left in its place."""
        assert self.pid is not None
        os.kill(self.pid, signal.SIGSTOP)
        after = self.image.with_suffix(".after")
        run("cp", "--sparse=always", str(self.image), str(after))
        os.kill(self.pid, signal.SIGCONT)
        self.kill()
        self.unmount()
        after.replace(self.image)
        run("mount", "-o", "loop", str(self.image), str(self.folder))

    def unmount(self) -> None:
        """Take the file system away, if it is there."""
        if self.folder.is_mount():
            run("umount", str(self.folder))


def run(*command: str) -> None:
    """A command that has to succeed."""
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mkfs.ext4"), reason="needs root, to mount a file")
async def test_a_power_cut_takes_no_acknowledged_event(rig: Rigged, publish: Publish) -> None:
    disks: list[OnLoopDevice] = []

    def server(folder: Path) -> OnLoopDevice:
        disks.append(OnLoopDevice(folder))
        return disks[0]

    try:
        async with rig(workers=2, server=server) as r:

            async def cut() -> None:
                began = time.monotonic()
                await asyncio.to_thread(disks[0].lose_power)
                await asyncio.to_thread(r.redis.start)
                r.note("power cut", "store", began=began)

            end = time.monotonic() + 60
            await asyncio.gather(r.load(300, 60, patience=20), r.every(2, 4, end, cut))
            await r.drained()
            verdict = await r.verdict(resume_bound=5.0 + 1.5)
            assert verdict.holds, verdict
            publish(5, "power cut (copy of a mounted file)", verdict, f"{len(r.faults)} cuts")
    finally:
        for disk in disks:
            disk.unmount()
