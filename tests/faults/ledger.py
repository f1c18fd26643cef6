"""What the rig writes down while it runs: who sent what, what was answered, what ran, what was broken.

Every ledger is a file of one JSON array a line, appended before the next thing happens. Times are those of the
machine's monotonic clock (s), which all processes share.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import orjson

Outcome = Literal["ok", "fail", "unknown"]
"""What the sender knows after an attempt: stored, certainly not stored, or neither."""

Target = Literal["worker", "ingress", "store"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery. ``genuine`` says whether it was signed with the secret."""

    id: str
    sent: float
    ended: float
    outcome: Outcome
    genuine: bool = True
    status: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one handler; ``end`` is ``None`` when it was never seen to end."""

    id: str
    handler: str
    pid: int
    began: float
    ended: float | None
    end: Literal["done", "failed"] | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was broken. ``pid`` is the process it hit; a fault of the store or the network hits all."""

    kind: str
    target: Target
    began: float
    ended: float
    pid: int = 0


class Ledger:
    """A file that outlives this process: each line is written at once, and fsynced within 50 ms."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._dirty = False
        self._syncing: asyncio.Task[None] | None = None

    def write(self, *fields: object) -> None:
        """Append one line."""
        os.write(self._file, orjson.dumps(fields) + b"\n")
        self._dirty = True
        if self._syncing is None:
            self._syncing = asyncio.create_task(self._sync())

    async def _sync(self) -> None:
        while self._dirty:
            self._dirty = False
            await asyncio.to_thread(os.fdatasync, self._file)
            await asyncio.sleep(0.05)
        self._syncing = None

    async def close(self) -> None:
        """Wait for the disk, then close."""
        if self._syncing is not None:
            await self._syncing
        os.close(self._file)


def read_attempts(path: Path) -> list[Attempt]:
    """The sender's ledger. An attempt without an end counts as one whose outcome is unknown."""
    open_ones: dict[int, tuple[str, float, bool]] = {}
    attempts: list[Attempt] = []
    for what, number, at, *rest in _lines(path):
        if what == "sent":
            open_ones[number] = (rest[0], at, rest[1])
        else:
            event_id, sent, genuine = open_ones.pop(number)
            attempts.append(Attempt(event_id, sent, at, rest[0], genuine, rest[1]))
    attempts.extend(Attempt(name, sent, sent, "unknown", genuine) for name, sent, genuine in open_ones.values())
    return attempts


def read_runs(path: Path) -> list[Run]:
    """The sink: what the handlers wrote."""
    begun: dict[str, tuple[str, str, int, float]] = {}
    runs: list[Run] = []
    for what, token, at, *rest in _lines(path):
        if what == "began":
            begun[token] = (rest[0], rest[1], rest[2], at)
        else:
            event_id, handler, pid, began = begun.pop(token)
            runs.append(Run(event_id, handler, pid, began, at, what))
    runs.extend(Run(event_id, handler, pid, began, None, None) for event_id, handler, pid, began in begun.values())
    return sorted(runs, key=lambda run: run.began)


def read_stalls(log: Path, ahead: float) -> Iterator[Fault]:
    """When a worker stood still, by its own *log*, though it did not compute: the machine gave it no time, or its disk.

    *ahead* is what the wall clock is ahead of the monotonic one (s).
    """
    with log.open("rb") as lines:
        for line in lines:
            if b'"event_loop_blocked"' not in line:
                continue
            said = orjson.loads(line)
            if said["cpu_seconds"] <= said["seconds"] / 2:
                ended = datetime.fromisoformat(said["timestamp"]).timestamp() - ahead
                pid = int(said["worker"].rsplit("-", 2)[1])
                yield Fault("stall", "worker", ended - 2 * said["seconds"], ended, pid)


def _lines(path: Path) -> Iterator[list[Any]]:
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            yield orjson.loads(line)
