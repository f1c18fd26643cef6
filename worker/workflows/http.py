"""``http_request``: HTTP to where a workflow's author says, and to nowhere inside our own network.

The host is resolved here, every address is checked, and the connection is made to an address that was checked, so a
name that changes its answer between check and use gains nothing. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import httpx
import orjson
from pydantic import Field
from standardwebhooks import Webhook

from truto.workflows import WorkflowFailed
from worker.errors import ConfigError, WorkerError
from worker.workflows.actions import ActionConfig, StepContext, action, checked_by, read_config

MOST_RESPONSE_BYTES = 128 * 1024
_TIMEOUT_SECONDS = 30.0
_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})
_SET_BY_US = frozenset({"host", "content-length", "transfer-encoding", "connection"}) | frozenset(
    {"webhook-id", "webhook-timestamp", "webhook-signature"}
)

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class HttpRequestFailed(WorkerError):
    """The other side did not answer, or asked to try again later."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Where requests may go although it is inside: ``host``, ``host:port`` or networks such as ``10.0.0.0/8``.

    Raises :class:`ConfigError` for an entry that is none of these.
    """

    hosts: frozenset[str] = frozenset()
    networks: tuple[_Network, ...] = ()

    @classmethod
    def parse(cls, entries: Sequence[str]) -> Allowed:
        """Read the value of ``WORKFLOWS_HTTP_ALLOW``, already split."""
        hosts, networks = set(), []
        for entry in filter(None, entries):
            try:
                networks.append(ipaddress.ip_network(entry))
                continue
            except ValueError:
                pass
            parts = urlsplit(f"//{entry}")
            try:
                fits = parts.hostname and "/" not in entry and "@" not in entry and (parts.port or True)
            except ValueError:
                fits = False
            if not fits:
                raise ConfigError(f"{entry!r} is neither host, host:port nor a network such as 10.0.0.0/8")
            hosts.add(entry.lower())
        return cls(frozenset(hosts), tuple(networks))

    def includes(self, host: str, port: int, address: _Address) -> bool:
        """Whether this address may be spoken to under this name."""
        if is_public(address) or {host, f"{host}:{port}"} & self.hosts:
            return True
        return any(address.version == network.version and address in network for network in self.networks)


def is_public(address: _Address) -> bool:
    """Whether *address* is out in the internet: not private, loopback, link-local, multicast, reserved or shared.

    An IPv6 address that carries an IPv4 one (mapped, 6to4, Teredo, NAT64) is judged by that one as well.
    """
    if isinstance(address, ipaddress.IPv6Address):
        translated = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address.ipv4_mapped
        if translated is not None:
            return is_public(translated)
        if any(found is not None and not is_public(found) for found in (address.sixtofour, *(address.teredo or ()))):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class HttpRequests:
    """The way out, for one worker process. Without a *secret* (``whsec_…``) requests are not signed."""

    def __init__(
        self,
        *,
        secret: str | None = None,
        allowed: Allowed | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._webhook = Webhook(secret) if secret else None
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
        port = url.port or (443 if url.scheme == "https" else 80)
        address = await self._address_of(url.host, port, at)
        target = url.copy_with(host=str(address))
        content = request.content()
        headers = {**request.headers, **self._signature(message_id, content), "host": _host_header(url)}
        status, answered, body = await self._exchange(request, target, url.host, headers, content, at)
        if 200 <= status < 300:
            return {"status": status, "headers": answered, "body": body}
        if status in _RETRYABLE:
            raise HttpRequestFailed(f"{url.host} answered {status}")
        raise WorkflowFailed(f"{url.host} answered {status}", at=f"{at}.url")

    async def _address_of(self, host: str, port: int, at: str) -> _Address:
        try:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            raise HttpRequestFailed(f"{host} cannot be resolved: {type(exc).__name__}") from None
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        for address in addresses:
            if not self._allowed.includes(host.lower(), port, address):
                reason = "leads into a private network; WORKFLOWS_HTTP_ALLOW can allow it"
                raise WorkflowFailed(reason, at=f"{at}.url")
        if not addresses:
            raise HttpRequestFailed(f"{host} has no address")
        return addresses[0]

    def _signature(self, message_id: str, content: bytes) -> dict[str, str]:
        if self._webhook is None:
            return {}
        now = datetime.now(UTC)
        try:
            text = content.decode()
        except UnicodeDecodeError:  # cannot be: both kinds of body are made from text
            return {}
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(message_id, now, text),
        }

    async def _exchange(
        self, request: HttpRequest, target: httpx.URL, host: str, headers: Mapping[str, str], content: bytes, at: str
    ) -> tuple[int, dict[str, str], Any]:
        if self._client is None:  # made at the first request: it loads the CA bundle
            self._client = httpx.AsyncClient(follow_redirects=False, trust_env=False, transport=self._transport)
        try:
            async with (
                asyncio.timeout(request.timeout),
                self._client.stream(
                    request.method,
                    target,
                    content=content or None,
                    headers=headers,
                    timeout=request.timeout,
                    extensions={"sni_hostname": host},  # the certificate is checked against the name, not the address
                ) as response,
            ):
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > MOST_RESPONSE_BYTES:
                        raise WorkflowFailed(f"{host} answered more than {MOST_RESPONSE_BYTES} bytes", at=f"{at}.url")
                kept = {k: v for k, v in response.headers.items() if k in ("content-type", "location", "retry-after")}
                return response.status_code, kept, _parsed(bytes(body), kept.get("content-type", ""))
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, TimeoutError) as exc:
            raise HttpRequestFailed(f"{host} did not answer: {type(exc).__name__}") from None


def _host_header(url: httpx.URL) -> str:
    return url.netloc.decode("ascii")


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


@action("http_request", check=checked_by(HttpRequest))
async def http_request(config: Mapping[str, Any], step: StepContext) -> dict[str, Any]:
    """Send one HTTP request, signed where ``WORKFLOWS_HTTP_SECRET`` is set; its result is the answer."""
    request = read_config(HttpRequest, config, step.at)
    _check(request, step.at)
    if request.json_ is not None and not any(name.lower() == "content-type" for name in request.headers):
        request = request.model_copy(update={"headers": {**request.headers, "content-type": "application/json"}})
    digest = hashlib.blake2b(f"{step.run_id}:{step.number}".encode(), digest_size=16).hexdigest()
    return await step.services.http.send(request, f"msg_{digest}", step.at)


def _check(request: HttpRequest, at: str) -> None:
    try:
        url = httpx.URL(request.url)
    except httpx.InvalidURL:
        raise WorkflowFailed("is not a URL", at=f"{at}.url") from None
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise WorkflowFailed("must be an http or https URL without credentials in it", at=f"{at}.url")
    if request.json_ is not None and request.body is not None:
        raise WorkflowFailed("cannot go with json", at=f"{at}.body")
    for name, value in request.headers.items():
        if name.lower() in _SET_BY_US:
            raise WorkflowFailed("is set by the worker", at=f"{at}.headers.{name[:40]}")
        if not (name.isascii() and value.isascii() and name.isprintable() and value.isprintable() and name.strip()):
            raise WorkflowFailed("a header has printable ASCII characters only", at=f"{at}.headers")
