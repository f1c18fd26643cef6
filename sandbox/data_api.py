"""``/ping``, ``/unified`` and ``/proxy``: reading a tenant's data (skill: unified-api, proxy)."""

from __future__ import annotations

from typing import Any

from starlette.routing import Route

from sandbox import dataset, query
from sandbox.accounts_api import refuse_dead_credentials
from sandbox.answers import Answer, Refusal, answer, invalid, missing
from sandbox.calls import Call, Endpoints
from sandbox.state import State

# No source states the real sizes. Small, so that code which forgets next_cursor is found out.
_DEFAULT_LIMIT = 10
_MAX_LIMIT = 100
_RESERVED = frozenset(
    {
        "integrated_account_id",
        "truto_ignore_remote_data",
        "truto_exclude_fields",
        "truto_response_format",
        "truto_key_by",
        "truto_super_query",
        "sort_by",
    }
)


class Data:
    """Reads only, the same records for every account.

    A write answers 405, as on Truto's sandbox accounts (skill).
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self, endpoint: Endpoints) -> list[Route]:
        """List and get, unified and native; any unified model has every resource."""
        return [
            Route("/ping", endpoint(self.ping), methods=["GET"]),
            Route("/unified/{model}/{resource}", endpoint(self.list_unified), methods=["GET"]),
            Route("/unified/{model}/{resource}/{id}", endpoint(self.get_unified), methods=["GET"]),
            Route("/proxy/{resource}", endpoint(self.list_native), methods=["GET"]),
            Route("/proxy/{resource}/{id}", endpoint(self.get_native), methods=["GET"]),
        ]

    async def ping(self, _call: Call) -> Answer:
        """Alive, and the token is good. The real body is in no source."""
        return answer({"success": True})

    async def list_unified(self, call: Call) -> Answer:
        """A page of unified records."""
        return self._list(call, dataset.unified(call.path["resource"]))

    async def get_unified(self, call: Call) -> Answer:
        """One unified record."""
        return self._get(call, dataset.unified(call.path["resource"]))

    async def list_native(self, call: Call) -> Answer:
        """A page of the provider's own records."""
        return self._list(call, dataset.native(call.path["resource"]))

    async def get_native(self, call: Call) -> Answer:
        """One of the provider's own records, verbatim."""
        return self._get(call, dataset.native(call.path["resource"]))

    def _list(self, call: Call, records: list[dict[str, Any]]) -> Answer:
        self._check(call)
        found = query.page(
            enumerate(records, start=1),
            call.query,
            reserved=_RESERVED,
            default_limit=_DEFAULT_LIMIT,
            max_limit=_MAX_LIMIT,
        )
        shown = [_reduced(call, each) for each in found.result]
        # The fuller envelope of unified and proxy lists (skill); nothing here needs to be walked backwards.
        extra = {"prev_cursor": None, "result_count": len(shown), "is_partial_response": False}
        return answer({**found.envelope(), "result": shown, **extra})

    def _get(self, call: Call, records: list[dict[str, Any]]) -> Answer:
        self._check(call)
        for record in records:
            if record["id"] == call.path["id"]:
                return answer(_reduced(call, record))
        raise Refusal(404, "The provider has no such record", remote=True)

    def _check(self, call: Call) -> None:
        account_id = call.account_id or call.param("integrated_account_id")
        if not account_id:
            raise invalid("integrated_account_id", "is required")
        account = self._state.accounts.get(account_id)
        if account is None:
            raise missing("Integrated account")
        refuse_dead_credentials(account)
        if call.path["resource"] not in dataset.RESOURCES:
            raise missing("Resource")


def _reduced(call: Call, record: dict[str, Any]) -> dict[str, Any]:
    """Drop what ``truto_ignore_remote_data`` and ``truto_exclude_fields`` name (skill: unified-api)."""
    dropped = set((call.param("truto_exclude_fields") or "").split(","))
    if call.param("truto_ignore_remote_data") == "true":
        dropped.add("remote_data")
    return {key: value for key, value in record.items() if key not in dropped}
