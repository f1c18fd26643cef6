"""The bounds of expressions at a source: what is linear passes over large bodies, what grows faster is told as such."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from ingress.answers import Refusal
from ingress.sources.loading import read_source
from ingress.sources.source import Source
from ingress.verification.outcome import Accepted, Handshake, Outcome
from tests.unit.ingress.sources.senders import SECRET, digest, of_headers, verify

LARGE = orjson.dumps({"event": "x", "items": [{"x": str(n % 10), "n": n} for n in range(12_000)]})
SLOW = "$count(body.items[$count($$.body.items[n > 1]) > 0]) > 0"
ENDLESS = "($f := function($x) { $f($x) }; $f(1))"
HUGE = "$count([1..1000000000]) > 0"


def source(order: str, **webhook: str) -> Source:
    hmac = {"format": "hmac", "config": {"compare_with": "{{headers.x-signature}}", "parts": ["raw_body"]}}
    options: dict[str, Any] = {"order": order}
    given = {"webhook": {"signature_verification": hmac, **webhook}, "secrets": [SECRET], "options": options}
    return read_source("s", given, {})


def outcome_of(on: Source, body: bytes) -> Outcome:
    return verify(on, of_headers({"x-signature": digest(SECRET, body).hex()}, body))


def told(outcome: Outcome) -> tuple[int, str, str]:
    assert isinstance(outcome, Refusal), outcome
    return outcome.status, outcome.logged_reason, str(outcome.detail).partition(":")[0]


# -- transforms --------------------------------------------------------------------------------------------------------


@pytest.mark.processor_time
@pytest.mark.parametrize(
    "transform",
    [
        "body.items[[0..899]].{'event': 'y', 'id': n}",
        "{'event': 'y', 'found': body.items[x = '7' and n > 5].n}",
        "{'event': 'y', 'by': body.items{x: $sum(n)}}",
        "{'event': 'y', 'sorted': body.items^(>n).n}",
        "{'event': 'y', 'length': $length($string(body))}",
    ],
)
def test_a_transform_that_is_linear_passes_over_a_large_body(transform: str) -> None:
    assert isinstance(outcome_of(source("transform_last", payload_transform=transform), LARGE), Accepted)


@pytest.mark.parametrize(
    ("made", "code"),
    [(SLOW, "limit_time"), (ENDLESS, "limit_time"), (HUGE, "limit_size"), ("$error('no')", "D3137")],
    ids=["quadratic", "endless", "huge", "its own error"],
)
@pytest.mark.parametrize("place", ["<>", "true and <>", "false or <>", "nothing or (true and <>)"])
def test_a_transform_that_is_stopped_says_by_what_wherever_it_was(made: str, code: str, place: str) -> None:
    body = orjson.dumps({"event": "x", "items": [{"n": n} for n in range(900)]})
    transform = f"{{'event': 'y', 'found': {place.replace('<>', made)}}}"
    assert told(outcome_of(source("transform_last", payload_transform=transform), body)) == (
        400,
        "expression_failed",
        code,
    )


# -- handshakes --------------------------------------------------------------------------------------------------------

ANSWERS = "{'type': 'verify', 'verification_response': {'status_code': 200, 'body': 'yes'}}"
SMALL = orjson.dumps({"items": [{"n": n} for n in range(4_000)]})  # what an unsigned handshake may have


@pytest.mark.parametrize(("order", "body"), [("truto", SMALL), ("signature_first", LARGE)], ids=["unsigned", "signed"])
def test_a_handshake_that_is_linear_passes_over_the_largest_body_it_may_have(order: str, body: bytes) -> None:
    handle = f"$count(body.items[n > 5]) > 1 ? {ANSWERS} : {{'type': 'payload'}}"
    outcome = outcome_of(source(order, handle_verification=handle), body)
    assert isinstance(outcome, Handshake)
    assert outcome.body == b"yes"


@pytest.mark.parametrize("order", ["truto", "signature_first"])
@pytest.mark.parametrize(
    ("made", "code"),
    [(SLOW, "limit_time"), (ENDLESS, "limit_time"), (HUGE, "limit_size")],
    ids=["quadratic", "endless", "huge"],
)
@pytest.mark.parametrize("place", ["<>", "true and <>", "false or <>"])
def test_a_handshake_that_is_stopped_answers_nothing_and_lets_nothing_in(
    order: str, made: str, code: str, place: str
) -> None:
    body = orjson.dumps({"event": "x", "items": [{"n": n} for n in range(900)]})
    handle = f"{place.replace('<>', made)} ? {{'type': 'payload'}} : {ANSWERS}"
    assert told(outcome_of(source(order, handle_verification=handle), body)) == (400, "expression_failed", code)
