"""A whole installation in one object: ingress, store, worker and API, in this process and on one clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx
import orjson

from events import Kept, Lease, Store, Verified
from events.memory import MemoryRedis
from events.queue import Queue
from truto import sample_event
from truto.delivery import deliver
from truto.outgoing import outgoing_client
from truto.samples import ACCOUNT_ID, TENANT_ID
from worker.dispatch import Dispatcher
from worker.outcome import MAX_CRASHES, Policy
from worker.registry import HandlerFunction, Registry
from worker.registry import registry as everything
from worker.testing.api import Api
from worker.testing.clock import Clock
from worker.testing.notifications import Notification, RecordingNotifier

_SECRET = "secret-of-the-test-kit"  # noqa: S105  of a store that ends with the test
_URL = "http://ingress.test/webhooks/truto"
_SLOTS = 50
_LEAST_STEP = 0.001
_OWNER = "test"


@dataclass(frozen=True, slots=True)
class Delivered:
    """How the ingress answered a delivery."""

    status: int
    event_id: str
    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt of one handler: ``outcome`` is ``done``, ``retried``, ``dead``, ``crashed``, and so on."""

    event_type: str
    event_id: str
    handler: str | None
    attempt: int
    outcome: str
    note: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        why = self.note.get("error") or self.note.get("why")
        told = f"{self.event_type} {self.event_id}: {self.handler or '-'} attempt {self.attempt} {self.outcome}"
        return f"{told} ({why})" if why else told


class _Queue(Queue):
    """The queue of a store whose worker may die before the result of a step is kept."""

    dies_in: Callable[[str], None]

    async def keep_step(self, lease: Lease, handler: str, name: str, result: bytes) -> bool:
        """Keep the result of a step, unless the worker is to die there."""
        self.dies_in(name)
        return await super().keep_step(lease, handler, name, result)


class TrutoKit:
    """Delivers events to your handlers through everything that is between, and tells what happened.

    ``runs`` has every attempt, ``notifications`` what was sent, ``dead_letters`` and ``parked`` what was kept, newest
    first, ``api`` the calls. Nothing runs between your calls: each runs what is due, and returns when nothing is.
    *handlers* are those of *registry*, by default all that are loaded; :meth:`on` adds one for this test.
    """

    def __init__(self, *, registry: Registry | None = None, policy: Policy | None = None) -> None:
        self.clock = Clock()
        self.api = Api(self.clock)
        self.runs: list[Run] = []
        self.dead_letters: list[Kept] = []
        self.parked: list[Kept] = []
        self.registry = (registry or everything).copy()
        self.store: Store = MemoryRedis(self.clock).store()
        queue = _Queue(self.store.client, self.store.retention, lease_seconds=self.store.queue.lease_seconds)
        queue.dies_in = self._die_in
        self.store.queue = queue
        self._notifier = RecordingNotifier()
        self._dispatcher = Dispatcher(self.store, self.registry, self.api.client, self._notifier, policy or Policy())
        self._ingress: httpx.AsyncClient | None = None
        self._working: set[asyncio.Task[None]] = set()
        self._dies_next = False
        self._dies_in_steps: list[str] = []

    @property
    def notifications(self) -> list[Notification]:
        """The messages of ``ctx.notify``, oldest first."""
        return self._notifier.sent

    def on(self, *patterns: str, **options: Any) -> Callable[[HandlerFunction], HandlerFunction]:
        """Register a handler for this test alone; the arguments are those of ``worker.on``."""
        return self.registry.on(*patterns, **options)

    async def deliver(
        self,
        event_type: str,
        *,
        payload: Mapping[str, Any] | None = None,
        account: str | None = None,
        tenant: str | None = None,
        event_id: str | None = None,
        source: str = "truto",
        expect: int = 200,
    ) -> Delivered:
        """Sign an event, deliver it to the ingress, and run what is due.

        *payload* is that of the catalogue's sample unless you give one. *account* is put into it, and into the API if
        it was not there, as an account of *tenant*. The same *event_id* twice is a duplicate. An event of a *source*
        other than Truto reaches the store as if its signature had been checked.
        Raises ``AssertionError`` where the ingress does not answer *expect*.
        """
        envelope = sample_event(event_type, data=payload, event_id=event_id)
        self._place(envelope, event_type, account, tenant)
        body = orjson.dumps(envelope)
        if source != "truto":
            await self.store.accept([Verified(source, event_type, envelope["id"], body)])
            delivered = Delivered(200, envelope["id"], {})
        else:
            answer = await deliver(self._client(), _URL, body, _SECRET)
            delivered = Delivered(answer.status or 0, envelope["id"], orjson.loads(answer.body or b"{}"))
        assert delivered.status == expect, f"the ingress answered {delivered.status}: {delivered.answer}"
        await self._settle()
        return delivered

    def _place(self, envelope: dict[str, Any], event_type: str, account: str | None, tenant: str | None) -> None:
        payload = envelope["payload"]
        if account is not None:
            payload["id" if event_type.startswith("integrated_account:") else "integrated_account_id"] = account
            if account != ACCOUNT_ID and not self.api.knows(account):
                self.api.add(account=account, tenant=tenant or TENANT_ID)
        if tenant is not None:
            payload["tenant_id"] = tenant

    async def advance(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0) -> None:
        """Let time pass, and run everything that becomes due on the way, each at its moment."""
        until = self.clock.now + seconds + 60 * minutes + 3600 * hours + 86_400 * days
        while (due := await self._run_due()) is not None and self.clock.now + due <= until:
            self.clock.move_to(self.clock.now + max(due, _LEAST_STEP))
        self.clock.move_to(until)
        await self._settle()

    async def replay(self, *event_ids: str, afresh: bool = False) -> int:
        """Run dead letters again, with all their attempts: those of *event_ids*, or all. The number of them."""
        wanted = [k.member for k in self.dead_letters if not event_ids or (k.event and k.event.id in event_ids)]
        replayed = await self.store.inspection.replay(wanted, afresh=afresh)
        await self._settle()
        return replayed

    def crash_worker(self, *, in_step: str | None = None) -> None:
        """Kill the worker, with all that it runs: its work runs again when the lease has ended (:meth:`advance`).

        Called by a handler, it does not return. Called by the test, the next handler dies as it starts, or, with
        *in_step*, when the function of that step has run and its result is not kept yet.
        """
        if in_step is not None:
            self._dies_in_steps.append(in_step)
        elif asyncio.current_task() in self._working:
            self._die()
        else:
            self._dies_next = True

    def _die_in(self, step: str) -> None:
        if step in self._dies_in_steps:
            self._dies_in_steps.remove(step)
            self._die()

    def _die(self) -> None:
        for task in self._working:
            task.cancel()
        raise asyncio.CancelledError

    async def _settle(self) -> None:
        """Do what a worker does now and then, run what is due, and look at what was kept."""
        await self._dispatcher.sweep()
        await self._run_due()
        self.dead_letters = await self.store.inspection.dead_letters()
        self.parked = await self.store.inspection.parked()

    async def _run_due(self) -> float | None:
        """Run what is due now; the seconds until something else is."""
        while (claim := await self.store.queue.claim(_SLOTS, _OWNER, suspect=MAX_CRASHES - 1)).leases:
            self._working = {asyncio.create_task(self._work(lease)) for lease in claim.leases}
            await asyncio.gather(*self._working, return_exceptions=True)
            self._working = set()
        return claim.next_due

    async def _work(self, lease: Lease) -> None:
        attempt = lease.attempts + 1
        try:
            if lease.crashes == MAX_CRASHES - 1:
                await self.store.queue.begin(lease)
            if self._dies_next:
                self._dies_next = False
                self._die()
            end = await self._dispatcher.dispatch(lease)
        except asyncio.CancelledError:
            self.runs.append(Run(lease.event.type, lease.event.id, lease.handler, attempt, "crashed"))
            return
        if end is not None:
            self.runs.append(Run(lease.event.type, lease.event.id, end.handler, attempt, end.kind, end.note))
            await self.store.queue.finish(lease, end)

    def _client(self) -> httpx.AsyncClient:
        if self._ingress is None:
            from ingress import create_app, truto_source

            app = create_app(self.store, [truto_source([_SECRET])])
            self._ingress = outgoing_client(timeout_seconds=10, transport=httpx.ASGITransport(app))
        return self._ingress

    def told(self) -> str:
        """What happened so far, for people."""
        calls = [f"  {call.method} {call.path} -> {call.status}" for call in self.api.calls]
        sent = [f"  {message.kind} to {message.tenant or 'operators'}" for message in self.notifications]
        parts = [("runs", [f"  {run}" for run in self.runs]), ("calls of the API", calls), ("notifications", sent)]
        return "\n".join(line for title, lines in parts for line in (f"{title}:", *(lines or ["  none"])))

    def assert_outcome(self, outcome: str, event_type: str = "", *, handler: str = "", times: int = 1) -> None:
        """*times* attempts of events of this type, and of this handler, ended with *outcome*; else tells what did."""
        found = [
            run
            for run in self.runs
            if run.outcome == outcome and event_type in ("", run.event_type) and (run.handler or "").endswith(handler)
        ]
        wanted = f"{times} x {outcome} {event_type} {handler}".rstrip()
        assert len(found) == times, f"expected {wanted}, found {len(found)}\n{self.told()}"

    def assert_called(self, method: str, path: str, *, times: int = 1) -> None:
        """The handlers made *times* successful calls of the API; else tells which they made."""
        found = [c for c in self.api.calls if (c.method, c.path) == (method, path) and c.status < 400]
        assert len(found) == times, f"expected {times} x {method} {path}, found {len(found)}\n{self.told()}"

    def assert_notified(self, tenant: str | None, kind: str, *, times: int = 1) -> None:
        """*times* different messages of this kind went to *tenant* (``None``: operators); else tells which did."""
        found = {m.id or str(n) for n, m in enumerate(self.notifications) if (m.tenant, m.kind) == (tenant, kind)}
        whom = tenant or "operators"
        assert len(found) == times, f"expected {times} x {kind} to {whom}, found {len(found)}\n{self.told()}"

    async def aclose(self) -> None:
        """Close what is open. A second call does nothing."""
        if self._ingress is not None:
            await self._ingress.aclose()
        await self.api.client.aclose()
        await self._notifier.aclose()
        await self.store.close()

    async def __aenter__(self) -> Self:
        """The kit itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything."""
        await self.aclose()
