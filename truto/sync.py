"""The client for code without asyncio. Its types are in ``sync.pyi``, written from those of the asyncio client.

After a change to the asyncio client: ``python -m tests.unit.truto.sync_stub``.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from truto.blocking import Blocking, LoopThread
from truto.client import AsyncTruto


class Truto(Blocking):
    """Truto's API without ``await``: the same resources and options as :class:`truto.AsyncTruto`."""

    def __init__(self, **options: Any) -> None:
        client = AsyncTruto(**options)
        super().__init__(client, LoopThread(client.aclose))

    def __repr__(self) -> str:
        return repr(self._target).removeprefix("Async")

    def __enter__(self) -> Truto:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancel calls of other threads, close the connections and end the client's thread. May be called again."""
        self._loop.close()
