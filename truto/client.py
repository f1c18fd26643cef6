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
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import httpx

from truto import models as m
from truto import platform_models as p
from truto.answers import read_answer, read_json, read_model, read_text
from truto.calls import Call, QueryValue, RawBody, build_call, header_safe, segment
from truto.downloads import Download
from truto.endpoints import Lists, ReadOnly, Resource, Route
from truto.errors import ApiError, CallTimeout, NotFound, ProtocolError, TransportError
from truto.mcp import McpServer
from truto.outgoing import ACCEPTED_ENCODINGS, check_encoding, outgoing_client, read_capped, unpacked
from truto.records import BatchCall, Custom, ProxyResource, UnifiedResource
from truto.resources import (
    DaemonJobRuns,
    Datastores,
    Documentation,
    EnvironmentIntegrations,
    Environments,
    Files,
    IntegratedAccounts,
    Integrations,
    LinkTokens,
    Logs,
    SandboxAccounts,
    Scheduled,
    Teams,
    Testable,
    Webhooks,
    WorkflowRuns,
    Workflows,
)
from truto.retry import (
    Failure,
    RetryPolicy,
    counts_against_account,
    heeds_key,
    is_repeatable,
    wait_before_next,
)

DEFAULT_BASE_URL = "https://api.truto.one"
MAX_RESPONSE_BYTES = 64 * 1024 * 1024
MAX_CONNECTIONS = 100

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_AnswerT = TypeVar("_AnswerT")


class AsyncTruto:
    """Truto's API for asyncio. Make one per process, share it, and close it at the end (or use ``async with``).

    It belongs to the event loop of its first call; in another one its calls raise :class:`RuntimeError`, unsent.

    *timeout_seconds* bounds one attempt, *deadline_seconds* a whole call with its waits and repetitions, and
    *max_response_bytes* an answer after decompression. *admit* is awaited before each attempt, with the account's id
    where the call counts against that account's rate limit (unified, proxy, custom), else ``None``; waiting in it uses
    up the deadline, and what it raises ends the call. *transport*, *sleep*, *draw* (random numbers in [0, 1)) and
    *clock* (monotonic seconds) can be replaced by tests. Every call raises the errors of :mod:`truto.errors`.
    """

    link_tokens: Route[LinkTokens] = Route(LinkTokens, "link-token", m.LinkToken)
    integrated_accounts: Route[IntegratedAccounts] = Route(
        IntegratedAccounts, "integrated-account", m.IntegratedAccount
    )
    sandbox_accounts: Route[SandboxAccounts] = Route(SandboxAccounts, "sandbox-integrated-account", p.SandboxAccount)
    environments: Route[Environments] = Route(Environments, "environment", p.Environment)
    teams: Route[Teams] = Route(Teams, "team", p.Team)
    users: Route[ReadOnly[p.User]] = Route(ReadOnly, "user", p.User)
    api_tokens: Route[ReadOnly[p.ApiToken]] = Route(ReadOnly, "api-token", p.ApiToken)
    categories: Route[Lists[p.Category]] = Route(Lists, "category", p.Category)
    integrations: Route[Integrations] = Route(Integrations, "integration", p.Integration)
    environment_integrations: Route[EnvironmentIntegrations] = Route(
        EnvironmentIntegrations, "environment-integration", p.EnvironmentIntegration
    )
    sync_jobs: Route[Resource[m.SyncJob]] = Route(Resource, "sync-job", m.SyncJob)
    # Deleting a run stops it (docs: sync-job-runs).
    sync_job_runs: Route[Resource[m.SyncJobRun]] = Route(Resource, "sync-job-run", m.SyncJobRun)
    sync_job_cron_triggers: Route[Scheduled[m.CronTrigger]] = Route(Scheduled, "sync-job-cron-trigger", m.CronTrigger)
    sync_job_templates: Route[Resource[p.SyncJobTemplate]] = Route(Resource, "sync-job-template", p.SyncJobTemplate)
    workflows: Route[Workflows] = Route(Workflows, "workflow", m.Workflow)
    workflow_runs: Route[WorkflowRuns] = Route(WorkflowRuns, "workflow-run", p.WorkflowRun)
    webhooks: Route[Webhooks] = Route(Webhooks, "webhook", m.Webhook)
    notification_destinations: Route[Testable[p.NotificationDestination]] = Route(
        Testable, "notification-destination", p.NotificationDestination
    )
    daemons: Route[Resource[p.Daemon]] = Route(Resource, "daemon", p.Daemon)
    daemon_jobs: Route[Resource[p.DaemonJob]] = Route(Resource, "daemon-job", p.DaemonJob)
    daemon_job_runs: Route[DaemonJobRuns] = Route(DaemonJobRuns, "daemon-job-run", p.DaemonJobRun)
    daemon_job_cron_triggers: Route[Scheduled[p.DaemonJobCronTrigger]] = Route(
        Scheduled, "daemon-job-cron-trigger", p.DaemonJobCronTrigger
    )
    datastores: Route[Datastores] = Route(Datastores, "datastore", p.Datastore)
    static_gates: Route[Resource[p.StaticGate]] = Route(Resource, "static-gate", p.StaticGate)
    logs: Route[Logs] = Route(Logs, "log", p.LogEntry)
    files: Route[Files] = Route(Files, "file", p.UploadedFile)
    documentation: Route[Documentation] = Route(Documentation, "documentation", p.Document)
    alarms: Route[Resource[p.Alarm]] = Route(Resource, "alarm", p.Alarm)
    unified_models: Route[Resource[p.UnifiedModel]] = Route(Resource, "unified-model", p.UnifiedModel)
    unified_model_methods: Route[Resource[p.UnifiedModelResourceMethod]] = Route(
        Resource, "unified-model-resource-method", p.UnifiedModelResourceMethod
    )
    environment_unified_models: Route[Resource[p.EnvironmentUnifiedModel]] = Route(
        Resource, "environment-unified-model", p.EnvironmentUnifiedModel
    )
    environment_unified_model_methods: Route[Resource[p.EnvironmentUnifiedModelResourceMethod]] = Route(
        Resource, "environment-unified-model-resource-method", p.EnvironmentUnifiedModelResourceMethod
    )

    def __init__(
        self,
        *,
        token: str,
        base_url: str = DEFAULT_BASE_URL,
        timeout_seconds: float = 30.0,
        deadline_seconds: float = 60.0,
        retry: RetryPolicy | None = None,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        admit: Callable[[str | None], Awaitable[object]] | None = None,
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
        self._admit = admit
        self._sleep, self._draw, self._clock = sleep, draw, clock
        self._next_key: Callable[[], str] | None = None
        self._is_view = False
        self._loop = _OwnLoop()
        self._http = outgoing_client(
            timeout_seconds=timeout_seconds, transport=transport, trust_env=True, max_connections=MAX_CONNECTIONS
        )
        self._http.headers = httpx.Headers(
            {
                "Authorization": f"Bearer {token}",
                "Accept": "application/json",
                "Accept-Encoding": ACCEPTED_ENCODINGS,
                "User-Agent": "truto-worker",
            }
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
        """Close the connections. On a view nothing happens: they belong to the client it came from."""
        if not self._is_view and not self._http.is_closed:
            self._loop.check()
            await self._http.aclose()

    def keyed(self, key: str | Callable[[], str]) -> Self:
        """A view on this client whose unsafe calls carry ``Idempotency-Key: <key>:<number>``, counted from 1.

        *key* may also be a function that answers the whole key of the next call.

        Cheap, and shares the connections. The number is that of the call, not of the attempt: code that runs again
        and makes the same calls in the same order sends the same keys. Truto answers a known key on unified, proxy,
        custom and batch calls from its cache, within one account and path (skill: idempotency).
        """
        view = self._view()
        view._next_key = _numbered(header_safe(key)) if isinstance(key, str) else key  # noqa: SLF001 - of this very class
        return view

    def within(self, deadline_seconds: float, *, timeout_seconds: float | None = None) -> Self:
        """A view on this client whose calls have *deadline_seconds* each, and *timeout_seconds* for an attempt."""
        view = self._view()
        view._deadline_seconds = _positive("deadline_seconds", deadline_seconds)  # noqa: SLF001 - of this very class
        view._timeout_seconds = _positive("timeout_seconds", timeout_seconds, self._timeout_seconds)  # noqa: SLF001
        return view

    def unified(self, model: str, resource: str) -> UnifiedResource:
        """A resource of a unified model: ``unified("crm", "contacts")``."""
        return UnifiedResource(self, f"/unified/{segment(model)}/{segment(resource)}")

    def proxy(self, resource: str) -> ProxyResource:
        """A resource of the product's own API: ``proxy("contacts")``."""
        return ProxyResource(self, f"/proxy/{segment(resource)}")

    @property
    def custom(self) -> Custom:
        """Any call to the product's API, with the account's credentials."""
        return Custom(self)

    def sync_job_run_states(self, state_key: str) -> Resource[p.SyncJobRunState]:
        """What sync jobs remember between runs under this key, which every call needs (skill: sync-jobs)."""
        if not state_key:
            raise ValueError("the states of sync job runs need a state_key")
        return Resource(self, "sync-job-run-state", p.SyncJobRunState, {"state_key": state_key})

    def mcp(self, token: str) -> McpServer:
        """The MCP server behind a token of ``integrated_accounts.mcp_tokens(…).create``."""
        return McpServer(self, token)

    async def proxy_action(
        self, action: str, body: object = None, /, *, integrated_account_id: str | None, **params: QueryValue
    ) -> Any:
        """A named action of the product, which belongs to no resource (skill: proxy)."""
        query = {**params, "integrated_account_id": integrated_account_id}
        return await self.request("POST", f"/proxy/_/{segment(action)}", params=query, json=body)

    async def batch(
        self,
        calls: Sequence[BatchCall],
        /,
        *,
        integrated_account_id: str,
        args: Mapping[str, Any] | None = None,
    ) -> p.BatchAnswer:
        """Several calls at once, pages followed; one that names ``depends_on`` comes after what it names.

        Part of them may fail: look at ``errors``. Not for integrated account tokens (skill: batch requests).
        """
        body = {"integrated_account_id": integrated_account_id, "resources": list(calls), "args": args or {}}
        return read_model("POST /batch-request", p.BatchAnswer, await self.request("POST", "/batch-request", json=body))

    async def unified_documentation(self, model: str, integration: str) -> Any:
        """How a unified model is mapped to a product, as data (docs: unified api)."""
        path = f"/unified/meta/{segment(model)}/{segment(integration)}"
        return await self.request("GET", path, params={"format": "json"})

    async def unified_documentation_text(
        self, model: str, integration: str, *, text_format: Literal["md", "html"] = "md"
    ) -> str:
        """The same as a text to read, in Markdown or HTML."""
        path = f"/unified/meta/{segment(model)}/{segment(integration)}"
        return await self.request_text("GET", path, params={"format": text_format})

    async def ping(self) -> None:
        """Return if Truto answers; raises otherwise (sdk: py)."""
        await self.request_nothing("GET", "/ping")

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        json: object = None,
        raw: RawBody | None = None,
        idempotency_key: str | None = None,
        timeout_seconds: float | None = None,
        deadline_seconds: float | None = None,
        shown: str | None = None,
    ) -> Any:
        """Send one request and answer its parsed JSON, ``{}`` if empty: for what has no method here.

        *path* starts at the API's root; *shown* stands in errors for a path that holds a secret. *raw* is a body that
        is no JSON. *idempotency_key* replaces the key of a keyed view; without either, calls for which Truto documents
        the header get one of their own. Failures that may pass are repeated where that can do no harm (see
        :mod:`truto.retry`); a ``DELETE`` that finds nothing any more after such a repetition has done its work and
        answers ``{}``.
        """
        key = self._key(method.upper(), path) if idempotency_key is None else idempotency_key
        call = build_call(method, path, params=params, body=json, raw=raw, idempotency_key=key, shown=shown)
        timeout = _positive("timeout_seconds", timeout_seconds, self._timeout_seconds)
        deadline = self._clock() + _positive("deadline_seconds", deadline_seconds, self._deadline_seconds)
        return read_json(call, await self._persist(call, self._whole, timeout, deadline, gone=b""))

    async def request_text(self, method: str, path: str, *, params: Mapping[str, QueryValue] | None = None) -> str:
        """Send one request whose answer is text rather than JSON."""
        call = build_call(method, path, params=params, idempotency_key=self._key(method.upper(), path))
        return read_text(call, await self._bytes(call))

    async def request_nothing(self, method: str, path: str, *, json: object = None) -> None:
        """Send one request whose answer is of no interest, whatever it holds."""
        await self._bytes(build_call(method, path, body=json, idempotency_key=self._key(method.upper(), path)))

    def download(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        json: object = None,
        max_bytes: int | None = None,
    ) -> Download:
        """An answer that is read in chunks; nothing is sent before ``async with``."""
        key = self._key(method.upper(), path)
        call = build_call(method, path, params=params, body=json, idempotency_key=key)

        async def begin() -> httpx.Response:
            deadline = self._clock() + self._deadline_seconds
            return await self._persist(call, self._beginning, self._timeout_seconds, deadline, gone=None)

        return Download(str(call), begin, lambda: _Translating(call), max_bytes)

    def _view(self) -> Self:
        view = copy.copy(self)
        view._is_view = True  # noqa: SLF001 - of this very class
        return view

    def _key(self, method: str, path: str) -> str | None:
        if self._next_key is not None and method not in _SAFE_METHODS:
            return self._next_key()
        return str(uuid.uuid4()) if heeds_key(method, path[1:].partition("/")[0]) else None

    async def _bytes(self, call: Call) -> bytes:
        deadline = self._clock() + self._deadline_seconds
        return await self._persist(call, self._whole, self._timeout_seconds, deadline, gone=b"")

    async def _persist(
        self,
        call: Call,
        attempt_once: Callable[[Call, float], Awaitable[_AnswerT]],
        timeout_seconds: float,
        deadline: float,
        *,
        gone: _AnswerT | None,
    ) -> _AnswerT:
        """Attempt until it succeeds or is not to be repeated; *gone* is the answer to a delete that had succeeded."""
        keyed = call.idempotency_key is not None
        repeatable = is_repeatable(call.method, call.route, keyed=keyed)
        may_have_acted = False
        attempt = 0
        while True:
            attempt += 1
            if self._admit is not None:
                await self._await_admission(call, deadline, sent=attempt > 1)
            try:
                return await attempt_once(call, min(timeout_seconds, deadline - self._clock()))
            except (ApiError, TransportError) as error:
                if gone is not None and may_have_acted and call.method == "DELETE" and isinstance(error, NotFound):
                    return gone
                failure = _failure(error)
                wait = wait_before_next(
                    failure, repeatable=repeatable, attempt=attempt, policy=self._retry, draw=self._draw()
                )
                if wait is None or call.one_shot or self._clock() + wait >= deadline:
                    raise
                may_have_acted = may_have_acted or failure.may_have_acted
            await self._sleep(wait)

    async def _await_admission(self, call: Call, deadline: float, *, sent: bool) -> None:
        assert self._admit is not None
        account_id = call.account_id if counts_against_account(call.route) else None
        try:
            async with asyncio.timeout(deadline - self._clock()) as timer:
                await self._admit(account_id)
        except TimeoutError as exc:
            if not timer.expired():
                raise
            raise CallTimeout(f"{call}: not admitted in time", sent=sent) from exc
        if self._clock() >= deadline:
            raise CallTimeout(f"{call}: admitted too late", sent=sent)

    async def _whole(self, call: Call, timeout_seconds: float) -> bytes:
        """One attempt: the body of its answer."""
        with _Translating(call):
            async with asyncio.timeout(timeout_seconds):
                response = await self._open(call, timeout_seconds)
                body = await self._read(response)
        return read_answer(call, response.status_code, response.headers, body, token=self._token, now=time.time())

    async def _beginning(self, call: Call, timeout_seconds: float) -> httpx.Response:
        """One attempt: its answer with the body still to be read, or the error that the answer is."""
        with _Translating(call):
            async with asyncio.timeout(timeout_seconds):
                response = await self._open(call, timeout_seconds, accept="*/*")
                if response.is_success:
                    body: bytes | None = b""
                else:
                    body = await self._read(response)
        read_answer(call, response.status_code, response.headers, body, token=self._token, now=time.time())
        return response

    async def _read(self, response: httpx.Response) -> bytes | None:
        try:
            return await read_capped(unpacked(response), self._max_response_bytes)
        finally:
            await response.aclose()

    async def _open(self, call: Call, timeout_seconds: float, accept: str | None = None) -> httpx.Response:
        self._loop.check()
        # A connection gets half the time, so that one which cannot be made is known as such and not as a lost answer.
        half = timeout_seconds / 2
        request = self._http.build_request(
            call.method,
            self._base_url + call.target,
            headers=call.headers if accept is None else {**call.headers, "Accept": accept},
            content=call.content,
            timeout=httpx.Timeout(timeout_seconds, connect=half, pool=half),
        )
        response = await self._http.send(request, stream=True)
        try:
            check_encoding(response.headers)
        except httpx.DecodingError:
            await response.aclose()
            raise
        return response


class _OwnLoop:
    """The event loop of the first call: connections of one loop cannot be used in another."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def check(self) -> None:
        running = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = running
        elif self._loop is not running:
            raise RuntimeError("this client belongs to another event loop: make one for each")


def _numbered(key: str) -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"{key}:{next(numbers)}"


class _Translating:
    """Turns what httpx raises into our errors. A class, because ``contextmanager`` costs several times as much."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(exc, httpx.InvalidURL):
            if "too long" not in str(exc):  # no head of an answer has room for that, and all else was checked
                raise ProtocolError(f"{self._call}: a redirect to what is no URL; redirects are not followed") from None
            raise ValueError("the path and query are too long for a URL") from None
        if isinstance(exc, (httpx.RequestError, TimeoutError)):
            raise _translation(self._call, exc) from exc


def _translation(call: Call, exc: httpx.RequestError | TimeoutError) -> TransportError | ProtocolError:
    """Our error for one of httpx's. Their texts are left out: they may quote the answer."""
    match exc:
        case httpx.ConnectTimeout() | httpx.PoolTimeout():
            return CallTimeout(f"{call}: no connection in time ({type(exc).__name__})", sent=False)
        case httpx.TimeoutException() | TimeoutError():
            return CallTimeout(f"{call}: no answer in time ({type(exc).__name__})")
        case httpx.ConnectError():
            return TransportError(f"{call}: no connection ({type(exc).__name__})", sent=False)
        case httpx.DecodingError():
            return ProtocolError(f"{call}: the answer's Content-Encoding cannot be undone")
        case _:
            return TransportError(f"{call}: the answer was lost ({type(exc).__name__})")


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
