"""``sleep`` and ``wait_for_event``. A waiting run takes no slot and no attempt, and no memory outside of Redis.

A sleeping run is in the queue, due when it wakes. A run that waits for an event is in the queue too, due at its
timeout, and is indexed by the event's type, and by account if it names one. :func:`wake_waiting` handles events of
these types: it stores a matching event as the result of the run's step, and makes the run due at once.

An event may arrive before the run waits: during the previous step, or between the check and the wait. So the last
events of such types are stored, and a run checks them first. The script that starts the wait refuses if more events
have arrived since the check.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import orjson
from pydantic import Field

from events import Event, Store, Waiting
from truto.expressions import Expression, ExpressionError, compile_expression, truthy
from truto.workflows import Step, Trigger, WorkflowFailed, scope_of
from worker.condition import trigger_of
from worker.context import Context
from worker.errors import LeaseLost, Postponed, PutAside
from worker.steps import confirmed
from workflows.actions import StepContext, action
from workflows.config import ActionConfig, read_config
from workflows.services import Services

WAKER = "workflows:wait_for_event"
"""The name of the handler that wakes waiting runs."""

_MAX_SECONDS = 90 * 86_400.0
_MAX_REMEMBERED_BYTES = 32 * 1024
_MAX_RESULT_BYTES = 128 * 1024
_MAX_WITH_BYTES = 1_024
_DAY = 86_400.0


class Sleep(ActionConfig):
    """The config of ``sleep``."""

    seconds: float = Field(ge=0, le=_MAX_SECONDS, allow_inf_nan=False)


def _check_sleep(step: Step, at: str) -> None:
    _refuse_step_keys(step, at)
    if isinstance(step.config, dict) and "{{" not in repr(step.config):
        read_config(Sleep, step.config, at)


@action("sleep", durable=True, check=_check_sleep)
async def sleep(config: Mapping[str, Any], step: StepContext) -> dict[str, Any]:
    """Continue after some seconds."""
    wanted = read_config(Sleep, config, step.at)
    now = await confirmed(step.ctx.steps.store.now)
    until = await step.ctx.step(_until_name(step), lambda: now + wanted.seconds)
    remaining = until - now
    if remaining > 0:
        raise Postponed("sleeps", after=remaining)
    return {"slept_seconds": wanted.seconds}


class WaitForEvent(ActionConfig):
    """The config of ``wait_for_event``.

    ``event`` is the exact type, ``account_id`` limits it to one account, ``match`` is JSONata over the event that came,
    with the values of ``with`` as ``$with``. ``timeout`` is in seconds; ``on_timeout`` is what follows.
    """

    event: str = Field(min_length=1, max_length=256)
    account_id: str | None = Field(default=None, max_length=256)
    match: str | None = Field(default=None, max_length=2_000)
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")
    timeout: float = Field(default=_DAY, gt=0, le=_MAX_SECONDS, allow_inf_nan=False)
    on_timeout: Literal["fail", "continue"] = "fail"

    @property
    def bucket(self) -> str:
        """The index entry of the waiting run."""
        return bucket_of(self.event, self.account_id)


def bucket_of(event_type: str, account_id: str | None) -> str:
    """The name of the index for this type, and this account or any."""
    return f"{event_type}|{account_id or ''}"


def awaited_type(step: Step) -> str | None:
    """The event type that *step* waits for; ``None`` for other actions."""
    if step.action != "wait_for_event" or not isinstance(step.config, dict):
        return None
    found = step.config.get("event")
    return found if isinstance(found, str) else None


def _check_wait(step: Step, at: str) -> None:
    _refuse_step_keys(step, at)
    found = awaited_type(step)
    if found is None or "{{" in found:
        reason = "must be an object whose `event` is the very name of an event: workers listen for it from their start"
        raise WorkflowFailed(reason, at=at)
    assert isinstance(step.config, dict)
    if "{{" not in repr(step.config):
        wanted = read_config(WaitForEvent, step.config, at)
        if wanted.match is not None:
            _compiled(wanted.match, at)


def _refuse_step_keys(step: Step, at: str) -> None:
    if step.timeout is not None or step.retry is not None:
        raise WorkflowFailed("timeout and retry have no effect on a step that waits: leave them out", at=at)


@functools.lru_cache(maxsize=512)
def _expression(source: str) -> Expression:
    return compile_expression(source)


def _compiled(source: str, at: str) -> Expression:
    try:
        return _expression(source)
    except ExpressionError as exc:
        raise WorkflowFailed(f"is not valid JSONata: {exc}", at=f"{at}.match") from None


@action("wait_for_event", durable=True, check=_check_wait)
async def wait_for_event(config: Mapping[str, Any], step: StepContext) -> dict[str, Any]:
    """Continue when the event arrives; the result is ``{event, timed_out}``."""
    wanted = read_config(WaitForEvent, config, step.at)
    if len(orjson.dumps(wanted.with_)) > _MAX_WITH_BYTES:
        raise WorkflowFailed(f"has more than {_MAX_WITH_BYTES} bytes", at=f"{step.at}.with")
    if wanted.match is not None:
        _compiled(wanted.match, step.at)
    found = await _arrived(wanted, step)
    if found is None:
        if wanted.on_timeout == "fail":
            raise WorkflowFailed(f"no matching {wanted.event} arrived within {wanted.timeout:g} s", at=step.at)
        return {"event": None, "timed_out": True}
    if "match_failed" in found:
        raise WorkflowFailed(found["match_failed"], at=f"{step.at}.match")
    return {"event": found, "timed_out": False}


async def _arrived(wanted: WaitForEvent, step: StepContext) -> dict[str, Any] | None:
    """The event that arrived; ``None`` after the timeout. Raises :class:`PutAside` while the run has to wait."""
    steps, store = step.ctx.steps, step.ctx.steps.store
    name = _event_name(step.number)
    if (kept := steps.kept(name)) is not None:
        return dict(kept)
    until = steps.kept(_until_name(step))
    if until is not None:
        held, came = await confirmed(lambda: store.runs.stop_awaiting(steps.lease, wanted.bucket, name))
        if not held:
            raise LeaseLost("the run is another worker's by now")
        if came is not None:
            return dict(orjson.loads(came))
    while True:
        arrivals = await confirmed(lambda: store.runs.arrivals(wanted.event))
        if until is None:
            until = await step.ctx.step(_until_name(step), lambda: arrivals.now + wanted.timeout)  # noqa: B023  called now
        if arrivals.documents:
            early = await step.services.evaluate(functools.partial(_first_match, arrivals.documents, wanted, step))
            if early is not None:
                await steps.keep(name, early)
                return early
        remaining = until - arrivals.now
        if remaining <= 0:
            return None
        if await _let_wait(wanted, step, remaining, arrivals.seen):
            raise PutAside(f"waits for {wanted.event}")


async def _let_wait(wanted: WaitForEvent, step: StepContext, seconds: float, seen: int) -> bool:
    """Start to wait; false if events have arrived that the run has not checked."""
    entry: dict[str, Any] = {"n": step.number, "own": step.event.key}
    if wanted.match is not None:
        entry |= {"match": wanted.match, "with": wanted.with_}
    answer = await confirmed(
        lambda: step.ctx.steps.store.runs.await_event(
            step.ctx.steps.lease,
            bucket=wanted.bucket,
            entry=orjson.dumps(entry),
            seconds=seconds,
            event_type=wanted.event,
            seen=seen,
            note={"handler": step.ctx.steps.handler, "why": f"waits for {wanted.event}"},
        )
    )
    if answer is None:
        raise LeaseLost("the run is another worker's by now")
    return answer


def _until_name(step: StepContext) -> str:
    """The name under which the step's timeout is stored, by Redis' clock, for all attempts."""
    return f"{step.number}.until"


def _event_name(number: int) -> str:
    return f"{number}.event"


def _first_match(documents: Sequence[bytes], wanted: WaitForEvent, step: StepContext) -> dict[str, Any] | None:
    began = step.event.received_at.timestamp()
    for document in documents:
        arrived = orjson.loads(document)
        if arrived["key"] == step.event.key or arrived["at"] < began:
            continue
        if wanted.account_id is not None and arrived["account_id"] != wanted.account_id:
            continue
        found: dict[str, Any] = arrived["event"]
        if wanted.match is None or _matches(wanted.match, wanted.with_, found):
            return found
    return None


def _matches(match: str, values: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Whether *event* matches. Raises :class:`WorkflowFailed` if the expression fails."""
    trigger = Trigger(
        event["id"], event["event"], event["payload"], event["environment_id"], event["webhook_id"], event["created_at"]
    )
    scope = scope_of(trigger, extra={"with": dict(values)})
    try:
        return truthy(_expression(match).evaluate(scope.root, scope.variables))
    except ExpressionError as exc:
        raise WorkflowFailed(f"{exc} [{exc.code}]") from None


async def wake_waiting(event: Event, ctx: Context, services: Services) -> None:
    """Handle an event that runs may wait for: wake the runs that it matches."""
    store = ctx.steps.store
    document = trigger_of(event).document()
    arrival = orjson.dumps(
        {"key": event.key, "at": event.received_at.timestamp(), "account_id": event.account_id, "event": document}
    )
    # Store it first, then wake: a run that starts to wait in between is refused, and checks again.
    await store.runs.remember_arrival(event.type, arrival if len(arrival) <= _MAX_REMEMBERED_BYTES else b"")
    kept = orjson.dumps(document)
    if len(kept) > _MAX_RESULT_BYTES:
        kept = orjson.dumps({**document, "payload": {}, "payload_left_out": len(kept)})
    woken = 0
    for bucket in dict.fromkeys([bucket_of(event.type, None), bucket_of(event.type, event.account_id)]):
        async for page in store.runs.each_waiting(bucket):
            woken += await _wake(store, services, bucket, event, document, kept, page)
    if woken:
        ctx.log.info("runs_woken", runs=woken)


async def _wake(
    store: Store,
    services: Services,
    bucket: str,
    event: Event,
    document: Mapping[str, Any],
    kept: bytes,
    page: Sequence[Waiting],
) -> int:
    matched, failed = await services.evaluate(lambda: _sorted_out(page, event.key, document))
    woken = await store.runs.wake_runs(bucket, kept, matched) if matched else 0
    for waiting, name, reason in failed:
        woken += await store.runs.wake_runs(bucket, orjson.dumps({"match_failed": reason}), [(waiting, name)])
    return woken


def _sorted_out(
    page: Sequence[Waiting], key: str, document: Mapping[str, Any]
) -> tuple[list[tuple[Waiting, str]], list[tuple[Waiting, str, str]]]:
    """The runs of *page* that the event matches, and those whose match fails, so that the run has to fail."""
    matched, failed = [], []
    for waiting in page:
        entry = orjson.loads(waiting.entry)
        if entry["own"] == key:
            continue
        name = _event_name(entry["n"])
        try:
            if "match" not in entry or _matches(entry["match"], entry["with"], document):
                matched.append((waiting, name))
        except WorkflowFailed as exc:
            failed.append((waiting, name, str(exc)))
    return matched, failed
