"""Pages whose ``Link`` header names the next one (RFC 8288)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin

from truto.errors import RequestRefused
from truto.integration.pagination import LinkHeaderConfig
from truto.integration.paging.base import Follow, Reply, Turn, add_headers, drop
from truto.integration.rendering import Scope
from truto.integration.requests import Draft

_LINK = re.compile(r"""<([^<>]*)>((?:\s*;\s*[\w!#$%&'*+.^`|~-]+(?:\s*=\s*(?:"[^"]*"|[^",;\s]+))?)*)""")
_REL = re.compile(r""";\s*rel\s*=\s*(?:"([^"]*)"|([^",;\s]+))""", re.IGNORECASE)
_MAX_HEADER = 16_384


class Links:
    """Format ``link_header``. The link is followed as it stands; whether its host is allowed is checked as ever."""

    def __init__(self, config: LinkHeaderConfig, at: str) -> None:
        self._config = config
        self._at = at
        self.max_limit = config.max_limit
        self.hashes = True

    def values(self, turn: Turn) -> dict[str, Any]:
        """The size, where the caller chose one."""
        return {self._config.limit_key: turn.limit} if self._config.limit_key and turn.is_asked else {}

    async def place(self, draft: Draft, turn: Turn, scope: Scope) -> bool:
        """Take the link, or write the size into the first page."""
        del scope
        if turn.cursor is not None:
            draft.take_url(turn.cursor)
        else:
            draft.query = {**draft.query, **self.values(turn)}
        add_headers(draft, self._config.headers, turn.limit, self._at)
        if self._config.ignore_limit and self._config.limit_key:
            drop(draft, self._config.limit_key)
        return True

    async def follow(self, draft: Draft, turn: Turn, reply: Reply, count: int, scope: Scope) -> Follow:
        """The links of the header, which may be relative."""
        del turn, count, scope
        found = links(reply.headers.get("link", ""))
        try:
            return Follow(*(urljoin(draft.url, found[rel]) if rel in found else None for rel in ("next", "prev")))
        except ValueError:
            raise RequestRefused("the link header has no URL", at=self._at) from None


def links(header: str) -> dict[str, str]:
    """The targets of a ``Link`` header by their relations, in lower case; the first of each counts."""
    found: dict[str, str] = {}
    for target, parameters in _LINK.findall(header[:_MAX_HEADER]):
        if relation := _REL.search(parameters):
            for name in (relation[1] or relation[2] or "").lower().split():
                found.setdefault(name, target)
    return found
