"""What Redis tells of a backlog while it is worked off."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

from redis import Redis


def info(admin: Redis, section: str) -> dict[str, Any]:
    """A section of Redis' INFO."""
    return cast("dict[str, Any]", admin.info(section))  # redis-py's type allows for an answer to be awaited


def happened(admin: Redis, what: str) -> int:
    """How often *what* has happened to events since the store was emptied."""
    return int(cast("bytes | None", admin.hget("tw:totals", what)) or 0)


def until(reached: Callable[[], int], goal: int) -> tuple[int, float]:
    """Wait for *goal*; what was *reached* then, and the monotonic time (s). ``RuntimeError`` after five minutes."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if (now := reached()) >= goal:
            return now, time.monotonic()
        time.sleep(0.02)
    raise RuntimeError("the backlog was not worked off")
