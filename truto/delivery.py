"""Deliver an event the way Truto does: one signed POST. For the sandbox and for ``truto-worker send``."""

from __future__ import annotations

import time
from dataclasses import dataclass

import httpx

from truto.signature import HEADER, sign


@dataclass(frozen=True, slots=True)
class DeliveryAnswer:
    """What came back: ``status`` is ``None`` when nothing did, and ``error`` then says why."""

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
) -> DeliveryAnswer:
    """POST *body* to *target_url*, signed with *secret*. Never raises for what the network or the receiver does."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "truto",
        HEADER: sign(body, secret, encoding=encoding),
    }
    started = time.perf_counter()
    try:
        response = await client.post(target_url, content=body, headers=headers, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        return DeliveryAnswer(None, b"", time.perf_counter() - started, f"{type(exc).__name__}: {exc}")
    return DeliveryAnswer(response.status_code, response.content, time.perf_counter() - started)


def delivery_client(timeout_seconds: float = 10.0) -> httpx.AsyncClient:
    """A client for :func:`deliver`. Environment proxies are not used: deliveries go to the named host."""
    return httpx.AsyncClient(timeout=timeout_seconds, trust_env=False)
