"""Accounts of an integration whose definition was given: their calls go to the product itself, as Truto's would.

The definition that counts is the installed one, so an ``override`` that is changed by the API counts at the next call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from sandbox.answers import invalid, missing
from sandbox.errors import Refusal
from sandbox.lifecycle import Accounts
from sandbox.state import Row, State, touch
from sandbox.wishes import PARAMETERS, Performed, Wish
from truto import ApiError, TransportError
from truto.integration import (
    NO_BODY,
    Account,
    Allowed,
    BadIntegration,
    HttpWire,
    Integration,
    IntegrationFailed,
    Page,
    Session,
    read_fields,
    read_integration,
)
from truto.integration import Wish as NativeWish
from truto.integration.accounts import credentials_of
from truto.integration.definition import Method
from truto.integration.expressions import evaluate

_CANONICAL = frozenset({"get", "create", "update", "delete"})
_OWN = frozenset({*PARAMETERS, "limit", "next_cursor"})
_MAPPINGS = (
    ("/environment-unified-model-resource-method", "environment_unified_model_id", "/environment-unified-model"),
    ("/unified-model-resource-method", "unified_model_id", None),
)


@dataclass(slots=True)
class _Open:
    """The session of an account, and what it was made of."""

    stamp: tuple[Any, ...]
    session: Session


class Upstream:
    """The products behind the integrations of *documents*, by their names."""

    def __init__(
        self, state: State, accounts: Accounts, documents: Iterable[Mapping[str, Any]], allowed: Allowed
    ) -> None:
        self._state = state
        self._accounts = accounts
        self._allowed = allowed
        self._wire = HttpWire(allowed=allowed)
        self._open: dict[str, _Open] = {}
        self._names = {self._install(document) for document in documents}

    def _install(self, document: Mapping[str, Any]) -> str:
        """Install what *document* defines, in the place of what was installed under its name before."""
        integration = read_integration(document)
        config, *override = integration.layers
        install = self._state.install(integration.name)
        touch(install["integration"], {"config": dict(config)})
        touch(install, {"override": dict(override[0]) if override else {}})
        for model, resources in (document.get("unified_mappings") or {}).items():
            self._map(integration.name, model, resources)
        return integration.name

    def _map(self, name: str, model: str, resources: Mapping[str, Any]) -> None:
        """Put the mappings of a file where those are that the API writes."""
        models, rows = self._state.platform["/unified-model"], self._state.platform["/unified-model-resource-method"]
        found = next((row for row in models.rows() if row["name"] == model), None)
        found = found or models.insert({"name": model, "category": model, "resources": {}, "scopes": {}, "version": 1})
        for resource, methods in resources.items():
            for method, config in methods.items():
                names = {"resource_name": resource, "method_name": method, "integration_name": name}
                same = [row for row in rows.rows() if names.items() <= row.items()]
                if same:
                    touch(same[0], {"config": config})
                else:
                    rows.insert({"unified_model_id": found["id"], **names, "config": config, "version": 1})

    def serves(self, account: Row) -> bool:
        """Whether the account belongs to one of the integrations."""
        return account["integration"]["name"] in self._names

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.aclose()

    async def perform(self, account: Row, wish: Wish) -> Performed:
        """The answer to *wish*: a list with its envelope, one record as it is, ``{result}`` of a custom method."""
        with self._translated(account, wish):
            session = self._session(account)
            mapping = self._mapping(account, wish) if wish.api == "unified" else {}
            resource = str(mapping.get("resource") or wish.resource)
            method = str(mapping.get("method") or wish.method)
            native = await self._native(session, wish, mapping)
            if wish.method == "list":
                page = await session.page(resource, method, native)
                records = await self._mapped(session, mapping, page.records, wish)
                return Performed(_envelope(page, records, native.limit), page.rate.headers())
            result = await session.call(resource, method, native)
            if wish.method not in _CANONICAL:
                return Performed({"result": result.data}, result.rate.headers())
            (data,) = await self._mapped(session, mapping, [result.data], wish)
            if wish.method == "delete" and not isinstance(data, dict):
                data = {"id": wish.record_id}
            return Performed(data if isinstance(data, dict) else {"result": data}, result.rate.headers())

    async def act(self, account: Row, wish: Wish) -> Any:
        """The result of the action that *wish* names as its method."""
        with self._translated(account, wish):
            session = self._session(account)
            return await session.action(wish.method, await self._native(session, wish, {}))

    async def custom(self, account: Row, wish: Wish, path: str) -> Any:
        """The answer to a call of *path* with the account's credentials (skill: custom).

        ``methodConfig`` may say everything of a method but where it leads.
        """
        given = wish.body.get("methodConfig") or {}
        body = {name: value for name, value in wish.body.items() if name != "methodConfig"}
        verb = "get" if wish.verb == "HEAD" else wish.verb.lower()
        try:
            method = Method.model_validate({**given, "path": _literal_path(path), "method": verb, "base_url": None})
        except ValidationError as exc:
            places = ", ".join(sorted({".".join(map(str, error["loc"])) for error in exc.errors()}))
            raise invalid("methodConfig", f"is wrong at {places or 'its root'}") from None
        with self._translated(account, wish):
            native = NativeWish(query=_query_of(wish), body=body or NO_BODY)
            return (await self._session(account).run(method, native, "methodConfig")).data

    async def batches(self, account: Row, name: str) -> AsyncIterator[list[Any]]:
        """The records of ``contacts``, or of ``crm/contacts`` by its mapping, page by page."""
        model, _, resource = name.rpartition("/")
        wish = Wish("unified" if model else "proxy", resource, "list", model=model)
        with self._translated(account, wish):
            session = self._session(account)
            mapping = self._mapping(account, wish) if model else {}
            native = await self._native(session, wish, mapping)
            named = str(mapping.get("resource") or resource), str(mapping.get("method") or "list")
            async for page in session.pages(*named, native):
                if page.records:
                    yield await self._mapped(session, mapping, page.records, wish)

    async def connect(self, account: Row) -> tuple[str, str | None]:
        """``active``, or what the checks of the definition say: fields, first token, post-install, validation."""
        try:
            session = self._session(account)
            credentials = credentials_of(session.config, session.account)
            if credentials is not None:
                touch(account, {"authentication_method": credentials.format})
            fields = credentials.config.fields if credentials is not None else ()
            session.account.merge_context(read_fields(fields, account["context"]))
        except (BadIntegration, ValueError) as exc:
            return "validation_error", str(exc)
        status = await session.connect()
        return status, session.account.last_error

    # -- sessions ------------------------------------------------------------------------------------------------------

    def _session(self, account: Row) -> Session:
        install = self._state.installs.get(account["environment_integration_id"])
        if install is None:
            raise missing("Environment integration")
        integration = install["integration"]
        stamp = (install["updated_at"], integration["updated_at"], account.get("integration_override"))
        known = self._open.get(account["id"])
        if known is None or known.stamp != stamp:
            known = self._open[account["id"]] = _Open(stamp, self._new_session(account, _integration_of(install)))
        known.session.account.context = account["context"]
        return known.session

    def _new_session(self, account: Row, integration: Integration) -> Session:
        held = Account(
            account["context"],
            id=account["id"],
            authentication_method=account["authentication_method"],
            integration_override=account.get("integration_override"),
            changed=lambda changed: _keep(account, changed),
        )
        return Session(integration, held, allowed=self._allowed, wire=self._wire)

    @contextmanager
    def _translated(self, account: Row, wish: Wish) -> Iterator[None]:
        """Turn the errors of a session into what Truto answers, and take over what they mean for the account."""
        try:
            yield
        except ApiError as exc:
            known = self._open.get(account["id"])
            if exc.status == 401 and known is not None and known.session.account.status == "needs_reauth":
                self._accounts.revoke(account, known.session.account.last_error or exc.message)
            if exc.status == 403:
                self._accounts.forbid(account, resource=wish.resource, method=wish.method)
            raise _refusal(exc) from None
        except BadIntegration as exc:
            raise Refusal(404, str(exc)) from None
        except IntegrationFailed as exc:
            raise Refusal(502, f"The definition of the integration cannot do this: {exc}") from None
        except TransportError as exc:
            raise Refusal(504, str(exc), remote=True) from None

    # -- queries and mappings ------------------------------------------------------------------------------------------

    async def _native(self, session: Session, wish: Wish, mapping: Mapping[str, Any]) -> NativeWish:
        query = _query_of(wish)
        if isinstance(source := mapping.get("query_mapping"), str):
            scope = {"query": query, "rawQuery": query, "context": dict(session.account.context)}
            found = await evaluate(source, "query_mapping", scope, session.tell)
            query = dict(found) if isinstance(found, Mapping) else {}
        body: Any = wish.body if wish.verb not in ("GET", "DELETE") and wish.method not in ("list", "get") else NO_BODY
        return NativeWish(
            id=wish.record_id, query=query, body=body, limit=_limit_of(wish), cursor=wish.param("next_cursor") or None
        )

    def _mapping(self, account: Row, wish: Wish) -> Mapping[str, Any]:
        """How a unified method is mapped: by the environment's row, else by the model's."""
        name = account["integration"]["name"]
        for path, reference, models in _MAPPINGS:
            for row in self._state.platform[path].rows():
                fits = (row["resource_name"], row["method_name"]) == (wish.resource, wish.method)
                if (
                    fits
                    and row["integration_name"] in (None, name)
                    and self._model(row[reference], models) == wish.model
                ):
                    return row["config"] or {}
        raise Refusal(
            404,
            f"{wish.model}/{wish.resource} {wish.method} has no mapping for {name}: write `unified_mappings` into its "
            "file, or POST /environment-unified-model-resource-method; /proxy needs none",
        )

    def _model(self, row_id: object, through: str | None) -> str | None:
        if through is not None:
            row = self._state.platform[through].get(row_id)
            row_id = row["unified_model_id"] if row else None
        model = self._state.platform["/unified-model"].get(row_id)
        return model["name"] if model else None

    async def _mapped(self, session: Session, mapping: Mapping[str, Any], records: list[Any], wish: Wish) -> list[Any]:
        """The records in unified words, each with itself as ``remote_data``."""
        source = mapping.get("response_mapping")
        if not isinstance(source, str):
            return records
        found = []
        for record in records:
            query = _query_of(wish)
            scope = {"response": record, "query": query, "rawQuery": query, "context": dict(session.account.context)}
            value = await evaluate(source, "response_mapping", scope, session.tell)
            if not isinstance(value, dict):
                raise IntegrationFailed("must give an object for each record", at="response_mapping")
            found.append({**value, "remote_data": record})
        return found


def _literal_path(path: str) -> str:
    """A path as text alone: what looks like a placeholder in it is none."""
    return "/" + path.replace("{", "%7B").replace("}", "%7D")


def _refusal(exc: ApiError) -> Refusal:
    status = exc.status if 400 <= exc.status < 600 else 502
    headers = {} if exc.retry_after is None else {"Retry-After": str(round(exc.retry_after))}
    return Refusal(status, exc.message, remote=True, headers=headers, raw=exc.body.get("raw_response"))


def _integration_of(install: Row) -> Integration:
    """The installed definition, merged as ever."""
    identity = install["integration"]
    document = {
        "integration": {"name": identity["name"], "config": identity["config"]},
        "override": install["override"],
    }
    return read_integration(document)


def _keep(row: Row, account: Account) -> None:
    if row["context"] is not account.context:
        touch(row, {"context": dict(account.context)})
        account.context = row["context"]


def _query_of(wish: Wish) -> dict[str, Any]:
    """The caller's own query: Truto's parameters are taken out, a name that is there several times is a list."""
    found: dict[str, Any] = {}
    for name, value in wish.query:
        if name in _OWN:
            continue
        before = found.get(name)
        found[name] = value if before is None else [*(before if isinstance(before, list) else [before]), value]
    return found


def _limit_of(wish: Wish) -> int | None:
    text = wish.param("limit")
    if text is None:
        return None
    if not text.isdecimal() or not 1 <= int(text[:10]) <= 1_000_000:
        raise invalid("limit", "must be a whole number from 1 on")
    return int(text)


def _envelope(page: Page, records: list[Any], limit: int | None) -> dict[str, Any]:
    return {
        "result": records,
        "next_cursor": page.next_cursor,
        "prev_cursor": page.prev_cursor,
        "limit": limit or len(records),
        "result_count": len(records),
        "is_partial_response": False,
    }
