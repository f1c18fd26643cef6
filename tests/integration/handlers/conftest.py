"""The handlers as they are deployed: a worker, a store, and the sandbox for Truto and for the tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

import handlers.integrated_account
import worker.loop
from events import HistoryEntry, Store, Verified
from handlers.integrated_account import SyncJobs
from sandbox import SandboxConfig, create_app
from tests.integration.worker.workshop import TENANT_SECRET, Receiver, delivered, eventually, plain, working
from tests.servers import serve
from truto import AsyncTruto
from truto.samples import SYNC_JOB_ID
from worker.loading import load_handlers
from worker.notify import Notifier, TenantEndpoint
from worker.registry import registry

TOKEN = "sandbox-token"


@dataclass
class Scene:
    """Everything around the handlers."""

    store: Store
    http: httpx.AsyncClient
    url: str
    operators: Receiver
    last: Verified | None = None

    async def send(self, event_type: str, data: dict[str, Any] | None = None) -> str:
        """Deliver an event and wait for its end; the end in a word."""
        self.last = delivered(event_type, data=data)
        await self.store.accept([self.last])

        async def has_ended() -> bool:
            return (await self._newest()).what in {"done", "discarded", "dead", "parked"}

        await eventually(has_ended)
        return (await self._newest()).what

    async def why(self) -> str:
        """The reason why the last event ended so."""
        return str((await self._newest()).detail["why"])

    async def _newest(self) -> HistoryEntry:
        assert self.last is not None
        return (await self.store.inspection.history(self.last.source, self.last.id))[-1]

    async def get(self, path: str) -> list[dict[str, Any]]:
        answer = await self.http.get(path)
        answer.raise_for_status()
        return list(answer.json()["result"])

    async def call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        answer = await self.http.request(method, path, json=body or None)
        answer.raise_for_status()
        return dict(answer.json()) if answer.content else {}

    async def runs(self) -> list[dict[str, Any]]:
        return await self.get("/sync-job-run")

    async def inbox(self) -> list[dict[str, Any]]:
        return await self.get("/inbox")

    async def made(self, method: str, path: str) -> list[dict[str, Any]]:
        """The calls that the sandbox got."""
        calls = await self.get("/sandbox/calls")
        return [call for call in calls if call["method"] == method and call["path"].startswith(path)]


@pytest.fixture(autouse=True)
def _one_sync_job(monkeypatch: pytest.MonkeyPatch) -> None:
    load_handlers(["handlers"])
    jobs = SyncJobs.parse(f"calcom={SYNC_JOB_ID}")
    monkeypatch.setattr(handlers.integrated_account, "SYNC_JOBS", jobs)
    monkeypatch.setattr(worker.loop, "_POLL_SECONDS", 0.05)  # retries are the sooner done


@asynccontextmanager
async def open_scene(store: Store, transport: httpx.AsyncBaseTransport | None = None) -> AsyncIterator[Scene]:
    """A scene; *transport* carries the handlers' calls to Truto."""
    app = create_app(SandboxConfig(token=TOKEN, step_seconds=0.01, tenant_secret=TENANT_SECRET))
    async with (
        Receiver().listening() as operators,
        serve(app) as url,
        httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, transport=plain()) as http,
    ):
        tenants = TenantEndpoint(url + "/inbox/{tenant_id}", TENANT_SECRET)
        notifier = Notifier(tenants, [operators.url.replace("http://", "json://")], transport=plain())
        truto = AsyncTruto(token=TOKEN, base_url=url, transport=transport or plain())
        async with working(store, registry, truto=truto, notifier=notifier):
            yield Scene(store, http, url, operators)


@pytest.fixture
async def scene(store: Store) -> AsyncIterator[Scene]:
    async with open_scene(store) as opened:
        yield opened
