"""Run a task in the background of a block of code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

_AGAIN_SECONDS = 0.2


@asynccontextmanager
async def background(work: Coroutine[Any, Any, object], name: str) -> AsyncIterator[None]:
    """Run *work* until the block ends, and no longer; *name* is its task's.

    What it raises is no concern of the block's: asyncio logs it.
    """
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        await cancel(task)


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel *task*, and return once it has ended."""
    # Python 3.11's wait_for, through which redis-py sends, may swallow a cancellation.
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_AGAIN_SECONDS)
