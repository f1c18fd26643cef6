"""Send requests: to the hosts of the definition alone, below the check of addresses, and read answers within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import httpx

from truto.errors import AddressRefused, IntegrationFailed, RequestRefused, TransportError
from truto.integration.requests import Request, split_url
from truto.network import Allowed, restricted
from truto.outgoing import outgoing_client, read_capped, unpacked

MAX_ANSWER_BYTES = 32 * 1024 * 1024
TIMEOUT_SECONDS = 60.0

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, as it came. Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)


class Wire(Protocol):
    """Sends a request, and reads its answer."""

    async def send(self, request: Request) -> Answer:
        """The answer. Raises :class:`truto.TransportError`, :class:`IntegrationFailed`, :class:`RequestRefused`."""
        ...

    async def aclose(self) -> None:
        """Close the connections. A second call does nothing."""
        ...


class HttpWire:
    """HTTP to public addresses, and those that are *allowed*. Follows no redirect."""

    def __init__(
        self,
        *,
        allowed: Allowed | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        transport: httpx.AsyncHTTPTransport | None = None,
    ) -> None:
        self._seconds = timeout_seconds
        self._allowed = allowed or Allowed()
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    async def send(self, request: Request) -> Answer:
        """The answer, whatever its status; at most 32 MiB of it, unpacked."""
        host = urlsplit(request.url).netloc
        headers = [(name.encode(), value.encode()) for name, value in request.headers.items()]
        sending = self._http().stream(request.method, request.url, headers=headers, content=request.content or None)
        try:
            async with asyncio.timeout(self._seconds), sending as response:
                content = await read_capped(unpacked(response), MAX_ANSWER_BYTES)
                if content is None:
                    raise IntegrationFailed(f"{host} answered more than {MAX_ANSWER_BYTES} bytes")
                return Answer(response.status_code, dict(response.headers), content)
        except AddressRefused as exc:
            raise RequestRefused(f"{host} {exc}; INTEGRATIONS_HTTP_ALLOW can allow it") from None
        except httpx.DecodingError as exc:
            raise IntegrationFailed(f"{host}: {exc}") from None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, TimeoutError) as exc:
            raise TransportError(f"{host} did not answer: {type(exc).__name__}") from None

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:  # made at the first request: it loads the CA bundle
            transport = restricted(self._transport or httpx.AsyncHTTPTransport(trust_env=False), self._allowed)
            self._client = outgoing_client(timeout_seconds=self._seconds, transport=transport)
        return self._client

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()


class Guarded:
    """A wire that reaches the *origins* of a definition and the hosts of a setting, and nothing else."""

    def __init__(self, wire: Wire, allowed: Allowed) -> None:
        self._wire = wire
        self._allowed = allowed

    async def send(self, request: Request, origins: frozenset[str], *, drops_credentials: bool = False) -> Answer:
        """The answer; redirects of a GET are followed, to allowed hosts.

        What is not an allowed host is refused before anything is sent. To another origin, and everywhere with
        *drops_credentials*, a redirect is followed without the headers of the request but ``Accept``.
        """
        self._check(request.url, origins)
        for _ in range(_MAX_REDIRECTS):
            answer = await self._wire.send(request)
            target = answer.headers.get("location")
            if answer.status not in _REDIRECTS or target is None:
                return answer
            if request.method != "GET":
                raise IntegrationFailed(f"a {request.method} was answered with a redirect, which is not followed")
            request = self._redirected(request, target, origins, drops_credentials=drops_credentials)
        raise IntegrationFailed(f"redirected more than {_MAX_REDIRECTS} times")

    def _redirected(
        self, request: Request, target: str, origins: frozenset[str], *, drops_credentials: bool
    ) -> Request:
        try:
            url = urljoin(request.url, target)
        except ValueError:
            raise RequestRefused("redirected to what is no URL") from None
        self._check(url, origins)
        if drops_credentials or origin_of(url) != origin_of(request.url):
            return Request("GET", url, {name: value for name, value in request.headers.items() if name == "accept"})
        return Request("GET", url, request.headers)

    def _check(self, url: str, origins: frozenset[str]) -> None:
        origin = origin_of(url)
        if origin in origins:
            return
        parts = urlsplit(origin)
        if self._allowed.hosts.isdisjoint({(parts.hostname, None), (parts.hostname, parts.port)}):
            raise RequestRefused(
                f"{parts.netloc} is no host of the definition (with this scheme and port); "
                "INTEGRATIONS_HTTP_ALLOW can allow it"
            )

    async def aclose(self) -> None:
        """Close the wire."""
        await self._wire.aclose()


def origin_of(url: str) -> str:
    """Scheme, host and port of *url*, the port always written. Raises :class:`RequestRefused` for what is none."""
    origin, _, _ = split_url(url)
    parts = urlsplit(origin)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or _PORTS[parts.scheme]}"
