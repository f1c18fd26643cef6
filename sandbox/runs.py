"""The course of a sync job run: a conversation with the receiver.

Truto sends ``sync_job_run:started`` first and goes on at a 2xx; a 400 stops the run; each
``sync_job_run:record`` must be accepted before the next is sent (docs: rapid-bridge overview). Statuses: Rust
SDK, ``SyncJobRunSchema``.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

from sandbox.background import Background
from sandbox.dataset import RESOURCES, batches, to_unified
from sandbox.deliveries import Sender
from sandbox.errors import Refusal
from sandbox.state import Row, State, now_text, touch
from sandbox.wishes import Product

_STOP = frozenset({400})
_TOO_MANY = 429
_RETRY_AFTER_SECONDS = 10
_DEFAULT_RESOURCES = ["crm/contacts"]


class Runs:
    """Plays runs in the background, one by one for each ``mutex_key`` (of the run, else of its job).

    Without such a key, those of one account take turns, in the order of their creation. What Truto answers while
    a mutex is held is in no source; here the run waits.
    """

    def __init__(self, state: State, sender: Sender, background: Background, *, step_seconds: float) -> None:
        self.product: Product | None = None
        """Has the records of accounts whose product is no imitation."""
        self._state = state
        self._sender = sender
        self._background = background
        self._step_seconds = step_seconds
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def start(self, run: Row) -> None:
        """Announce *run* and let it take its turn."""
        self._publish(run, "created")
        self._background.spawn(self._play(run))

    def resume(self) -> None:
        """Let the runs go on that had not begun when the state was saved; those in the middle have failed."""
        for run in self._state.runs.rows():
            if run["status"] == "created":
                self._background.spawn(self._play(run))
            elif run["status"] in ("running", "rate_limited"):
                self._finish(run, "failed", "The sandbox was stopped during the run")

    def changed(self, run: Row) -> None:
        """Tell of a status that was set through the API; a run that is no longer running ends by itself."""
        self._publish(run, "updated")

    def stop(self, run: Row) -> None:
        """Stop a run that is being deleted. Its payload is the run; no source shows this event's."""
        if run["status"] in ("created", "running", "rate_limited"):
            touch(run, {"status": "stopped", "finished_at": now_text()})
        self._publish(run, "deleted")

    async def _play(self, run: Row) -> None:
        async with self._turns[self._mutex(run)]:
            await asyncio.sleep(self._step_seconds)
            if run["status"] != "created":
                return
            if not self._account_is_active(run):
                self._finish(run, "failed", "The account is not active")
                return
            touch(run, {"status": "running", "started_at": now_text()})
            self._publish(run, "updated")
            verdict, why = await self._ask(run)
            if verdict == "completed":
                why = await self._send_resources(run)
                verdict = "failed" if why else "completed"
            if run["status"] == "running":
                self._finish(run, verdict, why)

    def _mutex(self, run: Row) -> str:
        job = self._state.sync_jobs.get(run["sync_job_id"]) or {}
        return str(run["mutex_key"] or job.get("mutex_key") or run["integrated_account_id"])

    async def _ask(self, run: Row) -> tuple[str, str | None]:
        if not _wants(run, "sync_job_run:started"):
            return "completed", None
        self._log(run, "started")
        answers = await self._sender.converse("sync_job_run:started", run, webhook_id=run["webhook_id"], decisive=_STOP)
        if any(answer.status in _STOP for answer in answers):
            return "stopped", "The receiver answered 400 to sync_job_run:started"
        if all(answer.accepted for answer in answers):
            return "completed", None
        return "failed", "sync_job_run:started was not accepted"

    async def _send_resources(self, run: Row) -> str | None:
        """Why the run fails, or ``None``."""
        job = self._state.sync_jobs.get(run["sync_job_id"]) or {}
        for name in resource_names(run["resources"] or job.get("resources")) or _DEFAULT_RESOURCES:
            if self._product_of(run) is None and name.rpartition("/")[2] not in RESOURCES:
                self._report_unknown(run, name)
                if run["error_handling"] != "ignore":
                    return f"The integration has no resource {name}"
            elif why := await self._send_records(run, name):
                return why
        return None

    async def _send_records(self, run: Row, name: str) -> str | None:
        try:
            async for records in self._portions(run, name):
                if why := await self._send_portion(run, name, records):
                    return why
        except Refusal as refusal:
            self._report(run, name, refusal.message)
            return None if run["error_handling"] == "ignore" else f"{name}: {refusal.message}"
        return None

    def _product_of(self, run: Row) -> Product | None:
        account = self._state.accounts.get(run["integrated_account_id"])
        product = self.product
        return product if product is not None and account is not None and product.serves(account) else None

    async def _portions(self, run: Row, name: str) -> AsyncIterator[list[Any]]:
        if product := self._product_of(run):
            account = self._state.accounts.get(run["integrated_account_id"])
            assert account is not None
            async for records in product.batches(account, name):
                yield records
            return
        resource = name.rpartition("/")[2]
        native = self._state.records.all(run["integrated_account_id"], resource)
        for records in batches([to_unified(resource, each) for each in native]):
            yield records

    async def _send_portion(self, run: Row, name: str, records: list[Any]) -> str | None:
        await self._wait_for_the_provider(run)
        if run["status"] != "running" or not self._account_is_active(run):
            return "The account is no longer active"
        run["resource_stats"][name] = run["resource_stats"].get(name, 0) + len(records)
        if not _wants(run, "sync_job_run:record"):
            return None
        self._log(run, "record")
        payload = {"resource": name, "records": records, "meta": _meta(run)}
        answers = await self._sender.converse("sync_job_run:record", payload, webhook_id=run["webhook_id"])
        return None if all(answer.accepted for answer in answers) else f"A batch of {name} was not accepted"

    async def _wait_for_the_provider(self, run: Row) -> None:
        """A run that is limited by its provider says so once, and resumes by itself (skill: sync-jobs)."""
        if run["status"] != "running" or self._state.faults.provider_status != _TOO_MANY:
            return
        touch(run, {"status": "rate_limited"})
        self._publish(run, "rate_limited", retryAfter=_RETRY_AFTER_SECONDS)
        while await self._is_still_limited(run):
            pass
        if run["status"] == "rate_limited":
            touch(run, {"status": "running"})
            self._publish(run, "updated")

    async def _is_still_limited(self, run: Row) -> bool:
        await asyncio.sleep(max(self._step_seconds, 0.01))
        return run["status"] == "rate_limited" and self._state.faults.provider_status == _TOO_MANY

    def _report_unknown(self, run: Row, name: str) -> None:
        self._report(run, name, f"The integration has no resource {name}")

    def _report(self, run: Row, name: str, message: str) -> None:
        payload = {"resource": name, "method": "list", "error": {"message": message}, "meta": _meta(run)}
        if _wants(run, "sync_job_run:record_error"):
            self._sender.publish("sync_job_run:record_error", payload)
        self._log(run, "record_error", message)

    def _account_is_active(self, run: Row) -> bool:
        account = self._state.accounts.get(run["integrated_account_id"])
        return account is not None and account["status"] == "active"

    def _finish(self, run: Row, status: str, why: str | None) -> None:
        touch(run, {"status": status, "finished_at": now_text()})
        self._publish(run, "updated")
        if status != "stopped":
            self._publish(run, status, why=why)

    def _publish(self, run: Row, action: str, *, why: str | None = None, **more: Any) -> None:
        event = f"sync_job_run:{action}"
        if action != "updated":
            self._log(run, action, why)
        if _wants(run, event):
            self._sender.publish(event, {**run, **more})

    def _log(self, run: Row, action: str, message: str | None = None) -> None:
        """Into the ``rapid_bridge`` log: the only place that says why a run failed (skill: debug-sync-jobs)."""
        account = self._state.accounts.get(run["integrated_account_id"])
        self._state.run_log.add(
            {
                "sync_job_run_id": run["id"],
                "sync_job_id": run["sync_job_id"],
                "sync_job_run_event": f"sync_job_run:{action}",
                "status": run["status"],
                "integrated_account_id": run["integrated_account_id"],
                "webhook_id": run["webhook_id"],
                "environment_id": run["environment_id"],
                "integration": account["integration"]["name"] if account else None,
                "message": message,
                "at": time.time(),
            }
        )


def _wants(run: Row, event: str) -> bool:
    return not run["events_to_send"] or event in run["events_to_send"]


def _meta(run: Row) -> dict[str, Any]:
    """What ties a batch to its run. That it sits in ``meta`` is likely, but in no source."""
    return {
        "sync_job_run_id": run["id"],
        "sync_job_id": run["sync_job_id"],
        "integrated_account_id": run["integrated_account_id"],
    }


def resource_names(resources: object) -> list[str]:
    """The names in a sync job's ``resources[]``; what has none is passed over."""
    if not isinstance(resources, list):
        return []
    names = [each.get("resource") if isinstance(each, dict) else each for each in resources]
    return [name for name in names if isinstance(name, str) and name]
