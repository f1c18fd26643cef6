"""``/sync-job``, ``/sync-job-run`` and ``/sync-job-cron-trigger`` (skill: sync-jobs; docs: sync-job-runs)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from starlette.routing import Route

from sandbox import fields
from sandbox.answers import Answer, answer, invalid, missing
from sandbox.calls import Call, Endpoints
from sandbox.collection import Collection
from sandbox.deliveries import Sender
from sandbox.errors import Refusal
from sandbox.fields import Field
from sandbox.runs import Runs
from sandbox.state import Row, State, now_text, touch

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
        "default_runtime_version": fields.version(),
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
        "force": fields.flag(default=False),
        "super_query": fields.anything(),
        "datastore_id": fields.text(),
        "mutex_key": fields.text(),
        "state_key": fields.text(),
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

    def begin(self, wanted: Mapping[str, Any]) -> Row:
        """Start a run as a POST of *wanted* would."""
        values = fields.read(wanted, self.writable)
        self.check(values)
        row = self._table.insert(self.completed(values))
        self.after_create(row)
        return row

    def completed(self, values: dict[str, Any]) -> dict[str, Any]:
        """The version of the job, and nothing done yet."""
        job = self._state.sync_jobs.get(values["sync_job_id"])
        assert job is not None
        return {
            **values,
            "args": values["args"] or {},
            "version": int(job["default_runtime_version"]),
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
    """Schedules of runs. Time does not pass here: one fires when ``POST /sandbox/cron-triggers/{id}/fire`` says so."""

    path = "/sync-job-cron-trigger"
    label = "Sync job cron trigger"
    writable: Mapping[str, Field] = {
        "sync_job_id": fields.text(required=True),
        "cron_expression": fields.cron(required=True),
        "integrated_account_id": fields.text(),
        "args": fields.mapping(),
        "webhook_id": fields.text(),
        "daemon_group_key": fields.text(),
        "super_query": fields.anything(),
        "error_handling": _ERROR_HANDLING,
        "events_to_send": fields.texts(),
        "meta": fields.mapping(),
    }

    def __init__(self, state: State, runs: SyncJobRuns, sender: Sender) -> None:
        super().__init__(state.triggers)
        self._state = state
        self._runs = runs
        self._sender = sender

    def routes(self, endpoint: Endpoints) -> list[Route]:
        """CRUD, ``schedule``, and the sandbox's own ``fire``."""
        return [
            Route(f"{self.path}/{{id}}/schedule", endpoint(self.schedule, shape="Success"), methods=["POST"]),
            Route("/sandbox/cron-triggers/{id}/fire", endpoint(self.fire), methods=["POST"]),
            *super().routes(endpoint),
        ]

    async def fire(self, call: Call) -> Answer:
        """The run that a due trigger starts; both ends are in the ``sync_job_cron_trigger`` log.

        A trigger that cannot start one publishes ``sync_job_cron_trigger:failed`` and answers why.
        """
        trigger = self.find(call.path["id"])
        wanted = {name: trigger[name] for name in trigger.keys() & SyncJobRuns.writable.keys()}
        try:
            run = self._runs.begin(wanted)
        except Refusal as refusal:
            self._note(trigger, None, refusal.message)
            self._sender.publish("sync_job_cron_trigger:failed", {**trigger, "error": refusal.message})
            raise
        self._note(trigger, run["id"], None)
        return answer(run)

    def _note(self, trigger: Row, run_id: str | None, message: str | None) -> None:
        self._state.trigger_log.add(
            {
                "alarm_type": "sync_job_cron_trigger",
                "entity_id": trigger["id"],
                "sync_job_run_id": run_id,
                "environment_id": trigger["environment_id"],
                "message": message,
                "at": time.time(),
            }
        )

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


class RunStates(Collection):
    """What sync jobs remember from run to run; every call names its ``state_key`` (skill: sync-jobs).

    A POST of a key that is there replaces its value: no source says what else it would do.
    """

    path = "/sync-job-run-state"
    label = "Sync job run state"
    writable: Mapping[str, Field] = {"key": fields.text(required=True), "value": fields.anything()}

    def __init__(self, state: State) -> None:
        super().__init__(state.run_states)

    async def list(self, call: Call) -> Answer:
        """The entries of one ``state_key``."""
        _state_key(call)
        return await super().list(call)

    async def get(self, call: Call) -> Answer:
        """One entry of this ``state_key``."""
        self._within(call)
        return await super().get(call)

    async def create(self, call: Call) -> Answer:
        """A new entry, or the one of this key with the new value."""
        state_key = _state_key(call)
        values = fields.read(call.body, self.writable)
        for row in self._table.rows():
            if (row["state_key"], row["key"]) == (state_key, values["key"]):
                touch(row, values)
                return answer(row)
        return answer(self._table.insert({**values, "state_key": state_key}))

    async def update(self, call: Call) -> Answer:
        """Change one entry of this ``state_key``."""
        self._within(call)
        return await super().update(call)

    async def delete(self, call: Call) -> Answer:
        """Forget one entry of this ``state_key``."""
        self._within(call)
        return await super().delete(call)

    def _within(self, call: Call) -> None:
        if self.find(call.path["id"])["state_key"] != _state_key(call):
            raise missing(self.label)


def _state_key(call: Call) -> str:
    value = call.param("state_key") or call.body.get("state_key")
    if not isinstance(value, str) or not value:
        raise invalid("state_key", "is required")
    return value


def _check_references(state: State, values: Mapping[str, Any]) -> None:
    if state.sync_jobs.get(values["sync_job_id"]) is None:
        raise missing("Sync job")
    account_id = values["integrated_account_id"]
    if account_id is not None and state.accounts.get(account_id) is None:
        raise missing("Integrated account")
