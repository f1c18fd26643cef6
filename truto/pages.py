"""Walk a list page by page.

A list answers ``{result, next_cursor, …}`` and goes on with ``next_cursor=<value>`` until that is null, absent or
empty (skill: conventions; sdk: ts). One docs page calls the first field ``results``; both are read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from truto.answers import read_object
from truto.calls import QueryValue
from truto.errors import ProtocolError


async def iterate(
    fetch: Callable[[Mapping[str, QueryValue]], Awaitable[Any]],
    params: Mapping[str, QueryValue],
    *,
    what: str,
) -> AsyncIterator[dict[str, Any]]:
    """Yield every record of a list, holding one page at a time.

    *fetch* gets the query of one page and answers its JSON; *what* names the list in errors. A ``next_cursor`` in
    *params* starts from there. Raises :class:`ProtocolError` for an answer that is no page, and for cursors that go in
    a circle. Records seen until then have been yielded.
    """
    watch = _CircleWatch()
    query = dict(params)
    while True:
        page = read_object(what, await fetch(query))
        for record in _records(page, what):
            yield read_object(what, record)
        cursor = _cursor(page, what)
        if not cursor:
            return
        if watch.closes_with(cursor):
            raise ProtocolError(f"{what}: the cursor repeats itself")
        query["next_cursor"] = cursor


class _CircleWatch:
    """Notices that a sequence of cursors repeats, whatever the length of the circle, in constant memory.

    Brent's algorithm: compare with one remembered cursor, and remember a newer one after 1, 2, 4, 8 … steps. The
    previous cursor is compared too, so that the commonest circle, the same page for ever, costs one request.
    """

    def __init__(self) -> None:
        self._anchor = ""
        self._previous = ""
        self._steps = 0
        self._reach = 1

    def closes_with(self, cursor: str) -> bool:
        if cursor in (self._anchor, self._previous):
            return True
        self._previous = cursor
        self._steps += 1
        if self._steps == self._reach:
            self._anchor, self._steps, self._reach = cursor, 0, 2 * self._reach
        return False


def _records(page: Mapping[str, Any], what: str) -> list[Any]:
    records = page.get("result", page.get("results"))
    if not isinstance(records, list):
        raise ProtocolError(f"{what}: the page holds no list of results")
    return records


def _cursor(page: Mapping[str, Any], what: str) -> str:
    match page.get("next_cursor"):
        case None:
            return ""
        case str() as cursor:
            return cursor
        case int() as cursor if not isinstance(cursor, bool):
            return str(cursor)
        case _:
            raise ProtocolError(f"{what}: the cursor is neither text nor a number")
