"""The actions that come with the worker, apart from waiting (``waiting.py``)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import httpx
from pydantic import Field

from events import Acceptance, Event
from truto import AsyncTruto, NotFound, ProtocolError
from truto.calls import segment
from truto.workflows import (
    RUN_SYNC_JOB,
    Step,
    WorkflowFailed,
    sync_job_cron_trigger,
    sync_job_run,
)
from worker.condition import trigger_of
from worker.emitting import emitted, named_tenant
from worker.errors import DeadLetter
from workflows.actions import StepContext, action
from workflows.config import ActionConfig, checked_by, read_config
from workflows.http import HttpRequest

_SET_BY_US = frozenset({"host", "content-length", "transfer-encoding", "connection"}) | frozenset(
    {"webhook-id", "webhook-timestamp", "webhook-signature"}
)


def _check_sync_job(step: Step, at: str) -> None:
    if isinstance(step.config, dict) and "{{" not in repr(step.config):
        sync_job_run(step.config, at=at)


@action(RUN_SYNC_JOB, check=_check_sync_job)
async def run_sync_job(config: Mapping[str, Any], step: StepContext) -> dict[str, Any]:
    """Start a sync job now, or with ``cron_expression`` put it on Truto's timer; the result names what was made.

    Each reconnect fires the trigger again, so an account's trigger for the same job is used again (skill: sync-jobs).
    """
    cron = step.step.cron_expression
    if cron is None:
        run = await step.ctx.truto.sync_job_runs.create(**sync_job_run(config, at=step.at))
        return {"sync_job_run_id": run.id, "status": run.status}
    return await _schedule(sync_job_cron_trigger(config, cron, at=step.at), step)


async def _schedule(wanted: dict[str, Any], step: StepContext) -> dict[str, Any]:
    triggers = step.ctx.truto.sync_job_cron_triggers
    account = wanted.get("integrated_account_id")
    found = None
    async for trigger in triggers.list(
        sync_job_id=wanted["sync_job_id"], **({"integrated_account_id": account} if account else {})
    ):
        # Checked again: a server that ignores a filter would return the triggers of others.
        if trigger.sync_job_id == wanted["sync_job_id"] and trigger.integrated_account_id == account:
            found = trigger
            break
    if found is None:
        made = await triggers.create(**wanted)
    else:
        fixed = ("sync_job_id", "integrated_account_id")
        made = await triggers.update(found.id, **{name: value for name, value in wanted.items() if name not in fixed})
    # A trigger does nothing before it is scheduled, and again after its expression was changed (skill: sync-jobs).
    if not await triggers.schedule(made.id):
        raise ProtocolError("Truto did not schedule the trigger")
    about = {"sync_job_cron_trigger_id": made.id, "cron_expression": wanted["cron_expression"]}
    return {**about, "reused": found is not None}


class CallTruto(ActionConfig):
    """The config of ``call_truto``: exactly one of ``unified``, ``proxy``, ``custom`` and ``batch``.

    ``unified`` is ``model/resource``; ``method`` is ``list``, ``get``, ``create``, ``update``, ``delete`` or a method
    of the resource's own. ``custom`` is a path, with an HTTP method. ``batch`` is the body of ``POST /batch-request``.
    """

    unified: str | None = None
    proxy: str | None = None
    custom: str | None = None
    batch: dict[str, Any] | None = None
    method: str = "list"
    id: str | None = None
    integrated_account_id: str | None = None
    query: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    body: Any = None


_VERBS = {"list": "GET", "get": "GET", "create": "POST", "update": "PATCH", "delete": "DELETE"}
_HTTP = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE"})


@action("call_truto", check=checked_by(CallTruto))
async def call_truto(config: Mapping[str, Any], step: StepContext) -> Any:
    """Call the unified, proxy, custom or batch API (docs: api-reference) for the event's account, or a named one."""
    call = read_config(CallTruto, config, step.at)
    account = call.integrated_account_id or trigger_of(step.event).account_id
    if not isinstance(account, str) or not account:
        raise WorkflowFailed("is missing, and the event names no account", at=f"{step.at}.integrated_account_id")
    if call.batch is not None:
        body = {"integrated_account_id": account, **call.batch}
        _only_one(call, step.at)
        return await step.ctx.truto.request("POST", "/batch-request", json=body)
    method, path = _route(call, step.at)
    query = {"integrated_account_id": account, **call.query}
    return await step.ctx.truto.request(method, path, params=query, json=call.body)


def _only_one(call: CallTruto, at: str) -> None:
    given = [name for name in ("unified", "proxy", "custom", "batch") if getattr(call, name) is not None]
    if len(given) != 1:
        raise WorkflowFailed("needs exactly one of unified, proxy, custom and batch", at=at)


def _route(call: CallTruto, at: str) -> tuple[str, str]:
    """HTTP method and path (docs: api-reference, data plane)."""
    _only_one(call, at)
    if call.custom is not None:
        if call.method.upper() not in _HTTP:
            raise WorkflowFailed(f"must be one of {', '.join(sorted(_HTTP))} for a custom call", at=f"{at}.method")
        return call.method.upper(), "/custom/" + call.custom.lstrip("/")
    if call.unified is not None:
        model, _, resource = call.unified.partition("/")
        if not model or not resource or "/" in resource:
            raise WorkflowFailed("must be model/resource, such as crm/contacts", at=f"{at}.unified")
        base = f"/unified/{segment(model)}/{segment(resource)}"
    else:
        base = f"/proxy/{segment(call.proxy or '')}"
    if call.method in ("get", "update", "delete"):
        if not call.id:
            raise WorkflowFailed(f"is missing: {call.method} is for one record", at=f"{at}.id")
        base = f"{base}/{segment(call.id)}"
    if call.method in _VERBS:
        return _VERBS[call.method], base
    return "POST", f"{base}/{segment(call.method)}"


@action("http_request", check=checked_by(HttpRequest))
async def http_request(config: Mapping[str, Any], step: StepContext) -> dict[str, Any]:
    """Send one HTTP request, signed where ``WORKFLOWS_HTTP_SECRET`` is set; its result is the answer."""
    request = read_config(HttpRequest, config, step.at)
    _check_request(request, step.at)
    if request.json_ is not None and not any(name.lower() == "content-type" for name in request.headers):
        request = request.model_copy(update={"headers": {**request.headers, "content-type": "application/json"}})
    digest = hashlib.blake2b(f"{step.run_id}:{step.number}".encode(), digest_size=16).hexdigest()
    return await step.services.http.send(request, f"msg_{digest}", step.at)


def _check_request(request: HttpRequest, at: str) -> None:
    try:
        url = httpx.URL(request.url)
    except httpx.InvalidURL:
        raise WorkflowFailed("is not a URL", at=f"{at}.url") from None
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise WorkflowFailed("must be an http or https URL without credentials in it", at=f"{at}.url")
    if request.json_ is not None and request.body is not None:
        raise WorkflowFailed("cannot go with json", at=f"{at}.body")
    for name, value in request.headers.items():
        if name.lower() in _SET_BY_US:
            raise WorkflowFailed("is set by the worker", at=f"{at}.headers.{name[:40]}")
        if not (name.isascii() and value.isascii() and name.isprintable() and value.isprintable() and name.strip()):
            raise WorkflowFailed("a header has printable ASCII characters only", at=f"{at}.headers")


class NotifyTenant(ActionConfig):
    """The config of ``notify_tenant``; without ``tenant_id`` the tenant of the event's account is notified."""

    kind: str = Field(min_length=1, max_length=200)
    data: dict[str, Any] = Field(default_factory=dict)
    tenant_id: str | None = None


@action("notify_tenant", check=checked_by(NotifyTenant))
async def notify_tenant(config: Mapping[str, Any], step: StepContext) -> dict[str, Any]:
    """Send a signed message to the tenant (``TENANT_NOTIFY_URL``); the result says whether it was sent."""
    settings = read_config(NotifyTenant, config, step.at)
    tenant_id = settings.tenant_id or await _tenant_of(step.event, step.ctx.truto)
    return {"sent": await step.ctx.notify.tenant(tenant_id, settings.kind, settings.data)}


async def _tenant_of(event: Event, truto: AsyncTruto) -> str | None:
    """The tenant of the event's account according to the API; the payload's only if there is no such account."""
    if event.account_id is not None:
        with suppress(NotFound):
            return (await truto.integrated_accounts.get(event.account_id)).tenant_id
    return named_tenant(event)


class NotifyOperators(ActionConfig):
    """The config of ``notify_operators``."""

    title: str = Field(min_length=1, max_length=500)
    body: str = Field(default="", max_length=20_000)


@action("notify_operators", check=checked_by(NotifyOperators))
async def notify_operators(config: Mapping[str, Any], step: StepContext) -> dict[str, Any]:
    """Notify the operators (``NOTIFY_URLS``); the result says whether all were reached. Does not fail."""
    settings = read_config(NotifyOperators, config, step.at)
    return {"reached": await step.ctx.notify.operators(settings.title, settings.body)}


class EmitEvent(ActionConfig):
    """The config of ``emit_event``. ``type`` is the new event's name."""

    type: str = Field(min_length=1, max_length=256)
    payload: dict[str, Any] = Field(default_factory=dict)


@action("emit_event", check=checked_by(EmitEvent))
async def emit_event(config: Mapping[str, Any], step: StepContext) -> dict[str, Any]:
    """Put a new event into the queue, from the source ``workflows``; tried again it is the same event, so there is one.

    Its tenant is the payload's, else that of the event of Truto that started the run. A name of Truto's becomes
    ``workflows/<name>``.
    """
    settings = read_config(EmitEvent, config, step.at)
    try:
        event = emitted(step.event, settings.type, settings.payload, f"{step.run_id}:{step.number}")
    except ValueError as exc:
        raise WorkflowFailed(str(exc), at=f"{step.at}.type") from None
    (answer,) = await step.ctx.steps.store.accept([event])
    return {"id": event.id, "type": event.type, "duplicate": answer is not Acceptance.ACCEPTED}


class RunHandler(ActionConfig):
    """The config of ``run_handler``: a handler's full name, such as ``handlers.orders.ship``."""

    handler: str


@action("run_handler", check=checked_by(RunHandler))
async def run_handler(config: Mapping[str, Any], step: StepContext) -> None:
    """Run a registered handler on the event; its ``ctx.step`` results are stored for this step alone."""
    name = read_config(RunHandler, config, step.at).handler
    handler = step.services.registry.get(name)
    if handler is None or name.startswith("workflow"):
        raise DeadLetter(f"{step.at}.handler: there is no handler {name!r}; say module.function, as in the logs")
    steps = step.ctx.steps.under(str(step.number))
    await handler.function(step.event, step.ctx.with_steps(steps))
