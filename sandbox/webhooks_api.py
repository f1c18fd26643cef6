"""``/webhook`` (skill: webhooks-and-notifications; docs: webhooks)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.routing import Route

from sandbox import fields
from sandbox.answers import Answer, answer
from sandbox.calls import Call, Endpoints
from sandbox.collection import Collection
from sandbox.deliveries import Sender
from sandbox.errors import Refusal
from sandbox.fields import Field
from sandbox.state import Row, State, new_id
from truto.catalogue import TEST_EVENT_TYPE
from truto.samples import sample_event

_TEST_FIELDS = {"id": fields.text(required=True), "event_type": fields.text()}


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
        test = endpoint(self.test, body=_TEST_FIELDS, shape="Success")
        return [Route(f"{self.path}/test", test, methods=["POST"]), *super().routes(endpoint)]

    async def test(self, call: Call) -> Answer:
        """Deliver ``{"foo": "bar"}`` once; ``{success: true}``, or the envelope when the target fails.

        The envelope's status is not stated: 502 here. Truto can simulate other events, under a field name
        that no source shows (Rust SDK): ``event_type`` here.
        """
        wanted = call.read()
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
        """Switching a webhook on again resets its count of failures."""
        if values.get("is_active"):
            self._sender.forgive(row["id"])
