"""Whatever a product answers, a session gives records or raises one of our errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truto import TrutoError
from truto.integration import Account, Answer, Session, Wish, read_integration

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["items", "next", "total", "more", "error", "a"]) | st.text(max_size=5), inner, max_size=4
        )
    ),
    max_leaves=15,
)
BODIES = JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40)
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["link", "content-type", "retry-after", "ratelimit-reset", "ratelimit-limit", "x-next", "location"]
    ),
    TEXTS | st.sampled_from(["application/json", "text/xml", '<http://a.example/?p=2>; rel="next"', "<//b>; rel=next"]),
    max_size=4,
)
PAGINATIONS: list[dict[str, Any] | None] = [
    None,
    {"format": "page"},
    {"format": "cursor", "config": {"cursor_path": "next", "has_next_path": "more", "prev_cursor_path": "a"}},
    {"format": "cursor", "config": {"cursor_path": "next", "is_link": True, "include_path": True}},
    {"format": "cursor", "config": {"cursor_path": "x-next", "cursor_path_object": "header"}},
    {"format": "link_header"},
    {"format": "offset", "config": {"total_path": "total"}},
    {"format": "range", "config": {"total_path": "total"}},
    {
        "format": "dynamic",
        "config": {
            "get_cursor_from_response_expression": "response.next",
            "get_pagination_values_expression": "{'query': {'c': query.next_cursor}}",
        },
    },
]
LIMIT = {
    "retry_after_header_expression": "headers.`retry-after`",
    "rate_limit_header_expression": "{'limit': data.total, 'remaining': data.a, 'reset': data.next}",
}


class Answering:
    """A wire that gives the same answer to every request."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def send(self, request: object) -> Answer:
        """The answer."""
        del request
        return self._answer

    async def aclose(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("pagination", PAGINATIONS, ids=lambda each: json.dumps(each)[:60])
@settings(max_examples=40, deadline=None)
@given(
    status=st.sampled_from([200, 201, 204, 302, 400, 401, 404, 429, 500, 999]),
    headers=HEADERS,
    body=BODIES,
    expression=st.sampled_from(
        [None, "error", "data.a", "{'status': data.next, 'result': data.items, 'headers': data}"]
    ),
)
async def test_no_answer_causes_another_error(
    pagination: dict[str, Any] | None, status: int, headers: dict[str, str], body: bytes, expression: str | None
) -> None:
    method = {"path": "/x", "response_path": "items", "pagination": pagination, "rate_limit": LIMIT}
    config = {
        "base_url": "http://a.example",
        "error_expression": expression,
        "resources": {"things": {"list": method}},
    }
    trace: list[Any] = []
    session = Session(
        read_integration(config), Account({}), wire=Answering(Answer(status, headers, body)), trace=trace.append
    )
    pages = 0
    try:
        async for page in session.pages("things", "list", Wish(limit=2)):
            assert isinstance(page.records, list)
            assert all(value.isprintable() for value in page.rate.headers().values())
            pages += 1
            if pages == 5:
                break
    except TrutoError as exc:
        assert str(exc)  # noqa: PT017  either outcome is right
    assert trace
