"""When a process is ended because its event loop will never run again."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import threading
import time

from structlog.testing import capture_logs

from worker.watchdog import EXIT_CODE, Watchdog

STUCK = """
import asyncio, re, time
from worker.watchdog import Watchdog

async def main():
    with Watchdog(0.3):
        await asyncio.sleep(0)
        {blocking}

asyncio.run(main())
"""


def run_stuck(blocking: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", STUCK.format(blocking=blocking)], capture_output=True, text=True, timeout=30
    )


async def test_a_loop_that_is_blocked_too_long_ends_the_process() -> None:
    ended = threading.Event()
    with Watchdog(0.2, ended.set):
        assert ended.wait(10)  # the loop is blocked by that


async def test_before_the_end_it_is_said_where_the_loop_hung() -> None:
    ended = threading.Event()
    with capture_logs() as logs, Watchdog(0.2, ended.set):
        assert ended.wait(10)
    (entry,) = [entry for entry in logs if entry["event"] == "worker_aborted"]
    assert entry["seconds"] == 0.2
    assert any("test_before_the_end_it_is_said" in place for place in entry["where"])


async def test_a_loop_that_runs_is_left_alone() -> None:
    ended = threading.Event()
    with Watchdog(0.3, ended.set):
        for _ in range(10):
            time.sleep(0.05)  # noqa: ASYNC251 blocked, and never for long
            await asyncio.sleep(0)
            await asyncio.sleep(0.01)
    assert not ended.is_set()


async def test_after_its_block_nothing_is_watched() -> None:
    ended = threading.Event()
    with Watchdog(0.1, ended.set):
        await asyncio.sleep(0)
    time.sleep(0.3)  # noqa: ASYNC251 nobody looks any more
    assert not ended.is_set()
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_an_endless_loop_ends_the_process_with_its_own_code() -> None:
    done = run_stuck("exec('while True: pass')")
    assert done.returncode == EXIT_CODE
    assert "worker_aborted" in done.stdout + done.stderr


def test_code_that_never_lets_go_of_the_interpreter_is_ended_too() -> None:
    done = run_stuck("re.match(r'(a+)+$', 'a' * 60 + 'b')")
    assert done.returncode == -signal.SIGVTALRM
    assert "re" in done.stderr
    assert re.search(r"line \d+ in ", done.stderr)
