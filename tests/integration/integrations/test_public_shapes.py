"""Ten public APIs, each a definition: run against servers that answer as their documents say, and offline."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.integrations import read_files, run_tests
from tests.integration.integrations.shapes import EXAMPLES, SHAPES, Shape, record
from truto import BadRequest, Forbidden, NeedsReauth, NotFound, RateLimited
from truto.documents import document_paths, read_document
from truto.integration import Account, Session, Wish, read_integration
from truto.integration.cassettes import Recording
from truto.integration.offline import play

CALLS = [(shape, name) for shape in SHAPES for name in shape.calls]
CALL_IDS = [f"{shape.name}-{name}" for shape, name in CALLS]


def test_there_are_ten_and_each_has_a_definition() -> None:
    assert len(SHAPES) == 10
    assert [path.stem for path in document_paths(EXAMPLES)] == sorted(shape.name for shape in SHAPES)


@pytest.mark.parametrize(("shape", "name"), CALLS, ids=CALL_IDS)
async def test_a_product_gives_every_record_once(shape: Shape, name: str) -> None:
    gives = (await record(shape, name)).gives
    if name.endswith("-list"):
        assert len(gives) == shape.finds.get(name, 5)
        assert len({json.dumps(each, sort_keys=True) for each in gives}) == len(gives)
    else:
        assert gives["id"]


@pytest.mark.parametrize(("shape", "name"), CALLS, ids=CALL_IDS)
async def test_what_is_recorded_beside_the_examples_is_what_the_server_gives(shape: Shape, name: str) -> None:
    path = EXAMPLES / "cassettes" / shape.name / f"{name}.json"
    assert json.loads(path.read_text()) == json.loads(json.dumps((await record(shape, name)).document()))


def test_all_examples_pass_offline(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tests([EXAMPLES], as_json=False) == 0
    out = capsys.readouterr().out
    assert out.endswith(f"{len(CALLS) + 10} passed, 0 failed\n")
    for shape in SHAPES:
        assert f"ok      {shape.name}  cassettes/" in out


def test_no_example_has_anything_odd() -> None:
    assert [file.integration.notes for file in read_files([EXAMPLES])] == [()] * 10


@pytest.mark.parametrize(("shape", "name"), CALLS, ids=CALL_IDS)
async def test_a_recording_notices_what_a_change_of_the_definition_changes(shape: Shape, name: str) -> None:
    document: dict[str, Any] = read_document((EXAMPLES / f"{shape.name}.yaml").read_text())
    document["integration"]["config"]["headers"] = {"X-New": "1"}
    recording = Recording.read(json.loads((EXAMPLES / "cassettes" / shape.name / f"{name}.json").read_text()))
    outcome = await play(read_integration(document), recording, name)
    assert "request 1 is another one than was recorded: the headers" in outcome.why or shape.name in (
        "hubspot",
        "google-calendar",
    )
    assert outcome.why


@pytest.mark.parametrize(
    ("name", "context", "error"),
    [
        ("github", {"api_key": "wrong-key"}, NeedsReauth),
        ("stripe", {"api_key": "wrong-key"}, NeedsReauth),
        ("zendesk", {"api_token": "wrong-key"}, NeedsReauth),
        ("jira", {"api_token": "wrong-key"}, NeedsReauth),
        ("notion", {"api_key": "wrong-key"}, NeedsReauth),
        ("bamboohr", {"api_key": "wrong-key"}, NeedsReauth),
        ("slack", {"api_key": "wrong-key"}, NeedsReauth),
        ("hubspot", {"oauth": {"token": {"access_token": "x", "refresh_token": "wrong-refresh"}}}, NeedsReauth),
        ("google-calendar", {"oauth": {"token": {"access_token": "x", "refresh_token": "wrong"}}}, NeedsReauth),
        (
            "salesforce",
            {"oauth": {"token": {"access_token": "wrong-key", "instance_url": "https://acme.my.salesforce.com"}}},
            NeedsReauth,
        ),
    ],
)
async def test_wrong_credentials_mean_that_the_account_has_to_be_connected_again(
    name: str, context: dict[str, Any], error: type[Exception]
) -> None:
    (shape,) = (shape for shape in SHAPES if shape.name == name)
    account = Account({**shape.context, **context})
    with pytest.raises(error):
        await record(shape, next(iter(shape.calls)), account)
    assert account.status == "needs_reauth"


class Answering:
    """A wire with one answer."""

    def __init__(self, status: int, body: Any, **headers: str) -> None:
        from truto.integration import Answer

        self._answer = Answer(status, headers, json.dumps(body).encode())

    async def send(self, request: object) -> Any:
        del request
        return self._answer

    async def aclose(self) -> None:
        """Nothing is open."""


LIMITED = {"x-ratelimit-remaining": "0", "retry-after": "30"}


@pytest.mark.parametrize(
    ("name", "answer", "error", "words"),
    [
        ("github", Answering(403, {"message": "API rate limit exceeded"}, **LIMITED), RateLimited, "limits the rate"),
        ("github", Answering(403, {"message": "Resource not accessible"}), Forbidden, "Resource not accessible"),
        ("stripe", Answering(400, {"error": {"message": "No such plan"}}), BadRequest, "No such plan"),
        ("slack", Answering(200, {"ok": False, "error": "missing_scope"}), Forbidden, "missing_scope"),
        ("slack", Answering(200, {"ok": False, "error": "user_not_found"}), NotFound, "user_not_found"),
        ("slack", Answering(200, {"ok": False, "error": "something_new"}), BadRequest, "something_new"),
        ("jira", Answering(404, {"errorMessages": ["gone", "for good"]}), NotFound, "gone; for good"),
        ("notion", Answering(200, {"object": "error", "status": 404, "code": "c", "message": "m"}), NotFound, "c: m"),
        (
            "google-calendar",
            Answering(403, {"error": {"errors": [{"reason": "rateLimitExceeded"}]}}),
            RateLimited,
            "limits",
        ),
        (
            "salesforce",
            Answering(400, [{"errorCode": "MALFORMED_QUERY", "message": "m"}]),
            BadRequest,
            "MALFORMED_QUERY: m",
        ),
    ],
)
async def test_a_products_errors_are_told_in_its_own_words(
    name: str, answer: Answering, error: type[Exception], words: str
) -> None:
    (shape,) = (shape for shape in SHAPES if shape.name == name)
    call = next(iter(shape.calls.values()))
    context = {
        **shape.context,
        "oauth": {"token": {**shape.context.get("oauth", {}).get("token", {}), "expires_at": 1e11}},
    }
    session = Session(shape.integration, Account(context), wire=answer)
    with pytest.raises(error, match=words):
        await session.page(call["resource"], "list", Wish(query=call.get("query", {})))
