from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import Event
from truto import RateLimited, TransportError, Unauthorized
from worker import Backoff, Context, DeadLetter, Discard, NotifyError, Retry
from worker.cause import Describer
from worker.outcome import Policy, end_of_attempt, end_of_poison
from worker.registry import Handler

POLICY = Policy(max_attempts=3, timeout=9, backoff=Backoff(8, 8))
SECRET = "sk-live-0123456789"


async def handle(event: Event, ctx: Context) -> None: ...


HANDLER = Handler("handlers.x.handle", handle, ("*",))


def end(error: BaseException | None, attempts: int = 0, handler: Handler = HANDLER) -> Any:
    return end_of_attempt(error, handler, attempts, POLICY, Describer.masking([SECRET]))


def rate_limited(retry_after: float | None) -> RateLimited:
    return RateLimited(status=429, message="slow down", method="GET", path="/x", retry_after=retry_after)


@pytest.mark.parametrize(
    ("error", "attempts", "kind"),
    [
        (None, 0, "done"),
        (None, 99, "done"),
        (Discard("gone"), 0, "discarded"),
        (Discard("gone"), 2, "discarded"),
        (DeadLetter("broken"), 0, "dead"),
        (Retry("busy"), 0, "retried"),
        (Retry("busy"), 1, "retried"),
        (Retry("busy"), 2, "dead"),
        (Retry("busy", after=5), 2, "dead"),
        (ValueError("x"), 0, "retried"),
        (ValueError("x"), 2, "dead"),
        (ValueError("x"), 7, "dead"),
        (SystemExit(3), 0, "retried"),
        (asyncio.CancelledError(), 0, "retried"),
        (TimeoutError("slow"), 2, "dead"),
        (NotifyError("the tenant's endpoint answered 500"), 0, "retried"),
        (TransportError("lost"), 0, "retried"),
        (Unauthorized(status=401, message="no", method="GET", path="/x"), 99, "released"),
        (rate_limited(10), 0, "released"),
        (rate_limited(10), 2, "released"),
        (rate_limited(10), 99, "released"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_an_attempt_ends_as_its_error_says(error: BaseException | None, attempts: int, kind: str) -> None:
    assert end(error, attempts).kind == kind
    assert end(error, attempts).handler == HANDLER.name


def test_a_discard_keeps_its_reason_without_secrets() -> None:
    assert end(Discard(f"token {SECRET} is void")).note == {"why": "token [secret] is void"}


def test_a_dead_letter_by_choice_says_why_and_where_and_after_how_many_attempts() -> None:
    note = end(DeadLetter(f"no such thing, {SECRET}"), 1).note
    assert note["why"] == "no such thing, [secret]"
    assert note["attempts"] == 2
    assert {"error", "traceback", "fingerprint"} <= set(note)


def test_the_last_failure_becomes_a_dead_letter_with_its_cause() -> None:
    note = end(ValueError(f"bad {SECRET}"), 2).note
    assert note["attempts"] == 3
    assert note["error"] == "ValueError: bad [secret]"


def test_a_failure_waits_for_the_backoff_and_says_how_long() -> None:
    found = end(ValueError("bad"), 1)
    assert 0 <= found.delay <= 8
    assert found.note == {"error": "ValueError: bad", "attempt": 2, "in_seconds": round(found.delay, 3)}


@pytest.mark.parametrize(("after", "delay"), [(0, 0), (1.5, 1.5), (3600, 3600), (-5, 0)])
def test_a_retry_chooses_its_own_delay(after: float, delay: float) -> None:
    assert end(Retry("later", after=after)).delay == delay


@given(after=st.floats(allow_nan=False, allow_infinity=False))
def test_no_delay_is_too_long_for_the_store(after: float) -> None:
    delay = end(Retry("later", after=after)).delay
    assert 0 <= round(delay * 1000) < 2**53


@pytest.mark.parametrize(
    ("retry_after", "delay"), [(None, 1), (0, 1), (0.2, 1), (10, 10), (60, 60), (3600, 60), (-3, 1)]
)
def test_a_rate_limit_is_waited_for_within_bounds(retry_after: float | None, delay: float) -> None:
    found = end(rate_limited(retry_after))
    assert found.delay == delay
    assert found.note == {"why": "rate_limited", "in_seconds": delay}


def test_a_handler_may_bring_its_own_limits() -> None:
    own = Handler("h", handle, ("*",), max_attempts=1, timeout=2.5, backoff=Backoff(1, 1))
    assert end(ValueError("x"), 0, own).kind == "dead"
    assert (POLICY.attempts_of(own), POLICY.timeout_of(own), POLICY.backoff_of(own)) == (1, 2.5, Backoff(1, 1))
    assert (POLICY.attempts_of(HANDLER), POLICY.timeout_of(HANDLER)) == (3, 9)
    assert POLICY.backoff_of(HANDLER) == Backoff(8, 8)


@pytest.mark.parametrize(("handler", "fingerprint"), [("h", "crash:h"), (None, "crash:unknown")])
def test_poison_becomes_a_dead_letter_that_says_so(handler: str | None, fingerprint: str) -> None:
    found = end_of_poison(handler, 3)
    assert found.kind == "dead"
    assert found.handler == handler
    assert found.note["fingerprint"] == fingerprint
    assert "3 times" in found.note["error"]


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise AttributeError("no text")


class Wordless(Exception):
    def __str__(self) -> str:
        return None  # type: ignore[return-value] # noqa: PLE0307 what a careless handler may do


@pytest.mark.parametrize(
    "error",
    [
        Unspeakable(),
        Wordless(),
        Discard(404),  # type: ignore[arg-type] # likewise
        Discard(ValueError("x")),  # type: ignore[arg-type] # likewise
        DeadLetter(None),  # type: ignore[arg-type] # likewise
        Discard(Unspeakable()),  # type: ignore[arg-type] # likewise
        ValueError("x" * 10**6),
        ValueError("\x00\x1b[31m"),
        ExceptionGroup("several", [ValueError("a"), Unspeakable()]),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("attempts", [0, 2], ids=["early", "last"])
def test_no_error_is_too_strange_to_be_judged(error: BaseException, attempts: int) -> None:
    assert end(error, attempts).kind in {"retried", "dead", "discarded"}


@given(text=st.text(st.characters(), max_size=50))
def test_whatever_an_error_says_can_be_stored(text: str) -> None:
    import orjson

    for error in (ValueError(text), Discard(text), DeadLetter(text), Retry(text)):
        assert orjson.dumps(end(error).note)


def test_an_error_from_a_place_with_a_strange_name_can_be_stored() -> None:
    import orjson

    code = compile("def f():\n    raise ValueError('x')\nf()", "/tmp/\udcff.py", "exec")
    with pytest.raises(ValueError, match="x") as caught:
        exec(code, {})
    assert orjson.dumps(end(caught.value, 2).note)


def test_a_recursion_without_end_is_described_in_bounds() -> None:
    def fall(depth: int) -> int:
        return fall(depth + 1) + 1

    with pytest.raises(RecursionError) as caught:
        fall(0)
    assert len(end(caught.value, 2).note["traceback"]) <= 12
    assert sys.getrecursionlimit() > 12
