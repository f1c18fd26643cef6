"""The imitated third-party product behind every account: one operation on its data, however it was asked for.

``/unified``, ``/proxy``, ``/custom``, batch requests and MCP tools all come here (skill: unified-api, proxy).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sandbox import dataset, fields, query
from sandbox.answers import invalid, missing
from sandbox.dataset import Record
from sandbox.errors import Refusal
from sandbox.files_api import keep_file
from sandbox.lifecycle import Accounts
from sandbox.state import Row, State, StoredFile, now_text
from sandbox.wishes import PARAMETERS, Performed, Product, Wish

# No source states the real sizes. Small, so that code which forgets next_cursor is found out.
DEFAULT_LIMIT = 10
MAX_LIMIT = 100
READS = frozenset({"list", "get", "search"})
WRITES = frozenset({"create", "update", "delete"})
FORMATS = ("unified", "raw", "normalized")

_REGIONS = ("apac", "wnam")


class Provider:
    """Performs wishes, refuses as provider or platform would, and writes them into ``unified_proxy_api`` logs."""

    def __init__(self, state: State, accounts: Accounts, product: Product | None = None) -> None:
        self._state = state
        self._accounts = accounts
        self._product = product

    def account(self, account_id: str | None) -> Row:
        """The account of a call; 400 where none is named, 404 for one that is unknown."""
        if not account_id:
            raise invalid("integrated_account_id", "is required")
        account = self._state.accounts.get(account_id)
        if account is None:
            raise missing("Integrated account")
        return account

    async def perform(self, account: Row, wish: Wish) -> Performed:
        """The answer to *wish*. Raises a :class:`Refusal`; either way the log has an entry afterwards."""
        product = self.product_of(account)
        if product is None:
            return Performed(self._perform_noted(account, wish))
        with self._noted(account, wish):
            self.check_alive(account, wish)
            found = await product.perform(account, wish)
            if wish.method == "list":
                shown = [_reduced(wish, each) if isinstance(each, dict) else each for each in found.body["result"]]
                return Performed({**found.body, "result": shown}, found.headers)
            return Performed(_reduced(wish, found.body), found.headers)

    def product_of(self, account: Row) -> Product | None:
        """Who answers for *account* in the place of the imitation."""
        return self._product if self._product is not None and self._product.serves(account) else None

    def _perform_noted(self, account: Row, wish: Wish) -> dict[str, Any]:
        with self._noted(account, wish):
            return self._perform(account, wish)

    @contextmanager
    def _noted(self, account: Row, wish: Wish) -> Iterator[None]:
        started = time.time()
        status = 200
        try:
            yield
        except Refusal as refusal:
            status = refusal.status
            raise
        finally:
            self._note(account, wish, status, started)

    def check_alive(self, account: Row, wish: Wish) -> None:
        """Refuse what an account in this state, or a provider in trouble, cannot answer."""
        if account["status"] == "needs_reauth":
            raise Refusal(401, "The account needs to be reconnected", remote=True, insight=_insight(wish, 401))
        if status := self._state.faults.provider_status:
            self._suffer(account, wish, status)
        if account["is_sandbox"] and wish.method not in READS:
            raise Refusal(405, "A sandbox account cannot be written to")

    def _perform(self, account: Row, wish: Wish) -> dict[str, Any]:
        self.check_alive(account, wish)
        if wish.resource == dataset.FILES and wish.api == "proxy":
            return self._of_files(account, wish)
        if wish.resource not in dataset.RESOURCES:
            raise missing("Resource")
        if any(isinstance(value, StoredFile) for value in wish.body.values()):
            raise Refusal(
                422, f"The provider takes no files as {wish.resource}", remote=True, insight=_insight(wish, 422)
            )
        match wish.method:
            case "list":
                return self._list(account, wish)
            case "create":
                return self._create(account, wish)
            case "get" | "update" | "delete":
                return self._one(account, wish)
        return {"result": self._custom(account, wish)}

    def _of_files(self, account: Row, wish: Wish) -> dict[str, Any]:
        """The provider's files; one is made of a form's field ``file``, or of a body that is passed through."""
        match wish.method:
            case "list":
                return self._list(account, wish)
            case "get" | "delete":
                return self._one(account, wish)
            case "create":
                return self._keep(account, wish)
        raise missing("Method")

    def _keep(self, account: Row, wish: Wish) -> dict[str, Any]:
        sent = next((value for value in wish.body.values() if isinstance(value, StoredFile)), None)
        if sent is None:
            raise Refusal(422, "The provider wants a file", remote=True, insight=_insight(wish, 422))
        about = {name: value for name, value in wish.body.items() if isinstance(value, str)}
        kept = {"name": sent.name, "mimeType": sent.media_type, "size": len(sent.content)}
        values = {**about, **kept, "blobId": keep_file(self._state, sent)}
        return self._state.records.add(account["id"], dataset.FILES, values, now_text())

    def content(self, account: Row, wish: Wish) -> StoredFile:
        """The file that *wish* gets. Raises a :class:`Refusal` as :meth:`perform` does."""
        stored = self._state.files.get(self._perform_noted(account, wish)["blobId"])
        if stored is None:
            raise missing("File")
        return stored

    def _list(self, account: Row, wish: Wish) -> dict[str, Any]:
        records = self._state.records.all(account["id"], wish.resource)
        entries = [(int(record["id"]), _shown(wish, record)) for record in records]
        found = query.page(
            _sorted(wish, entries),
            wish.query,
            reserved=frozenset(PARAMETERS),
            default_limit=DEFAULT_LIMIT,
            max_limit=MAX_LIMIT,
        )
        shown = [_reduced(wish, each) for each in found.result]
        # The fuller envelope of unified and proxy lists (skill); nothing here needs to be walked backwards.
        extra = {"prev_cursor": None, "result_count": len(shown), "is_partial_response": False}
        return {**found.envelope(), "result": _keyed(wish, found.result, shown), **extra}

    def _create(self, account: Row, wish: Wish) -> dict[str, Any]:
        values = _values(wish, partial=False)
        record = self._state.records.add(account["id"], wish.resource, values, now_text())
        return _reduced(wish, _shown(wish, record))

    def _one(self, account: Row, wish: Wish) -> dict[str, Any]:
        records = self._state.records
        record = records.find(account["id"], wish.resource, wish.record_id)
        if record is None:
            raise Refusal(404, "The provider has no such record", remote=True, insight=_insight(wish, 404))
        if wish.method == "delete":
            records.remove(account["id"], wish.resource, record["id"])
            return {"id": record["id"]}
        if wish.method == "update":
            values = _values(wish, partial=True)
            record = records.change(account["id"], wish.resource, record["id"], values, now_text())
        return _reduced(wish, _shown(wish, record))

    def _custom(self, account: Row, wish: Wish) -> Any:
        if wish.method not in dataset.CUSTOM_METHODS[wish.resource]:
            raise missing("Method")
        if wish.method == "search":
            wanted = fields.read(wish.body, {"query": fields.text(required=True)})["query"].lower()
            records = self._state.records.all(account["id"], wish.resource)
            found = [each for each in records if any(wanted in str(value).lower() for value in each.values())]
            return [_reduced(wish, _shown(wish, each)) for each in found]
        record_id = fields.read(wish.body, {"id": fields.text(required=True)})["id"]
        return self._one(account, replace(wish, method="update", record_id=record_id, body={"status": "closed"}))

    def _suffer(self, account: Row, wish: Wish, status: int) -> None:
        """The provider answers *status* (sandbox fault: provider_status), with what Truto makes of it."""
        if status == 401:
            self._accounts.revoke(account)
        if status == 403:
            self._accounts.forbid(account, resource=wish.resource, method=wish.method)
        headers = {"Retry-After": "10"} if status == 429 else None
        message = f"The provider answered {status} (sandbox fault: provider_status)"
        raise Refusal(status, message, remote=True, insight=_insight(wish, status), headers=headers)

    def _note(self, account: Row, wish: Wish, status: int, started: float) -> None:
        self._state.api_log.add(
            {
                "request_type": wish.api,
                "resource": wish.resource,
                "method": wish.method,
                **http_fields(wish.verb, wish.url, status, started),
                "integrated_account_id": account["id"],
                "tenant_id": account["tenant_id"],
                "environment_id": account["environment_id"],
                "integration": account["integration"]["name"],
                "at": started,
            }
        )


def http_fields(verb: str, url: str, status: int, started: float) -> Row:
    """What a log says of the request itself; ``duration`` in milliseconds (skill: files-and-logs)."""
    return {
        "http_method": verb,
        "http_url": url,
        "http_status_code": status,
        "http_status_category": f"{status // 100}xx",
        "duration": round((time.time() - started) * 1000),
    }


def _insight(wish: Wish, status: int) -> dict[str, Any]:
    """``truto_error_insight``: the unified API says most, the proxy API only what a 403 lacks (skill: errors)."""
    if status == 403:
        value = {"missing_scopes": ["write"]}
        return {"forbidden_error": {"description": "The account lacks a scope", "value": value}}
    if wish.api != "unified":
        return {}
    name = "rate_limit_error" if status == 429 else "remote_error"
    return {name: {"description": f"The provider answered {status}"}}


def _shown(wish: Wish, record: Record) -> Record:
    if wish.api != "unified":
        return record
    wanted = wish.param("truto_response_format") or "unified"
    if wanted not in FORMATS:
        raise invalid("truto_response_format", f"must be one of {', '.join(FORMATS)}")
    if wanted == "raw":
        return record
    shown = dataset.to_unified(wish.resource, record)
    return shown if wanted == "unified" else {key: value for key, value in shown.items() if key != "remote_data"}


def _reduced(wish: Wish, record: Record) -> Record:
    """Drop what ``truto_ignore_remote_data`` and ``truto_exclude_fields`` name (skill: unified-api)."""
    dropped = set((wish.param("truto_exclude_fields") or "").split(","))
    if wish.param("truto_ignore_remote_data") == "true":
        dropped.add("remote_data")
    return {key: value for key, value in record.items() if key not in dropped}


def _keyed(wish: Wish, full: list[Record], shown: list[Record]) -> list[Record] | dict[str, Record]:
    """The records as an object where ``truto_key_by`` asks for one; a field that nothing has is a 400."""
    name = wish.param("truto_key_by")
    if not name:
        return shown
    if any(name not in each for each in full):
        raise invalid("truto_key_by", "names no field of these records")
    return {query.text_of(before[name]): after for before, after in zip(full, shown, strict=True)}


def _sorted(wish: Wish, entries: list[query.Entry]) -> list[query.Entry]:
    """In the order of ``sort_by``, which only synced data has (skill: unified-api, SuperQuery)."""
    region = wish.param("truto_super_query")
    if not region:
        return entries
    if region not in _REGIONS:
        raise invalid("truto_super_query", f"must be one of {', '.join(_REGIONS)}")
    name = wish.param("sort_by")
    if not name:
        return entries
    rows = sorted((row for _, row in entries), key=lambda row: query.sort_key(row.get(name)))
    return list(enumerate(rows, start=1))


def _values(wish: Wish, *, partial: bool) -> Record:
    """The native values of a body: a unified one is checked here, a native one by the provider (422)."""
    if wish.api == "unified" and wish.param("truto_body_passthrough") != "true":
        return dataset.to_native(fields.read(wish.body, dataset.UNIFIED_FIELDS[wish.resource], partial=partial))
    try:
        fields.read(wish.body, dataset.native_fields(wish.resource), partial=partial)
    except Refusal as refusal:
        names = ", ".join(failure["path"] for failure in refusal.failures)
        message = f"The provider refuses these fields: {names}"
        raise Refusal(422, message, remote=True, insight=_insight(wish, 422)) from None
    return dict(wish.body)
