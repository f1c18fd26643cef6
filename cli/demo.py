"""``truto-worker demo``: one event's whole walk, watched from outside, hop by hop."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from cli.dev import SANDBOX_TOKEN, dev_environment
from cli.errors import CliError, HopMissingError
from cli.processes import Process, Processes, end_in_order, free_port
from events import HistoryEntry, Store
from events.embedded import EmbeddedRedis
from events.errors import RedisNotStarted
from truto import AsyncTruto, TrutoError
from truto.samples import INTEGRATION

_TENANT = "demo-tenant"
_HOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Hop:
    """One observed step: when (unix seconds), where, and what was seen."""

    at: float
    process: str
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class Stage:
    """What the demo runs on."""

    redis: EmbeddedRedis
    sandbox: Process
    ingress: Process
    worker: Process
    sandbox_url: str


def run_demo(*, as_json: bool) -> int:
    """Run the demo; returns 0 if every hop was observed, else 1 and names the missing one."""
    end_in_order()
    console = Console(highlight=False, stderr=as_json, soft_wrap=True)
    folder = Path(tempfile.mkdtemp(prefix="truto-worker-demo-"))
    try:
        with ExitStack() as stack:
            console.print("Starting a real Redis, a sandbox Truto, the ingress and a worker …")
            stage = _set_up(stack, folder)
            hops: list[Hop] = []
            try:
                asyncio.run(_walk(stage, hops))
            finally:
                _show(hops, as_json=as_json)
    except (CliError, RedisNotStarted, TrutoError) as exc:
        console.print(f"The demo failed: {exc}", markup=False)
        console.print(f"Logs of its processes: {folder}", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted.")
        return 1
    shutil.rmtree(folder)
    console.print("Every hop was observed. Next: `truto-worker dev`, then write a handler (README.md).")
    return 0


def _set_up(stack: ExitStack, folder: Path) -> Stage:
    redis = stack.enter_context(EmbeddedRedis(folder / "redis"))
    processes = stack.enter_context(Processes(logs=folder))
    port, sandbox_port = free_port(), free_port()
    settings = dev_environment(redis.url, str(uuid.uuid4()), port, sandbox_port)
    environment = {**settings, "LOG_FORMAT": "json", "ADMIN_PORT": "off"}
    ingress_url, sandbox_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{sandbox_port}"
    webhook_url = f"{ingress_url}/webhooks/truto"
    sandbox = processes.start(
        "sandbox", ["sandbox", "--port", str(sandbox_port), "--webhook-url", webhook_url], environment
    )
    ingress = processes.start("ingress", ["ingress"], environment)
    worker = processes.start("worker", ["worker"], environment)
    processes.wait_until_up(sandbox, f"{sandbox_url}/inbox")
    processes.wait_until_up(ingress, f"{ingress_url}/readyz")
    return Stage(redis, sandbox, ingress, worker, sandbox_url)


async def _walk(stage: Stage, hops: list[Hop]) -> None:
    """Connect a tenant, then look for every hop that must follow. Appends each observed hop to *hops*."""
    store = Store.connect(stage.redis.url)
    async with AsyncTruto(token=SANDBOX_TOKEN, base_url=stage.sandbox_url) as truto:
        try:
            sandbox, redis = f"sandbox {stage.sandbox.pid}", f"redis {stage.redis.pid}"
            hops.append(Hop(time.time(), sandbox, "tenant connects", f"{_TENANT} connects {INTEGRATION}"))
            await truto.request("POST", "/sandbox/connect", json={"tenant_id": _TENANT, "integration": INTEGRATION})
            await _follow(stage, truto, store, hops, "integrated_account:active", redis)
            call = await _seen("the handler's call", _call(truto, "POST", "/sync-job-run"))
            detail = f"POST {call['path']} -> {call['status']}"
            hops.append(Hop(call["at"], f"worker {stage.worker.pid}", "handler calls Truto", detail))
            await _follow(stage, truto, store, hops, "sync_job_run:completed", redis)
            note = await _seen("the tenant's verified notification", _notification(truto))
            detail = f"{note['type']}, Standard Webhooks signature verified"
            hops.append(Hop(note["received_at"], sandbox, "tenant notified", detail))
        finally:
            await store.close()
            hops.sort(key=lambda hop: hop.at)


async def _follow(stage: Stage, truto: AsyncTruto, store: Store, hops: list[Hop], event_type: str, redis: str) -> None:
    """One delivery: sent, committed, answered, claimed, done."""
    sent = await _seen(f"the delivery of {event_type}", _delivery(truto, event_type))
    event_id = sent["event_id"]
    history = await _seen(f"the end of {event_type}", _ended(store, event_id))
    received, claimed, end = _entry(history, "received"), _entry(history, "claimed"), history[-1]
    answered = sent["at"] + sent["seconds"]
    ingress, worker = f"ingress {stage.ingress.pid}", f"worker {stage.worker.pid}"
    hops += [
        Hop(sent["at"], f"sandbox {stage.sandbox.pid}", "signed delivery", f"{event_type}, id {event_id}"),
        Hop(received.at.timestamp(), redis, "verified and committed", "appendfsync always, before the answer"),
        Hop(answered, ingress, "answered", f"HTTP {sent['status']}, attempt {sent['attempt']}"),
        Hop(claimed.at.timestamp(), worker, "claimed", f"lease held by {claimed.detail['worker']}"),
        Hop(end.at.timestamp(), worker, f"handled: {end.what}", str(end.detail.get("handler", ""))),
    ]


def _delivery(truto: AsyncTruto, event_type: str) -> Callable[[], Awaitable[dict[str, Any] | None]]:
    async def look() -> dict[str, Any] | None:
        deliveries = (await truto.request("GET", "/sandbox/deliveries"))["result"]
        return next((d for d in deliveries if d["event"] == event_type and d["status"] == 200), None)

    return look


def _call(truto: AsyncTruto, method: str, path: str) -> Callable[[], Awaitable[dict[str, Any] | None]]:
    async def look() -> dict[str, Any] | None:
        calls = (await truto.request("GET", "/sandbox/calls"))["result"]
        return next((c for c in calls if c["method"] == method and c["path"] == path and c["status"] < 300), None)

    return look


def _notification(truto: AsyncTruto) -> Callable[[], Awaitable[dict[str, Any] | None]]:
    async def look() -> dict[str, Any] | None:
        inbox = (await truto.request("GET", "/inbox"))["result"]
        return next((n for n in inbox if n["tenant_id"] == _TENANT and n["verified"]), None)

    return look


def _ended(store: Store, event_id: str) -> Callable[[], Awaitable[list[HistoryEntry] | None]]:
    async def look() -> list[HistoryEntry] | None:
        history = await store.inspection.history("truto", event_id)
        return history if history and history[-1].what in {"done", "discarded"} else None

    return look


def _entry(history: list[HistoryEntry], what: str) -> HistoryEntry:
    return next(entry for entry in history if entry.what == what)


async def _seen(name: str, look: Callable[[], Awaitable[Any]]) -> Any:
    deadline = time.monotonic() + _HOP_SECONDS
    while time.monotonic() < deadline:
        if found := await look():
            return found
        await asyncio.sleep(0.05)
    raise HopMissingError(f"{name} was not observed within {_HOP_SECONDS:g} s")


def _show(hops: list[Hop], *, as_json: bool) -> None:
    if not hops:
        return
    start = hops[0].at
    if as_json:
        rows = [{"milliseconds": round((hop.at - start) * 1000, 1), **asdict(hop)} for hop in hops]
        print(orjson.dumps(rows).decode())
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("ms", justify="right")
    table.add_column("process")
    table.add_column("hop")
    table.add_column("what was seen", overflow="fold")
    for hop in hops:
        table.add_row(f"{(hop.at - start) * 1000:.0f}", hop.process, hop.what, hop.detail)
    Console(highlight=False).print(table)
