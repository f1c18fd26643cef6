"""Workers that die at a chosen call of the store: before it reaches Redis, or after it did its work there.

A dead worker reaches nothing more: every call of its store is cancelled, and what it held comes back by its lease.
 Each is a new :class:`Store` on the same Redis, as a new process would be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal, NoReturn

from events import Lease, Store
from events.client import StoreClient
from events.connecting import connect
from tests.integration.worker.workshop import QUICK, plain
from truto import AsyncTruto
from worker.dispatch import Dispatcher
from worker.notify import Notifier
from worker.registry import Registry

LEASE_SECONDS = 0.03

Moment = Literal["before", "after"]


class CutClient(StoreClient):
    """Dies at its call number *cut* (from 1; 0: never), and notes in *log* which steps were kept."""

    def __init__(self, url: str, cut: int, moment: Moment, log: list[str]) -> None:
        super().__init__(connect(url, answer_seconds=5))
        self._cut = cut
        self._moment = moment
        self._log = log
        self.calls = 0
        self.died = asyncio.Event()

    async def run(self, script: str, args: Sequence[str | bytes | int]) -> Any:
        if self.died.is_set():
            raise asyncio.CancelledError
        self.calls += 1
        dies = self.calls == self._cut
        if dies and self._moment == "before":
            self._die()
        answer = await super().run(script, args)
        if script == "keep_step" and answer == [1] and str(args[3]).isdigit():
            self._log.append(f"kept {args[3]!s}")
        if dies:
            self._die()
        return answer

    def _die(self) -> NoReturn:
        self.died.set()
        raise asyncio.CancelledError


class Crew:
    """One worker after the other, each working piece by piece until nothing is due or it dies."""

    def __init__(self, url: str, registry: Registry, log: list[str]) -> None:
        self._url = url
        self._registry = registry
        self._log = log
        self._truto = AsyncTruto(token="sandbox-token", transport=plain())
        self._notify = Notifier(transport=plain())

    async def close(self) -> None:
        await self._truto.aclose()
        await self._notify.aclose()

    async def work(self, cut: int = 0, moment: Moment = "before") -> tuple[bool, int]:
        """Let a new worker work; whether it died, and how many calls it made."""
        client = CutClient(self._url, cut, moment, self._log)
        store = Store(client, lease_seconds=LEASE_SECONDS)
        dispatcher = Dispatcher(store, self._registry, self._truto, self._notify, QUICK)
        working = asyncio.create_task(self._work_off(store, dispatcher))
        dying = asyncio.create_task(client.died.wait())
        try:
            await asyncio.wait([working, dying], return_when=asyncio.FIRST_COMPLETED)
            if client.died.is_set():
                return True, client.calls
            await working
            return False, client.calls
        finally:
            for task in (working, dying):
                task.cancel()
            await asyncio.gather(working, dying, return_exceptions=True)
            await store.close()

    async def _work_off(self, store: Store, dispatcher: Dispatcher) -> None:
        while leases := (await store.queue.claim(1, "worker")).leases:
            await self._do(store, dispatcher, leases[0])

    async def _do(self, store: Store, dispatcher: Dispatcher, lease: Lease) -> None:
        end = await dispatcher.dispatch(lease)
        if end is not None:
            await store.queue.finish(lease, end)
