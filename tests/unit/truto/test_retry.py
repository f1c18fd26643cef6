"""The decision table: what is sent again, and when."""

from __future__ import annotations

import math
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truto.calls import build_call
from truto.retry import Failure, RetryPolicy, is_repeatable, parse_retry_after, wait_before_next

POLICY = RetryPolicy(attempts=3, base_seconds=1.0, cap_seconds=4.0)
NOW = 1_700_000_000.0


def decide(
    failure: Failure, *, repeatable: bool = True, attempt: int = 1, policy: RetryPolicy = POLICY, draw: float = 1.0
) -> float | None:
    return wait_before_next(failure, repeatable=repeatable, attempt=attempt, policy=policy, draw=draw)


@pytest.mark.parametrize(
    ("method", "path", "keyed", "expected"),
    [
        ("GET", "/sync-job-run", False, True),
        ("HEAD", "/sync-job-run", False, True),
        ("OPTIONS", "/sync-job-run", False, True),
        ("PUT", "/custom/things/1", False, True),
        ("DELETE", "/webhook/1", False, True),
        ("POST", "/sync-job-run", False, False),
        ("POST", "/sync-job-run", True, False),
        ("POST", "/link-token", True, False),
        ("PATCH", "/webhook/1", True, False),
        ("POST", "/unified/crm/contacts", False, False),
        ("POST", "/unified/crm/contacts", True, True),
        ("PATCH", "/unified/crm/contacts/1", True, True),
        ("POST", "/proxy/contacts", True, True),
        ("POST", "/custom/any/path", True, True),
        ("POST", "/batch-request", True, True),
        ("POST", "/unified-model", True, False),
        ("POST", "/", True, False),
    ],
)
def test_only_what_can_do_no_harm_twice_is_repeatable(method: str, path: str, keyed: bool, expected: bool) -> None:
    assert is_repeatable(method, build_call(method, path).route, keyed=keyed) is expected


@pytest.mark.parametrize("remote", [False, True], ids=["truto", "provider"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 418, 422])
def test_a_refusal_is_final(status: int, remote: bool) -> None:
    assert decide(Failure(status=status, remote=remote)) is None


def test_a_blocked_account_is_final() -> None:
    assert decide(Failure(status=503, retry_after=1.0)) is None


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(Failure(status=500), id="500"),
        pytest.param(Failure(status=502), id="502"),
        pytest.param(Failure(status=504), id="504"),
        pytest.param(Failure(status=408), id="408"),
        pytest.param(Failure(status=425), id="425"),
        pytest.param(Failure(status=520), id="520"),
        pytest.param(Failure(status=503, remote=True), id="503-of-the-provider"),
        pytest.param(Failure(status=599, remote=True), id="599-of-the-provider"),
        pytest.param(Failure(), id="answer-lost"),
    ],
)
def test_what_may_have_acted_is_repeated_only_when_that_does_no_harm(failure: Failure) -> None:
    assert decide(failure, repeatable=True) == 1.0
    assert decide(failure, repeatable=False) is None


@pytest.mark.parametrize("repeatable", [True, False], ids=["repeatable", "unsafe"])
def test_what_never_left_is_always_repeated(repeatable: bool) -> None:
    assert decide(Failure(sent=False), repeatable=repeatable) == 1.0


@pytest.mark.parametrize(("told", "wait"), [(None, 10.0), (0.0, 0.0), (3.5, 3.5), (60.0, 60.0)])
@pytest.mark.parametrize("repeatable", [True, False], ids=["repeatable", "unsafe"])
def test_a_rate_limit_waits_as_told_whatever_the_call(told: float | None, wait: float, repeatable: bool) -> None:
    assert decide(Failure(status=429, retry_after=told), repeatable=repeatable) == wait


def test_a_server_error_that_names_a_wait_gets_at_least_that() -> None:
    assert decide(Failure(status=502, retry_after=7.0)) == 7.0
    assert decide(Failure(status=502, retry_after=0.1)) == 1.0


@pytest.mark.parametrize(("attempt", "ceiling"), [(1, 1.0), (2, 2.0), (3, 4.0), (4, 4.0), (10_000, 4.0)])
def test_the_backoff_doubles_up_to_its_cap(attempt: int, ceiling: float) -> None:
    policy = RetryPolicy(attempts=20_000, base_seconds=1.0, cap_seconds=4.0)
    assert decide(Failure(status=500), attempt=attempt, policy=policy) == ceiling


@pytest.mark.parametrize("draw", [0.0, 0.25, 0.99])
def test_the_jitter_takes_the_whole_range(draw: float) -> None:
    assert decide(Failure(status=500), attempt=2, draw=draw) == 2.0 * draw


@pytest.mark.parametrize(
    "failure", [Failure(status=429), Failure(status=500), Failure(sent=False)], ids=["429", "500", "unsent"]
)
def test_the_last_attempt_is_the_last(failure: Failure) -> None:
    assert decide(failure, attempt=2) is not None
    assert decide(failure, attempt=3) is None


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Failure(), True),
        (Failure(sent=False), False),
        (Failure(status=500), True),
        (Failure(status=429), False),
    ],
    ids=["lost", "unsent", "500", "429"],
)
def test_a_failure_tells_whether_the_request_may_have_acted(failure: Failure, expected: bool) -> None:
    assert failure.may_have_acted is expected


@pytest.mark.parametrize(
    "kwargs",
    [
        {"attempts": 0},
        {"base_seconds": -1.0},
        {"base_seconds": 9.0, "cap_seconds": 8.0},
        {"cap_seconds": math.inf},
        {"cap_seconds": math.nan},
    ],
    ids=str,
)
def test_a_policy_that_makes_no_sense_is_refused(kwargs: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="retry policy"):
        RetryPolicy(**kwargs)  # type: ignore[arg-type] # the table mixes counts and seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("10", 10.0),
        (" 2.5 ", 2.5),
        ("0", 0.0),
        ("-5", 0.0),
        ("-inf", 0.0),
        ("inf", 60.0),
        ("1e9", 60.0),
        ("9" * 5000, 60.0),
        (formatdate(NOW + 20, usegmt=True), 20.0),
        (formatdate(NOW - 20, usegmt=True), 0.0),
        (formatdate(NOW + 86_400, usegmt=True), 60.0),
        (formatdate(NOW + 5), 5.0),
        ("Mon, 99 Foo 2024 00:00:00 GMT", None),
        ("Mon, 01 Jan 99999 00:00:00 GMT", None),
    ],
    ids=lambda value: str(value)[:32],
)
def test_retry_after_is_read_in_both_spellings_and_clamped(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=NOW) == seconds


@given(value=st.text() | st.floats().map(str) | st.integers().map(str))
def test_no_retry_after_makes_us_wait_beyond_a_minute(value: str) -> None:
    seconds = parse_retry_after(value, now=NOW)
    assert seconds is None or 0.0 <= seconds <= 60.0
