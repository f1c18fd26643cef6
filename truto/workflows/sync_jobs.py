"""``run_sync_job``, the one action that Truto itself has: from a config to the calls that it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from truto.errors import WorkflowFailed

RUN_SYNC_JOB = "run_sync_job"

_IDS = ("sync_job_id", "integrated_account_id", "webhook_id", "datastore_id")

_COMMON = frozenset(
    {"sync_job_id", "integrated_account_id", "args", "webhook_id", "daemon_group_key", "super_query", "error_handling",
     "events_to_send"}
)  # fmt: skip
_OF_A_RUN = _COMMON | {
    "status", "resources", "ignore_previous_run", "force", "datastore_id", "mutex_key", "state_key", "version",
}  # fmt: skip
_OF_A_TRIGGER = _COMMON | {"meta"}


def sync_job_run(config: Mapping[str, Any], *, at: str = "config") -> dict[str, Any]:
    """The body of ``POST /sync-job-run`` (skill: sync-jobs) that *config* means.

    Raises :class:`WorkflowFailed` for ids that are no UUIDs, before anything is called: ``$mapValues`` gives back what
    it does not know, so a missing entry shows as an integration's name in place of an id.
    """
    return {"status": "created", **_checked(config, _OF_A_RUN, at)}


def sync_job_cron_trigger(config: Mapping[str, Any], cron_expression: str, *, at: str = "config") -> dict[str, Any]:
    """The body of ``POST /sync-job-cron-trigger`` (skill: sync-jobs). Raises :class:`WorkflowFailed`."""
    return {**_checked(config, _OF_A_TRIGGER, at), "cron_expression": cron_expression}


def _checked(config: Mapping[str, Any], known: frozenset[str], at: str) -> dict[str, Any]:
    found = {name: value for name, value in config.items() if value is not None}
    if unknown := sorted(found.keys() - known):
        raise WorkflowFailed(f"{unknown[0]!r} is not a field of it; known are {', '.join(sorted(known))}", at=at)
    if "sync_job_id" not in found:
        raise WorkflowFailed("is missing", at=f"{at}.sync_job_id")
    for name in _IDS:
        if name in found:
            _check_id(name, found[name], at)
    if "args" in found and not isinstance(found["args"], Mapping):
        raise WorkflowFailed("must be an object", at=f"{at}.args")
    if "webhook_id" in found and "daemon_group_key" in found:
        raise WorkflowFailed("cannot go with webhook_id", at=f"{at}.daemon_group_key")
    return found


def _check_id(name: str, value: object, at: str) -> None:
    try:
        fits = isinstance(value, str) and str(UUID(value)) == value.lower()
    except ValueError:
        fits = False
    if not fits:
        shown = repr(value[:60]) if isinstance(value, str) else f"a {type(value).__name__}"
        hint = "; $mapValues gives back a value that its mapping lacks" if name == "sync_job_id" else ""
        raise WorkflowFailed(f"must be a UUID, not {shown}{hint}", at=f"{at}.{name}")
