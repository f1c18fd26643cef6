"""Pages that name the next one in their body or in a header."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from truto import javascript
from truto.errors import RequestRefused
from truto.integration.pagination import CursorConfig
from truto.integration.paging.base import Follow, Reply, Turn, add_headers, put
from truto.integration.rendering import Scope
from truto.integration.requests import Draft, read_query, split_url


class Cursors:
    """Format ``cursor``. A link leads to another query, with ``include_path`` another path, never another host."""

    def __init__(self, config: CursorConfig, at: str) -> None:
        self._config = config
        self._at = at
        self.max_limit = config.max_limit
        self.hashes = config.use_content_hash and config.cursor_path_object == "body"

    def values(self, turn: Turn) -> dict[str, Any]:
        """Cursor and size."""
        found: dict[str, Any] = {}
        repeats = turn.cursor is None or not self._config.ignore_limit_in_pagination
        if self._config.limit_key is not None and repeats:
            as_text = self._config.add_to_body and self._config.limit_data_type == "string"
            found[self._config.limit_key] = str(turn.limit) if as_text else turn.limit
        if turn.cursor is not None and not self._config.is_link:
            cursor = unquote(turn.cursor) if self._config.is_cursor_url_encoded else turn.cursor
            found[self._config.cursor_key] = cursor
        return found

    async def place(self, draft: Draft, turn: Turn, scope: Scope) -> bool:
        """Write cursor and size, or what the link says."""
        del scope
        values = self.values(turn)
        if self._config.ignore_limit_in_pagination and turn.cursor is not None and self._config.limit_key:
            draft.query.pop(self._config.limit_key, None)
        put(draft, values, self._config, self._at)
        if turn.cursor is not None and self._config.is_link:
            self._take_link(draft, turn.cursor)
        add_headers(draft, self._config.headers, turn.limit, self._at)
        return True

    def _take_link(self, draft: Draft, link: str) -> None:
        if self._config.is_cursor_url_encoded:
            link = unquote(link)
        if "://" in link.partition("?")[0] or link.startswith("//"):
            _, path, query = split_url(link if not link.startswith("//") else f"https:{link}")
        else:
            try:
                parts = urlsplit(link)
            except ValueError:
                raise RequestRefused("a link is not a URL", at=self._at) from None
            path, query = parts.path, read_query(parts.query)
        draft.query = query
        if self._config.include_path and path:
            _, draft.path, _ = split_url(f"{draft.origin}/{path.lstrip('/')}")

    async def follow(self, draft: Draft, turn: Turn, reply: Reply, count: int, scope: Scope) -> Follow:
        """The cursor that the page names."""
        del draft, turn, count, scope
        prev = self._read(reply, self._config.prev_cursor_path)
        following = self._read(reply, self._config.cursor_path)
        if self._config.has_next_path is not None and not _has_next(self._value(reply, self._config.has_next_path)):
            following = None
        if following == "" and not self._config.allow_empty_page_cursor:
            following = None
        return Follow(following, prev or None)

    def _value(self, reply: Reply, path: str | None) -> Any:
        if path is None:
            return None
        if self._config.cursor_path_object == "header":
            return reply.headers.get(path.lower())
        return javascript.get_path(reply.data, path)

    def _read(self, reply: Reply, path: str | None) -> str | None:
        value = self._value(reply, path)
        return None if value is None or isinstance(value, bool | dict | list) else javascript.text(value)


def _has_next(value: Any) -> bool:
    """Truthy, or the text ``true`` (seed); ``0`` and empty texts and lists are not."""
    return value.strip().lower() not in ("", "false", "0") if isinstance(value, str) else bool(value)
