"""The API client: one pooled connection set, every call bounded in time, size and attempts.

Base URL, bearer token and JSON are Truto's conventions (docs: api-reference; skill: conventions). What may be sent
again is decided in :mod:`truto.retry`, what an answer means in :mod:`truto.answers`.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import httpx

from truto.answers import read_answer
from truto.calls import Call, QueryValue, build_call, header_safe
from truto.errors import ApiError, CallTimeout, NotFound, ProtocolError, TransportError
from truto.models import CronTrigger, IntegratedAccount, SyncJob, SyncJobRun, Webhook, Workflow
from truto.resources import (
    IntegratedAccounts,
    LinkTokens,
    Resource,
    SyncJobCronTriggers,
    UnifiedResource,
    Webhooks,
)
from truto.retry import Failure, RetryPolicy, is_repeatable, wait_before_next

DEFAULT_BASE_URL = "https://api.truto.one"
MAX_RESPONSE_BYTES = 64 * 1024 * 1024

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class AsyncTruto:
    """Truto's API for asyncio. Make one per process, share it, and close it at the end (or use ``async with``).

    *timeout_seconds* bounds one attempt, *deadline_seconds* a whole call with its waits and repetitions, and
    *max_response_bytes* an answer after decompression. *transport*, *sleep*, *draw* (random numbers in [0, 1)) and
    *clock* (monotonic seconds) can be replaced by tests. Every call raises the errors of :mod:`truto.errors`.
    """

    def __init__(
        self,
        *,
        token: str,
        base_url: str = DEFAULT_BASE_URL,
        timeout_seconds: float = 30.0,
        deadline_seconds: float = 60.0,
        retry: RetryPolicy | None = None,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token = _checked_token(token)
        self._base_url = _checked_base_url(base_url)
        self._timeout_seconds = _positive("timeout_seconds", timeout_seconds)
        self._deadline_seconds = _positive("deadline_seconds", deadline_seconds)
        self._retry = retry or RetryPolicy()
        self._max_response_bytes = max_response_bytes
        self._sleep, self._draw, self._clock = sleep, draw, clock
        self._next_key: Callable[[], str] | None = None
        self._http = httpx.AsyncClient(
            headers={
                "Authorization": f"Bearer {token}",
                "Accept": "application/json",
                "User-Agent": "truto-worker",
            },
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=100),
            transport=transport,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. On a keyed view nothing happens: they belong to the client it came from."""
        if self._next_key is None:
            await self._http.aclose()

    def keyed(self, key: str | Callable[[], str]) -> Self:
        """A view on this client whose unsafe calls carry ``Idempotency-Key: <key>:<number>``, counted from 1.

        *key* may also be a function that answers the whole key of the next call.

        Cheap, and shares the connections. The number is that of the call, not of the attempt: code that runs again
        and makes the same calls in the same order sends the same keys. Truto answers a known key on unified, proxy,
        custom and batch calls from its cache, within one account and path (skill: idempotency).
        """
        view = copy.copy(self)
        view._next_key = _numbered(header_safe(key)) if isinstance(key, str) else key  # noqa: SLF001 - of this very class
        return view

    @property
    def link_tokens(self) -> LinkTokens:
        """Tickets for connection attempts."""
        return LinkTokens(self.request)

    @property
    def integrated_accounts(self) -> IntegratedAccounts:
        """The tenants' connections."""
        return IntegratedAccounts(self.request, "integrated-account", IntegratedAccount)

    @property
    def sync_jobs(self) -> Resource[SyncJob]:
        """What to fetch."""
        return Resource(self.request, "sync-job", SyncJob)

    @property
    def sync_job_runs(self) -> Resource[SyncJobRun]:
        """Runs of sync jobs; ``delete`` stops one (docs: sync-job-runs)."""
        return Resource(self.request, "sync-job-run", SyncJobRun)

    @property
    def sync_job_cron_triggers(self) -> SyncJobCronTriggers:
        """The timers of sync jobs."""
        return SyncJobCronTriggers(self.request, "sync-job-cron-trigger", CronTrigger)

    @property
    def workflows(self) -> Resource[Workflow]:
        """What Truto itself does when something happens."""
        return Resource(self.request, "workflow", Workflow)

    @property
    def webhooks(self) -> Webhooks:
        """Where Truto delivers events."""
        return Webhooks(self.request, "webhook", Webhook)

    def unified(self, model: str, resource: str) -> UnifiedResource:
        """A resource of a unified model: ``unified("crm", "contacts")``."""
        return UnifiedResource(self.request, model, resource)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        json: object = None,
        idempotency_key: str | None = None,
        timeout_seconds: float | None = None,
        deadline_seconds: float | None = None,
    ) -> Any:
        """Send one request and answer its parsed JSON, ``{}`` if empty: for what has no method here yet.

        *path* starts at the API's root. *idempotency_key* replaces the key of a keyed view. Failures that may pass
        are repeated where that can do no harm (see :mod:`truto.retry`); a ``DELETE`` that finds nothing any more
        after such a repetition has done its work and answers ``{}``.
        """
        if idempotency_key is None and self._next_key is not None and method.upper() not in _SAFE_METHODS:
            idempotency_key = self._next_key()
        call = build_call(method, path, params=params, body=json, idempotency_key=idempotency_key)
        return await self._send(
            call,
            _positive("timeout_seconds", timeout_seconds, self._timeout_seconds),
            self._clock() + _positive("deadline_seconds", deadline_seconds, self._deadline_seconds),
        )

    async def _send(self, call: Call, timeout_seconds: float, deadline: float) -> Any:
        repeatable = is_repeatable(call.method, call.path, keyed=call.idempotency_key is not None)
        may_have_acted = False
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._attempt(call, min(timeout_seconds, deadline - self._clock()))
            except (ApiError, TransportError) as error:
                if may_have_acted and call.method == "DELETE" and isinstance(error, NotFound):
                    return {}
                failure = _failure(error)
                wait = wait_before_next(
                    failure, repeatable=repeatable, attempt=attempt, policy=self._retry, draw=self._draw()
                )
                if wait is None or self._clock() + wait >= deadline:
                    raise
                may_have_acted = may_have_acted or failure.may_have_acted
            await self._sleep(wait)

    async def _attempt(self, call: Call, timeout_seconds: float) -> Any:
        # A connection gets half the time, so that one which cannot be made is known as such and not as a lost answer.
        limits = httpx.Timeout(timeout_seconds, connect=timeout_seconds / 2, pool=timeout_seconds / 2)
        with _translated(call):
            async with (
                asyncio.timeout(timeout_seconds),
                self._http.stream(
                    call.method,
                    self._base_url + call.target,
                    content=call.content,
                    headers=call.headers,
                    timeout=limits,
                ) as response,
            ):
                body = await _read_capped(response.aiter_bytes(), self._max_response_bytes)
        return read_answer(call, response.status_code, response.headers, body, token=self._token, now=time.time())


def _numbered(key: str) -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"{key}:{next(numbers)}"


async def _read_capped(chunks: AsyncIterator[bytes], limit: int) -> bytes | None:
    received = bytearray()
    async for chunk in chunks:
        received += chunk
        if len(received) > limit:
            return None
    return bytes(received)


@contextmanager
def _translated(call: Call) -> Iterator[None]:
    """Turn what httpx raises into our errors. Their texts are left out: they may quote the answer."""
    try:
        yield
    except (httpx.ConnectTimeout, httpx.PoolTimeout) as exc:
        raise CallTimeout(f"{call}: no connection in time ({type(exc).__name__})", sent=False) from exc
    except (httpx.TimeoutException, TimeoutError) as exc:
        raise CallTimeout(f"{call}: no answer in time ({type(exc).__name__})") from exc
    except httpx.ConnectError as exc:
        raise TransportError(f"{call}: no connection ({type(exc).__name__})", sent=False) from exc
    except httpx.DecodingError as exc:
        raise ProtocolError(f"{call}: the answer's Content-Encoding cannot be undone") from exc
    except httpx.RequestError as exc:
        raise TransportError(f"{call}: the answer was lost ({type(exc).__name__})") from exc
    except httpx.InvalidURL:
        raise ValueError("the path and query are too long for a URL") from None


def _failure(error: ApiError | TransportError) -> Failure:
    if isinstance(error, ApiError):
        return Failure(status=error.status, remote=error.remote, retry_after=error.retry_after)
    return Failure(sent=error.sent)


def _checked_token(token: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("the API token is empty or holds characters that a header cannot carry")
    return token


def _checked_base_url(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        raise ValueError("base_url is not a URL") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("base_url is an http or https URL")
    if url.userinfo or url.query or url.fragment:
        raise ValueError("base_url carries no user, query or fragment")
    return str(url).rstrip("/")


def _positive(name: str, seconds: float | None, default: float = 0.0) -> float:
    if seconds is None:
        return default
    if not seconds > 0:
        raise ValueError(f"{name} is a positive number of seconds")
    return seconds
