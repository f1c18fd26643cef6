"""Send notifications to tenants and operators."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx
import orjson
import structlog

from events import ConfigError
from truto.outgoing import outgoing_client
from truto.signing_keys import SigningKeys
from worker.errors import NotifyError
from worker.signing import signed_headers
from worker.steps import CallKeys

if TYPE_CHECKING:
    import apprise

log = structlog.get_logger("worker")

_PLACEHOLDER = "{tenant_id}"
_HOST_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
# Anyone can register a domain directly below a public suffix such as .com.
_OWN_DOMAIN = re.compile(r"\.(?:[^.:]+\.[^.:]|(?:internal|local|localhost|test)(?::|$))", re.IGNORECASE)
_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class TenantEndpoint:
    """The endpoint of tenants, and the secret from which each tenant's key is derived (``TENANT_NOTIFY_SECRET``)."""

    url: str
    secret: str = field(repr=False)
    keys: SigningKeys = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check_url(self.url)
        try:
            object.__setattr__(self, "keys", SigningKeys.parse(self.secret, "tenant"))
        except ValueError as exc:
            raise ConfigError(str(exc)) from None

    def url_for(self, tenant_id: str) -> str:
        """The URL of one tenant. The id is escaped: it cannot change the rest of the URL.

        Raises :class:`NotifyError` for an id that cannot be part of a host name, where that is its place.
        """
        parts = urlsplit(self.url)
        if _PLACEHOLDER in parts.netloc and not _HOST_LABEL.fullmatch(tenant_id):
            raise NotifyError("this tenant's id cannot be part of a host name")
        if tenant_id in {"", ".", ".."}:
            raise NotifyError("this tenant's id cannot be part of a path")
        return self.url.replace(_PLACEHOLDER, quote(tenant_id, safe=""))


class Notifier:
    """Sends notifications for a worker process. Without a tenant endpoint or operator URLs those calls do nothing."""

    def __init__(
        self,
        tenants: TenantEndpoint | None = None,
        operator_urls: Sequence[str] = (),
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._tenants = tenants
        self._client = outgoing_client(timeout_seconds=_TIMEOUT_SECONDS, transport=transport)
        self._operators = operators_at(operator_urls)

    async def aclose(self) -> None:
        """Close the connections. A second call does nothing."""
        await self._client.aclose()

    def bound(self, key: str | Callable[[], str]) -> BoundNotifier:
        """A notifier for one handler and event, whose message ids are the same when the handler runs again.

        An id is derived from *key* and the number of the message, or from the result of calling *key*.
        """
        return BoundNotifier(self, CallKeys(key).next if isinstance(key, str) else key)

    async def send_tenant(self, tenant_id: str, message_id: str, kind: str, data: Mapping[str, Any]) -> bool:
        """POST one signed message; false if no endpoint is configured. Raises :class:`NotifyError`."""
        if self._tenants is None:
            log.info("tenant_notification_skipped", reason="TENANT_NOTIFY_URL is not set")
            return False
        timestamp = datetime.now(UTC).isoformat(timespec="seconds")
        body = orjson.dumps({"type": kind, "timestamp": timestamp, "data": data})
        try:
            url = self._tenants.url_for(tenant_id)
            headers = signed_headers(self._tenants.keys, tenant_id, message_id, body)
            # The answer's body is not read, so its size does not matter.
            async with (
                asyncio.timeout(_TIMEOUT_SECONDS),  # httpx bounds each read, not the whole answer
                self._client.stream(
                    "POST", url, content=body, headers={"content-type": "application/json", **headers}
                ) as response,
            ):
                status = response.status_code
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, TimeoutError) as exc:
            raise NotifyError(f"the tenant's endpoint did not answer: {type(exc).__name__}") from exc
        if not 200 <= status < 300:
            raise NotifyError(f"the tenant's endpoint answered {status}")
        return True

    async def send_operators(self, title: str, body: str) -> bool:
        """Notify the operators; true if all were reached. Never raises: a chat outage must not fail an event."""
        if self._operators is None:
            return False
        reached = bool(await self._operators.async_notify(title=title, body=body))
        if not reached:
            log.error("operator_notification_failed", title=title)
        return reached


class BoundNotifier:
    """What handlers see as ``ctx.notify``."""

    def __init__(self, notifier: Notifier, next_key: Callable[[], str]) -> None:
        self._notifier = notifier
        self._next_key = next_key

    async def tenant(self, tenant_id: str | None, kind: str, data: Mapping[str, Any]) -> bool:
        """Send ``{"type": kind, "timestamp", "data"}`` to the tenant, signed (Standard Webhooks).

        The message id is the same when the handler runs again, so the tenant can drop duplicates. Returns false if it
        was not sent, because there is no tenant or no ``TENANT_NOTIFY_URL``. Raises :class:`NotifyError` if the
        endpoint does not accept it, which makes the handler run again.
        """
        key = self._next_key()
        if not tenant_id:
            log.warning("tenant_notification_skipped", reason="the event names no tenant")
            return False
        digest = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        return await self._notifier.send_tenant(tenant_id, f"msg_{digest}", kind, data)

    async def operators(self, title: str, body: str) -> bool:
        """Send a message to ``NOTIFY_URLS``; whether it reached all of them. Never raises."""
        return await self._notifier.send_operators(title, body)


def operators_at(urls: Sequence[str]) -> apprise.Apprise | None:
    """An apprise client for the operators at *urls*; ``None`` without any.

    Raises :class:`ConfigError` naming the position of a URL that cannot be understood: it may hold a token.
    """
    if not urls:
        return None
    import apprise  # slow to import, and most workers do not need it

    operators = apprise.Apprise()
    for position, url in enumerate(urls, start=1):
        with _silence("apprise"):
            understood = operators.add(url)
        if not understood:
            raise ConfigError(f"entry {position} is not a URL that apprise understands")
    return operators


@contextmanager
def _silence(logger_name: str) -> Iterator[None]:
    """Silence a logger: apprise logs the whole URL if it cannot parse it."""
    logger = logging.getLogger(logger_name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        filled = url.replace(_PLACEHOLDER, "x")
        port = urlsplit(filled).port
        httpx.URL(filled)  # rejects characters that urlsplit accepts
    except (ValueError, httpx.InvalidURL):
        raise ConfigError("TENANT_NOTIFY_URL is not a URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or port == 0:
        raise ConfigError("TENANT_NOTIFY_URL must be an http or https URL without credentials in it")
    _, placed, behind = parts.netloc.rpartition(_PLACEHOLDER)
    if placed and not _OWN_DOMAIN.search(behind):
        raise ConfigError("TENANT_NOTIFY_URL lets the tenant's id choose the host: put it below a domain of yours")
