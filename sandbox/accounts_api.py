"""``/link-token``, ``/integrated-account``, its sandbox copies, and ``/environment-integration`` (skill)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from starlette.routing import Route

from sandbox import fields, query
from sandbox.answers import Answer, answer, invalid, missing
from sandbox.calls import Call, Endpoints
from sandbox.collection import Collection
from sandbox.deliveries import Sender
from sandbox.errors import Refusal
from sandbox.fields import Field
from sandbox.lifecycle import Accounts
from sandbox.relations import environment_integration_view
from sandbox.state import ACCOUNT_TOKEN_SECONDS, Row, State, new_id, touch, without_credentials

STATUSES = ("connecting", "active", "needs_reauth", "validation_error", "post_install_error")
"""The five statuses of an account (docs: integrated-accounts)."""

REGIONS = ("wnam", "enam", "apac", "eu")
METHODS = ("oauth2", "api_key", "oauth2_client_credentials", "keka_oauth", "basic")

_LINK_FIELDS = {
    "tenant_id": fields.text(),
    "integrated_account_id": fields.text(),
    "persist_previous_context": fields.flag(default=False),
    "scopes": fields.texts(),
    "environment_unified_model_id": fields.one_or_many_texts(),
    "context": fields.mapping(),
    "redirect_uri": fields.text(),
    "truto_static_gate_id": fields.text(),
    "region": fields.choice(*REGIONS, default="wnam"),
}
_ID_FIELD = {"id": fields.text(required=True)}
_OWNER_FIELD = {"integrated_account_id": fields.text(required=True)}
_CONTEXT_FIELD = {"context": fields.mapping(required=True)}
# The body of bulk-delete is in no source; `ids` here.
_IDS_FIELD = {"ids": fields.texts(required=True)}


class IntegratedAccounts(Collection):
    """The connected accounts. A POST imports credentials that somebody has already (skill: core-resources)."""

    path = "/integrated-account"
    label = "Integrated account"
    writable: Mapping[str, Field] = {
        "tenant_id": fields.text(required=True),
        "environment_integration_id": fields.text(required=True),
        "context": fields.mapping(required=True),
        "authentication_method": fields.choice(*METHODS, required=True),
        "region": fields.choice(*REGIONS, default="wnam"),
    }
    updatable: Mapping[str, Field] = {
        "context": fields.mapping(),
        "tenant_id": fields.text(required=True),
        "status": fields.choice(*STATUSES, required=True),
        "authentication_method": fields.text(required=True),
        "unified_model_override": fields.mapping(),
        "integration_override": fields.mapping(),
    }

    def __init__(self, state: State, accounts: Accounts) -> None:
        super().__init__(state.accounts)
        self._state = state
        self._accounts = accounts

    def routes(self, endpoint: Endpoints) -> list[Route]:
        """The named routes first: ``me`` and ``token`` are no ids."""
        success = {"shape": "Success"}
        one = f"{self.path}/{{id}}"
        return [
            Route("/link-token", endpoint(self.link_token, body=_LINK_FIELDS), methods=["POST"]),
            Route(f"{self.path}/token", endpoint(self.token, body=_OWNER_FIELD), methods=["POST"]),
            Route(
                f"{self.path}/refresh-credentials",
                endpoint(self.refresh_credentials, body=_ID_FIELD, **success),
                methods=["POST"],
            ),
            Route(
                f"{self.path}/run-post-install-actions",
                endpoint(self.run_post_install_actions, body=_ID_FIELD, **success),
                methods=["POST"],
            ),
            Route(f"{self.path}/bulk-delete", endpoint(self.bulk_delete, body=_IDS_FIELD, **success), methods=["POST"]),
            Route(f"{self.path}/me", endpoint(self.get_me), methods=["GET"]),
            Route(f"{self.path}/me", endpoint(self.update_me, body=_CONTEXT_FIELD, partial=True), methods=["PATCH"]),
            Route(f"{one}/credentials", endpoint(self.update_credentials, body=_CONTEXT_FIELD), methods=["PATCH"]),
            *super().routes(endpoint),
            *self._copies(endpoint),
        ]

    def _copies(self, endpoint: Endpoints) -> list[Route]:
        path = "/sandbox-integrated-account"
        return [
            Route(path, endpoint(self.list_copies, query=query.LIST_PARAMETERS, shape="List"), methods=["GET"]),
            Route(path, endpoint(self.create_copy, body=_ID_FIELD), methods=["POST"]),
            Route(f"{path}/{{id}}", endpoint(self.get_copy), methods=["GET"]),
            Route(f"{path}/{{id}}", endpoint(self.delete_copy, shape="Deleted"), methods=["DELETE"]),
        ]

    async def create(self, call: Call) -> Answer:
        """An account with the credentials of the body; it is checked in the background as any other."""
        values = fields.read(call.body, self.writable)
        install = self._state.installs.get(values["environment_integration_id"])
        if install is None:
            raise missing("Environment integration")
        account = self._accounts.add(
            tenant_id=values["tenant_id"],
            integration=install["integration"]["name"],
            context=values["context"],
            method=values["authentication_method"],
            region=values["region"],
        )
        return answer(self.view(account))

    async def update_credentials(self, call: Call) -> Answer:
        """The account with ``context`` merged into it."""
        return answer(self._change(self.find(call.path["id"]), call.read()))

    async def run_post_install_actions(self, call: Call) -> Answer:
        """``{success: true}``; the account goes through its checks again."""
        self._accounts.rerun(self.find(call.read()["id"]))
        return answer({"success": True})

    async def bulk_delete(self, call: Call) -> Answer:
        """``{success: true}``; ids that are unknown are passed over."""
        for account_id in call.read()["ids"]:
            if row := self._table.get(account_id):
                self._remove(row)
        return answer({"success": True})

    async def list_copies(self, call: Call) -> Answer:
        """The sandbox accounts."""
        entries = [(at, self.view(row)) for at, row in self._table.entries() if row["is_sandbox"]]
        return answer(query.page(entries, call.query).envelope())

    async def create_copy(self, call: Call) -> Answer:
        """A sandbox account like the one named: active, its data read-only."""
        source = self.find(call.read()["id"])
        copied = {key: source[key] for key in source if key not in ("id", "created_at", "updated_at")}
        return answer(self.view(self._table.insert({**copied, "is_sandbox": True, "status": "active"})))

    async def get_copy(self, call: Call) -> Answer:
        """One sandbox account."""
        return answer(self.view(self._copy(call)))

    async def delete_copy(self, call: Call) -> Answer:
        """``{id}``."""
        row = self._copy(call)
        self._remove(row)
        return answer({"id": row["id"]})

    def _copy(self, call: Call) -> Row:
        row = self.find(call.path["id"])
        if not row["is_sandbox"]:
            raise missing("Sandbox integrated account")
        return row

    def _change(self, row: Row, values: dict[str, Any]) -> Row:
        touch(row, self.merged(row, values))
        self.after_update(row, values)
        return self.view(row)

    def _remove(self, row: Row) -> None:
        self._table.remove(row["id"])
        self.after_delete(row)

    async def link_token(self, call: Call) -> Answer:
        """``{link_token}`` for one attempt; see :meth:`Accounts.link_token`."""
        wanted = call.read()
        account_id = wanted["integrated_account_id"]
        if account_id:
            self.find(account_id)
        elif not wanted["tenant_id"]:
            raise invalid("tenant_id", "is required, or integrated_account_id to reconnect")
        token = self._accounts.link_token(wanted)
        return answer({"link_token": token})

    async def token(self, call: Call) -> Answer:
        """A token for one account's data, valid for 15 minutes (skill: authentication)."""
        account = self.find(call.read()["integrated_account_id"])
        moment = time.time()
        tokens = {key: value for key, value in self._state.account_tokens.items() if value[1] > moment}
        text = new_id()
        self._state.account_tokens = {**tokens, text: (account["id"], moment + ACCOUNT_TOKEN_SECONDS)}
        return answer({"integrated_account_token": text})

    async def refresh_credentials(self, call: Call) -> Answer:
        """``{success: true}``; the provider's 401 where the credentials are dead."""
        account = self.find(call.read()["id"])
        refuse_dead_credentials(account)
        return answer({"success": True})

    async def get_me(self, call: Call) -> Answer:
        """The account of an integrated account token."""
        return answer(self.view(self._mine(call)))

    async def update_me(self, call: Call) -> Answer:
        """Change ``context`` of the account of an integrated account token."""
        account = self._mine(call)
        return answer(self._change(account, fields.read(call.body, call.table, partial=True)))

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
    writable: Mapping[str, Field] = {
        "integration_id": fields.text(required=True),
        "is_enabled": fields.flag(default=True),
        "show_in_catalog": fields.flag(default=True),
        "override": fields.mapping(),
    }
    updatable: Mapping[str, Field] = {
        "is_enabled": fields.flag(default=True),
        "show_in_catalog": fields.flag(default=True),
        "override": fields.mapping(),
    }

    def __init__(self, state: State, sender: Sender, accounts: Accounts) -> None:
        super().__init__(state.installs)
        self._state = state
        self._sender = sender
        self._accounts = accounts

    async def create(self, call: Call) -> Answer:
        """The installation; of an integration that is installed already, the one there is (skill)."""
        values = fields.read(call.body, self.writable)
        integration = self._state.platform["/integration"].get(values["integration_id"])
        if integration is None:
            raise missing("Integration")
        known = {row["integration_id"] for row in self._table.rows()}
        install = self._state.install(integration["name"])
        if integration["id"] not in known:
            touch(install, self.merged(install, {**values, "override": values["override"] or {}}))
            self._sender.publish("environment_integration:created", self.view(install))
        return answer(self.view(install))

    def view(self, row: Row) -> Row:
        """With the whole of its integration (seed)."""
        return environment_integration_view(self._state, row)

    def after_delete(self, row: Row) -> None:
        """Revoke its accounts (skill), each with ``integrated_account:deleted``, and tell of the removal."""
        for account in self._state.accounts.rows():
            if account["environment_integration_id"] == row["id"]:
                self._state.accounts.remove(account["id"])
                self._accounts.forget(account)
        self._sender.publish("environment_integration:deleted", self.view(row))

    def merged(self, row: Row, values: dict[str, Any]) -> dict[str, Any]:
        """An ``override`` of null is an empty one."""
        return {**values, "override": values["override"] or {}} if "override" in values else values

    def after_update(self, row: Row, values: Mapping[str, Any]) -> None:
        """Publish ``environment_integration:updated``."""
        self._sender.publish("environment_integration:updated", self.view(row))


def refuse_dead_credentials(account: Row) -> None:
    """An account in ``needs_reauth`` answers the provider's 401 until it is reconnected (skill: errors)."""
    if account["status"] == "needs_reauth":
        raise Refusal(401, "The account needs to be reconnected", remote=True)
