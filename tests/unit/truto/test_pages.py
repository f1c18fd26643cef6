from __future__ import annotations

import asyncio
import itertools
import tracemalloc
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

import pytest

from truto.answers import read_object
from truto.calls import QueryValue
from truto.errors import ProtocolError
from truto.pages import Fetch, Listing


class Pages:
    """A list with prepared answers; remembers the queries."""

    def __init__(self, *answers: Any) -> None:
        self._answers = iter(answers)
        self.queries: list[dict[str, QueryValue]] = []

    async def __call__(self, query: Mapping[str, QueryValue]) -> Any:
        self.queries.append(dict(query))
        return next(self._answers)


def listing(fetch: Fetch, **params: QueryValue) -> Listing[dict[str, Any]]:
    return Listing(fetch, params, partial(read_object, "GET /things"), what="GET /things")


async def ids(pages: Fetch, **params: QueryValue) -> list[Any]:
    return [record["id"] async for record in listing(pages, **params)]


def page(*numbers: int, cursor: object = None, key: str = "result") -> dict[str, Any]:
    return {key: [{"id": number} for number in numbers], "next_cursor": cursor}


async def test_pages_are_followed_by_their_cursor_with_the_same_filters() -> None:
    pages = Pages(page(1, 2, cursor="a"), page(3, cursor="b"), page(4))
    assert await ids(pages, status="active") == [1, 2, 3, 4]
    assert pages.queries == [
        {"status": "active"},
        {"status": "active", "next_cursor": "a"},
        {"status": "active", "next_cursor": "b"},
    ]


@pytest.mark.parametrize(
    "last", [page(1), {"result": [{"id": 1}]}, page(1, cursor="")], ids=["null", "absent", "empty"]
)
async def test_a_list_ends_with_a_null_absent_or_empty_cursor(last: dict[str, Any]) -> None:
    assert await ids(Pages(last)) == [1]


async def test_the_other_spelling_of_result_is_read() -> None:
    assert await ids(Pages(page(1, key="results"))) == [1]


async def test_a_page_without_records_does_not_end_the_list() -> None:
    assert await ids(Pages(page(cursor="a"), page(1))) == [1]


async def test_a_number_is_a_cursor_too() -> None:
    pages = Pages(page(1, cursor=2), page(2))
    assert await ids(pages) == [1, 2]
    assert pages.queries[1] == {"next_cursor": "2"}


@pytest.mark.parametrize(
    "answer",
    [{}, {"result": None}, {"result": {"a": 1}}, {"result": [1]}, [], page(cursor=True), page(cursor={"a": 1})],
    ids=["empty", "null", "object", "no-objects", "bare-list", "bool-cursor", "object-cursor"],
)
async def test_an_answer_that_is_no_page_is_a_protocol_error(answer: Any) -> None:
    with pytest.raises(ProtocolError, match="GET /things"):
        await ids(Pages(answer))


@pytest.mark.parametrize("lead", [0, 1, 5])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 50])
async def test_cursors_that_go_in_a_circle_end_the_list(lead: int, length: int) -> None:
    circle = itertools.cycle(f"c{number}" for number in range(length))
    cursors = itertools.chain((f"lead{number}" for number in range(lead)), circle)
    asked = 0

    async def fetch(_query: Mapping[str, QueryValue]) -> Any:
        nonlocal asked
        asked += 1
        return page(1, cursor=next(cursors))

    with pytest.raises(ProtocolError, match="repeats"):
        await ids(fetch)
    assert asked <= 4 * (lead + length) + 2


async def test_the_same_page_for_ever_is_noticed_at_its_first_repetition() -> None:
    pages = Pages(page(1, cursor="a"), page(2, cursor="a"))
    with pytest.raises(ProtocolError):
        await ids(pages)
    assert len(pages.queries) == 2


async def test_a_long_list_takes_no_more_memory_than_a_short_one() -> None:
    async def fetch(query: Mapping[str, QueryValue]) -> Any:
        number = int(str(query.get("next_cursor", 0))) + 1
        return page(number, cursor=str(number) if number < 3000 else None)

    async def peak(pages_to_read: int) -> int:
        tracemalloc.start()
        records = aiter(listing(fetch))
        for _ in range(pages_to_read):
            await anext(records)
        await records.aclose()
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    await peak(10)
    assert await peak(3000) < await peak(100) + 16_384


async def test_pages_come_as_lists() -> None:
    pages = Pages(page(1, 2, cursor="a"), page(cursor="b"), page(3))
    assert [[record["id"] for record in found] async for found in listing(pages).pages()] == [[1, 2], [], [3]]


async def test_each_loop_starts_anew() -> None:
    asked = []

    async def fetch(query: Mapping[str, QueryValue]) -> Any:
        asked.append(dict(query))
        return page(1)

    things = listing(fetch, status="active")
    assert [await anext(aiter(things)), await anext(aiter(things))] == [{"id": 1}, {"id": 1}]
    assert asked == [{"status": "active"}] * 2


class Gated:
    """An endless list whose pages come when they are let through; tells which fetches began and which were cut."""

    def __init__(self) -> None:
        self.begun = 0
        self.cut = 0
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, query: Mapping[str, QueryValue]) -> Any:
        self.begun += 1
        if self.begun > 1:
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cut += 1
                raise
            if self.error is not None:
                raise self.error
        return page(self.begun, cursor=str(self.begun))


async def _turns(number: int = 10) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_the_next_page_is_fetched_while_this_one_is_used_and_no_further() -> None:
    pages = Gated()
    pages.gate.set()
    async with aclosing(aiter(listing(pages))) as records:
        await anext(records)
        await _turns()
        assert pages.begun == 2
        await anext(records)
        await _turns()
        assert pages.begun == 3


async def test_leaving_the_loop_cancels_the_fetch_and_leaves_no_task() -> None:
    pages = Gated()
    async for _ in listing(pages):
        await _turns()
        break
    await _turns()
    assert (pages.begun, pages.cut) == (2, 1)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_error_of_the_page_ahead_that_nobody_wants_is_dropped() -> None:
    pages = Gated()
    pages.gate.set()
    pages.error = ProtocolError("of the next page")
    async for _ in listing(pages):
        await _turns()
        break
    await _turns()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_error_of_the_page_ahead_comes_after_the_records_before_it() -> None:
    pages = Gated()
    pages.gate.set()
    pages.error = ProtocolError("of the next page")
    records = aiter(listing(pages))
    assert await anext(records) == {"id": 1}
    with pytest.raises(ProtocolError, match="next page"):
        await anext(records)


async def test_cancelling_the_reader_cancels_the_fetch() -> None:
    pages = Gated()
    reader = asyncio.create_task(ids(pages))
    await _turns()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert (pages.begun, pages.cut) == (2, 1)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_error_in_the_loop_leaves_as_it_is() -> None:
    async def fail() -> None:
        async for _ in listing(Gated()):
            await _turns()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await _turns()
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_loop_that_ends_with_its_program_leaves_no_warning() -> None:
    """Warnings are errors here, also those of destructors."""

    async def leave() -> None:
        async for _ in listing(Gated()):
            return

    asyncio.run(leave())


async def test_a_read_only_generator_of_pages_closes_too() -> None:
    pages = Gated()
    found: AsyncGenerator[Any, None] = listing(pages).pages()
    await anext(found)
    await _turns()
    await found.aclose()
    assert pages.cut == 1
