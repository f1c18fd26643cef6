"""Numbered pages."""

from __future__ import annotations

from typing import Any

from truto.integration.pagination import PageConfig
from truto.integration.paging.base import Follow, Reply, Turn, add_headers, drop, number_of, put
from truto.integration.rendering import Scope
from truto.integration.requests import Draft


class Pages:
    """Format ``page``. The walk ends at an empty page: a short one may be the product's own limit."""

    def __init__(self, config: PageConfig, at: str) -> None:
        self._config = config
        self._at = at
        self.max_limit = config.max_limit
        self.hashes = config.use_content_hash

    def values(self, turn: Turn) -> dict[str, Any]:
        """Number and size."""
        number = number_of(turn.cursor, self._config.starting_page, self._at)
        return {self._config.page_key: number, self._config.limit_key: turn.limit}

    async def place(self, draft: Draft, turn: Turn, scope: Scope) -> bool:
        """Write number and size."""
        del scope
        put(draft, self.values(turn), self._config, self._at)
        add_headers(draft, self._config.headers, turn.limit, self._at)
        if self._config.ignore_limit:
            drop(draft, self._config.limit_key)
        return True

    async def follow(self, draft: Draft, turn: Turn, reply: Reply, count: int, scope: Scope) -> Follow:
        """The next number."""
        del draft, reply, scope
        first = int(self._config.starting_page)
        number = number_of(turn.cursor, self._config.starting_page, self._at)
        prev = str(number - 1) if number > first else None
        return Follow(str(number + 1) if count else None, prev)
