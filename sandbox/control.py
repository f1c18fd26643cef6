"""``/sandbox/*``: play the person in the browser and the trouble, and look at what happened.

No token, local only.
"""

from __future__ import annotations

import time

from starlette.routing import Route

from sandbox import fields
from sandbox.answers import Answer, answer, invalid, missing
from sandbox.calls import Call, Endpoints
from sandbox.faults import FAULTS_SCHEMA, Faults
from sandbox.lifecycle import OUTCOMES, REFUSED, Accounts, Connecting
from sandbox.state import Row, State, without_credentials
from truto.samples import INTEGRATION

_CONNECT_FIELDS = {
    "tenant_id": fields.text(),
    "integration": fields.text(default=INTEGRATION),
    "outcome": fields.choice(*OUTCOMES, REFUSED, default="active"),
    "link_token": fields.text(),
    "account_id": fields.text(),
    "context": fields.mapping(),
}

_DELIVERY_FIELDS = {
    "event_id": fields.text(required=True),
    "event": fields.text(required=True),
    "target_url": fields.text(required=True),
    "status": fields.number(),
    "error": fields.text(),
    "milliseconds": fields.number(default=0),
}


class Control:
    """The sandbox's own routes."""

    def __init__(self, state: State, accounts: Accounts) -> None:
        self._state = state
        self._accounts = accounts

    def routes(self, endpoint: Endpoints) -> list[Route]:
        """All of them."""
        kept = {"shape": "Results"}
        return [
            Route("/sandbox/connect", endpoint(self.connect, body=_CONNECT_FIELDS), methods=["POST"]),
            Route("/sandbox/accounts/{id}/revoke", endpoint(self.revoke), methods=["POST"]),
            Route("/sandbox/accounts/{id}/heal", endpoint(self.heal), methods=["POST"]),
            Route("/sandbox/deliveries", endpoint(self.deliveries, **kept), methods=["GET"]),
            Route("/sandbox/deliveries", endpoint(self.report, body=_DELIVERY_FIELDS), methods=["POST"]),
            Route("/sandbox/calls", endpoint(self.calls, **kept), methods=["GET"]),
            Route("/sandbox/faults", endpoint(self.faults), methods=["GET"]),
            Route("/sandbox/faults", endpoint(self.set_faults, takes=FAULTS_SCHEMA), methods=["PUT"]),
        ]

    async def connect(self, call: Call) -> Answer:
        """201 with the account as it is now; its lifecycle goes on in the background.

        A ``link_token`` says who connects; without one, ``tenant_id`` connects anew and ``account_id`` again.
        ``context`` is what the person fills in. The outcome ``connection_error`` makes no account and answers 400.
        """
        wanted = call.read()
        if not (wanted["tenant_id"] or wanted["link_token"] or wanted["account_id"]):
            raise invalid("tenant_id", "is required, or a link_token, or the account_id to reconnect")
        if wanted["account_id"] and self._state.accounts.get(wanted["account_id"]) is None:
            raise missing("Integrated account")
        return answer(without_credentials(self._accounts.connect(Connecting(**wanted))), 201)

    async def revoke(self, call: Call) -> Answer:
        """The account, which now needs to be reconnected."""
        account = self._account(call)
        self._accounts.revoke(account)
        return answer(without_credentials(account))

    async def heal(self, call: Call) -> Answer:
        """The account, whose provider takes its credentials again: active, with ``reactivated``."""
        account = self._account(call)
        self._accounts.heal(account)
        return answer(without_credentials(account))

    def _account(self, call: Call) -> Row:
        account = self._state.accounts.get(call.path["id"])
        if account is None:
            raise missing("Integrated account")
        return account

    async def deliveries(self, _call: Call) -> Answer:
        """Every delivery attempt kept, oldest first."""
        return answer({"result": self._state.deliveries.rows()})

    async def report(self, call: Call) -> Answer:
        """201; lists a delivery that somebody else has made, as ``truto-worker send`` does."""
        found = call.read()
        seconds = found.pop("milliseconds") / 1000
        row = {**found, "webhook_id": None, "attempt": 1, "at": time.time() - seconds, "seconds": seconds}
        self._state.deliveries.add(row)
        return answer(row, 201)

    async def calls(self, _call: Call) -> Answer:
        """Every call of the Truto API routes kept, oldest first."""
        return answer({"result": self._state.calls.rows()})

    async def faults(self, _call: Call) -> Answer:
        """What goes wrong right now."""
        return answer(self._state.faults.as_dict())

    async def set_faults(self, call: Call) -> Answer:
        """Replace the whole setting: what is left out is off."""
        self._state.faults = Faults.parse(call.body)
        return answer(self._state.faults.as_dict())
