"""Definitions run without a network: the examples that they hold, and recordings of calls."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.integrations.upstream import Give, one, opened, serving
from truto.integration import Account, read_integration
from truto.integration.cassettes import Recording, exchanges_of, masked_account
from truto.integration.offline import Outcome, perform, play, try_examples

LIST = {"pagination": {"format": "page"}, "response_path": "items"}


async def tried(method: dict[str, Any], **config: Any) -> Outcome:
    (outcome,) = await try_examples(
        read_integration(one(method, **{"base_url": "https://{{sub}}.a.example", **config}))
    )
    return outcome


@pytest.mark.schema("method.examples.response", "method.examples.query", "method.examples.body")
async def test_an_example_is_what_the_product_would_answer() -> None:
    examples = {"response": '{"items": [1, 2]}', "query": '{"set": "s"}', "body": '{"deep": {"name": "x"}}'}
    method = {
        **LIST,
        "method": "post",
        "path": "/{{query.set}}/{{id}}/{{context.org.id}}",
        "body": {"n": "{{body.deep.name}}"},
        "headers": {"X-Token": "{{body.deep.name}}"},
        "examples": examples,
    }
    outcome = await tried(method, authorization={"format": "bearer", "config": {"value": "{{api_key}}"}})
    assert outcome == Outcome("resources.things.list.examples", told="2 records")


@pytest.mark.parametrize(
    ("method", "why"),
    [
        ({"examples": {"response": '{"other": []}'}}, "response_path 'items' finds nothing in examples.response"),
        (
            {"examples": {"response": '{"items": [1]}', "query": "{"}},
            "resources.things.list.examples.query: is not JSON",
        ),
        ({"examples": {"response": '{"items": [1]}'}, "error_expression": "'bad'"}, "bad"),
        ({"examples": {"response": '{"items": [1]}'}, "error_expression": "data + 1"}, "the expression failed"),
    ],
)
async def test_an_example_that_the_definition_cannot_read_fails(method: dict[str, Any], why: str) -> None:
    assert why in (await tried({**LIST, **method})).why


async def test_an_example_of_a_product_with_tokens_needs_no_token_server() -> None:
    credentials = {"format": "oauth2_client_credentials", "config": {"auth": {"tokenHost": "https://t.example"}}}
    method = {**LIST, "examples": {"response": '{"items": [1]}'}}
    assert (await tried(method, credentials=credentials)).why == ""


async def recorded(config: dict[str, Any], answering: Any, call: dict[str, Any], context: dict[str, Any]) -> Recording:
    trace: list[Any] = []
    async with serving(answering) as upstream:
        config["base_url"] = upstream.url
        async with opened(config, account=Account(context), trace=trace.append) as session:
            before = masked_account(session.account, session.masker)
            gives = await perform(session, call)
            return Recording(call, before, exchanges_of(trace), session.masker.value(gives))


CALL = {"resource": "things", "method": "list", "limit": 2}


async def test_a_recording_plays_with_masked_secrets() -> None:
    config = one({**LIST, "query": {"k": "{{api_key}}"}, "headers": {"X-Key": "{{api_key}}"}})
    pages = iter([{"items": [1, 2]}, {"items": [{"password": "hush-hush"}]}, {"items": []}])
    recording = await recorded(config, lambda _: next(pages), CALL, {"api_key": "key-12345678"})
    assert "key-12345678" not in str(recording.document())
    assert "hush-hush" not in str(recording.document())
    outcome = await play(read_integration(config), Recording.read(recording.document()), "x")
    assert outcome == Outcome("x", told="3 requests, 3 records")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"limit": 3}, "request 1 is another one than was recorded: url was"),
        ({"records": 1}, "1 of the recorded requests were not made"),
    ],
)
async def test_a_recording_of_another_call_fails(change: dict[str, Any], why: str) -> None:
    config = one(LIST)
    pages = iter([{"items": [1, 2]}, {"items": []}])
    recording = await recorded(config, lambda _: next(pages), CALL, {})
    document = {**recording.document(), "call": {**CALL, **change}}
    assert why in (await play(read_integration(config), Recording.read(document), "x")).why


async def test_another_result_than_was_recorded_fails() -> None:
    config = one(LIST)
    pages = iter([{"items": [1, 2]}, {"items": []}])
    recording = await recorded(config, lambda _: next(pages), CALL, {})
    document = {**recording.document(), "gives": [1]}
    assert (await play(read_integration(config), Recording.read(document), "x")).why.startswith(
        "gives [1,2], and gave [1]"
    )


async def test_more_requests_than_were_recorded_fail() -> None:
    config = one(LIST)
    pages = iter([{"items": [1, 2]}, {"items": []}])
    recording = await recorded(config, lambda _: next(pages), CALL, {})
    document = {**recording.document(), "exchanges": recording.exchanges[:1]}
    assert (
        "request 2 is one more than was recorded"
        in (await play(read_integration(config), Recording.read(document), "x")).why
    )


@pytest.mark.parametrize(
    "document", [None, [], {}, {"call": {}, "account": {}}, {"call": {}, "account": {}, "exchanges": [{}]}], ids=str
)
def test_what_is_no_recording_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        Recording.read(document)


async def test_an_action_can_be_recorded() -> None:
    config = {"actions": {"go": {"type": "request", "config": {"path": "/x", "method": "post"}}}}
    call = {"resource": "_", "method": "go", "body": {"n": 1}}
    recording = await recorded(config, lambda r: Give({"got": r.json}), call, {})
    assert (await play(read_integration(config), recording, "x")).why == ""
