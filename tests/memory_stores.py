"""The test kit's store, and stores that are wrong on purpose: what both pass would prove nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import events.memory
from events import Store
from events.memory import MemoryRedis


def _in_memory() -> Callable[..., Store]:
    return MemoryRedis(time.time).store


def _with_a_stopped_clock() -> Callable[..., Store]:
    """No lease ends, and nothing expires."""
    return MemoryRedis(lambda: 1_800_000_000.0).store


def _without(command: str, answer: Any) -> Callable[[], Callable[..., Store]]:
    """A server on which *command* changes nothing, and *answer* is its answer."""

    def make() -> Callable[..., Store]:
        socket = events.memory._Socket  # noqa: SLF001  there is no honest way to make a server wrong
        setattr(socket, command, lambda *_arguments: answer)
        return _in_memory()

    return make


STORES: dict[str, Callable[[], Callable[..., Store]]] = {
    "memory": _in_memory,
    "stopped": _with_a_stopped_clock,
    "without-hincrby": _without("hincrby", 1),
    "without-pexpire": _without("pexpire", 1),
}
"""What ``--store`` chooses from besides ``redis``: each makes a function that opens stores on one server."""
