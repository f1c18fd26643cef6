"""Pages that begin behind so many records: ``offset`` and ``range``."""

from __future__ import annotations

from typing import Any

from truto.integration.pagination import OffsetConfig, RangeConfig
from truto.integration.paging.base import Follow, Reply, Turn, add_headers, drop, follow_total, number_of, put
from truto.integration.rendering import Scope
from truto.integration.requests import Draft


class Offsets:
    """Format ``offset``."""

    def __init__(self, config: OffsetConfig, at: str) -> None:
        self._config = config
        self._at = at
        self.max_limit = config.max_limit
        self.hashes = config.use_content_hash

    def values(self, turn: Turn) -> dict[str, Any]:
        """Offset and size."""
        start = number_of(turn.cursor, self._config.default_offset, self._at)
        return {self._config.offset_key: start, self._config.limit_key: turn.limit}

    async def place(self, draft: Draft, turn: Turn, scope: Scope) -> bool:
        """Write offset and size."""
        del scope
        put(draft, self.values(turn), self._config, self._at)
        add_headers(draft, self._config.headers, turn.limit, self._at)
        if self._config.ignore_limit:
            drop(draft, self._config.limit_key)
        return True

    async def follow(self, draft: Draft, turn: Turn, reply: Reply, count: int, scope: Scope) -> Follow:
        """Behind the records that came."""
        del draft, scope
        first = int(self._config.default_offset)
        start = number_of(turn.cursor, self._config.default_offset, self._at)
        return _behind(start, first, count, turn.limit, follow_total(reply.data, self._config.total_path))


class Ranges:
    """Format ``range``: ``end_key`` is exclusive."""

    def __init__(self, config: RangeConfig, at: str) -> None:
        self._config = config
        self._at = at
        self.max_limit = config.max_limit
        self.hashes = True

    def values(self, turn: Turn) -> dict[str, Any]:
        """Start and end."""
        start = number_of(turn.cursor, self._config.default_start, self._at)
        return {self._config.start_key: start, self._config.end_key: start + turn.limit}

    async def place(self, draft: Draft, turn: Turn, scope: Scope) -> bool:
        """Write start and end; with ``ignore_limit`` only the headers tell of them."""
        del scope
        put(draft, self.values(turn), self._config, self._at)
        add_headers(draft, self._config.headers, turn.limit, self._at)
        if self._config.ignore_limit:
            drop(draft, self._config.start_key, self._config.end_key, "limit")
        return True

    async def follow(self, draft: Draft, turn: Turn, reply: Reply, count: int, scope: Scope) -> Follow:
        """Behind the records that came."""
        del draft, scope
        first = int(self._config.default_start)
        start = number_of(turn.cursor, self._config.default_start, self._at)
        return _behind(start, first, count, turn.limit, follow_total(reply.data, self._config.total_path))


def _behind(start: int, first: int, count: int, limit: int, total: int | None) -> Follow:
    """The start of the next page.

    It follows the records that came, not those that were asked for: a product may give fewer. The total ends the walk
    when exactly so many have come; a smaller one is not believed, and a larger one ends at the first empty page.
    """
    prev = str(max(first, start - limit)) if start > first else None
    if not count or start - first + count == total:
        return Follow(None, prev)
    return Follow(str(start + count), prev)
