"""Deliver an event the way Truto does: one signed POST. For the sandbox and for ``truto-worker send``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import httpx

from truto.outgoing import outgoing_client, unpacked
from truto.signature import HEADER, sign

# Only the status counts; the text is for a person to read. A receiver may send without end.
_MAX_ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class DeliveryAnswer:
    """What came back: ``status`` is ``None`` when nothing did, and ``error`` then says why.

    ``body`` holds at most the first 64 KiB; ``seconds`` is the time from the first byte sent to the last one read.
    """

    status: int | None
    body: bytes
    seconds: float
    error: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether Truto would count this as delivered (skill: debug-webhook-delivery, any 2xx)."""
        return self.status is not None and 200 <= self.status < 300


async def deliver(
    client: httpx.AsyncClient,
    target_url: str,
    body: bytes,
    secret: str,
    *,
    encoding: str = "hex",
    deadline_seconds: float = 30.0,
) -> DeliveryAnswer:
    """POST *body* to *target_url*, signed with *secret*; else as :func:`post`."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "truto",
        HEADER: sign(body, secret, encoding=encoding),
    }
    return await post(client, target_url, body, headers, deadline_seconds=deadline_seconds)


async def post(
    client: httpx.AsyncClient,
    target_url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    deadline_seconds: float = 30.0,
) -> DeliveryAnswer:
    """POST *body* to *target_url* with these *headers*. Never raises for what the network or the receiver does.

    *deadline_seconds* bounds the whole exchange, so that a receiver that answers byte by byte cannot hold the sender.
    A redirect is an answer like any other and is not followed.
    """
    started = time.perf_counter()
    try:
        async with (
            asyncio.timeout(deadline_seconds),
            client.stream("POST", target_url, content=body, headers=headers, follow_redirects=False) as response,
        ):
            answer = await _first_bytes(response)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as exc:
        return DeliveryAnswer(None, b"", time.perf_counter() - started, f"{type(exc).__name__}: {exc}")
    return DeliveryAnswer(response.status_code, answer, time.perf_counter() - started)


async def _first_bytes(response: httpx.Response) -> bytes:
    received = bytearray()
    with suppress(httpx.DecodingError):  # what cannot be shown changes nothing about the status
        async for chunk in unpacked(response):
            received += chunk
            if len(received) >= _MAX_ANSWER_BYTES:
                break
    return bytes(received[:_MAX_ANSWER_BYTES])


def delivery_client(timeout_seconds: float = 10.0) -> httpx.AsyncClient:
    """A client for :func:`deliver`. Environment proxies are not used: deliveries go to the named host."""
    return outgoing_client(timeout_seconds=timeout_seconds)
