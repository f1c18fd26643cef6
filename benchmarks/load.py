"""A load generator that costs little: raw HTTP/1.1 over keep-alive connections, one request in flight on each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import orjson

from truto import sign

_FILLER_BYTES = 700


def signed_requests(
    count: int, secret: str, *, path: str = "/webhooks/truto", start: int = 0, filler_bytes: int = _FILLER_BYTES
) -> list[bytes]:
    """*count* different deliveries, signed, ready to be written to a socket: of about 1.2 KB, unless said otherwise."""
    requests = []
    filler = "x" * filler_bytes
    for number in range(start, start + count):
        body = orjson.dumps(
            {
                "id": f"0f7c9a52-7d0f-4a32-9d0e-{number:012d}",
                "event": "bench:noop",
                "payload": {"id": "79a39d69-e27e-49cb-b9a9-79f5eea7aa26", "tenant_id": "acme-1", "filler": filler},
                "environment_id": "ac15abdc-b38e-47d0-97a2-69194017c177",
                "webhook_id": "b6d29b9b-3d9d-44fd-aa77-512fd83b28c1",
                "created_at": "2026-01-05T10:00:00.000Z",
            }
        )
        head = (
            f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nuser-agent: truto\r\n"
            f"x-truto-signature: {sign(body, secret)}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return requests


@dataclass
class Outcome:
    """What the load saw."""

    seconds: float = 0.0
    accepted: int = 0
    others: int = 0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Accepted deliveries per second."""
        return self.accepted / self.seconds


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], outcome: Outcome, done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._outcome = outcome
        self._done = done
        self._buffer = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._next()

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            if not self._done.done():
                self._done.set_result(None)
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        if len(body) < length:
            return
        self._buffer = b""
        if head.startswith(b"HTTP/1.1 200"):
            self._outcome.accepted += 1
        else:
            self._outcome.others += 1
        self._outcome.latencies.append(time.perf_counter() - self._sent_at)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(ConnectionError(f"the server hung up: {exc}"))


async def deliver_all(port: int, requests: Sequence[bytes], connections: int = 64) -> Outcome:
    """Send all *requests* over so many connections, each its next one as soon as the last was answered."""
    loop = asyncio.get_running_loop()
    outcome = Outcome()
    queue = iter(requests)
    started = time.perf_counter()
    ends = []
    for _ in range(connections):
        done = loop.create_future()
        ends.append(done)
        await loop.create_connection(partial(_Connection, queue, outcome, done), "127.0.0.1", port)
    await asyncio.gather(*ends)
    outcome.seconds = time.perf_counter() - started
    return outcome


def median_and_p99_ms(seconds: Sequence[float]) -> tuple[float, float]:
    """The middle and the 99th percentile of times, in milliseconds."""
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2] * 1000, ordered[int(len(ordered) * 0.99)] * 1000
