"""Act on many dead letters, or on much parked work: in batches, at a rate, with progress, until a signal stops it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.selection import MAX_PAGE, Selected

_STEPS_PER_SECOND = 10


class Acted(NamedTuple):
    """On how many the action was *done*, of how many that were *chosen*; *stopped* before the end by a signal."""

    done: int
    chosen: int
    stopped: bool


def batch_size(rate: float | None) -> int:
    """The size of a batch, so that *rate* is even but needs few round trips."""
    return MAX_PAGE if rate is None else min(MAX_PAGE, max(1, round(rate / _STEPS_PER_SECOND)))


async def act_on(
    selected: Selected, action: Callable[[Sequence[str]], Awaitable[int]], title: str, rate: float | None = None
) -> Acted:
    """Do *action* on all that is *selected*, oldest first, *rate* a second or as fast as the store takes it.

    Each batch is done whole or not at all. On SIGINT or SIGTERM the batch under way is the last one: another call goes
    on with what is left.
    """
    done = chosen = 0
    started = time.monotonic()
    batches = selected.members(batch_size(rate))
    with stop_signal() as stop, _progress(title, selected.total) as advance:
        async for batch in batches:
            if rate is not None:
                await pause(started + chosen / rate - time.monotonic(), stop)
            if stop.is_set():
                break
            done += await action(batch)
            chosen += len(batch)
            advance(selected.walked)
        return Acted(done, chosen, stop.is_set())


async def pause(seconds: float, stop: asyncio.Event) -> None:
    """Wait, but not longer than until *stop* is set."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), max(0.0, seconds))


@contextmanager
def stop_signal() -> Iterator[asyncio.Event]:
    """Set by the first SIGINT or SIGTERM; a second one ends the process as usual, should the store not answer."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)

    def restore() -> None:
        for number in signals:
            loop.remove_signal_handler(number)

    def first() -> None:
        stop.set()
        restore()

    for number in signals:
        loop.add_signal_handler(number, first)
    try:
        yield stop
    finally:
        restore()


@contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(title, total=total)
        yield lambda completed: progress.update(bar, completed=completed)
