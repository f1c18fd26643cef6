"""All that reads what others answer, called alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from tests.integration.worker.workshop import TENANT_SECRET, plain
from truto import AsyncTruto, ProtocolError, RetryPolicy, TransportError
from truto.jwks import JwksClient
from truto.network import Allowed
from truto.workflows import WorkflowFailed
from worker.errors import NotifyError
from worker.notify import Notifier, TenantEndpoint
from workflows.errors import HttpRequestFailed
from workflows.http import HttpRequest, HttpRequests

Reader: TypeAlias = Callable[[str, float], Awaitable[Any]]


async def by_http_request(url: str, seconds: float = 8.0) -> Any:
    http = HttpRequests(allowed=Allowed.parse(["127.0.0.1"]), transport=plain())
    try:
        return await http.send(HttpRequest(url=url, method="GET", timeout=seconds), "msg_1", "at")
    finally:
        await http.aclose()


async def by_key_set(url: str, seconds: float = 8.0) -> Any:
    client = JwksClient(timeout_seconds=seconds)
    try:
        return await client.fetch(url)
    finally:
        await client.aclose()


async def by_key_request(url: str, seconds: float = 8.0) -> Any:
    client = JwksClient(timeout_seconds=seconds)
    try:
        return await client.fetch_key(url, {"kid": "k"}, member="key")
    finally:
        await client.aclose()


async def by_certificate(url: str, seconds: float = 8.0) -> Any:
    client = JwksClient(timeout_seconds=seconds)
    try:
        return await client.fetch_certificate(url)
    finally:
        await client.aclose()


async def by_api_client(url: str, seconds: float = 8.0) -> Any:
    once = RetryPolicy(attempts=1)
    async with AsyncTruto(
        token="t", base_url=url, retry=once, timeout_seconds=seconds, max_response_bytes=4 * 1024**2
    ) as truto:
        return await truto.request("GET", "/x")


async def by_download(url: str, seconds: float = 8.0) -> Any:
    async with (
        AsyncTruto(token="t", base_url=url, timeout_seconds=seconds) as truto,
        truto.download("GET", "/x", max_bytes=4 * 1024**2) as file,
    ):
        return await file.read()


async def by_notification(url: str, seconds: float = 8.0) -> Any:
    notifier = Notifier(TenantEndpoint(url, TENANT_SECRET), transport=plain())
    try:
        return await notifier.bound("k").tenant("acme", "a", {})
    finally:
        await notifier.aclose()


READERS: dict[str, Reader] = {
    "http_request": by_http_request,
    "key_set": by_key_set,
    "key_request": by_key_request,
    "certificate": by_certificate,
    "api_client": by_api_client,
    "download": by_download,
}
REFUSED = (WorkflowFailed, ProtocolError)
"""The answer is bad, and would be bad again."""
MAY_PASS = (HttpRequestFailed, TransportError, NotifyError)
"""No whole answer came; another time one may."""
