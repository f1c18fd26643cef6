"""Run a workflow for an event: check the condition, run the steps in order, and record both.

A workflow is a handler, so it has the attempts, backoff, dead letters, replay and parking of handlers. Each step is one
of the handler's steps: it runs once, and its result is stored. A run continues with the definition of its first step,
even if there is a newer one.
"""

from __future__ import annotations

import asyncio
import functools
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from events import Begun, Event, RunStatus
from truto import BadRequest, Forbidden, NeedsReauth, NotFound, RateLimited
from truto.backoff import Backoff
from truto.workflows import (
    QUICK,
    BadWorkflow,
    CompiledStep,
    CompiledWorkflow,
    EvaluationFailed,
    Prepared,
    Scope,
    TraceEntry,
    Verdict,
    WorkflowFailed,
    compile_workflow,
    scope_of,
)
from worker.condition import trigger_of
from worker.context import Context
from worker.errors import DeadLetter, Discard, LeaseLost, Postponed, PutAside
from worker.steps import confirmed, encode_result
from workflows.actions import DEFAULT_TIMEOUT_SECONDS, Action, Actions, StepContext
from workflows.services import Services

_NAMESPACE = uuid.UUID("b3b6f5c1-64a2-4f0e-8a43-1f6f0c9c7d2e")
_MAX_RECORD_BYTES = 1024 * 1024

_CONTROL = (PutAside, Postponed, LeaseLost, RateLimited, NeedsReauth)
"""Not failures: the run continues later, or in another worker."""

_LASTING = (WorkflowFailed, DeadLetter, BadRequest, NotFound, Forbidden)
"""Errors that would repeat in every attempt."""


def run_id_of(workflow: str, event_key: str) -> str:
    """The id of the only run of this workflow for the event with that key."""
    return str(uuid.uuid5(_NAMESPACE, f"{workflow}\0{event_key}"))


@dataclass(frozen=True, slots=True)
class _Run:
    """A run in one attempt. ``has_begun``: an earlier attempt ran some of it, so its condition was true."""

    id: str
    event: Event
    ctx: Context
    compiled: CompiledWorkflow
    quick: CompiledWorkflow
    has_begun: bool
    had_failed: bool


@dataclass(slots=True)
class _Progress:
    """The progress of a run in this attempt: finished steps, the trace, and the current step."""

    results: list[dict[str, Any]] = field(default_factory=list)
    trace: list[TraceEntry] = field(default_factory=list)
    current: CompiledStep | None = None

    def record(self, error: str | None = None, *, attempts: int = 1, skipped: bool = False) -> bytes:
        """The run's ``result`` in Truto's format (docs: workflow runs), with our trace."""
        steps = list(self.results)
        if error is not None and self.current is not None:
            definition = self.current.definition
            failed = {"type": definition.type, "action": definition.action, "success": False, "attempts": attempts}
            steps.append({**failed, "error": {"message": error}})
        found: dict[str, Any] = {"success": error is None, "steps": steps, "trace": self.trace}
        if error is not None:
            found["error"] = {"message": error}
        if skipped:
            found["skipped"] = True
        encoded = orjson.dumps(found)
        if len(encoded) > _MAX_RECORD_BYTES:
            left_out = [{**step, "result": None, "result_left_out": True} for step in steps]
            encoded = orjson.dumps({**found, "steps": left_out, "trace": []})
        return encoded


class WorkflowHandler:
    """One workflow as a handler; :meth:`run` is its function."""

    def __init__(self, name: str, compiled: CompiledWorkflow, actions: Actions, services: Services) -> None:
        self.name = name
        self.handler = f"workflow:{name}"
        self.compiled = compiled
        self._document = orjson.dumps(compiled.definition.document())
        self._actions = actions
        self._services = services
        self._kept = False
        self._versions = {compiled.digest: (compiled, compiled.within(QUICK))}

    @property
    def timeout(self) -> float:
        """The time limit (s) of an attempt: the limits of all steps, and some time to store results."""
        steps = self.compiled.definition.config.steps
        return max(300.0, 60.0 + sum(step.timeout or DEFAULT_TIMEOUT_SECONDS for step in steps))

    async def run(self, event: Event, ctx: Context) -> None:
        """Start the run for *event*, or continue it."""
        steps = ctx.steps
        run_id = run_id_of(self.name, event.key)
        if not self._kept:
            await confirmed(lambda: steps.store.runs.keep_workflow(self.compiled.digest, self._document))
            self._kept = True
        head = self._head(event, steps.lease.member)
        begun = await confirmed(
            lambda: steps.store.runs.begin_run(steps.lease, self.handler, run_id, self.compiled.digest, head)
        )
        if begun is None:
            raise LeaseLost("the run is another worker's by now")
        if begun.status in ("completed", "skipped"):
            return
        steps.know(begun.steps)
        progress = _Progress()
        try:
            compiled = await self._version(begun, ctx)
            run = _Run(run_id, event, ctx, *compiled, bool(begun.steps), begun.status == "failed")
            status = await self._go_on(run, progress)
        except _CONTROL:
            raise
        except Exception as exc:
            await self._failed(exc, run_id, ctx, progress)
            if isinstance(exc, _LASTING) and not isinstance(exc, DeadLetter):
                raise DeadLetter(str(exc)) from exc
            raise
        await self._end(ctx, run_id, status, progress.record(skipped=status == "skipped"))

    def _head(self, event: Event, member: str) -> bytes:
        about = {
            "workflow": self.name,
            "workflow_id": self.compiled.definition.id,
            "label": self.compiled.definition.label,
            "member": member,
            "source": event.source,
            "event_id": event.id,
            "event_type": event.type,
            "environment_id": event.environment_id,
        }
        return orjson.dumps({name: value for name, value in about.items() if value is not None})

    async def _version(self, begun: Begun, ctx: Context) -> tuple[CompiledWorkflow, CompiledWorkflow]:
        if begun.digest not in self._versions:
            document = await confirmed(lambda: ctx.steps.store.runs.workflow(begun.digest))
            if document is None:
                raise DeadLetter("the definition with which this run began is not kept: replay it with --afresh")
            try:
                compiled = await self._services.evaluate(lambda: compile_workflow(orjson.loads(document)))
            except BadWorkflow as exc:
                raise DeadLetter(f"the definition with which this run began cannot be used here: {exc}") from exc
            self._versions[begun.digest] = compiled, compiled.within(QUICK)
        return self._versions[begun.digest]

    async def _go_on(self, run: _Run, progress: _Progress) -> RunStatus:
        compiled = run.compiled
        if not compiled.steps:
            verdict, _ = await self._decide(run, 0, progress)
            return "completed" if verdict.holds else "skipped"
        for number, step in enumerate(compiled.steps):
            progress.current = step
            record = run.ctx.steps.kept(str(number))
            if record is None:
                traced = len(progress.trace)
                verdict, prepared = await self._decide(run, number, progress)
                if prepared is None:
                    return "skipped"
                record = await self._do(run, number, prepared, progress.trace[traced:])
                del progress.trace[traced:]
            progress.trace += record.pop("trace", ())
            progress.results.append(record)
        progress.current = None
        return "completed"

    async def _decide(self, run: _Run, number: int, progress: _Progress) -> tuple[Verdict, Prepared | None]:
        """What the workflow's condition says, at its first step, and what the step is to do.

        Evaluated right here where that takes some milliseconds at most, else in a thread, which costs more than most
        expressions do.
        """
        scope, traced = scope_of(trigger_of(run.event), progress.results), len(progress.trace)
        try:
            return _decided(run.quick, number, scope, progress.trace, has_begun=run.has_begun)
        except EvaluationFailed as exc:
            if not exc.needs_more:
                raise
        del progress.trace[traced:]
        return await self._services.evaluate(
            functools.partial(_decided, run.compiled, number, scope, progress.trace, has_begun=run.has_begun)
        )

    async def _do(self, run: _Run, number: int, prepared: Prepared, trace: list[TraceEntry]) -> dict[str, Any]:
        """The record of a step. Runs the step, unless an earlier attempt did."""
        step = run.compiled.steps[number]
        definition = step.definition
        record: dict[str, Any] = {"type": definition.type, "action": definition.action, "success": True}
        if prepared.skipped:
            skipped = {**record, "skipped": True, "result": None, "trace": trace}
            return dict(await run.ctx.step(str(number), lambda: skipped))
        action = self._actions.get(definition.action)
        if action is None:
            known = ", ".join(sorted(self._actions.names()))
            raise WorkflowFailed(
                f"{definition.action!r} is not an action of this worker; known are {known}", at=step.at
            )
        config = prepared.config
        if not step.is_stable:  # a value from the clock or a random number must not change in the next attempt
            config = await run.ctx.step(f"{number}.config", lambda: dict(prepared.config))
        context = StepContext(run.event, run.ctx, run.id, number, definition, self._services)
        failures = 0 if run.had_failed else _failures(run, number)
        record |= {"attempts": failures + 1, "trace": trace}
        try:
            if action.durable:
                result = await action.function(config, context)
                return dict(await run.ctx.step(str(number), lambda: {**record, "result": result}))
            return dict(await run.ctx.step(str(number), _act, action, config, context, record))
        except _CONTROL:
            raise
        except Exception as exc:
            await self._step_failed(exc, run, number, failures + 1)
            raise

    async def _step_failed(self, exc: Exception, run: _Run, number: int, failures: int) -> None:
        """Count a failure. With ``retry`` of its own, a step is tried again without using up attempts of the run.

        Raises :class:`Postponed` then, and :class:`WorkflowFailed` once its attempts are used up.
        """
        step = run.compiled.steps[number]
        message = self._describe(exc)
        await run.ctx.steps.keep(f"{number}.failures", {"count": failures, "error": message})
        retry = step.definition.retry
        if retry is None or isinstance(exc, _LASTING):
            return
        if failures >= retry.attempts:
            raise WorkflowFailed(f"failed {failures} times; last error: {message}", at=step.at) from exc
        await self._end(run.ctx, run.id, "running", b"{}", error=message)
        delay = Backoff(min(retry.base, retry.cap), retry.cap).delay(failures)
        raise Postponed(f"{step.at} failed and is tried again", after=delay) from exc

    async def _failed(self, exc: Exception, run_id: str, ctx: Context, progress: _Progress) -> None:
        """Record why the run failed, or why this attempt did if there is another one."""
        if isinstance(exc, EvaluationFailed):
            progress.trace.append(exc.entry)
        lasting = isinstance(exc, _LASTING) or ctx.attempt >= ctx.max_attempts
        message = self._describe(exc)
        attempts = (ctx.steps.kept(f"{len(progress.results)}.failures") or {}).get("count", 0) + 1
        await self._end(
            ctx, run_id, "failed" if lasting else "running", progress.record(message, attempts=attempts), message
        )

    def _describe(self, exc: Exception) -> str:
        text = str(exc) if isinstance(exc, WorkflowFailed | DeadLetter) else f"{type(exc).__name__}: {exc}"
        return self._services.describer.mask(text)

    async def _end(self, ctx: Context, run_id: str, status: RunStatus, result: bytes, error: str = "") -> None:
        kept = await confirmed(lambda: ctx.steps.store.runs.end_run(ctx.steps.lease, run_id, status, result, error))
        if not kept:
            raise LeaseLost("the run is another worker's by now")


def _decided(
    compiled: CompiledWorkflow, number: int, scope: Scope, trace: list[TraceEntry], *, has_begun: bool
) -> tuple[Verdict, Prepared | None]:
    """The verdict of the condition, and the prepared step; ``None`` if it is skipped. Appends to *trace*."""
    verdict = compiled.decide(scope) if number == 0 else Verdict(holds=True)
    trace += verdict.trace
    # The condition was true when an earlier attempt ran a step: do not stop the run half-way.
    if number >= len(compiled.steps) or not (verdict.holds or has_begun):
        return verdict, None
    prepared = compiled.steps[number].prepare(scope)
    trace += prepared.trace
    return verdict, prepared


def _failures(run: _Run, number: int) -> int:
    return int((run.ctx.steps.kept(f"{number}.failures") or {}).get("count", 0))


async def _act(
    action: Action, config: Mapping[str, Any], context: StepContext, record: Mapping[str, Any]
) -> dict[str, Any]:
    """Run the step within its time limit, and record the outcome."""
    limit = context.step.timeout or DEFAULT_TIMEOUT_SECONDS
    began, started = time.time(), time.perf_counter()
    more: dict[str, Any] = {}
    try:
        async with asyncio.timeout(limit) as timer:
            result = await action.function(config, context)
    except Discard as exc:
        result, more = None, {"why": exc.why}
    except TimeoutError as exc:
        if not timer.expired():
            raise
        raise TimeoutError(f"the step took longer than {limit:g} s") from exc
    encode_result(str(context.number), result)  # checked here, because a later error would name the record
    milliseconds = round((time.perf_counter() - started) * 1000, 3)
    return {**record, "result": result, "started_at": round(began, 3), "milliseconds": milliseconds, **more}
