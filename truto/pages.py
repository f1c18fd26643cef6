"""Walk a list page by page.

A list answers ``{result, next_cursor, …}`` and goes on with ``next_cursor=<value>`` until that is null, absent or
empty (skill: conventions; sdk: ts). One docs page calls the first field ``results``; both are read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, Generic, TypeAlias, TypeVar

from truto.answers import read_object
from truto.calls import QueryValue
from truto.errors import ProtocolError

RecordT = TypeVar("RecordT")

Fetch: TypeAlias = Callable[[Mapping[str, QueryValue]], Coroutine[Any, Any, Any]]
"""Gets the query of one page and answers its JSON."""


class Listing(Generic[RecordT]):
    """A list that is fetched while you iterate: ``async for record in listing``. Each loop starts anew.

    The next page is fetched while you work on the current one, never more than that one ahead. Leaving the loop early
    cancels that fetch; so does ``await generator.aclose()`` on what ``aiter(listing)`` answers, where it must have
    happened before the next line. Raises :class:`truto.ProtocolError` for an answer that is no page, and for cursors
    that go in a circle; the records before them have been yielded then.
    """

    def __init__(
        self,
        fetch: Fetch,
        params: Mapping[str, QueryValue],
        read: Callable[[object], RecordT],
        *,
        what: str,
    ) -> None:
        self._fetch = fetch
        self._params = dict(params)
        self._read = read
        self._what = what

    async def __aiter__(self) -> AsyncGenerator[RecordT, None]:
        async with aclosing(self._raw_pages()) as pages:
            async for page in pages:
                for record in page:
                    yield self._read(record)

    async def pages(self) -> AsyncGenerator[list[RecordT], None]:
        """The same, one list of records for each page; a page may be empty."""
        async with aclosing(self._raw_pages()) as pages:
            async for page in pages:
                yield [self._read(record) for record in page]

    async def _raw_pages(self) -> AsyncGenerator[list[Any], None]:
        watch = CircleWatch()
        query = dict(self._params)
        page = read_object(self._what, await self._fetch(query))
        while cursor := _cursor(page, self._what):
            records = records_of(page, self._what)
            if watch.closes_with(cursor):
                yield records
                raise ProtocolError(f"{self._what}: the cursor repeats itself")
            query["next_cursor"] = cursor
            ahead = asyncio.create_task(self._fetch(dict(query)))
            try:
                yield records
                page = read_object(self._what, await ahead)
            finally:
                await _settled(ahead)
        yield records_of(page, self._what)


async def _settled(task: asyncio.Task[Any]) -> None:
    """Return once *task* is over, cancelling it if need be; its outcome counts as seen."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


class CircleWatch:
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
        """Whether *cursor* has been seen; otherwise it becomes the previous one."""
        if cursor in (self._anchor, self._previous):
            return True
        self._previous = cursor
        self._steps += 1
        if self._steps == self._reach:
            self._anchor, self._steps, self._reach = cursor, 0, 2 * self._reach
        return False


def records_of(page: Mapping[str, Any], what: str) -> list[Any]:
    """The records of one page; raises :class:`truto.ProtocolError` where there is no list of them."""
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
