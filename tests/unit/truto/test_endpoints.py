"""Every endpoint of Truto's API has a method of the client, and every method sends what the documents say."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.unit.truto.api_table import CASES, DOCUMENTED, Case
from truto import AsyncTruto, BadRequest, McpError, ProtocolError
from truto.downloads import Download
from truto.endpoints import Route
from truto.pages import Listing

TOKEN = "token-of-the-test"

# What serves all endpoints alike.
NOT_ENDPOINTS = {"aclose", "keyed", "within", "request", "request_text", "request_nothing", "download"}
# Read, merge and write: three requests, tested below.
COMPOSED = {"environment_integrations.merge_override"}
MADE_WITH: dict[str, tuple[str, ...]] = {
    "unified": ("model", "resource"),
    "proxy": ("resource",),
    "sync_job_run_states": ("key",),
    "mcp": ("token",),
    "integrated_accounts.mcp_tokens": ("id",),
}


class Api:
    """Gives the prepared answers in turn, the last one for ever; remembers requests."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, content=answer if isinstance(answer, bytes) else json.dumps(answer))

    def client(self) -> AsyncTruto:
        return AsyncTruto(token=TOKEN, base_url="http://api.test", transport=httpx.MockTransport(self))


async def carried_out(act: Any) -> Any:
    match act:
        case Listing():
            return [record async for record in act]
        case Download():
            async with act as opened:
                return await opened.read()
        case _:
            return await act


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_method_sends_what_is_documented_and_answers_its_type(case: Case) -> None:
    api = Api(case.answer)
    async with api.client() as truto:
        result = await carried_out(case.act(truto))
    [request] = api.requests
    assert f"{request.method} {request.url.path}" == re.sub(":([a-z_]+)", r"\1", case.route)
    assert dict(request.url.params.multi_items()) == case.query
    _check_body(request, case.body)
    _check_result(result, case.result)


def _check_body(request: httpx.Request, body: Any) -> None:
    if isinstance(body, bytes):
        assert body in request.content
        assert request.headers["content-type"] != "application/json"
    else:
        assert json.loads(request.content or b"null") == body
        assert request.headers.get("content-type") == (None if body is None else "application/json")


def _check_result(result: Any, expected: Any) -> None:
    if isinstance(expected, list) and isinstance(expected[0], type):
        assert [type(record) for record in result] == expected
    elif isinstance(expected, type):
        assert type(result) is expected
    else:
        assert result == expected


def _public(owner: object) -> set[str]:
    return {name for name, _ in inspect.getmembers(owner, callable) if not name.startswith("_")}


def methods_of_the_client() -> Iterator[str]:
    truto = Api({}).client()
    for name in dir(AsyncTruto):
        if name.startswith("_") or name in NOT_ENDPOINTS:
            continue
        found = getattr(truto, name)
        if isinstance(inspect.getattr_static(AsyncTruto, name), Route | property):
            yield from _methods_of(name, found)
        elif name in MADE_WITH:
            yield from _methods_of(name, found(*MADE_WITH[name]))
        else:
            yield name


def _methods_of(name: str, resource: object) -> Iterator[str]:
    for method in _public(resource):
        place = f"{name}.{method}"
        if place in MADE_WITH:
            yield from _methods_of(place, getattr(resource, method)(*MADE_WITH[place]))
        else:
            yield place


def test_every_public_method_is_in_the_table_and_nothing_else() -> None:
    assert sorted(methods_of_the_client()) == sorted({case.name for case in CASES} | COMPOSED)


def test_every_documented_route_has_a_method_and_no_other_route_is_called() -> None:
    assert sorted({case.route for case in CASES}) == sorted(DOCUMENTED)


async def test_an_override_is_merged_into_what_is_there() -> None:
    stored = {"id": "id", "override": {"label": "CRM", "query": {"a": 1, "b": 2}, "tags": ["x"]}}
    api = Api(stored, {"id": "id"})
    async with api.client() as truto:
        await truto.environment_integrations.merge_override("id", {"query": {"b": None, "c": 3}, "tags": ["y"]})
    read, write = api.requests
    assert (read.method, write.method) == ("GET", "PATCH")
    assert json.loads(write.content) == {
        "override": {"label": "CRM", "query": {"a": 1, "b": None, "c": 3}, "tags": ["y"]}
    }


async def test_an_override_that_is_not_there_yet_is_only_the_changes() -> None:
    api = Api({"id": "id", "override": None}, {"id": "id"})
    async with api.client() as truto:
        await truto.environment_integrations.merge_override("id", {"label": "x"})
    assert json.loads(api.requests[1].content) == {"override": {"label": "x"}}


async def test_a_file_is_sent_as_the_form_field_file() -> None:
    api = Api({"url": "https://files.test/1"})
    async with api.client() as truto:
        assert (await truto.files.upload('a"b.txt', b"text")).url == "https://files.test/1"
    [request] = api.requests
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert (
        b'name="file"; filename="a%22b.txt"\r\nContent-Type: application/octet-stream\r\n\r\ntext\r\n'
        in request.content
    )


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("", "text/plain"), ("a", ""), ("a", "text/plain\r\nX: y")],
    ids=["name", "empty", "crlf"],
)
async def test_a_file_that_no_form_can_carry_is_refused(name: str, content_type: str) -> None:
    async with Api({}).client() as truto:
        with pytest.raises(ValueError, match=r"file has a name|content type"):
            await truto.files.upload(name, b"", content_type=content_type)


async def test_a_state_without_a_key_is_refused() -> None:
    async with Api({}).client() as truto:
        with pytest.raises(ValueError, match="state_key"):
            truto.sync_job_run_states("")


async def test_a_single_record_without_id_is_updated_and_deleted_in_place() -> None:
    api = Api({})
    async with api.client() as truto:
        info = truto.unified("hris", "company")
        await info.update(None, {"name": "x"}, integrated_account_id="a")
        await info.delete(None, integrated_account_id=None)
    assert [str(request.url) for request in api.requests] == [
        "http://api.test/unified/hris/company?integrated_account_id=a",
        "http://api.test/unified/hris/company",
    ]


async def test_a_proxied_answer_is_the_products_own() -> None:
    async with Api({"result": ["tag", 5]}).client() as truto:
        assert [tag async for tag in truto.proxy("tags").list(integrated_account_id="a")] == ["tag", 5]
    async with Api(["anything"]).client() as truto:
        assert await truto.proxy("tags").get("1", integrated_account_id="a") == ["anything"]


async def test_the_mcp_token_shows_in_no_error() -> None:
    async with Api(httpx.Response(400, json={"message": "no"})).client() as truto:
        with pytest.raises(BadRequest) as caught:
            await truto.mcp("mcp-secret").list_tools()
    assert "mcp-secret" not in str(caught.value) + repr(caught.value) + caught.value.path


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [({"code": -32601, "message": "no such tool"}, -32601, "no such tool"), ({}, None, "None")],
    ids=["full", "empty"],
)
async def test_an_error_of_an_mcp_server_is_raised(error: object, code: int | None, text: str) -> None:
    async with Api({"jsonrpc": "2.0", "id": 1, "error": error}).client() as truto:
        with pytest.raises(McpError, match=text) as caught:
            await truto.mcp("t").call_tool("x", {})
    assert caught.value.code == code


@pytest.mark.parametrize("answer", [{}, {"result": []}, {"result": {"tools": {}}}, [1]])
async def test_an_mcp_answer_of_another_shape_is_a_protocol_error(answer: object) -> None:
    async with Api(answer).client() as truto:
        with pytest.raises(ProtocolError):
            await truto.mcp("t").list_tools()
