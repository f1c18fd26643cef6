"""Truto's MCP servers: JSON-RPC behind a token in the path."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping
from typing import Any

from truto.answers import read_object
from truto.calls import segment
from truto.endpoints import Requester
from truto.errors import McpError, ProtocolError

PROTOCOL_VERSION = "2024-11-05"
_MAX_MESSAGE_CHARACTERS = 500


def _names_no_server(record: logging.LogRecord) -> bool:
    return "/mcp/" not in record.getMessage()


# httpx logs each URL at INFO, and the URL of an MCP server is its secret.
logging.getLogger("httpx").addFilter(_names_no_server)


class McpServer:
    """The tools of one account by way of the Model Context Protocol (skill: mcp tokens).

    The token shows in no error and no repr. Raises :class:`truto.McpError` for a JSON-RPC error, besides those of
    :mod:`truto.errors`. Nothing is repeated when an answer is lost.
    """

    def __init__(self, client: Requester, token: str) -> None:
        self._client = client
        self._path = f"/mcp/{segment(token)}"
        self._numbers = itertools.count(1)

    async def initialize(self, *, name: str = "truto-worker", version: str = "1") -> dict[str, Any]:
        """Introduce yourself; answers what the server can do."""
        client = {"name": name, "version": version}
        return await self._call(
            "initialize", {"protocolVersion": PROTOCOL_VERSION, "capabilities": {}, "clientInfo": client}
        )

    async def list_tools(self) -> list[dict[str, Any]]:
        """The tools, each with ``name``, ``description`` and ``inputSchema``."""
        tools = (await self._call("tools/list", {})).get("tools")
        if not isinstance(tools, list):
            raise ProtocolError("tools/list: the answer holds no list of tools")
        return tools

    async def call_tool(self, name: str, arguments: Mapping[str, Any], /) -> dict[str, Any]:
        """Call a tool; answers its result, with ``content`` and perhaps ``isError``."""
        return await self._call("tools/call", {"name": name, "arguments": arguments})

    async def _call(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        body = {"jsonrpc": "2.0", "id": next(self._numbers), "method": method, "params": params}
        answer = read_object(method, await self._client.request("POST", self._path, json=body, shown="/mcp/…"))
        if isinstance(error := answer.get("error"), dict):
            code = error.get("code")
            message = str(error.get("message", ""))[:_MAX_MESSAGE_CHARACTERS]
            raise McpError(code if isinstance(code, int) else None, message)
        return read_object(method, answer.get("result"))
