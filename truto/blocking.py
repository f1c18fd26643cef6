"""Use the asyncio client from threads: an event loop of its own, and a face without ``await``."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError
from functools import wraps
from types import TracebackType
from typing import Any, Self, TypeVar

from truto.client import AsyncTruto
from truto.downloads import Download
from truto.endpoints import Endpoint
from truto.errors import TransportError
from truto.mcp import McpServer
from truto.pages import Listing
from truto.records import Custom, Records

_ResultT = TypeVar("_ResultT")
_WITH_AWAIT = (AsyncTruto, Endpoint, Records, Custom, McpServer, Listing, Download)


class LoopThread:
    """An event loop in a thread of its own, for any number of threads that wait for what runs in it.

    *at_end* is awaited in the loop when it closes, after everything else there has been cancelled.
    """

    def __init__(self, at_end: Callable[[], Awaitable[object]]) -> None:
        self._at_end = at_end
        self._lock = threading.Lock()
        self._closed = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="truto", daemon=True)
        self._thread.start()
        self._ready.wait()

    def run(self, coroutine: Coroutine[Any, Any, _ResultT]) -> _ResultT:
        """Run *coroutine* in the loop and wait for its result; an interrupted wait cancels it."""
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("a blocking call inside the client's own event loop would wait for itself")
        with self._lock:
            # A fork takes no threads along.
            if self._closed or not self._thread.is_alive():
                coroutine.close()
                raise RuntimeError("the client is closed, or was made before this process was forked")
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise TransportError("the client was closed during the call") from None
        except BaseException:
            future.cancel()
            raise

    def forget(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Run *coroutine* in the loop without waiting; nothing happens once the loop is closed."""
        with self._lock:
            if self._closed:
                coroutine.close()
            else:
                asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def close(self) -> None:
        """Cancel what runs, end the loop and its thread. A second call waits for the first."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _main(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._ready.set()
        await self._stop.wait()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._at_end()


class Blocking:
    """An object of the asyncio client, without ``await``: its methods wait, its loops and ``with`` are plain ones."""

    def __init__(self, target: Any, loop: LoopThread) -> None:
        self._target = target
        self._loop = loop

    def __repr__(self) -> str:
        return f"<blocking {self._target!r}>"

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._target) if not name.startswith("_")]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._adapted(getattr(self._target, name))

    def __enter__(self) -> Self:
        self._loop.run(self._target.__aenter__())
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.run(self._target.__aexit__(exc_type, exc, traceback))

    def __iter__(self) -> Iterator[Any]:
        if not isinstance(self._target, Listing):
            yield from self._each(aiter(self._target))
            return
        # A whole page for each visit to the other thread.
        for page in self._each(self._target.pages()):
            yield from page

    def _adapted(self, value: Any) -> Any:
        if isinstance(value, AsyncTruto):
            return BlockingView(value, self._loop)
        if isinstance(value, _WITH_AWAIT):
            return Blocking(value, self._loop)
        if inspect.iscoroutine(value):
            return self._loop.run(value)
        if isinstance(value, AsyncGenerator):
            return self._each(value)
        return self._waiting(value) if inspect.ismethod(value) else value

    def _waiting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def wait(*args: Any, **options: Any) -> Any:
            return self._adapted(method(*map(_argument, args), **options))

        return wait

    def _each(self, items: AsyncGenerator[Any, None]) -> Iterator[Any]:
        try:
            while (item := self._loop.run(_next(items))) is not _END:
                yield item
        finally:
            # Not waited for: the collector may be what ends this loop, in any thread, the loop's own among them.
            self._loop.forget(_close(items))


class BlockingView(Blocking):
    """A view on a blocking client. The connections belong to the client, which is to be closed instead."""

    def close(self) -> None:
        """Nothing: a view has no connections of its own."""


_END = object()


async def _next(items: AsyncGenerator[Any, None]) -> Any:
    return await anext(items, _END)


async def _close(items: AsyncGenerator[Any, None]) -> None:
    await items.aclose()


def _argument(value: Any) -> Any:
    return _chunks(value) if isinstance(value, Iterator) else value


async def _chunks(content: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (chunk := await asyncio.to_thread(next, content, None)) is not None:
        yield chunk
