"""The same layout for all: the process under test has one core, load and Redis share the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from events.embedded import EmbeddedRedis

ROOT = Path(__file__).resolve().parent.parent
SECRET = "6e17561c-a20c-44ce-b8b5-caff0bf786fe"

_CORES = sorted(os.sched_getaffinity(0))
TESTED_CORE, LOAD_CORE = _CORES[0], _CORES[-1]


def pin(pid: int, core: int) -> None:
    """Keep a process on one core."""
    os.sched_setaffinity(pid, {core})


@contextmanager
def redis(folder: Path) -> Iterator[EmbeddedRedis]:
    """A real redis-server as deployments run it, beside the load."""
    with EmbeddedRedis(folder) as server:
        assert server.pid is not None
        pin(server.pid, LOAD_CORE)
        yield server


@contextmanager
def process(
    *arguments: str, environment: Mapping[str, str], core: int = TESTED_CORE, checkout: Path = ROOT
) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process on *core*, with the code of *checkout*; ended by SIGTERM."""
    running = subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(checkout), **environment},
        cwd=checkout,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: pin(0, core),  # noqa: PLW1509  no threads here yet
    )
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def cpu_seconds(pid: int) -> float:
    """What a process has used so far, user and system together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid: int) -> int:
    """The memory a process holds."""
    return _memory(pid, "VmRSS:")


def peak_rss_bytes(pid: int) -> int:
    """The most memory a process has held."""
    return _memory(pid, "VmHWM:")


def _memory(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} has no {field}")
