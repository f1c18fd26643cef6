"""What an answer means."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truto import errors
from truto.answers import read_answer, read_json, read_model, read_object, read_text
from truto.calls import build_call
from truto.errors import ApiError, ProtocolError
from truto.models import IntegratedAccount

TOKEN = "api-token-of-the-test"
CALL = build_call("POST", "/sync-job-run", body={"sync_job_id": "job-4711", "args": {"password": ["hunter2", 5, True]}})


def read(status: int, body: bytes | None, headers: dict[str, str] | None = None) -> Any:
    return read_json(CALL, read_answer(CALL, status, headers or {}, body, token=TOKEN, now=0.0))


def failure(status: int, envelope: object, headers: dict[str, str] | None = None) -> ApiError:
    body = envelope if isinstance(envelope, bytes) else json.dumps(envelope).encode()
    with pytest.raises(ApiError) as caught:
        read(status, body, headers)
    return caught.value


@pytest.mark.parametrize(
    ("status", "body", "value"),
    [(200, b'{"id":"1"}', {"id": "1"}), (201, b"[1]", [1]), (204, b"", {}), (200, b" \n", {}), (200, b"null", None)],
    ids=["object", "list", "204", "blank", "null"],
)
def test_a_2xx_is_its_json_and_nothing_is_an_empty_object(status: int, body: bytes, value: object) -> None:
    assert read(status, body) == value


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"),
        (200, b'{"a":NaN}'),
        (200, b"\xff"),
        (200, b"[" * 100_000),
        (200, None),
        (301, b""),
        (302, b'{"id":"1"}'),
        (304, b""),
        (101, b""),
    ],
    ids=["html", "nan", "not-utf-8", "too-deep", "too-large", "301", "302", "304", "101"],
)
def test_what_truto_does_not_document_is_a_protocol_error(status: int, body: bytes | None) -> None:
    with pytest.raises(ProtocolError):
        read(status, body)


def test_an_unreadable_answer_is_quoted_nowhere() -> None:
    with pytest.raises(ProtocolError) as caught:
        read(200, b"private text")
    assert "private" not in str(caught.value)
    assert caught.value.__context__ is None


def test_the_envelope_becomes_a_typed_error() -> None:
    error = failure(
        401,
        {"statusCode": 401, "error": "Unauthorized", "message": "token expired", "truto_is_remote_error": True},
    )
    assert isinstance(error, errors.NeedsReauth)
    assert (error.status, error.remote, error.message) == (401, True, "token expired")
    assert (error.method, error.path, error.retry_after) == ("POST", "/sync-job-run", None)


def test_details_and_insight_stay_readable() -> None:
    error = failure(
        400,
        {"message": "no", "details": {"failures": [1]}, "truto_error_insight": {"remote_error": {}}},
    )
    assert error.body["details"] == {"failures": [1]}
    assert error.insight == {"remote_error": {}}


@pytest.mark.parametrize("flag", ["true", 1, None, False])
def test_only_a_true_flag_blames_the_provider(flag: object) -> None:
    assert isinstance(failure(503, {"message": "m", "truto_is_remote_error": flag}), errors.AccountBlocked)


@pytest.mark.parametrize(
    "body",
    [b"", b"<h1>Bad Gateway</h1>", b"[]", b'"text"', b"{}", b'{"message":{"a":1}}', b'{"message":"   "}', b"\xff"],
    ids=["empty", "html", "list", "text", "no-message", "object-message", "blank-message", "not-utf-8"],
)
def test_any_error_body_gives_the_right_class_and_a_standard_message(body: bytes) -> None:
    error = failure(502, body)
    assert isinstance(error, errors.ServerError)
    assert error.message == "Bad Gateway"


def test_an_error_too_large_to_read_keeps_its_class() -> None:
    with pytest.raises(errors.NotFound):
        read(404, None)


def test_a_status_without_a_name_has_a_message_all_the_same() -> None:
    assert failure(599, b"").message == "no message"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({}, 10.0), ({"retry-after": "3"}, 3.0), ({"retry-after": "1e9"}, 60.0), ({"retry-after": "soon"}, 10.0)],
    ids=["absent", "seconds", "huge", "unreadable"],
)
def test_a_rate_limit_always_names_a_wait(headers: dict[str, str], seconds: float) -> None:
    assert failure(429, {"message": "slow down"}, headers).retry_after == seconds


@pytest.mark.parametrize("said", [TOKEN, "job-4711", "hunter2"], ids=["token", "id", "nested"])
def test_what_was_sent_is_masked_in_the_message(said: str) -> None:
    error = failure(400, {"message": f"password {said} is too short"})
    assert str(error) == "POST /sync-job-run: 400 password […] is too short"


def test_a_value_inside_a_longer_one_does_not_uncover_the_rest() -> None:
    call = build_call("POST", "/x", body=["secret", "secret-and-more"])
    with pytest.raises(ApiError) as caught:
        read_answer(call, 400, {}, b'{"message":"bad: secret-and-more"}', token=TOKEN, now=0.0)
    assert caught.value.message == "bad: […]"


def test_a_long_message_is_cut() -> None:
    assert len(failure(400, {"message": "x " * 1000}).message) <= 500


def test_a_message_that_is_no_message_is_left_out() -> None:
    assert failure(400, {"message": "x" * 30_000}).message == "Bad Request"


def test_control_characters_cannot_forge_a_log_line() -> None:
    message = failure(400, {"message": "a\r\n2026 INFO fake\x1b[31m\u202e"}).message
    assert message.isprintable()


@given(status=st.integers(100, 599), body=st.binary(max_size=200))
def test_no_answer_raises_anything_but_our_errors(status: int, body: bytes) -> None:
    with suppress(errors.TrutoError):
        read(status, body)


@pytest.mark.parametrize("answer", [None, [], "text", 1])
def test_an_object_is_demanded_where_one_is_documented(answer: object) -> None:
    with pytest.raises(ProtocolError, match="GET /x: the answer is not a JSON object"):
        read_object("GET /x", answer)


def test_a_model_that_does_not_fit_names_fields_and_no_values() -> None:
    with pytest.raises(ProtocolError, match="GET /x: not a IntegratedAccount: context, id") as caught:
        read_model("GET /x", IntegratedAccount, {"context": "private"})
    assert "private" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_model_of_something_else_entirely_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError, match="the answer"):
        read_model("GET /x", IntegratedAccount, [])


def test_an_error_names_the_account_that_the_request_named() -> None:
    call = build_call("GET", "/unified/crm/contacts", params={"integrated_account_id": "account-1"})
    with pytest.raises(errors.NeedsReauth) as caught:
        read_answer(call, 401, {}, b'{"truto_is_remote_error":true}', token=TOKEN, now=0.0)
    assert caught.value.integrated_account_id == "account-1"


def test_a_text_is_read_as_utf_8_or_refused() -> None:
    assert read_text("GET /x", "# ä".encode()) == "# ä"
    with pytest.raises(ProtocolError, match="UTF-8"):
        read_text("GET /x", b"\xff")
