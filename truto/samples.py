"""Events to try things out with: an envelope as Truto sends it, with a realistic payload for every known type.

The envelope is that of the docs (processing webhook events), the account that of the connection-flow skill, the run
that of the Rust SDK's ``SyncJobRunSchema``. Where no document shows a payload, it is kept plain. Ids and values are
made up; the sandbox is seeded with this account and this sync job.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

ENVIRONMENT_ID = "ac15abdc-b38e-47d0-97a2-69194017c177"
WEBHOOK_ID = "b6d29b9b-3d9d-44fd-aa77-512fd83b28c1"
ACCOUNT_ID = "79a39d69-e27e-49cb-b9a9-79f5eea7aa26"
TENANT_ID = "acme-1"
INTEGRATION = "calcom"
SYNC_JOB_ID = "51b79ace-a7b4-4077-93ba-8048a06ece2b"

_INTEGRATION_ID = "1fa47b2e-5f0c-4a0e-8c6b-2f3d6c1f9a10"
_ENVIRONMENT_INTEGRATION_ID = "27a8e0d4-9c1b-4f57-b7a1-6a4f0c2d8e31"
_RUN_ID = "c2f1a6de-0b7d-4f39-9a55-7d1f4b8e6c02"

_ACCOUNT_ERRORS = {
    "authentication_error": "The refresh token was rejected: invalid_grant",
    "validation_error": "Validation failed: the API key does not reach /me",
    "post_install_error": "Post-install action create_webhook failed: 500",
    "forbidden_error": "The account lacks the scope bookings.read",
}
# The account's status after the event; the others leave it as it was.
_ACCOUNT_STATUSES = {
    "created": "connecting",
    "updated": "connecting",
    "post_connect_form_submitted": "connecting",
    "authentication_error": "needs_reauth",
    "validation_error": "validation_error",
    "post_install_error": "post_install_error",
}
_RUN_STATUSES = {
    "created": "created",
    "rate_limited": "rate_limited",
    "completed": "completed",
    "failed": "failed",
    "deleted": "stopped",
}


def sample_event(
    event_type: str, *, data: Mapping[str, Any] | None = None, event_id: str | None = None
) -> dict[str, Any]:
    """A fresh event of this type: a new UUID (or *event_id*) and the present time, ready to be sent as JSON.

    *data* replaces the payload. An unknown type gets a plain one. Two calls share nothing, so changing one sample
    leaves the next as it is.
    """
    now = datetime.now(UTC)
    family, _, action = event_type.partition(":")
    payload = _PAYLOADS.get(family, _plain)
    return {
        "id": event_id or str(uuid.uuid4()),
        "event": event_type,
        "payload": payload(action, _iso(now)) if data is None else dict(data),
        "environment_id": ENVIRONMENT_ID,
        "webhook_id": WEBHOOK_ID,
        "created_at": _iso(now),
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _account(action: str, now: str) -> dict[str, Any]:
    if action == "deleted":
        return {"id": ACCOUNT_ID}
    account = {
        "id": ACCOUNT_ID,
        "tenant_id": TENANT_ID,
        "environment_id": ENVIRONMENT_ID,
        "environment_integration_id": _ENVIRONMENT_INTEGRATION_ID,
        "status": _ACCOUNT_STATUSES.get(action, "active"),
        "is_sandbox": False,
        "authentication_method": "api_key",
        "region": "wnam",
        "context": {"subdomain": "acme"},
        "object_store_context_fields": [],
        "integration": {"id": _INTEGRATION_ID, "name": INTEGRATION, "config": {"label": "Cal.com"}},
        "environment_integration": {"id": _ENVIRONMENT_INTEGRATION_ID, "is_active": True},
        "created_at": now,
        "updated_at": now,
    }
    if action in _ACCOUNT_ERRORS:
        account["last_error"] = _ACCOUNT_ERRORS[action]
    return account


def _run(action: str, now: str) -> dict[str, Any]:
    if action in ("record", "record_error"):
        return _fetched(action)
    finished = action in ("completed", "failed", "deleted")
    run = {
        "id": _RUN_ID,
        "sync_job_id": SYNC_JOB_ID,
        "integrated_account_id": ACCOUNT_ID,
        "status": _RUN_STATUSES.get(action, "running"),
        "args": {"integrated_account_id": ACCOUNT_ID},
        "resources": ["calendar/event-types"],
        "webhook_id": WEBHOOK_ID,
        "error_handling": "fail_fast",
        "ignore_previous_run": False,
        "version": 4,
        "created_at": now,
        "updated_at": now,
        "started_at": None if action == "created" else now,
        "finished_at": now if finished else None,
    }
    return {**run, "retryAfter": 10} if action == "rate_limited" else run


def _fetched(action: str) -> dict[str, Any]:
    meta = {
        "sync_job_run_id": _RUN_ID,
        "sync_job_id": SYNC_JOB_ID,
        "integrated_account_id": ACCOUNT_ID,
    }
    if action == "record_error":
        error = {"statusCode": 502, "message": "The provider did not answer"}
        return {"resource": "calendar/event-types", "method": "list", "errors": [error], "meta": meta}
    records = [{"id": "1", "name": "Intro call"}, {"id": "2", "name": "Review"}]
    return {"resource": "calendar/event-types", "records": records, "meta": meta}


def _record(action: str, now: str) -> dict[str, Any]:
    return {
        "integrated_account_id": ACCOUNT_ID,
        "event_type": action,
        "resource_type": "crm/contacts",
        "resource_id": "1",
        "raw": {"triggerEvent": f"contact.{action}", "createdAt": now},
    }


def _environment_integration(action: str, now: str) -> dict[str, Any]:
    return {
        "id": _ENVIRONMENT_INTEGRATION_ID,
        "environment_id": ENVIRONMENT_ID,
        "integration_id": _INTEGRATION_ID,
        "is_enabled": action != "deleted",
        "show_in_catalog": True,
        "override": {},
        "created_at": now,
        "updated_at": now,
    }


def _environment_unified_model(_action: str, now: str) -> dict[str, Any]:
    return {
        "id": "5e0d1c52-3a6f-4f62-8f0b-9b6e2f7a4d13",
        "environment_id": ENVIRONMENT_ID,
        "unified_model_id": "0b9d4f0e-8a51-4c29-9d2c-1e7a6f3b5c24",
        "created_at": now,
        "updated_at": now,
    }


def _api_token(_action: str, now: str) -> dict[str, Any]:
    return {
        "id": "e4b7c9a2-6d18-4e0f-a3b5-0c9f8d7e6a35",
        "name": "worker",
        "environment_id": ENVIRONMENT_ID,
        "expires_at": None,
        "created_at": now,
        "updated_at": now,
    }


def _link_token(_action: str, _now: str) -> dict[str, Any]:
    return {
        "tenant_id": TENANT_ID,
        "integration": {"id": _INTEGRATION_ID, "name": INTEGRATION},
        "error": "The tenant closed the consent screen",
    }


def _cron_trigger(_action: str, now: str) -> dict[str, Any]:
    return {
        "id": "8d3f5b71-2c94-4a6e-b0d7-f1a2c3e4b546",
        "sync_job_id": SYNC_JOB_ID,
        "integrated_account_id": ACCOUNT_ID,
        "cron_expression": "0 * * * *",
        "created_at": now,
        "updated_at": now,
    }


def _batch_job(action: str, now: str) -> dict[str, Any]:
    return {
        "id": "3c6a9e2f-7b05-4d81-9e4c-a5b6d7f8c957",
        "status": "failed" if action.endswith("failed") else "completed",
        "is_dry_run": action.startswith("dry_run"),
        "created_at": now,
        "updated_at": now,
    }


def _test(_action: str, _now: str) -> dict[str, Any]:
    return {"foo": "bar"}


def _plain(_action: str, now: str) -> dict[str, Any]:
    return {"id": str(uuid.uuid4()), "created_at": now}


_PAYLOADS: dict[str, Callable[[str, str], dict[str, Any]]] = {
    "integrated_account": _account,
    "sync_job_run": _run,
    "record": _record,
    "environment_integration": _environment_integration,
    "environment_unified_model": _environment_unified_model,
    "api_token": _api_token,
    "link_token": _link_token,
    "sync_job_cron_trigger": _cron_trigger,
    "batch_job": _batch_job,
    "test": _test,
}
