"""What all kinds of pagination have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from truto import javascript
from truto.errors import IntegrationFailed
from truto.integration.rendering import Scope, checked_header, render
from truto.integration.requests import NO_BODY, Draft
from truto.placeholders import NO_VALUE

DEFAULT_LIMIT = 100
"""The size of a page where nobody asks for one; Truto states none."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One page that is asked for: from *cursor* (``None`` is the first), at most *limit* records.

    ``is_asked`` says that the caller chose the size.
    """

    cursor: str | None
    limit: int
    is_asked: bool = False

    @classmethod
    def of(cls, cursor: str | None, limit: int | None, max_limit: int | None) -> Turn:
        """The turn with a size of at most *max_limit*, whatever the caller asks (seed)."""
        size = max(1, limit or DEFAULT_LIMIT)
        return cls(cursor, min(size, max_limit or size), limit is not None)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that was read: ``data`` is its body, headers have lower-case names."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    data: Any = field(repr=False)

    def members(self) -> dict[str, Any]:
        """What expressions see of it: ``response``, ``data`` and ``body`` are the same (skill names all three)."""
        headers = dict(self.headers)
        return {"status": self.status, "headers": headers, "response": self.data, "data": self.data, "body": self.data}


@dataclass(frozen=True, slots=True)
class Follow:
    """Where the next page begins, ``None`` at the end; and the one before, where the product says so."""

    next: str | None = None
    prev: str | None = None


class Pager(Protocol):
    """One kind of pagination. It holds no state: a cursor is text, and says where a page begins to a caller, too."""

    max_limit: int | None
    hashes: bool
    """Whether a page that repeats an earlier one ends the walk."""

    def values(self, turn: Turn) -> dict[str, Any]:
        """The values of this page by their keys, which placeholders read as ``{{pagination.…}}`` (seed)."""
        ...

    async def place(self, draft: Draft, turn: Turn, scope: Scope) -> bool:
        """Write the page into *draft*; ``False`` where there is no such page."""
        ...

    async def follow(self, draft: Draft, turn: Turn, reply: Reply, count: int, scope: Scope) -> Follow:
        """What comes after a page of *count* records."""
        ...


class Placement(Protocol):
    """The part of a configuration that says where values go."""

    @property
    def add_to_body(self) -> bool:
        """Into the body."""
        ...

    @property
    def in_query(self) -> bool:
        """Into the query."""
        ...


def put(draft: Draft, values: Mapping[str, Any], config: Placement, at: str) -> None:
    """Write *values* into body, query or both."""
    if config.add_to_body:
        if draft.body is not NO_BODY and draft.body is not None and not isinstance(draft.body, Mapping):
            raise IntegrationFailed("the body is no object that a page could be added to", at=at)
        draft.body = {**(draft.body or {}), **values}
    if config.in_query:
        draft.query = {**draft.query, **values}


def drop(draft: Draft, *keys: str) -> None:
    """Take *keys* out of the URL again (``ignore_limit``)."""
    draft.query = {key: value for key, value in draft.query.items() if key not in keys}


def add_headers(draft: Draft, headers: Mapping[str, Any], limit: int, at: str) -> None:
    """Render the headers of a page on the query and a synthetic ``limit`` (seed)."""
    scope = {**draft.query, "query": draft.query, "limit": limit}
    for name, template in headers.items():
        value = render(template, scope, f"{at}.headers.{name}")
        if value is not NO_VALUE and value is not None:
            draft.headers[name.lower()] = checked_header(name, javascript.text(value), f"{at}.headers.{name}")


def number_of(cursor: str | None, first: str, at: str) -> int:
    """The number that a cursor is. Raises :class:`IntegrationFailed` for one that this list has not given."""
    try:
        return int(first if cursor is None else cursor[:20])
    except ValueError:
        raise IntegrationFailed("the cursor is none of this list: begin again without one", at=at) from None


def follow_total(data: Any, path: str | None) -> int | None:
    """The total that an answer states, ``None`` where it states none that is a number."""
    value = None if path is None else javascript.get_path(data, path)
    try:
        return int(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
    except ValueError:
        return None
