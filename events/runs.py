"""Runs of workflows as the store keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import orjson

RunStatus = Literal["created", "running", "completed", "failed", "skipped"]


class Begun(NamedTuple):
    """A run that was begun, or goes on: ``status`` is that before (``""`` for a new one), ``attempt`` counts from 1.

    ``digest`` names the definition that it has to go on with, ``steps`` is what was kept for it, as JSON.
    """

    status: str
    digest: str
    attempt: int
    steps: dict[str, bytes]


class Waiting(NamedTuple):
    """A run that waits for an event: its work, and what it was indexed with."""

    member: str
    entry: bytes


class Arrivals(NamedTuple):
    """Events of one type: how many have come, the last of them, oldest first, and Redis' time (Unix seconds)."""

    seen: int
    documents: list[bytes]
    now: float


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a workflow. ``steps`` are those that are done, by the names under which they were kept.

    ``head`` says what was run for which event; ``result`` is there once it has ended. Times are UTC.
    """

    id: str
    status: RunStatus
    head: Mapping[str, Any]
    attempts: int
    started_at: datetime
    finished_at: datetime | None
    error: str | None
    result: Mapping[str, Any] | None = field(repr=False)
    steps: Mapping[str, Any] = field(repr=False)
    due_at: datetime | None = None


def read_run(
    run_id: str,
    row: Mapping[bytes, bytes],
    steps: Mapping[bytes, bytes],
    *,
    due_ms: float | None = None,
    dead: bool = False,
) -> Run:
    """The run behind what Redis holds of it. A run whose work is *dead* has failed, whoever said so or not."""
    status = row[b"status"].decode()
    if status == "running" and dead:
        status = "failed"
    elif status == "running" and not steps:
        status = "created"
    ended = row.get(b"ended")
    error = row.get(b"error")
    if status == "failed" and error is None:
        error = b"its worker was lost while it ran, or its work was given up"
    return Run(
        id=run_id,
        status=status,  # type: ignore[arg-type]  # what our scripts wrote
        head=orjson.loads(row[b"head"]),
        attempts=int(row.get(b"attempts", 0)),
        started_at=_time(float(row[b"started"])),
        finished_at=_time(float(ended)) if ended else None,
        error=error.decode() if error else None,
        result=orjson.loads(row[b"result"]) if b"result" in row else None,
        steps={name.decode(): orjson.loads(value) for name, value in steps.items()},
        due_at=None if due_ms is None else _time(due_ms),
    )


def _time(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
