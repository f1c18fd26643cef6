"""``rsa`` with a certificate that the delivery names, as PayPal's do."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given as chosen
from hypothesis import strategies as st

from ingress.answers import Refusal
from ingress.errors import Faults
from ingress.sources.loading import read_source
from ingress.verification.certificates import read_certificate
from ingress.verification.outcome import Accepted
from tests.unit.ingress.sources.certified import ADDRESS_OF, certificate_of
from tests.unit.ingress.sources.senders import EC_KEYS, NOW, SENDERS, of_headers, paypal, verify

PAYPAL = next(sender for sender in SENDERS if sender.preset == "paypal")
URL = ADDRESS_OF["paypal"]
BODY = PAYPAL.raw


def sent(body: bytes = BODY, headers: Mapping[str, str] | None = None, *, now: float = NOW) -> Any:
    made = {**paypal(BODY, PAYPAL.secret), **(headers or {})}
    return PAYPAL.verify(of_headers({"content-type": "application/json", **made}, body), now=now)


def cause(outcome: Any) -> str:
    assert isinstance(outcome, Refusal), outcome
    assert (outcome.status, outcome.reason) == (401, "signature_mismatch")
    return outcome.logged_reason


def test_paypal_s_signature_covers_the_crc_of_the_body() -> None:
    assert isinstance(sent(), Accepted)
    assert cause(sent(BODY + b" ")) == "signature_mismatch"


def test_one_signature_is_one_event_whatever_body_is_found_with_the_same_crc() -> None:
    """CRC-32 binds nothing: the last bytes of any other body can be chosen so that it is the same."""
    body = hit(b'{"id":"WH-2","event_type":"PAYMENT.CAPTURE.COMPLETED","x":"', BODY)
    outcome = sent(body)
    assert isinstance(outcome, Accepted)
    assert outcome.events[0].key == sent().events[0].key


def hit(start: bytes, other: bytes) -> bytes:
    """A body that begins with *start* and has the CRC-32 of *other*: characters in the middle decide, bit by bit."""
    wanted, end, place = crc32(other), b'"}', [b"A" * 64]
    base = crc32(start + place[0] + end)
    rows: list[tuple[int, int]] = []
    for index in range(64):  # `A` and `C` differ in one bit, and a CRC is linear in them
        flipped = bytearray(place[0])
        flipped[index] ^= 2
        value, mask = crc32(start + bytes(flipped) + end) ^ base, 1 << index
        for pivot, row in rows:
            if value ^ pivot < value:
                value, mask = value ^ pivot, mask ^ row
        if value:
            rows.append((value, mask))
            rows.sort(reverse=True)
    difference, flips = wanted ^ base, 0
    for pivot, row in rows:
        if difference ^ pivot < difference:
            difference, flips = difference ^ pivot, flips ^ row
    assert difference == 0
    return start + bytes(ord("A") ^ (2 if flips >> index & 1 else 0) for index in range(64)) + end


@pytest.mark.bad_input(272)
def test_what_paypal_signs_for_another_webhook_is_refused() -> None:
    assert cause(sent(BODY, paypal(BODY, PAYPAL.other))) == "signature_mismatch"


@pytest.mark.bad_input(272)
def test_a_source_that_signs_nothing_of_its_own_is_refused_at_load() -> None:
    config = {
        "certificate_url": "{{headers.x-cert}}",
        "certificates_under": ["https://keys.example/"],
        "parts": ["raw_body"],
        "compare_with": "{{headers.x-signature}}",
    }
    given = {"webhook": {"signature_verification": {"format": "rsa", "config": config}}, "secrets": ["mine"]}
    with pytest.raises(Faults, match="what the sender signs for others would count"):
        read_source("s", given, {})
    with pytest.raises(Faults, match=r"s\.secrets"):
        read_source("s", {"preset": "paypal"}, {})


@pytest.mark.bad_input(270)
@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/v1/notifications/certs/CERT-1",
        "https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1",
        "https://api.paypal.com@evil.example/v1/notifications/certs/CERT-1",
        "http://api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com/v1/notifications/certs/../../anything",
        "https://api.paypal.com/v1/notifications/certs/..",
        "https://api.paypal.com/v1/notifications/certs/%2e%2e%2fanything",
        "https://api.paypal.com/v1/notifications/certs/CERT-1?next=https://evil.example",
        "https://api.paypal.com/v1/notifications/certs/CERT-1/more",
        "https://api.paypal.com/v1/notifications/certs/",
        "https://www.paypal.com/v1/notifications/certs/CERT-1",
        "https://169.254.169.254/latest",
    ],
)
def test_a_certificate_elsewhere_is_refused(url: str) -> None:
    assert cause(sent(BODY, {"paypal-cert-url": url})) == "certificate_address"


def test_another_certificate_of_paypal_is_waited_for() -> None:
    assert cause(sent(BODY, {"paypal-cert-url": URL + "0"})) == "certificate_unknown"


@pytest.mark.parametrize("name", [name for name in paypal(BODY, PAYPAL.secret) if name != "paypal-auth-algo"])
@chosen(data=st.data())
def test_no_change_of_a_header_is_taken(name: str, data: st.DataObject) -> None:
    value = data.draw(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=255), max_size=60))
    cause(sent(BODY, {name: value}))


@pytest.mark.parametrize(("hours", "taken"), [(72, True), (74, False)])
def test_a_transmission_may_be_repeated_for_three_days(hours: int, taken: bool) -> None:
    outcome = sent(now=NOW + hours * 3600)
    assert isinstance(outcome, Accepted) is taken
    assert taken or cause(outcome) == "timestamp_out_of_tolerance"


@pytest.mark.bad_input(271)
@pytest.mark.parametrize("pem", [b"", b"<html>", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_told(pem: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_certificate(pem)


@pytest.mark.bad_input(271)
def test_a_certificate_of_another_kind_of_key_is_none() -> None:
    with pytest.raises(ValueError, match="no RSA key"):
        read_certificate(certificate_of(EC_KEYS[0]))


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"certificate_url": "{{headers.x}}"}, "needs both of `certificate_url` and `certificates_under`"),
        ({"certificates_under": ["https://keys.example/"]}, "needs both of"),
        ({"certificate_url": "{{headers.x}}", "certificates_under": ["http://keys.example/"]}, "must begin with https"),
        ({"certificate_url": "{{headers.x}}", "certificates_under": ["https://keys.example"]}, "must end with /"),
        ({"certificate_url": "{{headers.x}}", "certificates_under": ["https://u:p@keys.example/"]}, "no credentials"),
    ],
)
def test_addresses_that_guard_nothing_are_refused_at_load(config: dict[str, Any], why: str) -> None:
    full = {"verification_content": ["{{context.webhook_secret}}"], "compare_with": "{{headers.x-s}}", **config}
    given = {"webhook": {"signature_verification": {"format": "rsa", "config": full}}, "secrets": ["mine"]}
    with pytest.raises(Faults, match=why):
        read_source("s", given, {})


def test_the_crc_of_the_body_can_be_signed_by_others_too() -> None:
    config = {"compare_with": "{{headers.x-s}}", "verification_content": ["{{crc32}}"], "string_type": "hex"}
    webhook = {"signature_verification": {"format": "hmac", "config": config}}
    on = read_source("s", {"webhook": webhook, "secrets": ["k" * 16]}, {})
    made = hmac.digest(b"k" * 16, b"222957957", "sha256").hex()  # 222957957 = crc32(b"hello world")
    refused = verify(on, of_headers({"x-s": made, "content-type": "application/json"}, b"hello world"))
    assert isinstance(refused, Refusal)
    assert refused.reason == "not_json"  # authentic, and no event
