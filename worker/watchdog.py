"""End a process whose event loop is stuck, so that its supervisor starts a new one."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from types import TracebackType

import structlog

log = structlog.get_logger("worker")

EXIT_CODE = 70
"""The exit code of a stuck process (``EX_SOFTWARE``)."""

_TICKS = 10


class Watchdog:
    """While its block runs, ends the process when the event loop has been blocked for *seconds*.

    It first logs where the loop hangs: places, no values. Code that also holds the interpreter lock (such as an endless
    regular expression) is ended by SIGVTALRM after twice as many seconds of CPU time. A process that is frozen, or gets
    no CPU, is not ended: the watchdog counts its own ticks, not the time.
    """

    def __init__(self, seconds: float, end: Callable[[], None] = lambda: os._exit(EXIT_CODE)) -> None:
        self._seconds = seconds
        self._end = end
        self._ticks = 0
        self._stopped = threading.Event()
        self._beating: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> None:
        """Watch the running loop, from its own thread."""
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        faulthandler.register(signal.SIGVTALRM, all_threads=False, chain=True)
        self._beat()
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching."""
        self._stopped.set()
        if self._beating is not None:
            self._beating.cancel()
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        faulthandler.unregister(signal.SIGVTALRM)
        self._thread.join()

    def _beat(self) -> None:
        self._ticks = 0
        signal.setitimer(signal.ITIMER_VIRTUAL, 2 * self._seconds)
        self._beating = self._loop.call_later(self._seconds / _TICKS, self._beat)

    def _watch(self) -> None:
        while not self._stopped.wait(self._seconds / _TICKS):
            self._ticks += 1
            if self._ticks > _TICKS:
                log.critical("worker_aborted", seconds=self._seconds, where=self._where(), hint="a handler blocks")
                self._end()
                return

    def _where(self) -> list[str]:
        frame = sys._current_frames().get(self._watched)  # noqa: SLF001  documented, in spite of its name
        return [f"{place.filename}:{place.lineno} in {place.name}" for place in traceback.extract_stack(frame)[-5:]]
