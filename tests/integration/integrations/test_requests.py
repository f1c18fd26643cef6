"""What a method's request looks like when it arrives."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.integrations.upstream import Arrived, opened, serving
from truto.integration import Account, BadIntegration, IntegrationFailed, Wish


def config(method: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**more, "resources": {"things": {"go": {"path": "/things", **method}}}}


async def sent(
    method: dict[str, Any], wish: Wish | None = None, context: dict[str, Any] | None = None, **more: Any
) -> Arrived:
    """What arrives when the method is called."""
    async with serving(lambda _: {"ok": True}) as upstream:
        async with opened(config(method, **{"base_url": upstream.url, **more}), context) as session:
            await session.call("things", "go", wish)
        return upstream.last


@pytest.mark.schema("config.base_url", "config.resources", "method.path", "method.method")
async def test_the_base_url_stands_before_the_path() -> None:
    request = await sent({"method": "delete", "path": "/things/{{id}}"}, Wish(id="7"))
    assert (request.method, request.target) == ("DELETE", "/things/7")


async def test_a_method_without_a_verb_gets() -> None:
    assert (await sent({})).method == "GET"


@pytest.mark.schema("method.base_url")
async def test_a_method_may_have_a_base_url_of_its_own() -> None:
    async with serving(lambda _: {}) as upstream:
        given = config({"base_url": "{{context.instance}}/v2/"}, base_url="https://never.example")
        async with opened(given, {"instance": upstream.url}) as session:
            await session.call("things", "go")
        assert upstream.last.target == "/v2/things"


async def test_a_query_that_is_written_in_the_path_is_part_of_the_query() -> None:
    request = await sent({"path": "/things?active=true&a={{context.a?:none}}", "query": {"b": 1}}, context={"a": "x"})
    assert request.target == "/things?active=true&a=x&b=1"


@pytest.mark.schema("config.headers", "method.headers")
async def test_headers_of_the_method_lie_over_those_of_the_integration() -> None:
    request = await sent(
        {"headers": {"x-one": "method {{context.a}}"}}, context={"a": "A"}, headers={"X-One": "base", "X-Two": "2"}
    )
    assert (request.headers["x-one"], request.headers["x-two"]) == ("method A", "2")


async def test_a_header_that_is_null_goes_away_even_where_a_method_sets_it() -> None:
    request = await sent({"headers": {"X-One": "1"}}, headers={"x-one": None})
    assert "x-one" not in request.headers


@pytest.mark.schema("config.query", "method.query")
async def test_the_callers_query_lies_over_the_methods_over_the_integrations() -> None:
    request = await sent(
        {"query": {"b": "{{query.c}}", "c": "method"}}, Wish(query={"c": "caller"}), query={"a": "base", "b": "base"}
    )
    assert request.query == {"a": "base", "b": "caller", "c": "caller"}


@pytest.mark.schema("config.query_array_format", "method.query_array_format")
@pytest.mark.parametrize(
    ("form", "query"),
    [
        ("comma", "a=1,2%2C3"),
        ("brackets", "a[]=1&a[]=2%2C3"),
        ("indices", "a[0]=1&a[1]=2%2C3"),
        ("repeat", "a=1&a=2%2C3"),
    ],
)
async def test_an_array_in_the_query_is_written_as_the_definition_says(form: str, query: str) -> None:
    wish = Wish(query={"a": [1, "2,3"]})
    assert (await sent({}, wish, query_array_format=form)).target == f"/things?{query}"
    assert (await sent({"query_array_format": form}, wish, query_array_format="comma")).target == f"/things?{query}"


async def test_an_array_without_a_format_is_repeated_and_objects_have_brackets() -> None:
    request = await sent({}, Wish(query={"a": [1, 2], "f": {"x": {"y": True}}, "none": None}))
    assert request.target == "/things?a=1&a=2&f[x][y]=true"


@pytest.mark.schema("method.body", "method.body_format.json")
async def test_a_json_body_has_its_placeholders_resolved() -> None:
    method = {"method": "post", "body": {"n": "{{body.n:int}}", "all": "{{body:json}}", "gone": "{{nope:undefined}}"}}
    request = await sent(method, Wish(body={"n": "5"}))
    assert request.body == b'{"n":5,"all":{"n":"5"}}'
    assert request.headers["content-type"] == "application/json"


async def test_without_a_body_of_its_own_a_method_sends_the_callers() -> None:
    assert (await sent({"method": "patch"}, Wish(body=[{"a": None}]))).body == b'[{"a":null}]'


@pytest.mark.schema("method.body_format.form", "method.body_format_config")
async def test_a_form_is_encoded_as_such() -> None:
    method = {"method": "post", "body_format": "form", "body_format_config": {"arrayFormat": "brackets"}}
    request = await sent(method, Wish(body={"a": "x y&z", "b": [1, 2], "c": {"d": "é"}}))
    assert request.body == b"a=x%20y%26z&b[]=1&b[]=2&c[d]=%C3%A9"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.schema("method.body_format.multipart")
async def test_a_multipart_form_carries_files() -> None:
    given = {"note": "hi", "file": {"filename": "a.txt", "content": "text", "content_type": "text/plain"}}
    request = await sent({"method": "post", "body_format": "multipart"}, Wish(body=given))
    kind, _, boundary = request.headers["content-type"].partition("; boundary=")
    assert kind == "multipart/form-data"
    parts = request.body.split(b"--" + boundary.encode())
    assert b'name="note"\r\n\r\nhi\r\n' in parts[1]
    assert b'filename="a.txt"\r\nContent-Type: text/plain\r\n\r\ntext\r\n' in parts[2]


@pytest.mark.schema("method.body_format.raw")
async def test_a_raw_body_is_sent_as_it_is() -> None:
    method = {
        "method": "post",
        "body_format": "raw",
        "body": "id;{{context.a}}\n",
        "headers": {"Content-Type": "text/csv"},
    }
    request = await sent(method, context={"a": "ü"})
    assert (request.body, request.headers["content-type"]) == ("id;ü\n".encode(), "text/csv")


@pytest.mark.schema("method.body_format.xml")
async def test_an_object_becomes_xml() -> None:
    method = {"method": "post", "body_format": "xml", "body": {"order": {"id": "{{context.a}}"}}}
    request = await sent(method, context={"a": "<1>"})
    assert request.body == b"<order><id>&lt;1&gt;</id></order>"
    assert request.headers["content-type"] == "application/xml"


@pytest.mark.schema("method.add_query_to_body")
async def test_the_callers_query_can_go_into_the_body() -> None:
    request = await sent({"method": "post", "add_query_to_body": True}, Wish(query={"a": 1}, body={"b": 2}))
    assert (request.target, request.json) == ("/things", {"a": 1, "b": 2})


@pytest.mark.schema("method.ignore_body")
async def test_a_method_can_ignore_the_callers_body() -> None:
    assert (await sent({"method": "post", "ignore_body": True}, Wish(body={"a": 1}))).body == b""


@pytest.mark.schema("method.set_body_to_null")
async def test_a_method_can_send_null_as_its_body() -> None:
    assert (await sent({"method": "post", "set_body_to_null": True}, Wish(body={"a": 1}))).body == b"null"
    assert (await sent({"set_body_to_null": True}, Wish(body={"a": 1}))).body == b""


@pytest.mark.schema("config.environment_variables", "config.secret_environment_variables")
@pytest.mark.parametrize("root", ["env", "environment_variables", "context.environment_variables"])
async def test_environment_variables_have_three_roots(root: str) -> None:
    request = await sent(
        {"query": {"a": f"{{{{{root}.ONE}}}}", "b": f"{{{{{root}.TWO}}}}"}},
        environment_variables={"ONE": 1},
        secret_environment_variables={"TWO": "2"},
    )
    assert request.query == {"a": "1", "b": "2"}


@pytest.mark.parametrize("root", ["", "context.", "credentials."])
async def test_a_field_of_the_context_has_three_roots(root: str) -> None:
    request = await sent({"query": {"a": f"{{{{{root}region}}}}"}}, context={"region": "eu"})
    assert request.query == {"a": "eu"}


@pytest.mark.schema("method.response_path")
@pytest.mark.parametrize(
    ("path", "found"),
    [
        (None, {"data": {"users": [{"n": 1}]}}),
        ("data.users", [{"n": 1}]),
        ("data.users.0.n", 1),
        ("data.nothing", None),
        ("data.users[n=1].n", 1),
        ("$map(response.data.users, function($u) { $u.n })[]", [1]),
    ],
)
async def test_the_response_path_is_dotted_or_jsonata(path: str | None, found: Any) -> None:
    async with serving(lambda _: {"data": {"users": [{"n": 1}]}}) as upstream:
        method = {} if path is None else {"response_path": path}
        async with opened(config(method, base_url=upstream.url)) as session:
            assert (await session.call("things", "go")).data == found


@pytest.mark.schema("method.api_response_format", "method.throw_error_on_parse_error")
@pytest.mark.parametrize(
    ("form", "body", "found"),
    [
        (None, b'{"a":1}', {"a": 1}),
        (None, b"hello", "hello"),
        ("text", b'{"a":1}', '{"a":1}'),
        ("json", b"oops", "oops"),
        ("xml", b"<a><b>1</b></a>", {"a": {"b": {"_text": "1"}}}),
        (None, b"", None),
    ],
)
async def test_an_answer_is_read_by_its_format(form: str | None, body: bytes, found: Any) -> None:
    async with serving(lambda _: body) as upstream:
        method = {} if form is None else {"api_response_format": form}
        async with opened(config(method, base_url=upstream.url)) as session:
            assert (await session.call("things", "go")).data == found
        strict = {"api_response_format": "json", "throw_error_on_parse_error": True}
        async with opened(config(strict, base_url=upstream.url)) as session:
            if body == b"oops":
                with pytest.raises(IntegrationFailed, match=r"resources.things.go: the answer \(200\) is not json"):
                    await session.call("things", "go")


async def test_a_name_that_is_not_there_is_told_with_what_may_be_meant() -> None:
    async with opened(config({}, base_url="https://a.example")) as session:
        with pytest.raises(BadIntegration, match="resources: has no 'thing'; did you mean things"):
            await session.call("thing", "go")
        with pytest.raises(BadIntegration, match="actions: has no 'x'; it has none"):
            await session.action("x")


async def test_an_account_may_override_the_integration() -> None:
    async with serving(lambda _: {}) as upstream:
        account = Account({}, integration_override={"base_url": upstream.url, "headers": {"X-Mine": "1"}})
        async with opened(config({}, base_url="https://never.example"), account=account) as session:
            await session.call("things", "go")
        assert upstream.last.headers["x-mine"] == "1"


async def test_what_the_path_takes_of_the_query_is_not_sent_twice() -> None:
    request = await sent({"path": "/sets/{{query.set?:all}}/things"}, Wish(query={"set": "s/1", "other": "o"}))
    assert request.target == "/sets/s%2F1/things?other=o"
