"""The sender: signs, delivers, retries as Truto does, and writes every attempt down before it makes it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Sequence
from typing import Any

import orjson

from tests.faults.ledger import Ledger, Outcome
from truto import sign

SECRET = "6e17561c-a20c-44ce-b8b5-caff0bf786fe"
CANARY = "canary-1f0d7b5e2c"
"""Stands in every payload; it must not turn up in a log."""

LIKE_TRUTO = (0.5, 1.5, 4.0)
"""Pauses (s) before each retry: three within about 10 s, then the event is given up (docs: webhooks overview)."""

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def patiently(seconds: float, pause: float = 0.3) -> tuple[float, ...]:
    """Pauses for who does not give up for so long."""
    return (pause,) * int(seconds / pause)


class Sender:
    """Delivers to one ingress, and keeps the ledger of its attempts."""

    def __init__(self, port: int, ledger: Ledger, *, answer_seconds: float = 10.0) -> None:
        self.port = port
        self.answer_seconds = answer_seconds
        self.acked = 0
        self._ledger = ledger
        self._numbers = itertools.count()
        self._idle: list[_Connection] = []

    async def deliver(
        self,
        event_id: str,
        event_type: str = "order:paid",
        *,
        seconds: float = 0.02,
        filler: str = "",
        secret: str = SECRET,
        retries: Sequence[float] = LIKE_TRUTO,
        data: dict[str, Any] | None = None,
    ) -> bool:
        """Deliver one event until it is acknowledged or the retries are used up; whether it was acknowledged."""
        body = _body(event_id, event_type, {"seconds": seconds, "canary": CANARY, "filler": filler, **(data or {})})
        request = _request(body, secret)
        for pause in (0.0, *retries):
            if pause:
                await asyncio.sleep(pause)
            status = await self._attempt(event_id, request, genuine=secret == SECRET)
            if 200 <= status < 500:
                return status == 200
        return False

    async def _attempt(self, event_id: str, request: bytes, *, genuine: bool) -> int:
        """Deliver once; the status, or 0 when there was none."""
        number = next(self._numbers)
        self._ledger.write("sent", number, time.monotonic(), event_id, genuine)
        sent = False
        status = 0
        try:
            async with asyncio.timeout(self.answer_seconds):
                connection = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self.port)
                sent = True
                status = await self._exchange(connection, request)
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass
        outcome: Outcome = _judge(status) if status else ("unknown" if sent else "fail")
        self.acked += outcome == "ok"
        self._ledger.write("ended", number, time.monotonic(), outcome, status)
        return status

    async def _exchange(self, connection: _Connection, request: bytes) -> int:
        reader, writer = connection
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        except BaseException:
            writer.transport.abort()
            raise
        if b"connection: close" in head.lower():
            writer.transport.abort()
        else:
            self._idle.append(connection)
        return int(head[9:12])

    def close(self) -> None:
        """Hang up."""
        for _, writer in self._idle:
            with contextlib.suppress(RuntimeError):
                writer.transport.abort()
        self._idle.clear()


def _judge(status: int) -> Outcome:
    # 503: the store did not confirm, which is not to say that it did not store.
    return "ok" if status == 200 else "unknown" if status >= 500 else "fail"


def _body(event_id: str, event_type: str, payload: dict[str, Any]) -> bytes:
    return orjson.dumps(
        {
            "id": event_id,
            "event": event_type,
            "payload": payload,
            "environment_id": "ac15abdc-b38e-47d0-97a2-69194017c177",
            "webhook_id": "b6d29b9b-3d9d-44fd-aa77-512fd83b28c1",
            "created_at": "2026-01-05T10:00:00.000Z",
        }
    )


def _request(body: bytes, secret: str) -> bytes:
    head = (
        "POST /webhooks/truto HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"x-truto-signature: {sign(body, secret)}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
