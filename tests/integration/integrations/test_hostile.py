"""A definition, an account or an upstream that means harm."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.integrations.upstream import HERE, Arrived, Give, one, opened, records_of, serving
from truto import TrutoError
from truto.integration import Allowed, IntegrationFailed, RequestRefused, Wish

KEY = "key-12345678"
BEARER = {"format": "bearer", "config": {"value": "{{api_key}}"}}


@dataclass
class Scene:
    """The definition's host and another one, with what arrives at each; ``OTHER`` in a header is the other's URL."""

    here: list[Arrived] = field(default_factory=list)
    there: list[Arrived] = field(default_factory=list)

    async def attack(
        self,
        method: dict[str, Any],
        answering: Callable[[Arrived], Any],
        allowed: Allowed | None = None,
        **context: Any,
    ) -> None:
        async with serving(lambda _: {}) as other:
            self.there = other.arrived

            def answer(request: Arrived) -> Any:
                found = answering(request)
                if not isinstance(found, Give):
                    return found
                headers = {name: value.replace("OTHER", other.url) for name, value in found.headers.items()}
                return Give(found.body, found.status, headers)

            async with serving(answer) as upstream:
                self.here = upstream.arrived
                config = one(method, base_url=upstream.url, authorization=BEARER)
                both = Allowed.parse(["127.0.0.1", other.url.removeprefix("http://")])
                given = {"api_key": KEY, **context}
                async with opened(config, given, allowed=both if allowed is None else allowed) as session:
                    await records_of(session)


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_another_host_is_not_followed(scene: Scene, status: int) -> None:
    with pytest.raises(RequestRefused, match="no host of the definition"):
        await scene.attack({}, lambda _: Give({}, status, {"Location": "OTHER/x"}), allowed=HERE)
    assert scene.there == []


@pytest.mark.schema("method.ignore_credentials_on_redirect")
async def test_credentials_do_not_follow_a_redirect_to_an_allowed_host(scene: Scene) -> None:
    method = {"headers": {"X-Token": "{{api_key}}", "X-Plain": "1"}}
    await scene.attack(method, lambda _: Give({}, 302, {"Location": "OTHER/file?sig=1"}))
    assert scene.here[0].headers["authorization"] == f"Bearer {KEY}"
    assert scene.there[0].target == "/file?sig=1"
    assert not {"authorization", "x-token", "x-plain"} & scene.there[0].headers.keys()


async def test_credentials_follow_a_redirect_on_the_same_host_unless_told_otherwise(scene: Scene) -> None:
    def answering(request: Arrived) -> Any:
        return [] if request.path == "/next" else Give({}, 302, {"Location": "/next"})

    await scene.attack({}, answering)
    assert scene.here[1].headers["authorization"] == f"Bearer {KEY}"
    await scene.attack({"ignore_credentials_on_redirect": True}, answering)
    assert "authorization" not in scene.here[1].headers


async def test_redirects_have_an_end(scene: Scene) -> None:
    with pytest.raises(IntegrationFailed, match="redirected more than 5 times"):
        await scene.attack({}, lambda _: Give({}, 302, {"Location": "/again"}))


async def test_a_post_is_not_redirected(scene: Scene) -> None:
    with pytest.raises(IntegrationFailed, match="a POST was answered with a redirect"):
        await scene.attack({"method": "post"}, lambda _: Give({}, 307, {"Location": "/next"}))


async def test_a_link_header_to_another_host_is_not_followed(scene: Scene) -> None:
    method = {"pagination": {"format": "link_header"}}
    with pytest.raises(RequestRefused, match="no host of the definition"):
        await scene.attack(method, lambda _: Give([1], headers={"Link": '<OTHER/things>; rel="next"'}), allowed=HERE)
    assert scene.there == []


@pytest.mark.parametrize(
    "link", ["http://user@127.0.0.1/", "file:///etc/passwd", "http://[", "gopher://x/", "http://a:99999/"]
)
async def test_a_link_that_is_no_http_url_is_not_followed(scene: Scene, link: str) -> None:
    method = {"pagination": {"format": "link_header"}}
    with pytest.raises(RequestRefused):
        await scene.attack(method, lambda _: Give([1], headers={"Link": f'<{link}>; rel="next"'}))


@pytest.mark.parametrize("link", ["/../../admin?x=1", "/%2e%2e/admin", "http://[", "//OTHER/x"])
async def test_a_cursor_link_leaves_neither_the_host_nor_its_path(scene: Scene, link: str) -> None:
    options = {"format": "cursor", "config": {"cursor_path": "next", "is_link": True, "include_path": True}}
    pages = iter([{"items": [1], "next": link}, {"items": [2]}])
    try:
        await scene.attack({"pagination": options, "response_path": "items"}, lambda _: next(pages))
    except TrutoError:
        assert len(scene.here) == 1
    assert scene.there == []
    assert all(".." not in r.path for r in scene.here)


async def test_an_expression_cannot_lead_to_another_host(scene: Scene) -> None:
    options = {
        "format": "dynamic",
        "config": {
            "get_cursor_from_response_expression": "'x'",
            "get_pagination_values_expression": "{'url': 'http://169.254.169.254/latest'}",
        },
    }
    with pytest.raises(RequestRefused, match=r"169\.254\.169\.254:80 is no host of the definition"):
        await scene.attack({"pagination": options}, lambda _: [1])


async def test_an_authorization_cannot_lead_to_another_host(scene: Scene) -> None:
    expression = "{'url': 'http://127.0.0.1:1/', 'requestOptions': {'headers': {}}}"
    method = {"authorization": {"format": "header", "config": {"expression": expression}}}
    with pytest.raises(RequestRefused, match="no host of the definition"):
        await scene.attack(method, lambda _: [1])


async def test_a_definition_does_not_reach_into_our_own_network(scene: Scene) -> None:
    with pytest.raises(RequestRefused, match="leads into a private network; INTEGRATIONS_HTTP_ALLOW can allow it"):
        await scene.attack({}, lambda _: [1], allowed=Allowed())
    assert scene.here == []


@pytest.mark.parametrize(
    "value", ["127.0.0.1:1/", "a@127.0.0.1", "127.0.0.1#", "127.0.0.1?", "a\\b", "a b", "", "a\r\nb", "é"]
)
async def test_a_value_stays_inside_of_the_name_of_the_host(value: str) -> None:
    async with opened(one({}, base_url="http://{{sub}}.api.example/v1"), {"sub": value}) as session:
        with pytest.raises(IntegrationFailed, match=r"^base_url: "):
            await records_of(session)


@pytest.mark.parametrize(
    "value", ["file:///etc/passwd", "http://a@b", "http://a?x=1", "javascript:1", "http://a/#", "x"]
)
async def test_a_whole_base_url_of_an_account_is_an_http_url(value: str) -> None:
    async with opened(one({}, base_url="{{instance}}"), {"instance": value}) as session:
        with pytest.raises(RequestRefused, match=r"^base_url: "):
            await records_of(session)


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ("../admin", None),
        ("..", None),
        (".", None),
        ("a/b", "/things/a%2Fb/x"),
        ("a?b#c", "/things/a%3Fb%23c/x"),
        ("ü %", "/things/%C3%BC%20%25/x"),
        ("a\r\nX: y", "/things/a%0D%0AX:%20y/x"),
    ],
)
async def test_a_value_stays_inside_of_its_segment(value: str, target: str | None) -> None:
    async with serving(lambda _: []) as upstream:
        async with opened(one({"path": "/things/{{id}}/x"}, base_url=upstream.url)) as session:
            if target is None and value != "../admin":
                with pytest.raises(RequestRefused, match="dot segments"):
                    await session.call("things", "list", Wish(id=value))
                assert upstream.arrived == []
                return
            await session.call("things", "list", Wish(id=value))
        assert upstream.last.target == (target or "/things/..%2Fadmin/x")


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\x00b", "a\x7fb"])
async def test_a_value_begins_no_other_header(scene: Scene, value: str) -> None:
    for method in (
        {"headers": {"X-One": "{{evil}}"}},
        {"authorization": {"format": "bearer", "config": {"value": "{{evil}}"}}},
    ):
        with pytest.raises(RequestRefused, match="control character"):
            await scene.attack(method, lambda _: [], evil=value)
        assert scene.here == []


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "Connection", "a b", "a:b", ""])
async def test_a_definition_does_not_set_what_belongs_to_the_connection(scene: Scene, name: str) -> None:
    with pytest.raises(RequestRefused):
        await scene.attack({"headers": {name: "1"}}, lambda _: [])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(max_size=30))
async def test_no_value_changes_where_a_request_goes(value: str) -> None:
    """Whatever the account or the caller holds, the request goes to this host and below this path, or nowhere."""
    method = {"path": "/things/{{id}}/end", "query": {"q": "{{evil}}"}, "headers": {"X-One": "v{{evil}}"}}
    async with (
        serving(lambda _: []) as upstream,
        opened(one(method, base_url=upstream.url), {"evil": value}) as session,
    ):
        with suppress(IntegrationFailed):
            await session.call("things", "list", Wish(id=value, query={"own": value}))
    if not upstream.arrived:
        return
    (request,) = upstream.arrived
    assert request.path.startswith("/things/")
    assert request.path.endswith("/end")
    assert request.path.count("/") == 3
    assert request.headers.keys() == {"host", "connection", "accept-encoding", "accept", "user-agent", "x-one"}


async def test_ten_megabytes_are_a_page_and_what_is_larger_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    page = [{"text": "x" * 1000} for _ in range(10_000)]
    async with serving(lambda _: page) as upstream, opened(one({}, base_url=upstream.url)) as session:
        assert len(await records_of(session)) == 10_000
        monkeypatch.setattr("truto.integration.wire.MAX_ANSWER_BYTES", 5_000_000)
        with pytest.raises(IntegrationFailed, match="answered more than 5000000 bytes"):
            await records_of(session)


async def test_a_gzip_bomb_is_not_unpacked(scene: Scene) -> None:
    bomb = gzip.compress(b"[" + b" " * 100_000_000 + b"]", 9)
    with pytest.raises(IntegrationFailed, match="answered more than"):
        await scene.attack({}, lambda _: Give(bomb, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(IntegrationFailed, match="packed more than once"):
        await scene.attack({}, lambda _: Give(gzip.compress(bomb), headers={"Content-Encoding": "gzip, gzip"}))


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b"{" + b'"k":1,' * 100, b"\x00"])
async def test_an_answer_that_is_no_json_is_text(scene: Scene, body: bytes) -> None:
    await scene.attack({}, lambda _: body)


async def test_hostile_headers_of_links_are_read_quickly(scene: Scene) -> None:
    header = "<>;a" + " " * 8000 + "<" * 4000 + ";rel=" * 500
    await scene.attack({"pagination": {"format": "link_header"}}, lambda _: Give([1], headers={"Link": header}))


@pytest.mark.parametrize("depth", [200, 300, 900])
@pytest.mark.parametrize("status", [200, 400])
async def test_an_answer_may_be_nested_but_not_without_an_end(depth: int, status: int) -> None:
    entries: list[Any] = []
    body = b'{"a":' * depth + b"1" + b"}" * depth
    async with (
        serving(lambda _: Give(body, status, {"Content-Type": "application/json"})) as upstream,
        opened(one({}, base_url=upstream.url), {"api_key": KEY}, trace=entries.append) as session,
    ):
        if depth == 200 and status == 200:
            assert len(await records_of(session)) == 1
        else:
            with pytest.raises(TrutoError):
                await records_of(session)
    assert len(entries) >= 2


@pytest.mark.parametrize("place", ["path", "query", "header", "body", "raw", "form", "auth"])
async def test_half_a_character_is_sent_nowhere_and_breaks_nothing(place: str) -> None:
    methods: dict[str, dict[str, Any]] = {
        "path": {"path": "/{{evil}}"},
        "query": {"query": {"a": "{{evil}}"}},
        "header": {"headers": {"X-A": "{{evil}}"}},
        "body": {"method": "post", "body": {"a": "{{evil}}"}},
        "raw": {"method": "post", "body_format": "raw", "body": "{{evil}}"},
        "form": {"method": "post", "body_format": "form", "body": {"a": "{{evil}}"}},
        "auth": {"authorization": {"format": "basic", "config": {"username": "{{evil}}"}}},
    }
    async with (
        serving(lambda _: []) as upstream,
        opened(one(methods[place], base_url=upstream.url), {"evil": "a\ud800b"}) as session,
    ):
        with suppress(TrutoError):
            await records_of(session)


@pytest.mark.parametrize("value", ["a\r\nX: y", "é", "x" * 5000])
async def test_the_window_of_a_limit_becomes_no_other_header(value: str) -> None:
    limit = {"rate_limit_header_expression": "{'limit': data.v, 'remaining': 1}"}
    async with (
        serving(lambda _: {"v": value}) as upstream,
        opened(one({}, base_url=upstream.url, rate_limit=limit)) as session,
    ):
        page = await session.page("things")
    assert page.rate.headers() == {"RateLimit-Remaining": "1"}
