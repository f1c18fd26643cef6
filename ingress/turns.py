"""Turns in which large bodies are read, so that small deliveries are answered in between."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

_READS_PER_ROUND = 1
"""In one round of the event loop. Each read brings up to 256 KB, and takes a fraction of a millisecond."""


class Reader(Protocol):
    """A connection that a large body comes in by."""

    def pause_reading(self) -> None:
        """Read no more for now."""

    def read_on(self) -> None:
        """Read again, if there is still something to read."""


class Turns:
    """Has each connection read once, and then wait until all others that wait have read too."""

    def __init__(self) -> None:
        self._waiting: deque[Reader] = deque()
        self._is_scheduled = False

    def wait(self, reader: Reader) -> None:
        """Pause *reader* until its turn comes."""
        reader.pause_reading()
        self._waiting.append(reader)
        self._schedule()

    def _schedule(self) -> None:
        if self._waiting and not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._next_round)

    def _next_round(self) -> None:
        self._is_scheduled = False
        for _ in range(min(_READS_PER_ROUND, len(self._waiting))):
            self._waiting.popleft().read_on()
        self._schedule()
