"""The API client: Truto's resources, and the limits of each call. :mod:`truto.attempts` makes the calls.

Base URL, bearer token and JSON are Truto's conventions (docs: api-reference; skill: conventions).
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
from typing import Any, Literal, Self

import httpx

from truto import models as m
from truto import platform_models as p
from truto.answers import read_json, read_model, read_text
from truto.attempts import Attempts, Translating
from truto.calls import Call, QueryValue, RawBody, build_call, header_safe, segment
from truto.downloads import Download
from truto.endpoints import Lists, ReadOnly, Resource, Route
from truto.mcp import McpServer
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
from truto.retry import RetryPolicy, heeds_key

DEFAULT_BASE_URL = "https://api.truto.one"
MAX_RESPONSE_BYTES = 64 * 1024 * 1024

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


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
        self._timeout_seconds = _positive("timeout_seconds", timeout_seconds)
        self._deadline_seconds = _positive("deadline_seconds", deadline_seconds)
        self._clock = clock
        self._next_key: Callable[[], str] | None = None
        self._is_view = False
        self._attempts = Attempts(
            token=token,
            base_url=base_url,
            timeout_seconds=timeout_seconds,
            retry=retry or RetryPolicy(),
            max_response_bytes=max_response_bytes,
            admit=admit,
            transport=transport,
            sleep=sleep,
            draw=draw,
            clock=clock,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._attempts.base_url!r})"

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
        if not self._is_view:
            await self._attempts.aclose()

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
        """Several calls at once, with all pages; a call with ``depends_on`` runs after the calls that it names.

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
        """Send one request and return its parsed JSON, ``{}`` if empty. Use it for routes without a method here.

        *path* starts at the API's root; *shown* replaces a path with a secret in errors. *raw* is a body that is not
        JSON. *idempotency_key* replaces the key of a keyed view; without either, calls for which Truto documents
        the header get one of their own. Failures that may pass are repeated where that can do no harm (see
        :mod:`truto.retry`); a ``DELETE`` that finds nothing any more after such a repetition has done its work and
        answers ``{}``.
        """
        key = self._key(method.upper(), path) if idempotency_key is None else idempotency_key
        call = build_call(method, path, params=params, body=json, raw=raw, idempotency_key=key, shown=shown)
        timeout = _positive("timeout_seconds", timeout_seconds, self._timeout_seconds)
        deadline = self._clock() + _positive("deadline_seconds", deadline_seconds, self._deadline_seconds)
        return read_json(call, await self._attempts.whole(call, timeout, deadline))

    async def request_text(self, method: str, path: str, *, params: Mapping[str, QueryValue] | None = None) -> str:
        """Send one request whose answer is text rather than JSON."""
        call = build_call(method, path, params=params, idempotency_key=self._key(method.upper(), path))
        return read_text(call, await self._bytes(call))

    async def request_nothing(self, method: str, path: str, *, json: object = None) -> None:
        """Send one request, and ignore the body of its answer."""
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
            return await self._attempts.beginning(call, self._timeout_seconds, deadline)

        return Download(str(call), begin, lambda: Translating(call), max_bytes)

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
        return await self._attempts.whole(call, self._timeout_seconds, deadline)


def _numbered(key: str) -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"{key}:{next(numbers)}"


def _positive(name: str, seconds: float | None, default: float = 0.0) -> float:
    if seconds is None:
        return default
    if not seconds > 0:
        raise ValueError(f"{name} is a positive number of seconds")
    return seconds
