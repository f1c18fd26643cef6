"""``/webhook`` and ``/log`` (skill: webhooks-and-notifications, files-and-logs; docs: webhooks)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.routing import Route

from sandbox import fields, query
from sandbox.answers import Answer, Refusal, answer, invalid
from sandbox.calls import Call, Endpoints
from sandbox.collection import Collection
from sandbox.deliveries import Sender
from sandbox.fields import Field
from sandbox.state import Row, State, iso, new_id
from truto.catalogue import TEST_EVENT_TYPE
from truto.samples import ENVIRONMENT_ID, sample_event

_LOG_TYPES = frozenset({"unified_proxy_api", "rapid_bridge", "webhook", "sync_job_cron_trigger", "mcp"})
_LOG_LIMIT = 100


class Webhooks(Collection):
    """The environment's webhooks. ``secret`` is a UUID and comes once, with the answer to POST."""

    path = "/webhook"
    label = "Webhook"
    writable: Mapping[str, Field] = {
        "target_url": fields.url(required=True),
        "is_active": fields.flag(default=True),
        "event_types": fields.texts(),
    }

    def __init__(self, state: State, sender: Sender) -> None:
        super().__init__(state.webhooks)
        self._sender = sender

    def routes(self, endpoint: Endpoints) -> list[Route]:
        """CRUD and ``test``."""
        return [Route(f"{self.path}/test", endpoint(self.test), methods=["POST"]), *super().routes(endpoint)]

    async def test(self, call: Call) -> Answer:
        """Deliver ``{"foo": "bar"}`` once; ``{success: true}``, or the envelope when the target fails.

        The envelope's status is not stated: 502 here. Truto can simulate other events, under a field name
        that no source shows (Rust SDK): ``event_type`` here.
        """
        wanted = fields.read(call.body, {"id": fields.text(required=True), "event_type": fields.text()})
        webhook = self.find(wanted["id"])
        event = wanted["event_type"] or TEST_EVENT_TYPE
        outcome = await self._sender.test(webhook, event, sample_event(event)["payload"])
        if not outcome.accepted:
            what = f"answered {outcome.status}" if outcome.status else "did not answer"
            raise Refusal(502, f"The webhook's target {what}")
        return answer({"success": True})

    def view(self, row: Row) -> Row:
        """Without the secret."""
        return {key: value for key, value in row.items() if key != "secret"}

    def first_view(self, row: Row) -> Row:
        """With the secret, this once."""
        return row

    def completed(self, values: dict[str, Any]) -> dict[str, Any]:
        """A new secret."""
        return {**values, "secret": new_id()}

    def after_update(self, row: Row, values: Mapping[str, Any]) -> None:
        """Switching a webhook on again starts its count of failures anew."""
        if values.get("is_active"):
            self._sender.forgive(row["id"])


class Logs:
    """``GET /log``: of the five log types only ``webhook`` has entries here."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self, endpoint: Endpoints) -> list[Route]:
        """The one route."""
        return [Route("/log", endpoint(self.list), methods=["GET"])]

    async def list(self, call: Call) -> Answer:
        """Delivery attempts, oldest first, at most 100 a page.

        Filtered as any list, or by ``log_type_filter[key]``.
        """
        log_type = call.param("log_type")
        if log_type not in _LOG_TYPES:
            raise invalid("log_type", f"must be one of {', '.join(sorted(_LOG_TYPES))}")
        entries = [(at, log_entry(row)) for at, row in self._state.deliveries.entries()]
        found = query.page(
            entries if log_type == "webhook" else [],
            [(_plain_name(name), value) for name, value in call.query],
            reserved=frozenset({"log_type"}),
            default_limit=_LOG_LIMIT,
            max_limit=_LOG_LIMIT,
        )
        return answer(found.envelope())


def log_entry(delivery: Row) -> Row:
    """A delivery in the log's words (skill: debug-webhook-delivery); ``status`` is the sandbox's own."""
    status = delivery["status"]
    accepted = status is not None and 200 <= status < 300
    return {
        "id": delivery["event_id"],
        "event": delivery["event"],
        "webhook_id": delivery["webhook_id"],
        "environment_id": ENVIRONMENT_ID,
        "webhook_endpoint_status": status,
        "status": "success" if accepted else "failure",
        "created_at": iso(delivery["at"]),
    }


def _plain_name(name: str) -> str:
    prefix = "log_type_filter["
    return name[len(prefix) : -1] if name.startswith(prefix) and name.endswith("]") else name
