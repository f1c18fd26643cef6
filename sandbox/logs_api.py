"""``GET /log``: what was delivered, called, run and fired (skill: files-and-logs)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from starlette.routing import Route

from sandbox import query
from sandbox.answers import Answer, answer, invalid
from sandbox.calls import Call, Endpoints
from sandbox.state import Journal, Row, State, iso
from truto.samples import ENVIRONMENT_ID

_LIMIT = 100
_LONGEST = timedelta(days=31)
_FILTERS = {
    "unified_proxy_api": ("request_type", "integrated_account_id", "environment_id", "integration"),
    "rapid_bridge": (
        "sync_job_run_id",
        "sync_job_id",
        "sync_job_run_event",
        "integrated_account_id",
        "webhook_id",
        "environment_id",
        "integration",
    ),
    "webhook": ("webhook_id", "event", "environment_id"),
    "sync_job_cron_trigger": ("environment_id",),
    "mcp": ("integrated_account_id", "mcp_server_id", "tool_name", "resource", "method"),
}
"""The log types, each with the keys that ``log_type_filter[key]`` may name."""

_WINDOW = ("created_at[gt]", "created_at[lt]")
_ALWAYS: Row = {"service": "truto-api"}

_PARAMETERS = {
    **query.LIST_PARAMETERS,
    "log_type": f"Required: one of {', '.join(_FILTERS)}.",
    "created_at[gt]": "Only what is newer.",
    "created_at[lt]": "Only what is older; the two lie at most a month apart.",
}


class Logs:
    """The five logs, oldest first, at most 100 entries a page."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._sources: dict[str, tuple[Journal, Callable[[Row], Row]]] = {
            "unified_proxy_api": (state.api_log, _logged),
            "rapid_bridge": (state.run_log, _logged),
            "webhook": (state.deliveries, log_entry),
            "sync_job_cron_trigger": (state.trigger_log, _logged),
            "mcp": (state.mcp_log, _logged),
        }

    def routes(self, endpoint: Endpoints) -> list[Route]:
        """The one route."""
        return [Route("/log", endpoint(self.list, query=_PARAMETERS, shape="List"), methods=["GET"])]

    async def list(self, call: Call) -> Answer:
        """A page of one log, filtered as any list, or by ``log_type_filter[key]``."""
        log_type = call.param("log_type")
        if log_type not in self._sources:
            raise invalid("log_type", f"must be one of {', '.join(sorted(self._sources))}")
        bounds = _window(call)
        kept_since = time.time() - (self._state.faults.log_seconds or math.inf)
        journal, shown = self._sources[log_type]
        found = query.page(
            [
                (at, shown(row))
                for at, row in journal.entries()
                if row["at"] >= kept_since and _within(row["at"], bounds)
            ],
            [(_plain_name(log_type, name), value) for name, value in call.query],
            reserved=frozenset({"log_type", *_WINDOW}),
            default_limit=_LIMIT,
            max_limit=_LIMIT,
        )
        return answer(found.envelope())


def log_entry(delivery: Row) -> Row:
    """A delivery in the log's words (skill: debug-webhook-delivery); ``status`` is the sandbox's own."""
    status = delivery["status"]
    accepted = status is not None and 200 <= status < 300
    return {
        "timestamp": iso(delivery["at"]),
        **_ALWAYS,
        "queue": "webhooks",
        "id": delivery["event_id"],
        "event": delivery["event"],
        "webhook_id": delivery["webhook_id"],
        "environment_id": ENVIRONMENT_ID,
        "webhook_endpoint_status": status,
        "status": "success" if accepted else "failure",
    }


def _logged(entry: Row) -> Row:
    """An entry as Truto shows it: what is empty is left out."""
    found = {key: value for key, value in entry.items() if key != "at" and value is not None}
    return {"timestamp": iso(entry["at"]), **_ALWAYS, **found}


def _within(at: float, bounds: Mapping[str, datetime]) -> bool:
    after, before = (bounds.get(name) for name in _WINDOW)
    moment = datetime.fromtimestamp(at, UTC)
    return (after is None or moment > after) and (before is None or moment < before)


def _window(call: Call) -> dict[str, datetime]:
    """``created_at[gt]`` and ``created_at[lt]``: times at most a month apart (skill)."""
    bounds: dict[str, datetime] = {}
    for name in _WINDOW:
        if text := call.param(name):
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                raise invalid(name, "must be a time, such as 2024-09-01T00:00:00Z") from None
            bounds[name] = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if len(bounds) == 2 and bounds["created_at[lt]"] - bounds["created_at[gt]"] > _LONGEST:
        raise invalid("created_at[lt]", "must lie at most a month after created_at[gt]")
    return bounds


def _plain_name(log_type: str, name: str) -> str:
    prefix = "log_type_filter["
    if not (name.startswith(prefix) and name.endswith("]")):
        return name
    key = name[len(prefix) : -1]
    if key not in _FILTERS[log_type]:
        raise invalid(name, f"is not a filter of this log; these are: {', '.join(_FILTERS[log_type]) or 'none'}")
    return key
