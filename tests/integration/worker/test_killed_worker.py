"""Worker processes as they are deployed, killed and stopped while a handler runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

from events import Store
from events.embedded import EmbeddedRedis
from tests.conftest import MakeStore
from tests.integration.worker.workshop import delivered, ended, eventually, is_empty, story

HANDLERS = """
    import asyncio
    import os
    from pathlib import Path

    from events import Event
    from worker import Context, on

    RUNS = Path(__file__).with_name("runs.txt")

    @on("order:slow")
    async def work_slowly(event: Event, ctx: Context) -> None:
        with RUNS.open("a") as runs:
            runs.write(f"{event.id} {ctx.attempt} {os.getpid()}\\n")
        await asyncio.sleep(float(os.environ["HANDLER_SECONDS"]))

    @on("order:poison")
    async def take_the_worker_down(event: Event, ctx: Context) -> None:
        with RUNS.open("a") as runs:
            runs.write(f"{event.id} {ctx.attempt} {os.getpid()}\\n")
        os.kill(os.getpid(), 9)
"""

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def runs(tmp_path: Path) -> Callable[[], list[str]]:
    """The handler's runs so far, a line each: event, attempt, process."""
    package = tmp_path / "team"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "orders.py").write_text(dedent(HANDLERS))
    file = package / "runs.txt"
    return lambda: file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def start(tmp_path: Path, redis_server: EmbeddedRedis, runs: Callable[[], list[str]]) -> Iterator[Start]:
    """Start a worker process; whatever is left of it is killed when the test ends."""
    started: list[subprocess.Popen[bytes]] = []

    def start(handler_seconds: float, **settings: str) -> subprocess.Popen[bytes]:
        with (tmp_path / f"worker-{len(started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli", "worker"],
                cwd=tmp_path,
                env={
                    **os.environ,
                    "REDIS_URL": redis_server.url,
                    "TRUTO_API_TOKEN": "sandbox-token",
                    "TRUTO_API_URL": "http://127.0.0.1:9",
                    "HANDLERS": "team",
                    "LEASE_SECONDS": "1",
                    "GRACE_SECONDS": "10",
                    "HANDLER_SECONDS": str(handler_seconds),
                    **settings,
                },
                stderr=log,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


async def test_the_work_of_a_killed_worker_runs_again_within_a_lease_and_two_seconds(
    store: Store, start: Start, runs: Callable[[], list[str]]
) -> None:
    event = delivered("order:slow")
    first = start(30)
    await store.accept([event])
    await eventually(lambda: len(runs()) == 1, seconds=15)
    start(0)
    await eventually(lambda: _is_idle(store, 2), seconds=15)
    first.kill()
    with at_most(1 + 2):
        await eventually(lambda: len(runs()) == 2)
    await ended(store, event)
    assert [line.split()[:2] for line in runs()] == [[event.id, "1"], [event.id, "1"]]
    assert await story(store, event) == ["received", "claimed", "claimed", "done"]
    assert await is_empty(store)


async def _is_idle(store: Store, workers: int) -> bool:
    return (await store.inspection.overview()).workers == workers


async def test_a_worker_that_is_told_to_stop_ends_its_work_and_exits_with_0(
    store: Store, start: Start, runs: Callable[[], list[str]]
) -> None:
    event, later = delivered("order:slow"), delivered("order:slow")
    process = start(1)
    await store.accept([event])
    await eventually(lambda: len(runs()) == 1, seconds=15)
    process.send_signal(signal.SIGTERM)
    await eventually(lambda: process.poll() is not None)
    await store.accept([later])
    assert process.returncode == 0
    assert await story(store, event) == ["received", "claimed", "done"]
    assert len(runs()) == 1


async def test_a_worker_that_may_not_wait_gives_its_work_back_and_exits_with_0(
    store: Store, start: Start, runs: Callable[[], list[str]]
) -> None:
    event = delivered("order:slow")
    process = start(30, GRACE_SECONDS="1")
    await store.accept([event])
    await eventually(lambda: len(runs()) == 1, seconds=15)
    process.send_signal(signal.SIGTERM)
    await eventually(lambda: process.poll() is not None)
    assert process.returncode == 0
    assert await story(store, event) == ["received", "claimed", "released"]
    assert (await store.inspection.overview()).ready == 1


async def test_work_that_takes_every_worker_down_becomes_a_dead_letter(
    make_store: MakeStore, start: Start, runs: Callable[[], list[str]]
) -> None:
    store = make_store(lease_seconds=1)
    event = delivered("order:poison")
    await store.accept([event])
    for number in range(1, 4):
        process = start(0)
        await eventually(lambda process=process: process.poll() is not None, seconds=15)  # type: ignore[misc] # binds it
        assert process.returncode == -signal.SIGKILL
        assert len(runs()) == number
    start(0)
    await ended(store, event, "dead")
    assert len(runs()) == 3
    (kept,) = await store.inspection.dead_letters()
    assert "3 times" in kept.note["error"]
    assert kept.handler == "team.orders.take_the_worker_down"
