"""Pages that the definition's own expressions lead to."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

import orjson

from truto import javascript
from truto.errors import IntegrationFailed
from truto.integration.expressions import Tell, evaluate
from truto.integration.pagination import DynamicConfig
from truto.integration.paging.base import Follow, Reply, Turn
from truto.integration.rendering import Scope, checked_header
from truto.integration.requests import NO_BODY, Draft

_JSON = re.compile(r"[\[{\"0-9-]|true$|false$|null$")
_CURSOR_NAMES = ("next_cursor", "cursor")
_LOOP_NAMES = ("is_loop", "loop_detected")


class Dynamic:
    """Format ``dynamic``. The cursor is base64 for the caller, and decoded for the expressions (seed)."""

    def __init__(self, config: DynamicConfig, at: str, tell: Tell) -> None:
        self._config = config
        self._at = at
        self._tell = tell
        self.max_limit: int | None = None
        self.hashes = True

    def values(self, turn: Turn) -> dict[str, Any]:
        """The size alone; what else there is, the expressions say."""
        return {"limit": turn.limit}

    async def place(self, draft: Draft, turn: Turn, scope: Scope) -> bool:
        """Let the expression of this page change the request; null ends the walk (skill)."""
        name = "get_initial_pagination_values_expression" if turn.cursor is None else "get_pagination_values_expression"
        source = getattr(self._config, name)
        seen = self._scope(draft, turn, scope)
        if source is None:
            return True
        value = await evaluate(source, f"{self._at}.{name}", seen, self._tell)
        if value is None:
            return turn.cursor is None
        if not isinstance(value, Mapping):
            raise IntegrationFailed("must give an object", at=f"{self._at}.{name}")
        _apply(draft, value, f"{self._at}.{name}")
        return True

    async def follow(self, draft: Draft, turn: Turn, reply: Reply, count: int, scope: Scope) -> Follow:
        """The cursor that the expression finds, in an object under ``next_cursor`` or ``cursor``."""
        del count
        at = f"{self._at}.get_cursor_from_response_expression"
        seen = {**self._scope(draft, turn, scope), **reply.members(), "paginationValues": _values(draft)}
        value = await evaluate(self._config.get_cursor_from_response_expression, at, seen, self._tell)
        if isinstance(value, Mapping) and (named := [name for name in _CURSOR_NAMES if name in value]):
            if any(value.get(name) is True for name in _LOOP_NAMES):
                return Follow(None)
            value = value[named[0]]
        return Follow(None if value in (None, "", False) else encode_cursor(value))

    def _scope(self, draft: Draft, turn: Turn, scope: Scope) -> dict[str, Any]:
        cursor = {} if turn.cursor is None else {"next_cursor": decode_cursor(turn.cursor, self._at)}
        query = {**draft.query, "limit": turn.limit, **cursor}
        return {**scope, **draft.members(), "query": query, "limit": turn.limit, "paginationValues": _values(draft)}


def encode_cursor(value: Any) -> str:
    """A cursor for the caller: base64 of its text, or of JSON where it is no text or could be taken for JSON."""
    plain = isinstance(value, str) and not _JSON.match(value)
    text = value.encode("utf-8", "surrogatepass") if plain else orjson.dumps(value)
    return base64.b64encode(text).decode()


def decode_cursor(cursor: str, at: str) -> Any:
    """The cursor as it was found. Raises :class:`IntegrationFailed` for one that this list has not given."""
    try:
        text = base64.b64decode(cursor, validate=True).decode()
        return orjson.loads(text) if _JSON.match(text) else text
    except (binascii.Error, ValueError):
        raise IntegrationFailed("the cursor is none of this list: begin again without one", at=at) from None


def _values(draft: Draft) -> dict[str, Any]:
    body = dict(draft.body) if isinstance(draft.body, Mapping) else {}
    return {**body, **draft.query}


def _apply(draft: Draft, value: Mapping[str, Any], at: str) -> None:
    """``url`` replaces; ``query``, ``headers``, an object as ``body`` are merged; ``requestOptions`` may hold them."""
    options = value.get("requestOptions")
    given = {**(options if isinstance(options, Mapping) else {}), **value}
    if isinstance(url := given.get("url"), str) and url != draft.url:
        draft.take_url(url)
    if isinstance(query := given.get("query"), Mapping):
        draft.query = {**draft.query, **query}
    for name, each in (given.get("headers") or {}).items():
        draft.headers[name.lower()] = checked_header(name, javascript.text(each), f"{at}.headers")
    if "body" in given and given["body"] is not None:
        body = given["body"]
        merges = isinstance(body, Mapping) and isinstance(draft.body, Mapping) and draft.body is not NO_BODY
        draft.body = {**draft.body, **body} if merges else body
