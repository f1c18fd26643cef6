"""``/integrated-account-webhook`` and ``/environment-integration-webhook``: what a provider would call (skill)."""

from __future__ import annotations

from typing import Any

from starlette.routing import Route

from sandbox.answers import Answer, answer, missing
from sandbox.calls import Call, Endpoints
from sandbox.deliveries import Sender
from sandbox.state import State

_ACTIONS = ("created", "updated", "deleted", "meta")
_FREE = {"type": "object"}


class Inbound:
    """Takes a provider's webhook and publishes ``record:*`` for it, as an integration's transform would.

    There is no transform here: ``event_type`` of the body (created, updated, deleted or meta; else updated),
    ``resource_type`` and ``resource_id`` are taken as they are, and the whole body is ``raw``.
    """

    def __init__(self, state: State, sender: Sender) -> None:
        self._state = state
        self._sender = sender

    def routes(self, endpoint: Endpoints) -> list[Route]:
        """Both; the sender has no token, and what lets it in is the id in the path."""
        return [
            Route(
                "/integrated-account-webhook/{id}",
                endpoint(self.for_account, takes=_FREE, shape="Success"),
                methods=["POST"],
            ),
            Route(
                "/environment-integration-webhook/{id}",
                endpoint(self.for_install, takes=_FREE, shape="Success"),
                methods=["POST"],
            ),
        ]

    async def for_account(self, call: Call) -> Answer:
        """``{success: true}``; one event for the account."""
        account = self._state.accounts.get(call.path["id"])
        if account is None:
            raise missing("Integrated account")
        self._publish(account["id"], call.body)
        return answer({"success": True})

    async def for_install(self, call: Call) -> Answer:
        """``{success: true}``; one event for each account of the installed integration."""
        install = self._state.installs.get(call.path["id"])
        if install is None:
            raise missing("Environment integration")
        for account in self._state.accounts.rows():
            if account["environment_integration_id"] == install["id"]:
                self._publish(account["id"], call.body)
        return answer({"success": True})

    def _publish(self, account_id: str, body: dict[str, Any]) -> None:
        named = body.get("event_type")
        action = named if named in _ACTIONS else "updated"
        payload = {
            "integrated_account_id": account_id,
            "event_type": action,
            "resource_type": body.get("resource_type"),
            "resource_id": body.get("resource_id"),
            "raw": body,
        }
        self._sender.publish(f"record:{action}", payload)
