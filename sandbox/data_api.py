"""``/ping``, ``/unified``, ``/proxy`` and ``/custom``: a tenant's data (skill: unified-api, proxy)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from sandbox import dataset, fields
from sandbox.answers import Answer, answer, missing
from sandbox.calls import Call, Endpoints, parse_object, read_json
from sandbox.errors import Refusal
from sandbox.files_api import is_form, read_form, served, stored_file
from sandbox.limits import PER_ACCOUNT, Limit
from sandbox.provider import Provider
from sandbox.query import LIST_PARAMETERS
from sandbox.state import Row, StoredFile
from sandbox.wishes import PARAMETERS, Wish

_LIST = {**LIST_PARAMETERS, **PARAMETERS}
_WRITE = {"anyOf": [fields.json_schema(table) for table in dataset.UNIFIED_FIELDS.values()]}
_NATIVE = {"type": "object"}
_METHODS = {"GET": "get", "PATCH": "update", "DELETE": "delete", "POST": "create"}


class Data:
    """Reads and writes, each account with its own copy of the data set; any unified model has every resource."""

    def __init__(self, provider: Provider, *, limited: bool) -> None:
        self._provider = provider
        self._limit = Limit(PER_ACCOUNT) if limited else None

    def routes(self, endpoint: Endpoints) -> list[Route]:
        """CRUD and custom methods, unified and native, and ``/custom``."""
        unified, proxy = "/unified/{model}/{resource}", "/proxy/{resource}"
        found = [Route("/ping", endpoint(self.ping), methods=["GET"])]
        for path, takes in ((unified, _WRITE), (proxy, _NATIVE)):
            listed = endpoint(self.list, query=_LIST, shape="DataList")
            one = endpoint(self.one, query=PARAMETERS)
            change = endpoint(self.one, query=PARAMETERS, takes=_NATIVE, reads=read_data)
            create = endpoint(self.create, query=PARAMETERS, takes=takes, reads=read_data)
            found += [
                Route(path, listed, methods=["GET"]),
                Route(path, create, methods=["POST"]),
                Route(f"{path}/{{id}}", one, methods=["GET"]),
                Route(f"{path}/{{id}}", change, methods=["PATCH"]),
                Route(f"{path}/{{id}}", endpoint(self.one, query=PARAMETERS, shape="Deleted"), methods=["DELETE"]),
            ]
        custom = {"query": PARAMETERS, "takes": _NATIVE, "reads": read_data, "shape": "Result"}
        return [
            *found,
            Route("/proxy/_/{action}", endpoint(self.action, **custom), methods=["POST"]),
            Route(f"{unified}/{{method}}", endpoint(self.custom_method, **custom), methods=["POST"]),
            Route(f"{proxy}/{{method}}", endpoint(self.custom_method, **custom), methods=["POST"]),
            Route(
                "/custom/{path:path}",
                endpoint(self.custom, **custom),
                methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            ),
        ]

    async def ping(self, _call: Call) -> Answer:
        """Alive, and the token is good. The real body is in no source."""
        return answer({"success": True})

    async def list(self, call: Call) -> Answer:
        """A page of records."""
        return await self._perform(call, "list")

    async def create(self, call: Call) -> Answer:
        """A new record."""
        return await self._perform(call, "create")

    async def one(self, call: Call) -> Answer:
        """One record: read, changed, or deleted."""
        return await self._perform(call, _METHODS["GET" if call.method == "HEAD" else call.method])

    async def custom_method(self, call: Call) -> Answer:
        """``{result}`` of a method other than CRUD: ``search`` everywhere, ``close`` for tickets."""
        method = call.path["method"]
        if method in _METHODS.values() or method == "list":
            raise Refusal(404, f"{method} is not a custom method; it has a route of its own")
        return await self._perform(call, method)

    async def action(self, call: Call) -> Answer:
        """``{result}`` of a named action; the sandbox knows ``whoami``, which answers the account's identity."""
        account, headers = self._enter(call)
        name = call.path["action"]
        with _carrying(headers):
            self._provider.check_alive(account, Wish("proxy", "_", "get"))
            if product := self._provider.product_of(account):
                wish = Wish("proxy", "_", name, None, call.query, call.body, call.method, call.url)
                return answer({"result": await product.act(account, wish)}, headers=headers)
            if name != "whoami":
                raise missing("Action")
        return answer({"result": {key: account[key] for key in ("id", "tenant_id", "status")}}, headers=headers)

    async def custom(self, call: Call) -> Answer:
        """``/custom/<resource>`` and ``/custom/<resource>/<id>`` reach the provider's data; any other path echoes.

        ``methodConfig`` is taken out of the body and ``integrated_account_id`` out of the query (skill: custom).
        """
        account, headers = self._enter(call)
        with _carrying(headers):
            if product := self._provider.product_of(account):
                verb = "get" if call.method in _READS else "update"
                wish = Wish("custom", "_", verb, None, call.query, call.body, call.method, call.url)
                self._provider.check_alive(account, wish)
                found = await product.custom(account, wish, call.path["path"])
                return answer({"result": found, "next_cursor": None, "prev_cursor": None}, headers=headers)
            return answer(await self._custom(account, call), headers=headers)

    async def _custom(self, account: Row, call: Call) -> dict[str, Any]:
        query = [(name, value) for name, value in call.query if name != "integrated_account_id"]
        body = {name: value for name, value in call.body.items() if name != "methodConfig"}
        resource, _, record_id = call.path["path"].partition("/")
        if resource in dataset.RESOURCES and call.method != "PUT":
            verb = _custom_verb(call.method, record_id)
            wish = Wish("custom", resource, verb, record_id or None, query, body, call.method, call.url)
            found = (await self._provider.perform(account, wish)).body
            if wish.method == "list":
                return {key: found[key] for key in ("result", "next_cursor", "prev_cursor")}
        else:
            # One that writes is refused for a sandbox account, whatever it would write.
            self._provider.check_alive(account, Wish("custom", "_", "get" if call.method in _READS else "update"))
            sent = {name: _described(value) for name, value in body.items()}
            found = {"method": call.method, "path": f"/{call.path['path']}", "query": query, "body": sent}
        return {"result": found, "next_cursor": None, "prev_cursor": None}

    def _enter(self, call: Call) -> tuple[Row, dict[str, str]]:
        """The account of a call, and the headers that its rate limit gives the answer."""
        account = self._provider.account(call.account_id or call.param("integrated_account_id"))
        return account, self._limit.take(account["id"]) if self._limit else {}

    async def _perform(self, call: Call, method: str) -> Answer:
        account, headers = self._enter(call)
        api = "unified" if "model" in call.path else "proxy"
        wish = Wish(
            api,
            call.path["resource"],
            method,
            call.path.get("id"),
            call.query,
            call.body,
            call.method,
            call.url,
            call.path.get("model", ""),
        )
        with _carrying(headers):
            is_real = self._provider.product_of(account) is not None
            if (api, wish.resource, method) == ("proxy", dataset.FILES, "get") and not is_real:
                return served(self._provider.content(account, wish), headers)
            found = await self._provider.perform(account, wish)
            return answer(found.body, headers={**headers, **found.headers})


def _described(value: Any) -> Any:
    """A file by its name, type and size; anything else as it is."""
    if not isinstance(value, StoredFile):
        return value
    return {"name": value.name, "mimeType": value.media_type, "size": len(value.content)}


_READS = frozenset({"GET", "HEAD"})


@contextmanager
def _carrying(headers: Mapping[str, str]) -> Iterator[None]:
    """Give a refusal the headers of the rate limit, which every answer carries."""
    try:
        yield
    except Refusal as refusal:
        refusal.headers = {**headers, **(refusal.headers or {})}
        raise


def _custom_verb(method: str, record_id: str) -> str:
    if method in _READS:
        return "get" if record_id else "list"
    return _METHODS[method]


async def read_data(request: Request) -> dict[str, Any]:
    """A JSON object; with ``truto_body_passthrough`` (skill), whatever the provider is to get: form, JSON or bytes.

    What is neither form nor a JSON object is the field ``file``.
    """
    if request.query_params.get("truto_body_passthrough") != "true":
        return await read_json(request)
    if is_form(request):
        return await read_form(request)
    content = await request.body()
    with suppress(Refusal):
        return parse_object(content)
    return {"file": stored_file("file", request.headers.get("content-type", ""), content)}
