"""One worker process for several stores."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from signal import Signals

from worker.engine import Engine


class Fleet:
    """The engines of one process, each for a store. An outage of one store is no matter of the others.

    Where they are several, a signal drains all of them, and they must not handle signals themselves. A single one has
    to.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = engines

    async def run_until_stopped(self) -> None:
        """Work until a signal, or :meth:`stop`, then close. Call it once."""
        if len(self._engines) > 1:
            loop = asyncio.get_running_loop()
            for number in (Signals.SIGINT, Signals.SIGTERM):
                loop.add_signal_handler(number, self.stop, number)
        async with asyncio.TaskGroup() as running:
            for engine in self._engines:
                running.create_task(engine.run_until_stopped(), name="engine")

    def stop(self, signum: Signals = Signals.SIGTERM) -> None:
        """Drain and stop, as SIGTERM does; the second call releases what still runs."""
        for engine in self._engines:
            engine.stop(signum)
