"""Samples are signed as the sender would, or it is said why they cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from ingress.errors import CannotSign
from ingress.sources.loading import read_entry, read_source
from ingress.sources.sampling import signed_sample
from ingress.verification.outcome import Accepted
from tests.unit.ingress.sources.senders import NOW, SECRET, SENDERS, Sender, verify

HEADER = {"format": "hmac", "config": {"compare_with": "{{headers.x-s}}", "parts": ["raw_body"]}}


def sample(given: dict[str, Any]) -> Any:
    source = read_source("s", given, {})
    return source, signed_sample(source, read_entry("s", given, {}), source.account({}), now=NOW)


@pytest.mark.parametrize(
    "given",
    [
        {"preset": "okta", "secrets": [SECRET]},
        {"preset": "adyen", "secrets": ["0f" * 32]},
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
    ids=["bare-token", "adyen", "bearer", "claims", "jwt", "hmac"],
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


UNSIGNABLE = {
    "hubspot-v1": "only the sender",
    "hubspot-v2": "only the sender",
    "microsoft-graph": "only the sender",
    "discord": "only the sender",
    "sendgrid": "only the sender",
    "highlevel": "only the sender",
    "highlevel-ed25519": "only the sender",
    "wise": "only the sender",
    "paypal": "only the sender",
    "aws-sns": "only the sender",
    "gmail-push": "only the sender",
    "gong": "only the sender",
    "plaid": "only the sender",
    "linear": "the signed time is a field of the body",
    "mailgun": "the signed time is a field of the body",
    "lever": "what is signed are fields of the body",
    "salesforce": "takes no JSON",
    "twilio": "fields of forms only",
}


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.preset)
def test_a_sample_of_every_preset_is_taken_or_says_why_it_cannot_be_made(sender: Sender) -> None:
    source, entry = sender.source(), read_entry("sender", sender.given(), {})
    if sender.preset in UNSIGNABLE:
        with pytest.raises(CannotSign, match=UNSIGNABLE[sender.preset]):
            signed_sample(source, entry, source.account({}), now=NOW)
    else:
        made = signed_sample(source, entry, source.account({}), now=NOW)
        assert isinstance(verify(source, made.delivery()), Accepted)
