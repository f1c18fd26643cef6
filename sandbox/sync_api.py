"""``/sync-job``, ``/sync-job-run`` and ``/sync-job-cron-trigger`` (skill: sync-jobs; docs: sync-job-runs)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.routing import Route

from sandbox import fields
from sandbox.answers import Answer, answer, invalid, missing
from sandbox.calls import Call, Endpoints
from sandbox.collection import Collection
from sandbox.fields import Field
from sandbox.runs import Runs
from sandbox.state import Row, State, now_text

STATUSES = ("created", "running", "rate_limited", "completed", "failed", "stopped")
"""The statuses of a run (Rust SDK, ``SyncJobRunSchema``)."""

_ERROR_HANDLING = fields.choice("fail_fast", "ignore", "batch", default="fail_fast")


class SyncJobs(Collection):
    """What can be synced."""

    path = "/sync-job"
    label = "Sync job"
    writable: Mapping[str, Field] = {
        "label": fields.text(),
        "integration_name": fields.text(),
        # Left out, Truto takes version 3 (skill: sync-jobs).
        "default_runtime_version": fields.number(default=3),
        "args_schema": fields.mapping(),
        "args_validation": fields.text(),
        "mutex_key": fields.text(),
        "state_key": fields.text(),
        "resources": fields.array(),
    }


class SyncJobRuns(Collection):
    """Runs. A POST starts one; a DELETE stops it.

    The account has to exist but not to be active: its run then fails, as a run does whose account has died
    since. ``error_handling`` defaults to ``fail_fast`` (skill; the docs say ``ignore``). A ``webhook_id``
    that is not of this environment is kept and has no effect, since no source says that it is refused.
    """

    path = "/sync-job-run"
    label = "Sync job run"
    writable: Mapping[str, Field] = {
        "sync_job_id": fields.text(required=True),
        "integrated_account_id": fields.text(required=True),
        "status": fields.choice("created", default="created"),
        "args": fields.mapping(),
        "webhook_id": fields.text(),
        "daemon_group_key": fields.text(),
        "resources": fields.array(),
        "error_handling": _ERROR_HANDLING,
        "ignore_previous_run": fields.flag(default=False),
        "events_to_send": fields.texts(),
    }
    updatable: Mapping[str, Field] = {
        "status": fields.choice(*STATUSES, required=True),
        "started_at": fields.text(),
        "finished_at": fields.text(),
    }

    def __init__(self, state: State, runs: Runs) -> None:
        super().__init__(state.runs)
        self._state = state
        self._runs = runs

    def check(self, values: Mapping[str, Any]) -> None:
        """Never both ``webhook_id`` and ``daemon_group_key`` (docs); a new run's job and account exist."""
        if values["webhook_id"] and values["daemon_group_key"]:
            raise invalid("daemon_group_key", "cannot go with webhook_id")
        if "id" in values:
            return  # A run outlives its job and account, and can still be stopped.
        _check_references(self._state, values)

    def completed(self, values: dict[str, Any]) -> dict[str, Any]:
        """The version of the job, and nothing done yet."""
        job = self._state.sync_jobs.get(values["sync_job_id"])
        assert job is not None
        return {
            **values,
            "args": values["args"] or {},
            "version": job["default_runtime_version"],
            "daemon_id": None,
            "resource_stats": {},
            "started_at": None,
            "finished_at": None,
        }

    def after_create(self, row: Row) -> None:
        """Start it."""
        self._runs.start(row)

    def after_update(self, row: Row, values: Mapping[str, Any]) -> None:
        """Publish ``sync_job_run:updated``."""
        self._runs.changed(row)

    def after_delete(self, row: Row) -> None:
        """Stop it."""
        self._runs.stop(row)


class CronTriggers(Collection):
    """Schedules of runs. The sandbox keeps them and never fires one: time does not pass here."""

    path = "/sync-job-cron-trigger"
    label = "Sync job cron trigger"
    writable: Mapping[str, Field] = {
        "sync_job_id": fields.text(required=True),
        "cron_expression": fields.cron(required=True),
        "integrated_account_id": fields.text(),
        "args": fields.mapping(),
        "webhook_id": fields.text(),
        "daemon_group_key": fields.text(),
        "error_handling": _ERROR_HANDLING,
        "events_to_send": fields.texts(),
        "meta": fields.mapping(),
    }

    def __init__(self, state: State) -> None:
        super().__init__(state.triggers)
        self._state = state

    def routes(self, endpoint: Endpoints) -> list[Route]:
        """CRUD and ``schedule``."""
        schedule = Route(f"{self.path}/{{id}}/schedule", endpoint(self.schedule), methods=["POST"])
        return [schedule, *super().routes(endpoint)]

    async def schedule(self, call: Call) -> Answer:
        """``{success: true}``: the trigger counts from now on (skill: sync-jobs).

        A second call changes the time only.
        """
        self.find(call.path["id"])["scheduled_at"] = now_text()
        return answer({"success": True})

    def check(self, values: Mapping[str, Any]) -> None:
        """Job and account have to exist."""
        _check_references(self._state, values)

    def completed(self, values: dict[str, Any]) -> dict[str, Any]:
        """Inactive until scheduled; ``scheduled_at`` is the sandbox's own field to show it."""
        return {**values, "scheduled_at": None}

    def merged(self, row: Row, values: dict[str, Any]) -> dict[str, Any]:
        """A changed expression needs to be scheduled again (skill: sync-jobs)."""
        changed = values.get("cron_expression", row["cron_expression"]) != row["cron_expression"]
        return {**values, "scheduled_at": None} if changed else values


def _check_references(state: State, values: Mapping[str, Any]) -> None:
    if state.sync_jobs.get(values["sync_job_id"]) is None:
        raise missing("Sync job")
    account_id = values["integrated_account_id"]
    if account_id is not None and state.accounts.get(account_id) is None:
        raise missing("Integrated account")
