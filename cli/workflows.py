"""``truto-worker workflows``: check them, try them without calling anything, and see what their runs did."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from cli.opening import with_stores
from cli.printing import at, counted, print_json, printable, printable_json
from cli.settings import DEFAULT_WORKFLOWS, WorkerSettings
from events import ConfigError, Run
from events.all_shards import AllShards
from truto import EVENT_TYPES, parse_time, sample_event
from truto.workflows import (
    ACTIVE,
    CONNECTED,
    BadWorkflow,
    CompiledWorkflow,
    EvaluationFailed,
    TraceEntry,
    Trigger,
    WorkflowFailed,
    scope_of,
    sync_job_cron_trigger,
    truto_refusals,
)
from worker.loading import load_handlers
from workflows.actions import actions
from workflows.definitions import WorkflowFile, load_workflows, read_workflow_file

UNKNOWN = {"dry_run": True}
"""What stands in for the result of a step that was not run."""


def check_workflows(paths: list[Path], *, as_json: bool) -> int:
    """Say what each workflow is, and whether Truto can run it. Raises ``ConfigError`` naming every fault."""
    files = read_files(paths)
    rows = [
        {
            "file": str(file.path),
            "name": file.name,
            "trigger_name": file.compiled.definition.trigger_name,
            "steps": [step.definition.action for step in file.compiled.steps],
            "digest": file.compiled.digest,
            "notes": _notes(file.compiled),
            "only_here": [str(fault) for fault in truto_refusals(file.compiled.definition)],
        }
        for file in files
    ]
    if as_json:
        print_json({"workflows": rows, "faults": []})
        return 0
    print(f"{counted(len(rows), 'workflow')}, no faults")
    for row in rows:
        steps = ", ".join(row["steps"]) or "no steps"
        where = "here only" if row["only_here"] else "here and in Truto"
        print(f"  {printable(row['name']):<30} {printable(row['trigger_name'])} -> {printable(steps)} ({where})")
        for note in row["notes"]:
            print(f"    {note}")
    return 0


def _notes(compiled: CompiledWorkflow) -> list[str]:
    name = compiled.definition.trigger_name
    if name == CONNECTED:
        return [f"{CONNECTED} is in no list of Truto's events: here it also runs on {ACTIVE}"]
    if ":" in name and not name.endswith("*") and compiled.definition.source in (None, "truto"):
        family = name.partition(":")[0]
        if name not in EVENT_TYPES and any(known.startswith(f"{family}:") for known in EVENT_TYPES):
            return [f"{printable(name)} is not an event that Truto is known to send"]
    return []


def read_files(paths: list[Path]) -> list[WorkflowFile]:
    """The workflows of these files and folders, else of ``WORKFLOWS_DIR``. Raises ``ConfigError`` with every fault."""
    _load_actions()
    wanted = paths or [Path(os.environ.get("WORKFLOWS_DIR") or DEFAULT_WORKFLOWS)]
    found: list[WorkflowFile] = []
    faults: list[str] = []
    for path in wanted:
        try:
            found += load_workflows(path) if path.is_dir() else [read_workflow_file(path)]
        except BadWorkflow as exc:
            faults += [f"{path}: {fault}" for fault in exc.faults]
        except ConfigError as exc:
            faults.append(str(exc))
    if faults:
        raise ConfigError("\n".join(faults))
    return found


def _load_actions() -> None:
    """Import the team's handlers, among which its own actions are."""
    named = os.environ.get("HANDLERS")
    packages = named.split(",") if named else WorkerSettings.model_fields["handlers"].default
    load_handlers([package.strip() for package in packages])


def try_workflow(file: Path, *, event: Path | None, event_type: str | None, results: Path | None, as_json: bool) -> int:
    """Evaluate everything for one event and call nothing; 1 when the run would fail, 0 when it would not."""
    (found,) = read_files([file])
    trigger = _trigger(found.compiled, event, event_type)
    report = _DryRun(found.compiled, trigger, _results(results)).report()
    if as_json:
        print_json({"workflow": found.name, "event": trigger.type, **report})
    else:
        _print_dry_run(found, trigger, report)
    return int(report["status"] == "failed")


def _trigger(compiled: CompiledWorkflow, event: Path | None, event_type: str | None) -> Trigger:
    if event is None:
        name = event_type or compiled.definition.trigger_name
        if name.endswith("*"):
            raise ConfigError(f"say which event: --type NAME, or --event FILE ({name} fits many)")
        envelope = sample_event(name)
    else:
        envelope = _read_json(event, "--event")
        if not isinstance(envelope, dict):
            raise ConfigError(f"--event {event}: must be a JSON object, an event as it is delivered")
    name = next(
        (envelope[key] for key in ("event", "event_type", "eventType") if isinstance(envelope.get(key), str)), ""
    )
    payload = envelope.get("payload")
    if not isinstance(payload, dict):
        payload = envelope if payload is None else {"payload": payload}
    moment: datetime | None = parse_time(envelope.get("created_at"))
    return Trigger(
        str(envelope.get("id", "dry-run")),
        event_type or name or compiled.definition.trigger_name,
        payload,
        envelope.get("environment_id"),
        envelope.get("webhook_id"),
        moment.isoformat() if moment else None,
    )


def _results(path: Path | None) -> list[Any]:
    if path is None:
        return []
    found = _read_json(path, "--results")
    if not isinstance(found, list):
        raise ConfigError(f"--results {path}: must be a JSON array, a result for each step in order")
    return found


def _read_json(path: Path, option: str) -> Any:
    try:
        return orjson.loads(sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes())
    except OSError as exc:
        raise ConfigError(f"{option} {path}: {exc.strerror}") from None
    except orjson.JSONDecodeError as exc:
        raise ConfigError(f"{option} {path}: not JSON: {exc}") from None


class _DryRun:
    """A run that calls nothing: each step's result is the given one, else :data:`UNKNOWN`."""

    def __init__(self, compiled: CompiledWorkflow, trigger: Trigger, results: list[Any]) -> None:
        self._compiled = compiled
        self._trigger = trigger
        self._given = results
        self._trace: list[TraceEntry] = []
        self._steps: list[dict[str, Any]] = []

    def report(self) -> dict[str, Any]:
        """Status, steps with the configs they would get, trace, and error."""
        error = None
        try:
            status = self._run()
        except WorkflowFailed as exc:
            status, error = "failed", str(exc)
            if isinstance(exc, EvaluationFailed):
                self._trace.append(exc.entry)
        found = {"status": status, "steps": self._steps, "trace": self._trace}
        return {**found, "error": error} if error else found

    def _run(self) -> str:
        verdict = self._compiled.decide(scope_of(self._trigger))
        self._trace += verdict.trace
        if not verdict.holds:
            return "skipped"
        for number, step in enumerate(self._compiled.steps):
            prepared = step.prepare(scope_of(self._trigger, self._steps))
            self._trace += prepared.trace
            about = {"type": "run", "action": step.definition.action, "success": True}
            if prepared.skipped:
                self._steps.append({**about, "skipped": True, "result": None})
                continue
            result = self._given[number] if number < len(self._given) else UNKNOWN
            self._steps.append({**about, "config": dict(prepared.config), "result": result})
            _check_config(number, self._compiled, prepared.config)
        return "completed"


def _check_config(number: int, compiled: CompiledWorkflow, config: Mapping[str, Any]) -> None:
    """Refuse what the action would refuse before it calls anything."""
    step = compiled.steps[number].definition
    found = actions.get(step.action)
    if step.action == "run_sync_job" and step.cron_expression is not None:
        sync_job_cron_trigger(config, step.cron_expression, at=f"config.steps.{number}.config")
    elif found is not None and found.check is not None:
        found.check(step.model_copy(update={"config": dict(config)}), f"config.steps.{number}.config")


def _print_dry_run(file: WorkflowFile, trigger: Trigger, report: Mapping[str, Any]) -> None:
    print(f"{printable(file.name)} on {printable(trigger.type)}: would be {report['status']} (nothing was called)")
    _print_trace(report["trace"])
    for number, step in enumerate(report["steps"]):
        print(f"  step {number} {printable(step['action'])}: {'skipped' if step.get('skipped') else 'would run with'}")
        if not step.get("skipped"):
            print("    " + printable_json(step["config"]).replace("\n", "\n    "))
    if "error" in report:
        print(f"  {printable(report['error'], 500)}")


def _print_trace(trace: list[TraceEntry]) -> None:
    for entry in trace:
        print(f"  {entry['at']}")
        for name, value in entry["inputs"].items():
            print(f"    {printable(name)} = {printable(orjson.dumps(value).decode())}")
        for name in entry.get("missing", ()):
            print(f"    {printable(name)} is missing")
        gave = orjson.dumps(entry["value"]).decode() if "value" in entry else "nothing"
        print(f"    gave {printable(entry.get('error') or gave, 500)}")
        if "why" in entry:
            print(f"    why not: {printable(entry['why'], 500)}")


def list_runs(*, workflow: str | None, status: str | None, limit: int, as_json: bool) -> int:
    """Print the runs that are under way, then those that have ended, each newest first."""

    def wanted(run: Run) -> bool:
        return (workflow is None or run.head.get("workflow") == workflow) and (status is None or run.status == status)

    async def show(shards: AllShards) -> int:
        runs = await shards.find_runs(limit, where=wanted)
        if as_json:
            print_json([_summary(run) for run in runs])
            return 0
        for run in runs:
            head = run.head
            line = f"{run.id}  {run.status:<9} {at(run.started_at)}  {printable(head.get('workflow'))}"
            print(f"{line}  {printable(head.get('event_type'))} {printable(head.get('event_id'))}")
            if run.error:
                print(f"    {printable(run.error)}")
        if not runs:
            print("no runs")
        return 0

    return with_stores(show)


def show_run(run_id: str, *, as_json: bool) -> int:
    """Print one run with its steps and its trace; 1 when it is not known."""

    async def show(shards: AllShards) -> int:
        run = await shards.run(run_id)
        if run is None:
            print(f"there is no run {printable(run_id)}, or its history has expired", file=sys.stderr)
            return 1
        report = {**_summary(run), **_record(run)}
        if as_json:
            print_json(report)
        else:
            _print_run(run, report)
        return 0

    return with_stores(show)


def _summary(run: Run) -> dict[str, Any]:
    head = {key: value for key, value in run.head.items() if key != "member"}
    times = {"started_at": run.started_at, "finished_at": run.finished_at}
    waiting = {"due_at": run.due_at} if run.due_at and run.finished_at is None else {}
    about = {"id": run.id, "status": run.status, **head, "retry_attempt": max(run.attempts - 1, 0)}
    return {**about, **times, **waiting, "error": run.error}


def _record(run: Run) -> dict[str, Any]:
    """Steps and trace, from the result, or from what is stored so far."""
    if run.result is not None:
        return {"result": {key: run.result[key] for key in run.result if key != "trace"}, "trace": run.result["trace"]}
    done = [run.steps[name] for name in sorted(filter(str.isdigit, run.steps), key=int)]
    trace = [entry for step in done for entry in step.get("trace", ())]
    steps = [{key: value for key, value in step.items() if key != "trace"} for step in done]
    return {"result": {"steps": steps}, "trace": trace}


def _print_run(run: Run, report: Mapping[str, Any]) -> None:
    print(f"{run.id}  {run.status}  {printable(run.head.get('workflow'))}")
    print(f"  event {printable(run.head.get('event_type'))} {printable(run.head.get('event_id'))}")
    print(f"  started {at(run.started_at)}, {counted(run.attempts, 'attempt')}")
    if run.finished_at is not None:
        print(f"  finished {at(run.finished_at)}")
    elif run.due_at is not None:
        print(f"  due {at(run.due_at)}")
    for number, step in enumerate(report["result"]["steps"]):
        outcome = "skipped" if step.get("skipped") else "done" if step["success"] else "failed"
        took = f" in {step['milliseconds']} ms" if "milliseconds" in step else ""
        print(f"  step {number} {printable(step['action'])}: {outcome}{took}, {printable(_outcome(step), 500)}")
    if run.error:
        print(f"  error: {printable(run.error, 1000)}")
    _print_trace(report["trace"])


def _outcome(step: Mapping[str, Any]) -> str:
    if "error" in step:
        return str(step["error"].get("message"))
    return orjson.dumps(step.get("result")).decode()
