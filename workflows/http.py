"""``http_request``: HTTP requests of workflows to public addresses, not into our own network.

Connections are kept for a scheme, host and port; :mod:`truto.network` decides where they may lead. Redirects
are not followed, and what is answered is read within bounds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

import httpx
import orjson
from pydantic import Field

from truto.errors import AddressRefused, TransportError
from truto.network import Allowed, restricted
from truto.outgoing import host_name, outgoing_client, read_capped, unpacked
from truto.signing_keys import SigningKeys
from truto.workflows import WorkflowFailed
from worker.signing import signed_headers
from workflows.config import ActionConfig
from workflows.errors import HttpRequestFailed

MAX_RESPONSE_BYTES = 128 * 1024
_TIMEOUT_SECONDS = 30.0
_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})


class HttpRequests:
    """The HTTP client of workflows, one per worker process. Without a *secret* (``whsec_…``) requests are not signed.

    *transport* brings its own certificates or pool; where it connects to is checked all the same.
    """

    def __init__(
        self,
        *,
        secret: str | None = None,
        allowed: Allowed | None = None,
        transport: httpx.AsyncHTTPTransport | None = None,
    ) -> None:
        self._keys = SigningKeys.parse(secret, "host") if secret else None
        self._allowed = allowed or Allowed()
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    async def aclose(self) -> None:
        """Close the connections. A second call does nothing."""
        if self._client is not None:
            await self._client.aclose()

    async def send(self, request: HttpRequest, message_id: str, at: str) -> dict[str, Any]:
        """Send *request*; ``{status, headers, body}`` of a 2xx answer, ``body`` parsed where it is JSON.

        Raises :class:`WorkflowFailed` for what would fail again: a place that is not allowed, a 3xx or 4xx, an answer
        over 128 KiB; :class:`HttpRequestFailed` for what may pass.
        """
        url = httpx.URL(request.url)
        content = request.content()
        headers = dict(request.headers)
        if self._keys is not None:
            headers |= signed_headers(self._keys, host_name(url), message_id, content)
        status, answered, body = await self._exchange(request, url, headers, content, at)
        if 200 <= status < 300:
            return {"status": status, "headers": answered, "body": body}
        if status in _RETRYABLE:
            raise HttpRequestFailed(f"{url.host} answered {status}")
        raise WorkflowFailed(f"{url.host} answered {status}", at=f"{at}.url")

    async def _exchange(
        self, request: HttpRequest, url: httpx.URL, headers: Mapping[str, str], content: bytes, at: str
    ) -> tuple[int, dict[str, str], Any]:
        if self._client is None:  # made at the first request: it loads the CA bundle
            transport = restricted(self._transport or httpx.AsyncHTTPTransport(trust_env=False), self._allowed)
            self._client = outgoing_client(timeout_seconds=_TIMEOUT_SECONDS, transport=transport)
        sending = self._client.stream(
            request.method, url, content=content or None, headers=headers, timeout=request.timeout
        )
        try:
            async with asyncio.timeout(request.timeout), sending as response:
                kept = {k: v for k, v in response.headers.items() if k in ("content-type", "location", "retry-after")}
                # The body of an error is not read, so its size does not matter.
                body = await _read(response, at) if response.is_success else b""
                return response.status_code, kept, _parsed(body, kept.get("content-type", ""))
        except AddressRefused as exc:
            raise WorkflowFailed(f"{exc}; WORKFLOWS_HTTP_ALLOW can allow it", at=f"{at}.url") from None
        except TransportError as exc:
            raise HttpRequestFailed(str(exc)) from None
        except httpx.DecodingError as exc:
            raise WorkflowFailed(f"{url.host}: {exc}", at=f"{at}.url") from None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, TimeoutError) as exc:
            raise HttpRequestFailed(f"{url.host} did not answer: {type(exc).__name__}") from None


async def _read(response: httpx.Response, at: str) -> bytes:
    body = await read_capped(unpacked(response), MAX_RESPONSE_BYTES)
    if body is None:
        raise WorkflowFailed(f"{response.url.host} answered more than {MAX_RESPONSE_BYTES} bytes", at=f"{at}.url")
    return body


def _parsed(body: bytes, content_type: str) -> Any:
    if "json" in content_type.lower():
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass
    return body.decode(errors="replace")


class HttpRequest(ActionConfig):
    """The config of ``http_request``: ``json`` or ``body`` (text), not both. ``timeout`` in seconds."""

    url: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] = "POST"
    headers: dict[str, str] = Field(default_factory=dict)
    json_: Any = Field(default=None, alias="json")
    body: str | None = None
    timeout: float = Field(default=_TIMEOUT_SECONDS, gt=0, le=300)

    def content(self) -> bytes:
        """The bytes of the body."""
        if self.json_ is not None:
            return orjson.dumps(self.json_)
        return (self.body or "").encode()
