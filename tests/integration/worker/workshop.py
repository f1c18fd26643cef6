"""A worker in the test's own process, on a real store."""

from __future__ import annotations

import asyncio
import base64
import inspect
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
import orjson

from events import Event, Store, Verified
from events.queue import Queue
from truto import AsyncTruto, sample_event
from worker import Backoff, Context
from worker.cause import Describer
from worker.development import Development
from worker.dispatch import Dispatcher
from worker.engine import Engine
from worker.notify import Notifier
from worker.outcome import Policy
from worker.registry import Registry

TENANT_SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef").decode()
QUICK = Policy(max_attempts=3, timeout=5, backoff=Backoff(0.01, 0.02))


def delivered(
    event_type: str = "order:paid",
    *,
    event_id: str | None = None,
    source: str = "truto",
    data: Mapping[str, Any] | None = None,
) -> Verified:
    """An event as the ingress would hand it to the store."""
    envelope = sample_event(event_type, data=data, event_id=event_id or str(uuid.uuid4()))
    return Verified(source, event_type, envelope["id"], orjson.dumps(envelope))


def plain() -> httpx.AsyncHTTPTransport:
    """Real sockets without certificates, whose loading would take longer than most tests."""
    return httpx.AsyncHTTPTransport(verify=False)


@asynccontextmanager
async def working(
    store: Store,
    registry: Registry,
    *,
    policy: Policy = QUICK,
    truto: AsyncTruto | None = None,
    notifier: Notifier | None = None,
    describer: Describer | None = None,
    suggest: bool = False,
    concurrency: int = 50,
    max_bytes: int = 24 * 1024 * 1024,
    grace_seconds: int = 1,
) -> AsyncIterator[Engine]:
    """A running worker; on the way out it is stopped, and what still runs is released."""
    client = truto or AsyncTruto(token="sandbox-token", transport=plain())
    notify = notifier or Notifier(transport=plain())
    dispatcher = Dispatcher(
        store,
        registry,
        client,
        notify,
        policy,
        describer or Describer(),
        Development("handlers", set) if suggest else None,
    )
    engine = Engine(
        store,
        dispatcher.dispatch,
        concurrency=concurrency,
        max_bytes=max_bytes,
        grace_seconds=grace_seconds,
        sweep=dispatcher.sweep,
        handle_signals=False,
    )
    running = asyncio.create_task(engine.run_until_stopped())
    try:
        yield engine
    finally:
        engine.stop()
        engine.stop()
        await running
        await notify.aclose()
        await client.aclose()


QueueT = TypeVar("QueueT", bound=Queue)


def with_queue(store: Store, kind: type[QueueT]) -> QueueT:
    """Give *store* a queue of this kind, which is returned."""
    queue = kind(store.client, store.retention, lease_seconds=store.queue.lease_seconds)
    store.queue = queue
    return queue


async def eventually(holds: Callable[[], bool | Awaitable[bool]], seconds: float = 8.0) -> None:
    """Wait until *holds*; an assertion error after *seconds*."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        answer = holds()
        if await answer if inspect.isawaitable(answer) else answer:
            return
        assert asyncio.get_running_loop().time() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


async def story(store: Store, event: Verified) -> list[str]:
    """What happened to *event*, in words."""
    return [entry.what for entry in await store.inspection.history(event.source, event.id)]


async def ended(store: Store, event: Verified, what: str = "done") -> None:
    """Wait until *event* ends so."""

    async def has_ended() -> bool:
        return what in await story(store, event)

    await eventually(has_ended)


async def is_empty(store: Store) -> bool:
    """Whether nothing is left to do, dead or parked."""
    view = await store.inspection.overview()
    return (view.ready, view.waiting, view.dead, view.parked) == (0, 0, 0, 0)


class Recorder:
    """Handlers that note each run, for tests that only care that they ran."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.attempts: list[int] = []

    async def handle(self, event: Event, ctx: Context) -> None:
        self.runs.append(event.id)
        self.attempts.append(ctx.attempt)


class Holding(Recorder):
    """Handlers whose runs do not end before they may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end = asyncio.Event()

    async def handle(self, event: Event, ctx: Context) -> None:
        await super().handle(event, ctx)
        await self.may_end.wait()


class Receiver:
    """An HTTP endpoint that keeps what comes; *answers* are its statuses in turn, the last one for ever after."""

    def __init__(self) -> None:
        self.url = ""
        self.answers = [204]
        self.location = ""
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Receiver]:
        """Receive, until the block is left."""
        async with await asyncio.start_server(self._receive, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            self.url = f"http://{host}:{port}"
            yield self

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # One request per connection: a whole server takes too long to stop for so many tests.
        try:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers["content-length"]))
            self.requests.append((first.split()[1], headers, body))
            status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            head = f"HTTP/1.1 {status} X\r\nLocation: {self.location}\r\nConnection: close\r\n"
            writer.write(f"{head}Content-Length: 0\r\n\r\n".encode())
            await writer.drain()
        finally:
            writer.close()

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for _, headers, _ in self.requests]
