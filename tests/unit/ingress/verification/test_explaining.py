"""Why a delivery is taken or refused, in lines for the person who set the source up."""

from __future__ import annotations

from typing import Any

from ingress.sources.loading import read_source
from ingress.verification.explaining import Explanation, explain_delivery
from tests.unit.ingress.sources.senders import NOW, SECRET, hmac_header, of_headers

BODY = b'{"event":"ping"}'
HMAC = {"format": "hmac", "config": {"compare_with": "{{headers.x-signature}}", "parts": ["raw_body"]}}


def told(headers: dict[str, str], **webhook: Any) -> Explanation:
    given = {"webhook": {"signature_verification": HMAC, **webhook}, "secrets": [SECRET]}
    source = read_source("s", given, {})
    return explain_delivery(source, of_headers(headers, BODY), source.account({}), now=NOW)


def signed() -> dict[str, str]:
    return dict(hmac_header("x-signature")(BODY, SECRET))


def test_what_is_taken_names_its_secret_and_event() -> None:
    explanation = told(signed())
    assert (explanation.taken, explanation.reason) == (True, "accepted")
    assert explanation.lines[0] == "authentic with secret 0 (0 is the newest)"
    assert explanation.lines[1].startswith("event: ping with id sha256:")
    assert SECRET not in str(explanation)


def test_a_missing_signature_is_named() -> None:
    explanation = told({})
    assert (explanation.taken, explanation.reason) == (False, "signature_missing")
    assert "signature_missing: {{headers.x-signature}}: has no value" in explanation.lines


def test_an_expression_that_fails_is_named() -> None:
    explanation = told(signed(), payload_transform="$error('no')")
    assert (explanation.taken, explanation.reason) == (False, "expression_failed")
    assert any(line.startswith("expression_failed: ") for line in explanation.lines)


def test_a_handshake_is_taken_unless_it_refuses() -> None:
    for status, taken in ((200, True), (401, False)):
        answer = f"{{'type': 'verify', 'verification_response': {{'status_code': {status}}}}}"
        explanation = told({}, handle_verification=answer)
        assert (explanation.taken, explanation.reason) == (taken, "handshake")
        assert explanation.lines[0] == f"handle_verification answers with status {status}"


def test_a_delivery_without_events_is_ignored() -> None:
    explanation = told(signed(), payload_transform="[]")
    assert (explanation.taken, explanation.reason, explanation.lines[0]) == (
        True,
        "ignored",
        "nothing to queue: no_events",
    )
