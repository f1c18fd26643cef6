"""Batch requests: results and errors by name, order, placeholders, loops."""

from __future__ import annotations

import contextlib
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.batch_api import ordered, read_definitions
from sandbox.errors import Refusal
from truto.samples import ACCOUNT_ID


async def batch(api: httpx.AsyncClient, *resources: dict[str, Any], **more: Any) -> httpx.Response:
    body = {"integrated_account_id": ACCOUNT_ID, "resources": list(resources), **more}
    return await api.post("/batch-request", json=body)


async def test_lists_are_followed_to_their_end_and_come_by_name(api: httpx.AsyncClient) -> None:
    answer = await batch(api, {"resource": "crm/contacts"}, {"name": "people", "resource": "users", "method": "list"})
    result = answer.json()["result"]
    assert (len(result["crm/contacts"]), len(result["people"])) == (25, 5)
    assert "first_name" in result["crm/contacts"][0]
    assert "isActive" in result["people"][0]
    assert answer.json()["errors"] == {}


async def test_a_small_page_size_is_followed_as_well(api: httpx.AsyncClient) -> None:
    answer = await batch(api, {"resource": "contacts", "query": {"limit": 7}})
    assert [record["id"] for record in answer.json()["result"]["contacts"]] == [str(n) for n in range(1, 26)]


async def test_what_fails_leaves_the_rest_alone(api: httpx.AsyncClient) -> None:
    answer = await batch(
        api,
        {"name": "lost", "resource": "crm/contacts", "method": "get", "id": "999"},
        {"name": "after", "resource": "users", "depends_on": "lost"},
        {"name": "well", "resource": "users", "method": "get", "id": "1"},
    )
    found = answer.json()
    assert (found["result"]["well"][0]["id"], found["result"]["after"]) == ("1", [])
    assert [found["errors"][name][0]["statusCode"] for name in ("lost", "after")] == [404, 424]


async def test_a_dependency_runs_first_and_its_result_can_be_referred_to(api: httpx.AsyncClient) -> None:
    answer = await batch(
        api,
        {
            "name": "company",
            "resource": "companies",
            "method": "get",
            "id": "{{resources.contact.0.companyId}}",
            "depends_on": ["contact"],
        },
        {"name": "contact", "resource": "contacts", "method": "get", "id": "{{args.who}}", "persist": False},
        args={"who": "3"},
    )
    assert set(answer.json()["result"]) == {"company"}
    assert answer.json()["result"]["company"][0]["id"] == "4"


async def test_a_call_is_repeated_for_each_element_of_an_argument(api: httpx.AsyncClient) -> None:
    definition = {"name": "who", "resource": "users", "method": "get", "id": "{{args.ids}}", "loop_on": "ids"}
    answer = await batch(api, definition, args={"ids": ["2", "77", "1"]})
    assert [record["id"] for record in answer.json()["result"]["who"]] == ["2", "1"]
    assert len(answer.json()["errors"]["who"]) == 1


async def test_a_batch_can_write_and_choose_its_format(api: httpx.AsyncClient) -> None:
    answer = await batch(
        api,
        {"name": "new", "resource": "crm/contacts", "method": "create", "body": {"first_name": "{{args.name}}"}},
        {"name": "raw", "resource": "crm/contacts", "method": "get", "id": "26", "response_format": "raw"},
        {"name": "found", "resource": "contacts", "method": "search", "body": {"query": "Jane"}},
        args={"name": "Jane"},
    )
    result = answer.json()["result"]
    assert (result["new"][0]["first_name"], result["raw"][0]["firstName"]) == ("Jane", "Jane")
    assert result["found"][0][0]["id"] == "26"


async def test_a_broken_placeholder_is_an_error_of_its_resource(api: httpx.AsyncClient) -> None:
    answer = await batch(api, {"resource": "users", "query": {"limit": "{{args.a:widget}}"}}, args={"a": "1"})
    (error,) = answer.json()["errors"]["users"]
    assert (error["statusCode"], "widget" in error["message"] or "type" in error["message"]) == (400, True)


async def test_what_is_no_object_after_its_placeholders_is_left_out(api: httpx.AsyncClient) -> None:
    answer = await batch(api, {"resource": "users", "query": {"$truto_merge": ["{{args.q}}"]}}, args={"q": 1})
    assert answer.status_code == 200


DEEP = {"resource": "users"}


@pytest.mark.parametrize(
    ("resources", "path"),
    [
        ([{"resource": ""}], "resources.0.resource"),
        ([{"resource": "users", "type": "transform"}], "resources.0.type"),
        ([{"resource": "users", "recurse": {}}], "resources.0.recurse"),
        ([DEEP, DEEP], "resources.1.name"),
        ([{"resource": "users", "depends_on": "nobody"}], "depends_on"),
        ([{"name": "a", "resource": "users", "depends_on": ["a"]}], "depends_on"),
        ([{"resource": "users", "loop_on": "ids"}], "loop_on"),
        ([{"resource": "users", "loop_on": "many"}], "loop_on"),
        ([{"resource": "users", "name": str(n)} for n in range(101)], "resources"),
        (["users"], "resources"),
    ],
    ids=["empty", "transform", "recurse", "twice", "unknown", "circle", "no-array", "long", "many", "no-object"],
)
async def test_a_batch_that_makes_no_sense_is_refused(
    api: httpx.AsyncClient, resources: list[dict[str, Any]], path: str
) -> None:
    answer = await batch(api, *resources, args={"many": list(range(101))})
    found = answer.json()
    if path == "loop_on":
        found = found["errors"]["users"][0]
    assert found["details"]["failures"][0]["path"] == path


async def test_an_account_token_does_not_reach_batches(api: httpx.AsyncClient) -> None:
    token = (await api.post("/integrated-account/token", json={"integrated_account_id": ACCOUNT_ID})).json()
    headers = {"Authorization": f"Bearer {token['integrated_account_token']}"}
    assert (await api.post("/batch-request", headers=headers, json={})).status_code == 403


NAMES = st.sampled_from(["a", "b", "c", "d"])


@given(
    st.lists(
        st.fixed_dictionaries(
            {"resource": st.just("users"), "name": NAMES}, optional={"depends_on": st.lists(NAMES) | NAMES}
        ),
        max_size=4,
    )
)
def test_each_definition_comes_after_those_it_depends_on(resources: list[dict[str, Any]]) -> None:
    with contextlib.suppress(Refusal):
        seen: set[str] = set()
        for definition in ordered(read_definitions(resources)):
            assert seen >= set(definition["depends_on"])
            seen.add(definition["name"])
        assert seen == {each["name"] for each in resources}
