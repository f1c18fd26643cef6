"""Samples are signed as the sender would, or it is said why they cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from ingress.sources.loading import read_entry, read_source
from ingress.sources.sampling import CannotSign, signed_sample
from ingress.verification.outcome import Accepted
from tests.unit.ingress.sources.senders import NOW, SECRET, verify

HEADER = {"format": "hmac", "config": {"compare_with": "{{headers.x-s}}", "parts": ["raw_body"]}}


def sample(given: dict[str, Any]) -> Any:
    source = read_source("s", given, {})
    return source, signed_sample(source, read_entry("s", given, {}), source.account({}), now=NOW)


@pytest.mark.parametrize(
    "given",
    [
        {"preset": "okta", "secrets": [SECRET]},
        {"webhook": {"signature_verification": {"format": "bearer", "config": {}}}, "secrets": [SECRET]},
        {
            "webhook": {"signature_verification": {"format": "jwt", "config": {"compare_with": "{{headers.x-t}}"}}},
            "secrets": [SECRET],
            "options": {"jwt": {"algorithms": ["HS512"], "issuer": ["a", "b"], "audience": "us"}},
        },
        {
            "webhook": {"signature_verification": {"format": "jwt", "config": {}}},
            "secrets": [SECRET * 2],
            "options": {"jwt": {"algorithms": ["HS256"]}},
        },
        {"webhook": {"signature_verification": HEADER}, "secrets": [SECRET], "options": {"secret_encoding": "utf8"}},
    ],
    ids=["bare-token", "bearer", "claims", "jwt", "hmac"],
)
def test_a_sample_of_a_source_is_taken_by_it(given: dict[str, Any]) -> None:
    source, made = sample(given)
    assert isinstance(verify(source, made.delivery()), Accepted)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (
            {
                "webhook": {"signature_verification": {"format": "jwt", "config": {}}},
                "secrets": [SECRET],
                "options": {"jwt": {"body_hash": {"claim": "b"}}},
            },
            "bound to the body",
        ),
        (
            {
                "webhook": {"signature_verification": {"format": "bearer", "config": {"compare_with": "{{body.t}}"}}},
                "secrets": [SECRET],
            },
            "straight from a header",
        ),
        (
            {
                "webhook": {
                    "signature_verification": {
                        "format": "hmac",
                        "config": {"compare_with": "{{headers.x-s}}", "parts": ["made"]},
                    }
                },
                "secrets": [SECRET],
            },
            "comes out of an expression",
        ),
        (
            {
                "webhook": {"signature_verification": HEADER},
                "secrets": [SECRET],
                "options": {"media_types": ["text"]},
            },
            "no JSON",
        ),
        (
            {"preset": "sendgrid-inbound", "secrets": [f"u:{SECRET}"], "options": {"media_types": ["form"]}},
            "forms only",
        ),
        ({"preset": "svix", "secrets": ["whpk_PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="]}, "private key"),
        ({"preset": "linear", "secrets": [SECRET]}, "field of the body"),
    ],
    ids=["bound", "in-the-body", "made", "text", "form", "public-key", "time-in-the-body"],
)
def test_what_only_the_sender_can_sign_is_said(given: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotSign, match=why):
        sample(given)
