from __future__ import annotations

import pytest

import truto
from truto import errors
from truto.errors import ApiError, TrutoError, error_for


@pytest.mark.parametrize(
    ("status", "remote", "expected"),
    [
        (400, False, errors.BadRequest),
        (401, False, errors.Unauthorized),
        (401, True, errors.NeedsReauth),
        (403, False, errors.Forbidden),
        (403, True, errors.Forbidden),
        (404, False, errors.NotFound),
        (405, False, errors.BadRequest),
        (408, False, errors.ServerError),
        (409, True, errors.BadRequest),
        (418, False, errors.BadRequest),
        (422, True, errors.BadRequest),
        (425, False, errors.ServerError),
        (429, False, errors.RateLimited),
        (429, True, errors.RateLimited),
        (500, False, errors.ServerError),
        (502, False, errors.ServerError),
        (503, False, errors.AccountBlocked),
        (503, True, errors.ServerError),
        (504, True, errors.ServerError),
        (599, False, errors.ServerError),
    ],
)
def test_each_status_has_its_class(status: int, remote: bool, expected: type[ApiError]) -> None:
    assert error_for(status, remote=remote) is expected


def test_only_rate_limits_and_server_errors_may_pass() -> None:
    retryable = {kind for kind in ApiError.__subclasses__() if kind.retryable}
    assert retryable == {errors.RateLimited, errors.ServerError}


def test_the_message_names_the_request_and_what_truto_said() -> None:
    error = errors.NotFound(status=404, message="no such job", method="GET", path="/sync-job/1")
    assert str(error) == "GET /sync-job/1: 404 no such job"


def test_the_answers_body_is_kept_out_of_the_repr() -> None:
    error = errors.BadRequest(status=400, message="no", method="GET", path="/", body={"raw_response": "private"})
    assert "private" not in repr(error)
    assert error.body["raw_response"] == "private"


@pytest.mark.parametrize(
    ("body", "insight"),
    [
        ({"truto_error_insight": {"remote_error": {"description": "d"}}}, {"remote_error": {"description": "d"}}),
        ({"truto_error_insight": "text"}, {}),
        ({}, {}),
        (None, {}),
    ],
    ids=["object", "text", "absent", "no-body"],
)
def test_the_insight_is_an_object_or_empty(body: dict[str, object] | None, insight: object) -> None:
    error = errors.Forbidden(status=403, message="", method="GET", path="/", body=body)
    assert error.insight == insight


def test_every_error_is_exported_and_has_the_one_base() -> None:
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert kinds <= set(truto.__all__)
    assert all(issubclass(getattr(errors, name), TrutoError) for name in kinds)


@pytest.mark.parametrize(
    ("details", "told"),
    [
        (None, []),
        ({}, []),
        ({"failures": []}, []),
        ({"failures": [{"path": ["config", 0], "message": "is odd"}, "text"]}, ["config.0: is odd", "text"]),
        ({"failures": [{"field": "a", "reason": "b"}]}, ["a: b"]),
        ({"code": "x"}, ['{"code": "x"}']),
        ("text", ["text"]),
        ([1], ["[1]"]),
    ],
    ids=str,
)
def test_the_details_of_a_refusal_are_lines(details: object, told: list[str]) -> None:
    error = ApiError(status=400, message="m", method="POST", path="/x", body={"details": details})
    assert error.failures == told
