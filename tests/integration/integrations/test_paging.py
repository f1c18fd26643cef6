"""One upstream for each format of pagination, with what such upstreams are known to do."""

from __future__ import annotations

import base64
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.integrations.upstream import Arrived, Give, Upstream, one, opened, records_of, serving
from truto.integration import IntegrationFailed, Wish
from truto.integration.paging.dynamic import decode_cursor, encode_cursor

ALL = [{"n": number} for number in range(23)]


async def walk(
    pagination: dict[str, Any] | None,
    answering: Callable[[Arrived], Any],
    limit: int | None = 10,
    *,
    method: dict[str, Any] | None = None,
) -> tuple[list[Any], Upstream]:
    """All records of a list, and the server that they came from."""
    given = {"pagination": pagination, "response_path": "items", **(method or {})}
    async with serving(answering) as upstream:
        async with opened(one(given, base_url=upstream.url)) as session:
            found = await records_of(session, limit=limit)
        return found, upstream


def queries(upstream: Upstream) -> list[dict[str, str]]:
    return [request.query for request in upstream.arrived]


def paged(**options: Any) -> dict[str, Any]:
    return {"format": "page", "config": options}


def by_page(page_key: str = "page", limit_key: str = "limit", first: int = 1, most: int = 100) -> Any:
    def answering(request: Arrived) -> Any:
        size = min(int(request.query.get(limit_key, 10)), most)
        start = (int(request.query[page_key]) - first) * size
        return {"items": ALL[start : start + size]}

    return answering


# -- page --------------------------------------------------------------------------------------------------------------


@pytest.mark.schema("pagination.page", "pagination.page.config.page_key", "pagination.page.config.limit_key")
async def test_numbered_pages_are_walked_to_the_empty_one() -> None:
    found, upstream = await walk(paged(page_key="p", limit_key="size"), by_page("p", "size"))
    assert found == ALL
    assert queries(upstream) == [{"p": str(n), "size": "10"} for n in (1, 2, 3, 4)]


async def test_the_skills_names_of_the_keys_are_taken_too() -> None:
    found, _ = await walk(paged(page_param="p", limit_param="size"), by_page("p", "size"))
    assert found == ALL


@pytest.mark.schema("pagination.page.config.starting_page")
async def test_pages_may_be_counted_from_zero() -> None:
    found, upstream = await walk(paged(starting_page="0"), by_page(first=0))
    assert found == ALL
    assert queries(upstream)[0]["page"] == "0"


@pytest.mark.schema("pagination.page.config.max_limit")
async def test_no_page_is_larger_than_the_cap() -> None:
    _, upstream = await walk(paged(max_limit=5), by_page(), limit=500)
    assert {query["limit"] for query in queries(upstream)} == {"5"}


@pytest.mark.schema("pagination.page.config.add_to_body", "pagination.page.config.add_to_query")
@pytest.mark.parametrize(
    ("in_query", "query"), [(None, {}), (True, {"page": "1", "limit": "10"}), (False, {})], ids=str
)
async def test_a_page_may_go_into_the_body(in_query: bool | None, query: dict[str, str]) -> None:
    options = {"add_to_body": True} | ({} if in_query is None else {"add_to_query": in_query})
    found, upstream = await walk(
        paged(**options), lambda r: {"items": ALL[:1] if r.json["page"] == 1 else []}, method={"method": "post"}
    )
    assert found == ALL[:1]
    assert (upstream.arrived[0].json, upstream.arrived[0].query) == ({"page": 1, "limit": 10}, query)


async def test_neither_body_nor_query_may_be_asked_for() -> None:
    _, upstream = await walk(paged(add_to_query=False), lambda _: {"items": []})
    assert queries(upstream) == [{}]


@pytest.mark.schema("pagination.page.config.headers")
async def test_headers_of_a_page_see_the_query_and_the_limit() -> None:
    options = {"headers": {"X-Page": "{{page}}/{{query.page}}/{{limit}}"}, "ignore_limit": True}
    _, upstream = await walk(paged(**options), lambda _: {"items": []})
    assert upstream.last.headers["x-page"] == "1/1/10"


@pytest.mark.schema("pagination.page.config.ignore_limit")
async def test_the_size_can_be_left_out_of_the_url() -> None:
    found, upstream = await walk(paged(ignore_limit=True), by_page())
    assert found == ALL
    assert queries(upstream)[0] == {"page": "1"}


@pytest.mark.schema("pagination.page.config.use_content_hash")
async def test_a_page_that_comes_again_ends_the_walk_and_is_not_given_twice() -> None:
    def stuck(request: Arrived) -> Any:
        return {"items": ALL[:10] if request.query["page"] == "1" else ALL[10:20]}

    found, upstream = await walk(paged(), stuck)
    assert found == ALL[:20]
    assert len(upstream.arrived) == 3


async def test_without_the_hash_equal_pages_are_records_like_others() -> None:
    pages = iter([[1], [1], [1], []])
    found, _ = await walk(paged(use_content_hash=False), lambda _: {"items": next(pages)})
    assert found == [1, 1, 1]


async def test_an_upstream_that_gives_fewer_than_asked_loses_nothing() -> None:
    found, _ = await walk(paged(), lambda r: {"items": ALL[(int(r.query["page"]) - 1) * 7 :][:7]})
    assert found == ALL


@pytest.mark.schema("config.pagination", "method.pagination")
async def test_a_method_may_have_a_pagination_of_its_own_or_none() -> None:
    async with serving(lambda _: [1, 2]) as upstream:
        whole = {**one({"pagination": None}, base_url=upstream.url), "pagination": paged(page_key="base")}
        async with opened(whole) as session:
            assert await records_of(session) == [1, 2]
        whole["resources"]["things"]["list"].pop("pagination")
        async with opened(whole) as session:
            await records_of(session)
        whole["resources"]["things"]["list"]["pagination"] = paged(page_key="own")
        async with opened(whole) as session:
            await records_of(session)
        keys = [next(iter(request.query), None) for request in upstream.arrived]
        assert keys == [None, "base", "base", "own", "own"]


# -- cursor ------------------------------------------------------------------------------------------------------------


def cursor(**options: Any) -> dict[str, Any]:
    return {"format": "cursor", "config": {"cursor_path": "meta.next", "cursor_key": "after", **options}}


def by_cursor(key: str = "after", end: Any = None) -> Any:
    def answering(request: Arrived) -> Any:
        start = int(request.query.get(key, 0))
        following = start + 10
        return {"items": ALL[start:following], "meta": {"next": str(following) if following < len(ALL) else end}}

    return answering


@pytest.mark.schema("pagination.cursor", "pagination.cursor.config.cursor_key", "pagination.cursor.config.cursor_path")
@pytest.mark.parametrize("end", [None, "", {}, False], ids=str)
async def test_cursors_are_followed_until_there_is_none(end: Any) -> None:
    found, upstream = await walk(cursor(), by_cursor(end=end))
    assert found == ALL
    assert queries(upstream) == [{}, {"after": "10"}, {"after": "20"}]


async def test_a_page_without_any_cursor_is_the_last() -> None:
    found, _ = await walk(cursor(), lambda _: {"items": ALL})
    assert found == ALL


@pytest.mark.schema("pagination.cursor.config.use_content_hash")
async def test_a_cursor_that_comes_again_with_the_same_page_ends_the_walk() -> None:
    pages = {"": (0, "a"), "a": (1, "b"), "b": (2, "a")}

    def cycling(request: Arrived) -> Any:
        number, following = pages[request.query.get("after", "")]
        return {"items": [{"n": number}], "meta": {"next": following}}

    found, upstream = await walk(cursor(), cycling)
    assert found == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert len(upstream.arrived) == 4


async def test_a_cursor_that_stays_the_same_is_followed_while_the_pages_differ() -> None:
    pages = iter([[1], [2], [3], []])

    def scrolling(_: Arrived) -> Any:
        items = next(pages)
        return {"items": items, "meta": {"next": "scroll" if items else None}}

    found, _ = await walk(cursor(), scrolling)
    assert found == [1, 2, 3]


async def test_an_empty_page_in_the_middle_is_no_end() -> None:
    pages = iter([([1], "a"), ([], "b"), ([], "c"), ([2], None)])

    def answering(_: Arrived) -> Any:
        items, following = next(pages)
        return {"items": items, "meta": {"next": following}}

    assert (await walk(cursor(), answering))[0] == [1, 2]


@pytest.mark.schema("pagination.cursor.config.cursor_path_object")
async def test_the_cursor_may_be_in_a_header() -> None:
    def answering(request: Arrived) -> Any:
        start = int(request.query.get("after", 0))
        more = {"X-Next": str(start + 10)} if start + 10 < len(ALL) else {}
        return Give({"items": ALL[start : start + 10]}, headers=more)

    found, _ = await walk(cursor(cursor_path="X-Next", cursor_path_object="header"), answering)
    assert found == ALL


@pytest.mark.schema("pagination.cursor.config.prev_cursor_path")
async def test_the_page_before_is_told() -> None:
    async with serving(lambda _: {"items": [1], "meta": {"next": "n", "prev": "p"}}) as upstream:
        given = {"pagination": cursor(prev_cursor_path="meta.prev"), "response_path": "items"}
        async with opened(one(given, base_url=upstream.url)) as session:
            page = await session.page("things")
    assert (page.next_cursor, page.prev_cursor) == ("n", "p")


@pytest.mark.schema("pagination.cursor.config.has_next_path")
@pytest.mark.parametrize(
    ("said", "goes_on"), [(True, True), ("true", True), (1, True), (False, False), ("false", False), (None, False)]
)
async def test_whether_there_is_more_may_be_said_apart(said: Any, goes_on: bool) -> None:
    answers = iter([{"items": [1], "meta": {"next": "x", "more": said}}, {"items": [2]}])
    found, _ = await walk(cursor(has_next_path="meta.more"), lambda _: next(answers))
    assert found == ([1, 2] if goes_on else [1])


@pytest.mark.schema("pagination.cursor.config.is_link")
async def test_a_link_gives_its_query_and_not_its_path_or_host() -> None:
    answers = iter([{"items": [1], "meta": {"next": "http://other.example/evil?after=9&x=1"}}, {"items": [2]}])
    found, upstream = await walk(cursor(is_link=True), lambda _: next(answers), method={"query": {"gone": "1"}})
    assert found == [1, 2]
    assert upstream.last.target == "/things?after=9&x=1"


@pytest.mark.schema("pagination.cursor.config.include_path")
@pytest.mark.parametrize("link", ["http://other.example/v2/more?c=9", "/v2/more?c=9", "v2/more?c=9"])
async def test_a_link_gives_its_path_where_that_is_asked_for(link: str) -> None:
    answers = iter([{"items": [1], "meta": {"next": link}}, {"items": [2]}])
    found, upstream = await walk(cursor(is_link=True, include_path=True), lambda _: next(answers))
    assert found == [1, 2]
    assert upstream.last.target == "/v2/more?c=9"


@pytest.mark.schema("pagination.cursor.config.is_cursor_url_encoded")
async def test_an_encoded_cursor_is_decoded_before_it_is_sent() -> None:
    answers = iter([{"items": [1], "meta": {"next": "a%2Fb%3D"}}, {"items": [2]}])
    _, upstream = await walk(cursor(is_cursor_url_encoded=True), lambda _: next(answers))
    assert upstream.last.query == {"after": "a/b="}


@pytest.mark.schema("pagination.cursor.config.allow_empty_page_cursor")
async def test_an_empty_cursor_can_be_one_like_others() -> None:
    answers = iter([{"items": [1], "meta": {"next": ""}}, {"items": [2], "meta": {"next": None}}])
    found, upstream = await walk(cursor(allow_empty_page_cursor=True), lambda _: next(answers))
    assert found == [1, 2]
    assert upstream.last.query == {"after": ""}


@pytest.mark.schema("pagination.cursor.config.limit_key", "pagination.cursor.config.max_limit")
async def test_a_cursor_page_has_a_size_where_it_has_a_key_for_it() -> None:
    _, upstream = await walk(cursor(limit_key="size", max_limit=7), by_cursor(), limit=50)
    assert {query["size"] for query in queries(upstream)} == {"7"}


@pytest.mark.schema("pagination.cursor.config.limit_data_type", "pagination.cursor.config.add_to_body")
@pytest.mark.parametrize(("kind", "size"), [("number", 10), ("string", "10")])
async def test_the_size_in_a_body_has_the_type_it_should(kind: str, size: Any) -> None:
    answers = iter([{"items": [1], "meta": {"next": "x"}}, {"items": [2]}])
    options = cursor(limit_key="size", limit_data_type=kind, add_to_body=True)
    _, upstream = await walk(options, lambda _: next(answers), method={"method": "post", "body": {"q": "all"}})
    assert [r.json for r in upstream.arrived] == [{"q": "all", "size": size}, {"q": "all", "size": size, "after": "x"}]
    assert queries(upstream) == [{}, {}]


@pytest.mark.schema("pagination.cursor.config.add_to_query")
async def test_a_cursor_can_go_into_body_and_query() -> None:
    answers = iter([{"items": [1], "meta": {"next": "x"}}, {"items": [2]}])
    options = cursor(add_to_body=True, add_to_query=True)
    _, upstream = await walk(options, lambda _: next(answers), method={"method": "post"})
    assert (upstream.last.json, upstream.last.query) == ({"after": "x"}, {"after": "x"})


@pytest.mark.schema("pagination.cursor.config.ignore_limit_in_pagination")
async def test_the_size_is_not_repeated_where_that_is_asked_for() -> None:
    _, upstream = await walk(cursor(limit_key="size", ignore_limit_in_pagination=True), by_cursor())
    assert queries(upstream) == [{"size": "10"}, {"after": "10"}, {"after": "20"}]


@pytest.mark.schema("pagination.cursor.config.headers")
async def test_headers_of_a_cursor_page_see_the_cursor() -> None:
    _, upstream = await walk(cursor(headers={"X-After": "{{after?:none}} of {{limit}}"}), by_cursor())
    assert [r.headers["x-after"] for r in upstream.arrived] == ["none of 10", "10 of 10", "20 of 10"]


@pytest.mark.schema("method.pagination_path", "method.ignore_body_in_pagination")
async def test_later_pages_may_have_another_path_and_no_body() -> None:
    answers = iter([{"items": [1], "meta": {"next": "x"}}, {"items": [2]}])
    method = {
        "method": "post",
        "body": {"path": "/"},
        "pagination_path": "/things/continue",
        "ignore_body_in_pagination": True,
    }
    _, upstream = await walk(cursor(add_to_body=True), lambda _: next(answers), method=method)
    assert [(r.path, r.json) for r in upstream.arrived] == [
        ("/things", {"path": "/"}),
        ("/things/continue", {"after": "x"}),
    ]


# -- link_header -------------------------------------------------------------------------------------------------------


def link(**options: Any) -> dict[str, Any]:
    return {"format": "link_header", "config": options}


async def walk_links(options: dict[str, Any], header: Callable[[str, int], str], limit: int | None = None) -> Any:
    """Three pages under ``Link`` headers that *header* writes for a URL and a page."""
    holder: list[str] = []

    def answering(request: Arrived) -> Any:
        page = int(request.query.get("page", 1))
        items = ALL[(page - 1) * 10 : page * 10]
        return Give({"items": items}, headers={"Link": header(holder[0], page)})

    async with serving(answering) as upstream:
        holder.append(upstream.url)
        given = {"pagination": link(**options), "response_path": "items", "query": {"q": "1"}}
        async with opened(one(given, base_url=upstream.url)) as session:
            return await records_of(session, limit=limit), upstream


def github(url: str, page: int) -> str:
    last = f'<{url}/things?q=1&page=3>; rel="last"'
    return f'<{url}/repos/7/things?q=1&page={page + 1}>; rel="next", {last}' if page < 3 else last


@pytest.mark.schema("pagination.link_header", "pagination.link_header.config.page_key")
async def test_link_headers_are_followed_until_one_has_no_next() -> None:
    found, upstream = await walk_links({"page_key": "page"}, github)
    assert found == ALL
    assert [r.target for r in upstream.arrived] == [
        "/things?q=1",
        "/repos/7/things?q=1&page=2",
        "/repos/7/things?q=1&page=3",
    ]


async def test_a_relative_link_is_one_from_the_page_it_stands_on() -> None:
    found, _ = await walk_links(
        {}, lambda _, page: f'<?q=1&page={page + 1}>; title="a, b"; rel=next' if page < 3 else ""
    )
    assert found == ALL


async def test_a_link_to_the_same_page_ends_the_walk() -> None:
    found, upstream = await walk_links({}, lambda url, _: f'<{url}/things?q=1&page=1>; rel="next"')
    assert found == ALL[:10]
    assert len(upstream.arrived) == 2


@pytest.mark.schema("pagination.link_header.config.limit_key", "pagination.link_header.config.max_limit")
async def test_the_size_is_sent_with_the_first_link_where_the_caller_asks() -> None:
    _, upstream = await walk_links({"limit_key": "per_page", "max_limit": 50}, github, limit=500)
    assert queries(upstream)[0] == {"q": "1", "per_page": "50"}
    _, upstream = await walk_links({"limit_key": "per_page"}, github)
    assert queries(upstream)[0] == {"q": "1"}


@pytest.mark.schema("pagination.link_header.config.ignore_limit")
async def test_a_link_page_can_go_without_the_size() -> None:
    _, upstream = await walk_links({"limit_key": "per_page", "ignore_limit": True}, github, limit=5)
    assert queries(upstream)[0] == {"q": "1"}


@pytest.mark.schema("pagination.link_header.config.headers")
async def test_headers_of_a_link_page_are_templates() -> None:
    _, upstream = await walk_links({"headers": {"X-Limit": "{{limit}}"}}, github, limit=5)
    assert {r.headers["x-limit"] for r in upstream.arrived} == {"5"}


# -- offset ------------------------------------------------------------------------------------------------------------


def offset(**options: Any) -> dict[str, Any]:
    return {"format": "offset", "config": options}


def by_offset(offset_key: str = "offset", limit_key: str = "limit", first: int = 0, **more: Any) -> Any:
    def answering(request: Arrived) -> Any:
        start = int(request.query[offset_key]) - first
        return {"items": ALL[start : start + int(request.query.get(limit_key, 10))], **more}

    return answering


@pytest.mark.schema("pagination.offset", "pagination.offset.config.offset_key", "pagination.offset.config.limit_key")
async def test_offsets_are_walked_to_the_empty_page() -> None:
    found, upstream = await walk(offset(offset_key="start", limit_key="size"), by_offset("start", "size"))
    assert found == ALL
    assert [query["start"] for query in queries(upstream)] == ["0", "10", "20", "23"]


@pytest.mark.schema("pagination.offset.config.default_offset")
async def test_offsets_may_be_counted_from_one() -> None:
    found, upstream = await walk(offset(default_offset="1"), by_offset(first=1))
    assert found == ALL
    assert queries(upstream)[0]["offset"] == "1"


@pytest.mark.schema("pagination.offset.config.total_path")
@pytest.mark.parametrize("total", [23, "23"])
async def test_a_total_ends_the_walk_without_an_empty_page(total: Any) -> None:
    found, upstream = await walk(offset(total_path="meta.total"), by_offset(meta={"total": total}))
    assert found == ALL
    assert len(upstream.arrived) == 3


@pytest.mark.parametrize("total", [5, 1000, -1, "many", None, True, 1e300], ids=str)
async def test_a_total_that_lies_loses_and_repeats_nothing(total: Any) -> None:
    found, _ = await walk(offset(total_path="meta.total"), by_offset(meta={"total": total}))
    assert found == ALL


@pytest.mark.schema("pagination.offset.config.max_limit")
async def test_no_offset_page_is_larger_than_the_cap() -> None:
    found, upstream = await walk(offset(max_limit=5), by_offset(), limit=None)
    assert found == ALL
    assert {query["limit"] for query in queries(upstream)} == {"5"}


@pytest.mark.schema("pagination.offset.config.ignore_limit", "pagination.offset.config.headers")
async def test_an_offset_page_can_go_without_the_size() -> None:
    found, upstream = await walk(offset(ignore_limit=True, headers={"X-Size": "{{limit}}"}), by_offset())
    assert found == ALL
    assert (queries(upstream)[0], upstream.last.headers["x-size"]) == ({"offset": "0"}, "10")


@pytest.mark.schema("pagination.offset.config.add_to_body", "pagination.offset.config.add_to_query")
async def test_an_offset_may_go_into_the_body() -> None:
    def answering(request: Arrived) -> Any:
        return {"items": ALL[request.json["offset"] :][: request.json["limit"]]}

    found, upstream = await walk(offset(add_to_body=True), answering, method={"method": "post"})
    assert found == ALL
    assert queries(upstream)[0] == {}
    _, upstream = await walk(offset(add_to_body=True, add_to_query=True), answering, method={"method": "post"})
    assert queries(upstream)[0] == {"offset": "0", "limit": "10"}


@pytest.mark.schema("pagination.offset.config.use_content_hash")
async def test_an_upstream_that_ignores_the_offset_is_asked_twice() -> None:
    found, upstream = await walk(offset(), lambda _: {"items": ALL[:10]})
    assert found == ALL[:10]
    assert len(upstream.arrived) == 2


# -- range -------------------------------------------------------------------------------------------------------------


def ranged(**options: Any) -> dict[str, Any]:
    return {"format": "range", "config": options}


def by_range(request: Arrived) -> Any:
    return {"items": ALL[int(request.query["from"]) : int(request.query["to"])], "total": len(ALL)}


@pytest.mark.schema("pagination.range", "pagination.range.config.start_key", "pagination.range.config.end_key")
async def test_the_end_of_a_range_is_exclusive() -> None:
    found, upstream = await walk(ranged(start_key="from", end_key="to"), by_range)
    assert found == ALL
    assert [(q["from"], q["to"]) for q in queries(upstream)][:2] == [("0", "10"), ("10", "20")]


@pytest.mark.schema("pagination.range.config.default_start")
async def test_a_range_may_start_elsewhere() -> None:
    found, _ = await walk(ranged(start_key="from", end_key="to", default_start="20"), by_range)
    assert found == ALL[20:]


@pytest.mark.schema("pagination.range.config.max_limit", "pagination.range.config.total_path")
async def test_a_range_is_capped_and_ends_at_the_total() -> None:
    options = ranged(start_key="from", end_key="to", max_limit=12, total_path="total")
    found, upstream = await walk(options, by_range, limit=100)
    assert found == ALL
    assert [(q["from"], q["to"]) for q in queries(upstream)] == [("0", "12"), ("12", "24")]


@pytest.mark.schema("pagination.range.config.ignore_limit", "pagination.range.config.headers")
async def test_a_range_may_stand_in_a_header_alone() -> None:
    def answering(request: Arrived) -> Any:
        start, _, end = request.headers["range"].removeprefix("items=").partition("-")
        return {"items": ALL[int(start) : int(end)]}

    options = ranged(headers={"Range": "items={{query.start}}-{{query.end}}"}, ignore_limit=True)
    found, upstream = await walk(options, answering)
    assert found == ALL
    assert queries(upstream)[0] == {}


@pytest.mark.schema("pagination.range.config.add_to_body", "pagination.range.config.add_to_query")
async def test_a_range_may_go_into_the_body() -> None:
    def answering(request: Arrived) -> Any:
        return {"items": ALL[request.json["start"] : request.json["end"]]}

    found, upstream = await walk(ranged(add_to_body=True), answering, method={"method": "post"})
    assert found == ALL
    assert queries(upstream)[0] == {}
    _, upstream = await walk(ranged(add_to_body=True, add_to_query=True), answering, method={"method": "post"})
    assert queries(upstream)[0] == {"start": "0", "end": "10"}


# -- dynamic -----------------------------------------------------------------------------------------------------------

FROM_RESPONSE = "response.next ? {'at': response.next}"


def dynamic(**options: Any) -> dict[str, Any]:
    return {"format": "dynamic", "config": {"get_cursor_from_response_expression": FROM_RESPONSE, **options}}


@pytest.mark.schema(
    "pagination.dynamic",
    "pagination.dynamic.config.get_cursor_from_response_expression",
    "pagination.dynamic.config.get_initial_pagination_values_expression",
    "pagination.dynamic.config.get_pagination_values_expression",
)
async def test_expressions_lead_from_page_to_page() -> None:
    def answering(request: Arrived) -> Any:
        start = int(request.query["since"])
        return {"items": ALL[start : start + 10], "next": start + 10 if start + 10 < len(ALL) else None}

    found, upstream = await walk(
        dynamic(
            get_initial_pagination_values_expression="{'query': {'since': 0, 'size': limit}}",
            get_pagination_values_expression="{'query': {'since': query.next_cursor.at}, 'headers': {'X-At': url}}",
        ),
        answering,
    )
    assert found == ALL
    assert [q["since"] for q in queries(upstream)] == ["0", "10", "20"]
    assert queries(upstream)[0] == {"since": "0", "size": "10"}
    assert upstream.last.headers["x-at"] == f"{upstream.url}/things"


async def test_a_dynamic_cursor_is_base64_for_the_caller() -> None:
    async with serving(lambda _: {"items": [1], "next": 5}) as upstream:
        given = {"pagination": dynamic(), "response_path": "items"}
        async with opened(one(given, base_url=upstream.url)) as session:
            page = await session.page("things")
    assert json.loads(base64.b64decode(page.next_cursor or "")) == {"at": 5}


@pytest.mark.parametrize(
    "change", ["{'body': {'at': query.next_cursor.at}}", "{'requestOptions': {'body': {'at': 5}}}"]
)
async def test_an_expression_may_change_the_body(change: str) -> None:
    answers = iter([{"items": [1], "next": 5}, {"items": [2]}])
    options = dynamic(get_pagination_values_expression=change)
    _, upstream = await walk(options, lambda _: next(answers), method={"method": "post", "body": {"q": 1}})
    assert upstream.last.json == {"q": 1, "at": 5}


async def test_an_expression_may_give_the_url() -> None:
    answers = iter([{"items": [1], "next": 5}, {"items": [2]}])
    options = dynamic(get_pagination_values_expression="{'url': $replace(url, '/things', '/more?x=1')}")
    _, upstream = await walk(options, lambda _: next(answers))
    assert upstream.last.target == "/more?x=1"


async def test_null_for_a_page_ends_the_walk() -> None:
    found, upstream = await walk(dynamic(get_pagination_values_expression="null"), lambda _: {"items": [1], "next": 5})
    assert (found, len(upstream.arrived)) == ([1], 1)


async def test_a_loop_that_the_expression_notices_ends_the_walk() -> None:
    options = dynamic(get_cursor_from_response_expression="{'next_cursor': 'x', 'is_loop': true}")
    found, _ = await walk(options, lambda _: {"items": [1]})
    assert found == [1]


async def test_a_dynamic_walk_that_stands_still_ends() -> None:
    found, upstream = await walk(
        dynamic(get_cursor_from_response_expression="'same'"), lambda _: {"items": [1], "next": 5}
    )
    assert (found, len(upstream.arrived)) == ([1], 2)


# -- all of them -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["page", "offset", "range", "dynamic"])
@pytest.mark.parametrize("given", ["x", "1e5", "../..", "\x00", "9" * 400])
async def test_a_cursor_that_no_list_gave_is_refused(kind: str, given: str) -> None:
    pagination = {"format": kind, "config": dynamic()["config"] if kind == "dynamic" else {}}
    async with (
        serving(lambda _: []) as upstream,
        opened(one({"pagination": pagination}, base_url=upstream.url)) as session,
    ):
        if given == "9" * 400 and kind != "dynamic":
            await session.page("things", "list", Wish(cursor=given))
            return
        with pytest.raises(IntegrationFailed, match="the cursor is none of this list"):
            await session.page("things", "list", Wish(cursor=given))
        assert upstream.arrived == []


async def test_a_walk_without_an_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("truto.integration.session.MAX_PAGES", 20)
    with pytest.raises(IntegrationFailed, match=r"resources.things.list.pagination: has no end after 20 pages"):
        await walk(cursor(use_content_hash=False), lambda _: {"items": [1], "meta": {"next": "x"}})


async def test_what_is_no_list_is_one_record_and_nothing_is_none() -> None:
    assert (await walk(None, lambda _: {"items": {"n": 1}}))[0] == [{"n": 1}]
    assert (await walk(None, lambda _: {"other": 1}))[0] == []


async def test_ten_thousand_records_take_the_memory_of_a_page() -> None:
    record = {"text": "x" * 2000}

    def answering(request: Arrived) -> Any:
        start = int(request.query["offset"])
        return {"items": [{**record, "n": n} for n in range(start, min(start + 100, 10_000))]}

    async with serving(answering) as upstream:
        given = {"pagination": offset(), "response_path": "items"}
        async with opened(one(given, base_url=upstream.url)) as session:
            count = 0
            tracemalloc.start()
            async for each in session.records("things", "list", Wish(limit=100)):
                assert each["n"] == count
                count += 1
                if count % 100 == 0:
                    upstream.arrived.clear()
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    assert count == 10_000
    assert peak < 8_000_000  # all of them are over 20 MB


@pytest.mark.parametrize("given", ["abc", "0123", "-5", "{x", '"q"', "true", "ü", 7, 1.5, {"a": [1]}, ["x"]], ids=repr)
def test_a_dynamic_cursor_comes_back_as_it_was(given: Any) -> None:
    assert decode_cursor(encode_cursor(given), "at") == given


@pytest.mark.parametrize("kind", ["page", "offset", "range"])
async def test_pages_that_are_no_lists_are_not_asked_for_without_an_end(kind: str) -> None:
    answers = iter(range(1000))
    found, upstream = await walk({"format": kind}, lambda _: {"items": {"at": next(answers)}})
    assert (found, len(upstream.arrived)) == ([{"at": 0}], 1)
