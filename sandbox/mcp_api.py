"""MCP tokens of an account, and the server behind each: JSON-RPC over HTTP (skill: mcp-tokens)."""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.routing import Route

from sandbox import fields, query, tools
from sandbox.answers import Answer, answer, invalid, missing
from sandbox.calls import Call, Endpoints, parse_object, read_nothing
from sandbox.collection import Collection
from sandbox.errors import Refusal
from sandbox.fields import Field
from sandbox.provider import Provider, http_fields
from sandbox.state import Row, State, new_id, touch
from sandbox.wishes import Wish

PROTOCOL_VERSION = "2024-11-05"
_LEAST_SECONDS = 60
_RPC = {
    "type": "object",
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "id": {"type": ["string", "integer"]},
        "method": {"enum": ["initialize", "ping", "tools/list", "tools/call"]},
        "params": {"type": "object"},
    },
    "required": ["jsonrpc", "id", "method"],
}
_PARSE_ERROR, _INVALID_REQUEST, _UNKNOWN_METHOD, _INVALID_PARAMS = -32700, -32600, -32601, -32602


class McpTokens(Collection):
    """``/integrated-account/{account}/mcp``; ``token`` and ``url`` come once, with the answer to POST."""

    path = "/integrated-account/{account}/mcp"
    label = "MCP token"
    writable: Mapping[str, Field] = {
        "name": fields.text(required=True),
        "config": fields.mapping(),
        "expires_at": fields.text(),
    }

    def __init__(self, state: State) -> None:
        super().__init__(state.mcp_tokens)
        self._state = state

    async def list(self, call: Call) -> Answer:
        """The account's tokens."""
        account = self._account(call)
        mine = [(at, self.view(row)) for at, row in self._table.entries() if _owner(row) == account["id"]]
        return answer(query.page(mine, call.query).envelope())

    async def get(self, call: Call) -> Answer:
        """One of the account's tokens."""
        return answer(self.view(self._mine(call)))

    async def create(self, call: Call) -> Answer:
        """The token with ``token`` and ``url``, this once; 400 when its filters leave no tool."""
        account = self._account(call)
        values = fields.read(call.body, self.writable)
        self.check(values)
        _check_expiry(values)
        token = new_id()
        owned = {**values, "config": values["config"] or {}, "integrated_account_id": account["id"], "token": token}
        row = self._table.insert(owned)
        return answer({**self.view(row), "token": token, "url": f"{call.base_url}/mcp/{token}"})

    async def update(self, call: Call) -> Answer:
        """The token's row after the change."""
        row = self._mine(call)
        values = fields.read(call.body, self.writable, partial=True)
        self.check({**row, **values})
        _check_expiry(values)
        touch(row, {**values, "config": values["config"] or {}} if "config" in values else values)
        return answer(self.view(row))

    async def delete(self, call: Call) -> Answer:
        """``{id}``; its server answers 401 from then on."""
        row = self._mine(call)
        self._table.remove(row["id"])
        return answer({"id": row["id"]})

    def view(self, row: Row) -> Row:
        """Without the token."""
        return {key: value for key, value in row.items() if key != "token"}

    def check(self, values: Mapping[str, Any]) -> None:
        """Its filters leave a tool (skill)."""
        if not tools_of(values["config"] or {}):
            raise invalid("config", "matches no tool")

    def _account(self, call: Call) -> Row:
        account = self._state.accounts.get(call.path["account"])
        if account is None:
            raise missing("Integrated account")
        return account

    def _mine(self, call: Call) -> Row:
        account = self._account(call)
        row = self.find(call.path["id"])
        if _owner(row) != account["id"]:
            raise missing(self.label)
        return row


class McpServer:
    """``POST /mcp/<token>``: ``initialize``, ``ping``, ``tools/list`` and ``tools/call``."""

    def __init__(self, state: State, provider: Provider, token: str) -> None:
        self._state = state
        self._provider = provider
        self._token = token.encode()

    def routes(self, endpoint: Endpoints) -> list[Route]:
        """The one route."""
        return [Route("/mcp/{token}", endpoint(self.serve, reads=read_nothing, takes=_RPC), methods=["POST"])]

    async def serve(self, call: Call) -> Answer:
        """The JSON-RPC answer; 202 without a body to a notification, 401 for a token that is not valid."""
        row = self._admit(call)
        try:
            message = parse_object(call.raw)
        except Refusal as refusal:
            return answer(_error(None, _PARSE_ERROR, refusal.message))
        method, message_id = message.get("method"), message.get("id")
        if message.get("jsonrpc") != "2.0" or not isinstance(method, str):
            return answer(_error(None, _INVALID_REQUEST, "Not a JSON-RPC 2.0 request"))
        if message_id is None:
            return Answer(b"", 202)
        if not isinstance(message_id, str | int):
            return answer(_error(None, _INVALID_REQUEST, "The id must be text or a whole number"))
        params = message.get("params")
        started = time.time()
        url = f"{call.base_url}/mcp/…"  # a token is in it
        params = params if isinstance(params, dict) else {}
        found = await self._dispatch(row, method, params, url)
        self._state.mcp_log.add(
            {
                "mcp_server_id": row["id"],
                "mcp_server_name": row["name"],
                "integrated_account_id": _owner(row),
                "environment_id": row["environment_id"],
                "mcp_method": method,
                "tool_name": params.get("name") if method == "tools/call" else None,
                **http_fields("POST", url, 200, started),
                "at": started,
            }
        )
        return answer({"jsonrpc": "2.0", "id": message_id, **found})

    def _admit(self, call: Call) -> Row:
        rows = self._state.mcp_tokens.rows()
        row = next((each for each in rows if hmac.compare_digest(each["token"].encode(), _bytes(call))), None)
        expired = row is not None and row["expires_at"] is not None and _seconds(row["expires_at"]) <= time.time()
        if row is None or expired or self._state.accounts.get(_owner(row)) is None:
            raise Refusal(401, "Unknown or expired MCP token")
        if row["config"].get("require_api_token_auth") is True:
            scheme, _, presented = call.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(presented.strip().encode(), self._token):
                raise Refusal(401, "This MCP token also wants the API token")
        return row

    async def _dispatch(self, row: Row, method: str, params: dict[str, Any], url: str) -> dict[str, Any]:
        if method == "initialize":
            about = {"name": "truto-sandbox", "version": "1"}
            return _result({"protocolVersion": PROTOCOL_VERSION, "capabilities": {"tools": {}}, "serverInfo": about})
        if method == "ping":
            return _result({})
        if method == "tools/list":
            listed = [
                {"name": tool.name, "description": tool.description, "inputSchema": tool.input_schema()}
                for tool in tools_of(row["config"])
            ]
            return _result({"tools": listed})
        if method == "tools/call":
            return await self._call(row, params, url)
        return {"error": {"code": _UNKNOWN_METHOD, "message": "Method not found"}}

    async def _call(self, row: Row, params: dict[str, Any], url: str) -> dict[str, Any]:
        tool = next((each for each in tools_of(row["config"]) if each.name == params.get("name")), None)
        arguments = params.get("arguments", {})
        if tool is None or not isinstance(arguments, dict):
            return {"error": {"code": _INVALID_PARAMS, "message": "Unknown tool, or arguments that are no object"}}
        account = self._state.accounts.get(_owner(row))
        assert account is not None
        asked = tool.query_schema()["properties"].keys()
        queried = [(name, query.text_of(arguments[name])) for name in asked if name in arguments and name != "id"]
        record_id = query.text_of(arguments["id"]) if "id" in arguments else None
        body = arguments if tool.method == "close" else {key: arguments[key] for key in arguments if key not in asked}
        try:
            wish = Wish("proxy", tool.resource, tool.method, record_id, queried, body, url=url)
            found = (await self._provider.perform(account, wish)).body
        except Refusal as refusal:
            return _result(_content(refusal.body(), is_error=True))
        return _result(_content(found, is_error=False))


def tools_of(config: Mapping[str, Any]) -> list[tools.Tool]:
    """The tools that a token's ``methods`` and ``tags`` leave; anything but lists of text matches none."""
    methods, tags = config.get("methods") or [], config.get("tags") or []
    for each in (methods, tags):
        if not isinstance(each, list) or not all(isinstance(name, str) for name in each):
            return []
    return tools.chosen(methods, tags)


def _check_expiry(values: Mapping[str, Any]) -> None:
    """A token lives at least 60 s (skill)."""
    expires_at = values.get("expires_at")
    if expires_at is not None and _seconds(expires_at) < time.time() + _LEAST_SECONDS:
        raise invalid("expires_at", f"must be at least {_LEAST_SECONDS} s ahead")


def _owner(row: Row) -> str:
    return str(row["integrated_account_id"])


def _bytes(call: Call) -> bytes:
    return str(call.path["token"]).encode("utf-8", "surrogatepass")


def _seconds(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise invalid("expires_at", "must be a time, such as 2030-01-01T00:00:00Z") from None


def _result(result: dict[str, Any]) -> dict[str, Any]:
    return {"result": result}


def _content(found: object, *, is_error: bool) -> dict[str, Any]:
    text = orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS).decode()
    return {"content": [{"type": "text", "text": text}], "isError": is_error}


def _error(message_id: str | int | None, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": message_id, "error": {"code": code, "message": message}}
