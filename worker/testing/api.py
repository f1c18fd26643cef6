"""Truto's API for a test: the sandbox, in this process."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from truto import AsyncTruto
from truto.samples import INTEGRATION, TENANT_ID
from worker.testing.clock import Clock

if TYPE_CHECKING:
    from sandbox.state import State

_TOKEN = "sandbox-token"  # noqa: S105  the documented token of a local imitation
_BASE_URL = "http://truto.test"


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request to the API and how it was answered."""

    method: str
    path: str
    status: int
    body: Any = None
    idempotency_key: str | None = None


@dataclass(slots=True)
class _Failure:
    status: int
    times: int
    path: str
    retry_after: float | None


class Api:
    """What the handlers see as ``ctx.truto``, from the other side.

    ``calls`` has every request, oldest first. The sandbox answers them as Truto does, with the account and the sync job
    of the samples; :meth:`add` adds accounts, :meth:`fails` lets calls fail.
    """

    def __init__(self, clock: Clock) -> None:
        self.calls: list[ApiCall] = []
        self._failures: deque[_Failure] = deque()
        self._accounts: dict[str, tuple[str, str, str]] = {}
        self._sandbox: httpx.ASGITransport | None = None
        self._state: State | None = None
        self.client = AsyncTruto(
            token=_TOKEN,
            base_url=_BASE_URL,
            transport=_Recorded(self),
            sleep=clock.sleep,
            clock=clock,
        )

    def add(
        self, *, account: str, tenant: str = TENANT_ID, integration: str = INTEGRATION, status: str = "active"
    ) -> None:
        """Add an integrated account, or change the one of this id."""
        self._accounts[account] = (tenant, integration, status)
        if self._state is not None:
            self._put(account)

    def knows(self, account: str) -> bool:
        """Whether :meth:`add` was called for this account."""
        return account in self._accounts

    def fails(self, status: int, *, times: int = 1, path: str = "", retry_after: float | None = None) -> None:
        """Answer the next *times* requests whose path begins with *path* with *status*, as Truto would.

        The client repeats calls where that can do no harm, so a few failures may go unnoticed by a handler.
        """
        if not 400 <= status <= 599:
            raise ValueError("status is that of a failure: 400 to 599")
        self._failures.append(_Failure(status, times, path, retry_after))

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one request and keep it."""
        answer = self._failure(request.url.path) or await self._transport().handle_async_request(request)
        content = request.content
        body = orjson.loads(content) if content and "json" in request.headers.get("content-type", "") else None
        key = request.headers.get("idempotency-key")
        self.calls.append(ApiCall(request.method, request.url.path, answer.status_code, body, key))
        return answer

    def _failure(self, path: str) -> httpx.Response | None:
        found = next((failure for failure in self._failures if path.startswith(failure.path)), None)
        if found is None:
            return None
        found.times -= 1
        if found.times <= 0:
            self._failures.remove(found)
        headers = {} if found.retry_after is None else {"Retry-After": f"{found.retry_after:g}"}
        error = {"statusCode": found.status, "error": "Failure", "message": "The test lets this call fail"}
        return httpx.Response(found.status, json=error, headers=headers)

    def _transport(self) -> httpx.ASGITransport:
        if self._sandbox is None:
            from sandbox import SandboxConfig, create_app

            app = create_app(SandboxConfig(token=_TOKEN, step_seconds=0.0))
            self._sandbox, self._state = httpx.ASGITransport(app), app.state.sandbox
            for account in self._accounts:
                self._put(account)
        return self._sandbox

    def _put(self, account: str) -> None:
        assert self._state is not None
        tenant, integration, status = self._accounts[account]
        if row := self._state.accounts.get(account):
            row.update({"tenant_id": tenant, "status": status})
        else:
            self._state.add_account(tenant, integration, account_id=account, status=status)


class _Recorded(httpx.AsyncBaseTransport):
    def __init__(self, api: Api) -> None:
        self._api = api

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Hand the request to the test's API."""
        await request.aread()
        return await self._api.handle(request)
