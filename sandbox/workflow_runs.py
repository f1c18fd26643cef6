"""Run the pushed workflows, with the evaluator that the worker has, restricted to what Truto supports.

A workflow starts on ``integrated_account:active`` (docs: workflows), which is also what the sample's
``integrated_account:connected`` means here; its steps are ``run_sync_job``, in order, and the first that fails ends it
(in no source; own choice). A run whose ``run_if`` does not hold is not recorded: Truto has no status for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from sandbox.background import Background
from sandbox.calls import Call
from sandbox.errors import Refusal
from sandbox.state import Row, State, now_text, touch
from sandbox.sync_api import CronTriggers, SyncJobRuns
from truto.samples import ENVIRONMENT_ID
from truto.workflows import (
    ACTIVE,
    BadWorkflow,
    CompiledWorkflow,
    Trigger,
    WorkflowFailed,
    compile_workflow,
    patterns_of,
    scope_of,
    sync_job_cron_trigger,
    sync_job_run,
)


class WorkflowRunner:
    """Starts the workflows of an event, and keeps their runs in the state."""

    def __init__(self, state: State, background: Background, runs: SyncJobRuns, triggers: CronTriggers) -> None:
        self._state = state
        self._background = background
        self._runs = runs
        self._triggers = triggers

    def observe(self, event: str, payload: Mapping[str, Any]) -> None:
        """Start what *event* triggers, in the background. *payload* is read before this returns."""
        if event != ACTIVE or not self._state.workflows.rows():
            return
        # A copy, since the account goes on changing; as JSON, since that is what a delivery carries.
        copied = orjson.loads(orjson.dumps(payload))
        trigger = Trigger(str(payload.get("id")), event, copied, ENVIRONMENT_ID, None, now_text())
        self._background.spawn(self._start(trigger))

    async def _start(self, trigger: Trigger) -> None:
        for row in self._state.workflows.rows():
            try:
                compiled = await asyncio.to_thread(compile_workflow, _definition(row))
            except BadWorkflow as exc:
                self._record(row, {"success": False, "error": {"message": str(exc)}, "steps": []})
                continue
            if trigger.type in patterns_of(compiled.definition):
                await self._run(row, compiled, trigger)

    async def _run(self, workflow: Row, compiled: CompiledWorkflow, trigger: Trigger) -> None:
        try:
            verdict = await asyncio.to_thread(compiled.decide, scope_of(trigger))
        except WorkflowFailed as exc:
            self._record(workflow, {"success": False, "error": {"message": str(exc)}, "steps": []})
            return
        if not verdict.holds:
            return
        run = self._begin(workflow)
        steps: list[dict[str, Any]] = []
        error = await self._do_steps(compiled, trigger, steps)
        result = {"success": error is None, "steps": steps, **({"error": error} if error else {})}
        status = "failed" if error else "completed"
        touch(run, {"status": status, "result": result, "finished_at": now_text()})

    async def _do_steps(
        self, compiled: CompiledWorkflow, trigger: Trigger, steps: list[dict[str, Any]]
    ) -> dict[str, Any] | None:
        """Do one step after the other, note each in *steps*, and answer what ended it."""
        for step in compiled.steps:
            about = {"type": step.definition.type, "action": step.definition.action}
            try:
                prepared = await asyncio.to_thread(step.prepare, scope_of(trigger, steps))
                if prepared.skipped:
                    steps.append({**about, "success": True, "skipped": True, "result": None})
                    continue
                result = await self._run_sync_job(prepared.config, step.definition.cron_expression, step.at)
            except (WorkflowFailed, Refusal) as exc:
                message = exc.message if isinstance(exc, Refusal) else str(exc)
                steps.append({**about, "success": False, "error": {"message": message}})
                return {"message": message}
            steps.append({**about, "success": True, "result": result})
        return None

    async def _run_sync_job(self, config: Mapping[str, Any], cron: str | None, at: str) -> dict[str, Any]:
        if cron is None:
            body = sync_job_run(config, at=f"{at}.config")
            return dict(orjson.loads((await self._runs.create(Call({}, [], body))).body))
        body = sync_job_cron_trigger(config, cron, at=f"{at}.config")
        row = self._known_trigger(body)
        if row is None:
            row = orjson.loads((await self._triggers.create(Call({}, [], body))).body)
        else:
            await self._triggers.update(Call({"id": row["id"]}, [], {"cron_expression": cron}))
        assert row is not None
        await self._triggers.schedule(Call({"id": row["id"]}, [], {}))
        return dict(self._triggers.find(row["id"]))

    def _known_trigger(self, body: Mapping[str, Any]) -> Row | None:
        wanted = (body["sync_job_id"], body.get("integrated_account_id"))
        rows = self._state.triggers.rows()
        return next((row for row in rows if (row["sync_job_id"], row["integrated_account_id"]) == wanted), None)

    def _begin(self, workflow: Row) -> Row:
        values = {"workflow_id": workflow["id"], "retry_attempt": 0, "started_at": now_text(), "finished_at": None}
        return self._state.workflow_runs.insert({**values, "status": "running", "result": None})

    def _record(self, workflow: Row, result: dict[str, Any]) -> None:
        run = self._begin(workflow)
        touch(run, {"status": "failed", "result": result, "finished_at": now_text()})


def _definition(row: Row) -> dict[str, Any]:
    return {key: row[key] for key in ("trigger_name", "config") if row.get(key) is not None}
