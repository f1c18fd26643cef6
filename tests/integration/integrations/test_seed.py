"""The environment integration of Truto's own documents, run against a server that looks at every byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.integrations.upstream import HERE, Arrived, Give, serving
from truto import NotFound
from truto.integration import Account, Session, Wish, read_integration

SEED = Path(__file__).parents[2] / "unit" / "ingress" / "sources" / "environment_integration.json"
CONTEXT: dict[str, Any] = {
    "oauth": {"token": {"access_token": "at-1234567890"}},
    "search_query": "ada & co",
    "user_id": 7,
    "items": ["a", 1],
    "users": [{"id": 1}],
}
USERS = [{"id": str(number), "name": "John Doe"} for number in range(3)]


def document(url: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SEED.read_text())
    found["integration"]["config"]["base_url"] = url
    return found


def answer(request: Arrived) -> Any:
    match request.method, request.path:
        case "GET", "/users":
            return {"data": {"users": USERS if request.query["page"] == "1" else []}}
        case "POST", "/orders":
            return {"data": {"order": {"id": "o1"}}}
        case "POST", "/sync/users":
            return {"synced": 1}
    return Give({"error": {"message": "no such thing"}}, 404)


def test_the_documents_own_example_loads() -> None:
    integration = read_integration(json.loads(SEED.read_text()))
    assert integration.name == "zendesk"
    assert sorted(integration.config.resources) == ["orders", "users"]


async def test_users_list_arrives_byte_for_byte() -> None:
    async with (
        serving(answer) as upstream,
        Session(read_integration(document(upstream.url)), Account(CONTEXT), allowed=HERE) as session,
    ):
        found = [record async for record in session.records("users", "list", Wish(limit=50))]
    assert found == USERS
    first, second = upstream.arrived
    # A placeholder that finds nothing stays as it is written, as in Truto (replace-placeholders).
    rest = "per_page=50"
    filtered = "search=ada%20%26%20co&filter=%7B%7Bfilter_criteria%7D%7D"
    assert first.target == f"/users?{filtered}&page=1&{rest}"
    assert second.target == f"/users?{filtered}&page=2&{rest}"
    assert first.headers["authorization"] == "Bearer at-1234567890"
    assert first.headers["user-agent"] == "truto"
    assert first.headers["accept"] == "application/json"
    assert first.headers["content-type"] == "application/json"
    assert first.body == b""


async def test_orders_create_arrives_byte_for_byte() -> None:
    async with (
        serving(answer) as upstream,
        Session(read_integration(document(upstream.url)), Account(CONTEXT), allowed=HERE) as session,
    ):
        result = await session.call("orders", "create")
    assert result.data == {"id": "o1"}
    (request,) = upstream.arrived
    assert (request.method, request.path) == ("POST", "/orders")
    # `{{context.user_id}}` without a type is text, and so is a list: `{{context.items:json}}` would keep it.
    assert request.body == b'{"user_id":"7","items":"a,1"}'
    assert request.headers["authorization"] == "Bearer at-1234567890"


async def test_the_action_sync_users_arrives_byte_for_byte() -> None:
    async with (
        serving(answer) as upstream,
        Session(read_integration(document(upstream.url)), Account(CONTEXT), allowed=HERE) as session,
    ):
        assert await session.action("sync_users") == {"synced": 1}
    (request,) = upstream.arrived
    assert (request.method, request.path) == ("POST", "/sync/users")
    assert request.body == b'{"users":"[object Object]"}'
    assert request.headers["authorization"] == "Bearer at-1234567890"


async def test_its_error_expression_names_the_products_error() -> None:
    async with (
        serving(lambda _: Give({"error": {"message": "no such user"}}, 404)) as upstream,
        Session(read_integration(document(upstream.url)), Account(CONTEXT), allowed=HERE) as session,
    ):
        with pytest.raises(NotFound, match="no such user"):
            await session.page("users")
