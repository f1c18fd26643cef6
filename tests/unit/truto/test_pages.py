from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Mapping
from typing import Any

import pytest

from truto.calls import QueryValue
from truto.errors import ProtocolError
from truto.pages import iterate


class Pages:
    """A list with prepared answers; remembers the queries."""

    def __init__(self, *answers: Any) -> None:
        self._answers = iter(answers)
        self.queries: list[dict[str, QueryValue]] = []

    async def __call__(self, query: Mapping[str, QueryValue]) -> Any:
        self.queries.append(dict(query))
        return next(self._answers)


async def ids(pages: Any, **params: QueryValue) -> list[Any]:
    return [record["id"] async for record in iterate(pages, params, what="GET /things")]


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
        listing = iterate(fetch, {}, what="GET /things")
        for _ in range(pages_to_read):
            await anext(listing)
        await listing.aclose()  # type: ignore[attr-defined] # an async generator, typed as what callers need
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    await peak(10)
    assert await peak(3000) < await peak(100) + 16_384
