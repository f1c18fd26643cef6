"""The course of a sync job run: a conversation with the receiver.

Truto sends ``sync_job_run:started`` first and goes on at a 2xx; a 400 stops the run; each
``sync_job_run:record`` must be accepted before the next is sent (docs: rapid-bridge overview). Statuses: Rust
SDK, ``SyncJobRunSchema``.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

from sandbox.background import Background
from sandbox.dataset import RESOURCES, batches
from sandbox.deliveries import Sender
from sandbox.state import Row, State, now_text, touch

_STOP = frozenset({400})
_DEFAULT_RESOURCES = ["crm/contacts"]


class Runs:
    """Plays runs in the background; those of one account one by one, in the order of their creation."""

    def __init__(self, state: State, sender: Sender, background: Background, *, step_seconds: float) -> None:
        self._state = state
        self._sender = sender
        self._background = background
        self._step_seconds = step_seconds
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def start(self, run: Row) -> None:
        """Announce *run* and let it take its turn."""
        self._publish(run, "created")
        self._background.spawn(self._play(run))

    def changed(self, run: Row) -> None:
        """Tell of a status that was set through the API; a run that is no longer running ends by itself."""
        self._publish(run, "updated")

    def stop(self, run: Row) -> None:
        """Stop a run that is being deleted. Its payload is the run; no source shows this event's."""
        if run["status"] in ("created", "running"):
            touch(run, {"status": "stopped", "finished_at": now_text()})
        self._publish(run, "deleted")

    async def _play(self, run: Row) -> None:
        async with self._turns[run["integrated_account_id"]]:
            await asyncio.sleep(self._step_seconds)
            if run["status"] != "created":
                return
            if not self._account_is_active(run):
                self._finish(run, "failed")
                return
            touch(run, {"status": "running", "started_at": now_text()})
            self._publish(run, "updated")
            verdict = await self._ask(run)
            if verdict == "completed":
                verdict = await self._send_resources(run)
            if run["status"] == "running":
                self._finish(run, verdict)

    async def _ask(self, run: Row) -> str:
        if not _wants(run, "sync_job_run:started"):
            return "completed"
        answers = await self._sender.converse("sync_job_run:started", run, webhook_id=run["webhook_id"], decisive=_STOP)
        if any(answer.status in _STOP for answer in answers):
            return "stopped"
        return "completed" if all(answer.accepted for answer in answers) else "failed"

    async def _send_resources(self, run: Row) -> str:
        job = self._state.sync_jobs.get(run["sync_job_id"]) or {}
        for name in resource_names(run["resources"] or job.get("resources")) or _DEFAULT_RESOURCES:
            if name.rpartition("/")[2] not in RESOURCES:
                self._report_unknown(run, name)
                if run["error_handling"] != "ignore":
                    return "failed"
            elif not await self._send_records(run, name):
                return "failed"
        return "completed"

    async def _send_records(self, run: Row, name: str) -> bool:
        for records in batches(name.rpartition("/")[2]):
            if run["status"] != "running" or not self._account_is_active(run):
                return False
            run["resource_stats"][name] = run["resource_stats"].get(name, 0) + len(records)
            if not _wants(run, "sync_job_run:record"):
                continue
            payload = {"resource": name, "records": records, "meta": _meta(run)}
            answers = await self._sender.converse("sync_job_run:record", payload, webhook_id=run["webhook_id"])
            if not all(answer.accepted for answer in answers):
                return False
        return True

    def _report_unknown(self, run: Row, name: str) -> None:
        message = f"The integration has no resource {name}"
        payload = {"resource": name, "method": "list", "error": {"message": message}, "meta": _meta(run)}
        if _wants(run, "sync_job_run:record_error"):
            self._sender.publish("sync_job_run:record_error", payload)

    def _account_is_active(self, run: Row) -> bool:
        account = self._state.accounts.get(run["integrated_account_id"])
        return account is not None and account["status"] == "active"

    def _finish(self, run: Row, status: str) -> None:
        touch(run, {"status": status, "finished_at": now_text()})
        self._publish(run, "updated")
        if status != "stopped":
            self._publish(run, status)

    def _publish(self, run: Row, action: str) -> None:
        event = f"sync_job_run:{action}"
        if _wants(run, event):
            self._sender.publish(event, run)


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
