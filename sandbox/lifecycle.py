"""The life of an integrated account: connect, reconnect, lose its credentials, be deleted.

Sequences: skill, connection-flow; docs, integrated accounts connection flow.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.answers import missing
from sandbox.background import Background
from sandbox.deliveries import Sender
from sandbox.errors import Refusal
from sandbox.state import LINK_TOKEN_SECONDS, LinkToken, Row, State, new_id, now_text, touch, without_credentials
from sandbox.wishes import Product

OUTCOMES = {
    "active": None,
    "post_install_error": "The post-install step failed (asked for at the sandbox)",
    "validation_error": "The validation step failed (asked for at the sandbox)",
}
"""How a connection attempt can end that made an account, each with its ``last_error``."""

REFUSED = "connection_error"
"""How an attempt ends that made none: ``link_token:connection_error`` is all that is heard of it (sdk: rust)."""


@dataclass(frozen=True, slots=True)
class Connecting:
    """Who connects what, as the person in the browser would."""

    tenant_id: str | None
    integration: str
    outcome: str
    link_token: str | None
    account_id: str | None = None
    context: Mapping[str, Any] | None = None


class Accounts:
    """Moves accounts through their statuses and publishes what Truto would at each."""

    def __init__(self, state: State, sender: Sender, background: Background, *, step_seconds: float) -> None:
        self.product: Product | None = None
        """Checks the credentials of new accounts, where their product is no imitation."""
        self._state = state
        self._sender = sender
        self._background = background
        self._step_seconds = step_seconds
        self._attempts: dict[str, object] = {}

    def link_token(self, wanted: Mapping[str, Any]) -> str:
        """A token for one connection attempt.

        Given both ids, the account's wins silently (skill: authentication).
        """
        moment = time.time()
        live = {key: value for key, value in self._state.link_tokens.items() if value.expires_at > moment}
        token = new_id()
        account_id = wanted["integrated_account_id"]
        live[token] = LinkToken(
            expires_at=moment + LINK_TOKEN_SECONDS,
            tenant_id=None if account_id else wanted["tenant_id"],
            account_id=account_id,
            keeps_context=wanted["persist_previous_context"],
            context=wanted["context"] or {},
            region=wanted["region"],
        )
        self._state.link_tokens = live
        return token

    def connect(self, wish: Connecting) -> Row:
        """Start a connection; the rest plays in the background.

        New: ``created``, then the outcome. With a reconnect token: ``updated``, then the outcome on the same
        account, with no ``created`` and no ``reactivated`` (skill: connection-flow). Raises a
        :class:`Refusal` for a bad link token, and for an attempt that is to fail.
        """
        token = self._redeem(wish.link_token) if wish.link_token else None
        if wish.account_id and token is None:
            token = LinkToken(expires_at=math.inf, account_id=wish.account_id, keeps_context=True)
        if wish.outcome == REFUSED:
            raise self._fail(wish, token)
        if token and token.account_id:
            return self._reconnect(token, wish)
        tenant_id = token.tenant_id if token else wish.tenant_id
        assert tenant_id is not None
        account = self._state.add_account(tenant_id, wish.integration)
        if self._is_real(account):  # it has what the person fills in, and no made-up token
            touch(account, {"context": {}})
        if token:
            touch(account, {"region": token.region, "context": {**account["context"], **token.context}})
        if wish.context:
            touch(account, {"context": {**account["context"], **wish.context}})
        self._publish("created", account)
        self._settle_later(account, wish.outcome)
        return account

    def revoke(self, account: Row, reason: str = "The provider answered 401 (revoked at the sandbox)") -> None:
        """The provider stops accepting the credentials: ``needs_reauth`` and ``authentication_error``."""
        self._attempts.pop(account["id"], None)
        touch(account, {"status": "needs_reauth", "last_error": reason})
        self._publish("authentication_error", account)

    def heal(self, account: Row) -> None:
        """A later call did not get a 401: ``active`` and ``reactivated``; nothing for an account that is well."""
        if account["status"] == "needs_reauth":
            touch(account, {"status": "active", "last_error": None})
            self._publish("reactivated", account)

    def forbid(self, account: Row, *, resource: str, method: str) -> None:
        """The provider answered 403: noted on the account, no event (skill: diagnose-integrated-account)."""
        lacking = {"resource": resource, "method": method, "missing_scopes": ["write"], "occurred_at": now_text()}
        touch(account, {"last_forbidden_error": lacking})

    def add(self, *, tenant_id: str, integration: str, context: Mapping[str, Any], method: str, region: str) -> Row:
        """An account with credentials brought along; its checks play in the background as for any other."""
        account = self._state.add_account(tenant_id, integration)
        touch(account, {"context": dict(context), "authentication_method": method, "region": region})
        self._publish("created", account)
        self._settle_later(account, "active")
        return account

    def rerun(self, account: Row) -> None:
        """Go through post-install and validation again: ``connecting``, then ``active``."""
        touch(account, {"status": "connecting", "last_error": None})
        self._settle_later(account, "active")

    def resume(self) -> None:
        """Let the connections go on that were under way when the state was saved."""
        for account in self._state.accounts.rows():
            if account["status"] == "connecting":
                self._settle_later(account, "active")

    def changed(self, account: Row) -> None:
        """Tell of a change that was made through the API."""
        self._publish("updated", account)

    def forget(self, account: Row) -> None:
        """Tell of a deletion: the payload is the id alone (skill: connection-flow)."""
        self._attempts.pop(account["id"], None)
        self._state.records.forget(account["id"])
        self._sender.publish("integrated_account:deleted", {"id": account["id"]})

    def _redeem(self, text: str) -> LinkToken:
        token = self._state.link_tokens.get(text)
        if token is None or token.expires_at <= time.time():
            raise missing("Link token")
        if token.used:
            raise Refusal(400, "This link token was used already")
        if token.account_id and self._state.accounts.get(token.account_id) is None:
            raise missing("Integrated account")
        token.used = True
        return token

    def _fail(self, wish: Connecting, token: LinkToken | None) -> Refusal:
        message = "The connection attempt failed (asked for at the sandbox)"
        account = self._state.accounts.get(token.account_id) if token else None
        tenant_id = account["tenant_id"] if account else (token.tenant_id if token else wish.tenant_id)
        payload = {
            "tenant_id": tenant_id,
            "integrated_account_id": account["id"] if account else None,
            "integration": {"name": account["integration"]["name"] if account else wish.integration},
            "error": message,
        }
        self._sender.publish("link_token:connection_error", payload)
        return Refusal(400, message)

    def _reconnect(self, token: LinkToken, wish: Connecting) -> Row:
        account = self._state.accounts.get(token.account_id)
        assert account is not None
        made_up = {"oauth": {"scope": ["read"], "token": {"access_token": new_id()}}}
        granted = wish.context or {} if self._is_real(account) else made_up
        context = {**(account["context"] if token.keeps_context else {}), **token.context, **granted}
        touch(account, {"status": "connecting", "last_error": None, "context": context})
        self._publish("updated", account)
        self._settle_later(account, wish.outcome)
        return account

    def _is_real(self, account: Row) -> bool:
        return self.product is not None and self.product.serves(account)

    def _settle_later(self, account: Row, outcome: str) -> None:
        # A later attempt, a revocation or a deletion takes this mark away; this attempt then ends silently.
        mark = self._attempts[account["id"]] = object()
        self._background.spawn(self._settle(account, outcome, mark))

    async def _settle(self, account: Row, outcome: str, mark: object) -> None:
        await asyncio.sleep(self._step_seconds)
        error = OUTCOMES[outcome]
        if outcome == "active" and self.product is not None and self._is_real(account):
            outcome, error = await self.product.connect(account)
        if self._attempts.get(account["id"]) is not mark:
            return
        del self._attempts[account["id"]]
        touch(account, {"status": outcome, "last_error": error})
        self._publish("authentication_error" if outcome == "needs_reauth" else outcome, account)

    def _publish(self, action: str, account: Row) -> None:
        self._sender.publish(f"integrated_account:{action}", without_credentials(account))
