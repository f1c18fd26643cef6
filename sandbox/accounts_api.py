"""``/link-token``, ``/integrated-account`` and ``/environment-integration`` (skill)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from starlette.routing import Route

from sandbox import fields
from sandbox.answers import Answer, Refusal, answer, invalid
from sandbox.calls import Call, Endpoints
from sandbox.collection import Collection
from sandbox.deliveries import Sender
from sandbox.fields import Field
from sandbox.lifecycle import Accounts
from sandbox.state import ACCOUNT_TOKEN_SECONDS, Row, State, new_id, without_credentials

STATUSES = ("connecting", "active", "needs_reauth", "validation_error", "post_install_error")
"""The five statuses of an account (docs: integrated-accounts)."""

_LINK_FIELDS = {
    "tenant_id": fields.text(),
    "integrated_account_id": fields.text(),
    "persist_previous_context": fields.flag(default=False),
}


class IntegratedAccounts(Collection):
    """The connected accounts. There is no POST: accounts come from a connection."""

    path = "/integrated-account"
    label = "Integrated account"
    updatable: Mapping[str, Field] = {
        "context": fields.mapping(),
        "tenant_id": fields.text(required=True),
        "status": fields.choice(*STATUSES, required=True),
        "authentication_method": fields.text(required=True),
        "unified_model_override": fields.mapping(),
        "integration_override": fields.mapping(),
    }
    verbs = frozenset({"update", "delete"})

    def __init__(self, state: State, accounts: Accounts) -> None:
        super().__init__(state.accounts)
        self._state = state
        self._accounts = accounts

    def routes(self, endpoint: Endpoints) -> list[Route]:
        """The named routes first: ``me`` and ``token`` are no ids."""
        return [
            Route("/link-token", endpoint(self.link_token), methods=["POST"]),
            Route(f"{self.path}/token", endpoint(self.token), methods=["POST"]),
            Route(f"{self.path}/refresh-credentials", endpoint(self.refresh_credentials), methods=["POST"]),
            Route(f"{self.path}/me", endpoint(self.get_me), methods=["GET"]),
            Route(f"{self.path}/me", endpoint(self.update_me), methods=["PATCH"]),
            *super().routes(endpoint),
        ]

    async def link_token(self, call: Call) -> Answer:
        """``{link_token}`` for one attempt; see :meth:`Accounts.link_token`."""
        wanted = fields.read(call.body, _LINK_FIELDS)
        account_id = wanted["integrated_account_id"]
        if account_id:
            self.find(account_id)
        elif not wanted["tenant_id"]:
            raise invalid("tenant_id", "is required, or integrated_account_id to reconnect")
        token = self._accounts.link_token(
            tenant_id=wanted["tenant_id"],
            account_id=account_id,
            keeps_context=wanted["persist_previous_context"],
        )
        return answer({"link_token": token})

    async def token(self, call: Call) -> Answer:
        """A token for one account's data, valid for 15 minutes (skill: authentication)."""
        wanted = fields.read(call.body, {"integrated_account_id": fields.text(required=True)})
        account = self.find(wanted["integrated_account_id"])
        moment = time.time()
        tokens = {key: value for key, value in self._state.account_tokens.items() if value[1] > moment}
        text = new_id()
        self._state.account_tokens = {**tokens, text: (account["id"], moment + ACCOUNT_TOKEN_SECONDS)}
        return answer({"integrated_account_token": text})

    async def refresh_credentials(self, call: Call) -> Answer:
        """``{success: true}``; the provider's 401 where the credentials are dead."""
        account = self.find(fields.read(call.body, {"id": fields.text(required=True)})["id"])
        refuse_dead_credentials(account)
        return answer({"success": True})

    async def get_me(self, call: Call) -> Answer:
        """The account of an integrated account token."""
        return answer(self.view(self._mine(call)))

    async def update_me(self, call: Call) -> Answer:
        """Change ``context`` of the account of an integrated account token."""
        account = self._mine(call)
        body = {key: value for key, value in call.body.items() if key == "context"}
        return await self.update(Call({"id": account["id"]}, call.query, body))

    def _mine(self, call: Call) -> Row:
        if call.account_id is None:
            raise Refusal(400, "This route takes an integrated account token")
        return self.find(call.account_id)

    def view(self, row: Row) -> Row:
        """Without credentials."""
        return without_credentials(row)

    def merged(self, row: Row, values: dict[str, Any]) -> dict[str, Any]:
        """``context`` is merged at its first level, so credentials stay (skill)."""
        if "context" not in values:
            return values
        return {**values, "context": {**row["context"], **(values["context"] or {})}}

    def after_update(self, row: Row, values: Mapping[str, Any]) -> None:
        """Publish ``integrated_account:updated``."""
        self._accounts.changed(row)

    def after_delete(self, row: Row) -> None:
        """Publish ``integrated_account:deleted``."""
        self._accounts.forget(row)


class EnvironmentIntegrations(Collection):
    """The installed integrations; ``override`` is replaced whole by a PATCH (skill)."""

    path = "/environment-integration"
    label = "Environment integration"
    updatable: Mapping[str, Field] = {
        "is_enabled": fields.flag(default=True),
        "show_in_catalog": fields.flag(default=True),
        "override": fields.mapping(),
    }
    verbs = frozenset({"update"})

    def __init__(self, state: State, sender: Sender) -> None:
        super().__init__(state.installs)
        self._sender = sender

    def merged(self, row: Row, values: dict[str, Any]) -> dict[str, Any]:
        """An ``override`` of null is an empty one."""
        return {**values, "override": values["override"] or {}} if "override" in values else values

    def after_update(self, row: Row, values: Mapping[str, Any]) -> None:
        """Publish ``environment_integration:updated``."""
        self._sender.publish("environment_integration:updated", row)


def refuse_dead_credentials(account: Row) -> None:
    """An account in ``needs_reauth`` answers the provider's 401 until it is reconnected (skill: errors)."""
    if account["status"] == "needs_reauth":
        raise Refusal(401, "The account needs to be reconnected", remote=True)
