"""The description at ``/openapi.json``, and calls made up from it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator
from schemathesis import Case
from schemathesis.core import NOT_SET
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from starlette.applications import Starlette
from starlette.routing import Route

from sandbox import SandboxConfig, create_app
from sandbox.openapi import SCHEMAS, document
from tests.integration.sandbox.conftest import open_sandbox
from truto.samples import ACCOUNT_ID, SYNC_JOB_ID


@pytest.fixture(scope="module")
def app() -> Starlette:
    return create_app(SandboxConfig(step_seconds=3600, retry_delays=()))


@pytest.fixture(scope="module")
def described(app: Starlette) -> dict[str, Any]:
    return document(route for route in app.routes if isinstance(route, Route))


def operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


async def test_it_is_served_to_anybody(api: httpx.AsyncClient, described: dict[str, Any]) -> None:
    del api.headers["authorization"]
    assert (await api.get("/openapi.json")).json() == described


def test_every_route_is_in_it(app: Starlette, described: dict[str, Any]) -> None:
    served = [route for route in app.routes if isinstance(route, Route)]
    assert len(served) == len(app.routes)
    for route in served:
        methods = described["paths"][route.path.replace(":path}", "}")]
        assert methods.keys() >= {method.lower() for method in (route.methods or set()) - {"HEAD"}}


def test_every_operation_is_told_apart_and_says_what_it_does(described: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(described)]
    assert len(names) == len(set(names))
    assert [path for _, path, operation in operations(described) if not operation["summary"]] == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_its_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])


def test_it_says_what_a_body_has_to_hold(described: dict[str, Any]) -> None:
    body = described["paths"]["/webhook"]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert (body["required"], schema["required"]) == (True, ["target_url"])
    change = described["paths"]["/webhook/{id}"]["patch"]["requestBody"]
    assert "required" not in change["content"]["application/json"]["schema"]
    assert "multipart/form-data" in described["paths"]["/file"]["post"]["requestBody"]["content"]


def test_it_says_which_routes_need_a_token(described: dict[str, Any]) -> None:
    open_paths = {path for _, path, operation in operations(described) if not operation["security"]}
    assert {"/", "/sandbox/connect", "/mcp/{token}", "/openapi.json"} <= open_paths
    assert not {"/webhook", "/unified/{model}/{resource}", "/file"} & open_paths


MAX_SECONDS = 15
KNOWN = {
    "/integrated-account": ACCOUNT_ID,
    "/sandbox/accounts": ACCOUNT_ID,
    "/integrated-account-webhook": ACCOUNT_ID,
    "/sync-job": SYNC_JOB_ID,
    "/unified": "1",
    "/proxy": "1",
}
"""Ids that exist, so that not every call ends with a 404."""


def known(path: str, parameters: dict[str, str]) -> dict[str, str]:
    """Path parameters, pointed at something that exists where we know one."""
    found = dict(parameters)
    for prefix, row_id in KNOWN.items():
        if path.startswith(f"{prefix}/{{"):
            found |= {name: row_id for name in ("id", "account") if name in found}
    return found


def made_up(operation: APIOperation[Any, Any, Any, Any]) -> list[Case[Any]]:
    """Calls of one operation, the same ones every time; two where it takes something besides a path."""
    cases: list[Case[Any]] = []

    @settings(
        max_examples=2 if operation.body or operation.query else 1,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def collect(case: Case[Any]) -> None:
        cases.append(case)

    collect()
    return cases


def request_of(case: Case[Any]) -> dict[str, Any]:
    """A made-up call in the words of httpx, with the token, and about the account there is."""
    case.path_parameters = known(case.path, dict(case.path_parameters))
    query = {**(case.query or {})}
    if "integrated_account_id" in str(case.operation.definition.raw["parameters"]):
        query["integrated_account_id"] = ACCOUNT_ID
    request: dict[str, Any] = {
        "method": case.method,
        "url": case.formatted_path,
        "params": query,
        "headers": {"Authorization": "Bearer sandbox-token"},
    }
    if case.media_type == "multipart/form-data":
        return {**request, "files": {"file": ("name", b"content")}}
    if case.media_type is not None and case.body is not NOT_SET:
        request["content"] = json.dumps(case.body)
    return request


def check_shape(answer: httpx.Response, case: Case[Any]) -> None:
    """What is answered as JSON has the shape that was promised for it."""
    responses = case.operation.definition.raw["responses"]
    promised = responses["200" if answer.is_success else "default"].get("content")
    if promised and answer.headers.get("content-type") == "application/json":
        name = promised["application/json"]["schema"]["$ref"].rpartition("/")[2]
        Draft202012Validator(SCHEMAS[name]).validate(answer.json())


async def test_no_call_made_up_from_it_ends_in_a_500(described: dict[str, Any]) -> None:
    """In the order of the routes, those of the table last; a machine that is busy otherwise gets no further."""
    statuses = Counter[int]()
    until = time.monotonic() + MAX_SECONDS
    async with open_sandbox(step_seconds=3600, retry_delays=()) as api:
        for result in schemathesis.openapi.from_dict(described).get_all_operations():
            assert isinstance(result, Ok)
            for case in made_up(result.ok()):
                answer = await api.request(**request_of(case))
                # The receivers that are made up do not answer: of these two routes, that is the truth.
                assert answer.status_code < 500 or case.path in ("/webhook/test", "/connect/link-token"), case
                check_shape(answer, case)
                statuses[answer.status_code] += 1
                await api.put("/sandbox/faults", json={})
            if time.monotonic() > until:
                break
    assert statuses[200] > statuses.total() / 5, "most of what is made up is about nothing"
