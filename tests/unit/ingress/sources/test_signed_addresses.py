"""Twilio and HubSpot sign the address they call in spellings of their own."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import urlencode

import pytest

from ingress.answers import Refusal
from ingress.sources.loading import read_source
from ingress.verification.outcome import Accepted
from tests.unit.ingress.sources.senders import NOW, SECRET, of_headers, verify

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


def b64(content: bytes, algorithm: str) -> str:
    return base64.b64encode(hmac.digest(SECRET.encode(), content, algorithm)).decode()


def from_twilio(signed: str, body: bytes, *, public_url: str, media: str = FORM, query: str = "") -> Any:
    options = {"public_url": public_url}
    on = read_source("sender", {"preset": "twilio", "secrets": [SECRET], "options": options}, {})
    headers = {"content-type": media, "x-twilio-signature": b64(signed.encode(), "sha1")}
    return verify(on, of_headers(headers, body, query=query.encode()))


BOTH = [
    ("https://you.example", "https://you.example/webhooks/sender"),
    ("https://you.example", "https://you.example:443/webhooks/sender"),
    ("http://you.example", "http://you.example:80/webhooks/sender"),
    ("https://you.example:8443", "https://you.example:8443/webhooks/sender"),
    ("https://you.example:8443", "https://you.example/webhooks/sender"),
    ("https://[2001:db8::1]/prefix", "https://[2001:db8::1]:443/prefix/webhooks/sender"),
]


@pytest.mark.parametrize(("public_url", "signed"), BOTH)
def test_twilio_may_sign_the_port_or_leave_it_out(public_url: str, signed: str) -> None:
    outcome = from_twilio(signed + "BodyhiFrom1", b"Body=hi&From=1", public_url=public_url)
    assert isinstance(outcome, Accepted)


@pytest.mark.bad_input(249)
@pytest.mark.parametrize(
    "signed",
    [
        "https://you.example:8443/webhooks/sender",
        "https://you.example:80/webhooks/sender",
        "http://you.example/webhooks/sender",
        "https://other.example/webhooks/sender",
        "https://you.example/webhooks/other",
    ],
)
def test_any_other_address_of_twilios_is_refused(signed: str) -> None:
    outcome = from_twilio(signed + "BodyhiFrom1", b"Body=hi&From=1", public_url="https://you.example")
    assert isinstance(outcome, Refusal)
    assert outcome.status == 401


def test_a_form_of_twilios_without_fields_is_accepted() -> None:
    outcome = from_twilio("https://you.example/webhooks/sender", b"", public_url="https://you.example")
    assert isinstance(outcome, Accepted)


def json_of_twilio(body: bytes, *, hashed: bytes | None = None) -> Any:
    query = urlencode({"bodySHA256": hashlib.sha256(body if hashed is None else hashed).hexdigest(), "a": "1"})
    signed = f"https://you.example/webhooks/sender?{query}"
    return from_twilio(signed, body, public_url="https://you.example", media=JSON, query=query)


def test_json_of_twilios_is_accepted_by_its_hash_in_the_address() -> None:
    assert isinstance(json_of_twilio(b'{"MessageSid":"SM1"}'), Accepted)


@pytest.mark.bad_input(250)
def test_json_of_twilios_with_another_hash_or_none_is_refused() -> None:
    assert json_of_twilio(b'{"MessageSid":"SM1"}', hashed=b'{"MessageSid":"SM2"}').status == 401
    signed = "https://you.example/webhooks/sender"
    assert from_twilio(signed, b'{"a":1}', public_url="https://you.example", media=JSON).status == 401


def from_hubspot(signed_query: str, query: str) -> Any:
    options = {"public_url": "https://you.example"}
    on = read_source("sender", {"preset": "hubspot", "secrets": [SECRET], "options": options}, {})
    body, moment = b'[{"eventId":1,"subscriptionType":"contact.creation"}]', str(int(NOW * 1000))
    content = f"POSThttps://you.example/webhooks/sender?{signed_query}".encode() + body + moment.encode()
    headers = {
        "content-type": JSON,
        "x-hubspot-signature-v3": b64(content, "sha256"),
        "x-hubspot-request-timestamp": moment,
    }
    return verify(on, of_headers(headers, body, query=query.encode()))


@pytest.mark.parametrize(
    ("signed", "query"),
    [
        ("to=a@b.example", "to=a%40b.example"),
        (":/?@!$'()*,;", "%3A%2F%3F%40%21%24%27%28%29%2A%2C%3B"),
        (":/", "%3a%2f"),
        ("a%20b%26c%3Dd%2Be", "a%20b%26c%3Dd%2Be"),
        ("%253A", "%253A"),
        ("plain=1", "plain=1"),
    ],
    ids=["one", "all", "small letters", "others stay", "once", "none"],
)
def test_hubspot_signs_the_address_without_the_escapes_of_its_list(signed: str, query: str) -> None:
    assert isinstance(from_hubspot(signed, query), Accepted)


@pytest.mark.bad_input(249)
def test_hubspots_signature_of_another_query_is_refused() -> None:
    assert from_hubspot("to=a@b.example", "to=c%40b.example").status == 401
