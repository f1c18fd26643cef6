"""Senders that sign the address they call: it is configured, and never taken from the request."""

from __future__ import annotations

import hmac
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ingress.answers import Refusal
from ingress.errors import Faults
from ingress.sources.address import read_public_url
from ingress.sources.loading import read_source
from ingress.sources.reloading import SourcesFile
from ingress.sources.source import Source
from ingress.verification.outcome import Accepted, Handshake
from tests.unit.ingress.sources.senders import NOW, SECRET, SENDERS, b64, digest, of_headers, verify

URL_SIGNERS = ("hubspot", "hubspot-v2", "square", "trello", "twilio")
OURS = "https://you.example"
THEIRS = "https://partner.example"
FORM = b"AccountSid=AC1&Body=hi&From=%2B1"
JSON = b'{"type":"payment.created","event_id":"e1"}'
MS = str(int(NOW * 1000))


def source(preset: str, *, own: str | None = None, everywhere: str = "") -> Source:
    given: dict[str, Any] = {"preset": preset, "secrets": [SECRET], "options": {"public_url": own} if own else {}}
    return read_source("sender", given, {}, public_url=everywhere)


def delivered(preset: str, base: str, *, query: bytes = b"", **headers: str) -> Any:
    """A delivery that *preset*'s sender signed for the address that begins with *base*."""
    url = f"{base}/webhooks/sender{'?' if query else ''}{query.decode()}"
    match preset:
        case "twilio":
            made = digest(SECRET, url + "AccountSidAC1BodyhiFrom+1", algorithm="sha1")
            signed = {"x-twilio-signature": b64(made), "content-type": "application/x-www-form-urlencoded"}
        case "square":
            signed = {"x-square-hmacsha256-signature": b64(digest(SECRET, url, JSON))}
        case "trello":
            signed = {"x-trello-webhook": b64(digest(SECRET, JSON, url, algorithm="sha1"))}
        case "hubspot":
            made = digest(SECRET, "POST", url, b"[" + JSON + b"]", MS)
            signed = {"x-hubspot-signature-v3": b64(made), "x-hubspot-request-timestamp": MS}
        case _:
            import hashlib

            made = hashlib.sha256(f"{SECRET}POST{url}".encode() + JSON).digest()
            signed = {"x-hubspot-signature": made.hex()}
    body = {"twilio": FORM, "hubspot": b"[" + JSON + b"]"}.get(preset, JSON)
    return of_headers({**signed, **headers}, body, query=query)


def status_of(outcome: Any) -> int:
    assert isinstance(outcome, Refusal | Handshake), outcome
    return outcome.status


@pytest.mark.bad_input(174)
@pytest.mark.parametrize("preset", URL_SIGNERS)
def test_the_host_header_does_not_say_where_a_delivery_was_sent(preset: str) -> None:
    replayed = delivered(preset, THEIRS, host="partner.example")
    assert status_of(verify(source(preset, own=OURS), replayed)) == 401
    assert status_of(verify(source(preset), replayed)) == 401


@pytest.mark.bad_input(175)
@pytest.mark.parametrize("name", ["x-forwarded-host", "x-forwarded-server", "x-original-host", "forwarded"])
@pytest.mark.parametrize("preset", URL_SIGNERS)
def test_neither_does_what_a_proxy_may_have_forwarded(preset: str, name: str) -> None:
    value = "host=partner.example;proto=https" if name == "forwarded" else "partner.example"
    forwarded: dict[str, Any] = {"host": "you.example", name: value, "x-forwarded-proto": "https"}
    replayed = delivered(preset, THEIRS, **forwarded)
    for on in (source(preset, own=OURS), source(preset, everywhere=OURS), source(preset)):
        assert status_of(verify(on, replayed)) == 401


NAMES = [
    "host",
    "forwarded",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-prefix",
    "x-original-url",
    ":authority",
]
PLACES = [
    "partner.example",
    "https://partner.example",
    "https",
    "/webhooks/sender",
    "https://partner.example/webhooks/sender",
]


@given(
    preset=st.sampled_from(URL_SIGNERS),
    headers=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(PLACES) | st.from_regex(r"[ -~]{0,20}")),
    query=st.binary(max_size=20),
)
def test_nothing_in_a_request_makes_a_delivery_to_others_ours(
    preset: str, headers: dict[str, str], query: bytes
) -> None:
    added: dict[str, Any] = {name: value.strip() for name, value in headers.items() if value.isascii()}
    replayed = replace(delivered(preset, THEIRS, **added), query=query)
    for on in (source(preset, own=OURS), source(preset)):
        assert status_of(verify(on, replayed)) == 401


@pytest.mark.bad_input(176)
@pytest.mark.parametrize("preset", URL_SIGNERS)
def test_without_an_address_every_delivery_is_refused_for_its_own_reason(preset: str) -> None:
    outcome = verify(source(preset), delivered(preset, OURS, host="you.example"))
    assert isinstance(outcome, Refusal)
    assert (outcome.status, outcome.reason, outcome.logged_reason) == (401, "signature_mismatch", "public_url_missing")
    assert "PUBLIC_URL" in outcome.detail


@pytest.mark.parametrize("preset", URL_SIGNERS)
@pytest.mark.parametrize(
    "base", [OURS, "https://you.example:8443", "http://you.example/hooks/in", "https://[2001:db8::1]"]
)
def test_behind_a_proxy_the_configured_address_counts(preset: str, base: str) -> None:
    """The proxy changes the Host, and takes a prefix off the path."""
    delivery = delivered(preset, base, query=b"a=1&b=%20", host="10.0.0.7:8000")
    assert isinstance(verify(source(preset, own=base), delivery), Accepted)
    assert isinstance(verify(source(preset, everywhere=base), delivery), Accepted)
    assert isinstance(verify(source(preset, own=base, everywhere=THEIRS), delivery), Accepted)
    assert status_of(verify(source(preset, own=THEIRS, everywhere=base), delivery)) == 401


def test_presets_that_sign_no_address_need_none() -> None:
    needing = {sender.preset for sender in SENDERS if read_source("s", sender.given(), {}).unprovable}
    assert needing == {*URL_SIGNERS, "gong"}


# -- written by hand ---------------------------------------------------------------------------------------------------


def by_hand(*content: str, transform: str | None = None, order: str = "truto") -> Source:
    config = {"verification_content": list(content), "compare_with": "{{headers.x-signature}}"}
    webhook = {"signature_verification": {"format": "hmac", "config": config}, "payload_transform": transform}
    given = {"webhook": webhook, "secrets": [SECRET], "options": {"order": order, "media_types": ["json", "form"]}}
    return read_source("sender", given, {})


@pytest.mark.parametrize(
    ("content", "transform"),
    [
        (["{{url}}", "{{raw_body}}"], None),
        (["{{method}} {{none|url}}:", "{{raw_body}}"], None),
        (["{{signed}}"], "$merge([$$, {'signed': url & raw_body}])"),
        (["{{signed}}"], "$merge([$$, {'signed': $$.url & raw_body}])"),
        (["{{signed}}"], "$merge([$$, {'signed': $lookup($$, 'url') & raw_body}])"),
        (["{{raw_body}}"], "$merge([$$, {'raw_body': url & raw_body}])"),
    ],
    ids=str,
)
def test_a_source_of_your_own_that_signs_the_address_needs_it_too(content: list[str], transform: str | None) -> None:
    on = by_hand(*content, transform=transform)
    made = hmac.digest(SECRET.encode(), b"https://h/webhooks/sender" + JSON, "sha256").hex()
    outcome = verify(on, of_headers({"x-signature": made, "host": "h"}, JSON))
    assert isinstance(outcome, Refusal)
    assert outcome.logged_reason == "public_url_missing"


@pytest.mark.parametrize(
    ("transform", "order"),
    [
        ("body.{'event': type, 'url': body.url}", "truto"),
        ("$merge([$$, {'body': $merge([body, {'at': url}])}])", "truto"),
        ("$merge([body, {'at': url}])", "transform_last"),
    ],
)
def test_an_address_that_is_no_part_of_the_proof_may_be_missing(transform: str, order: str) -> None:
    on = by_hand("{{raw_body}}", transform=transform, order=order)
    made = hmac.digest(SECRET.encode(), JSON, "sha256").hex()
    assert isinstance(verify(on, of_headers({"x-signature": made}, JSON)), Accepted)


@pytest.mark.parametrize("name", ["host", "x-forwarded-host", "forwarded"])
def test_a_signed_host_header_is_refused_at_load(name: str) -> None:
    with pytest.raises(Faults, match=f"`headers.{name}` is whatever the caller writes"):
        by_hand(f"https://{{{{headers.{name}}}}}{{{{path}}}}", "{{raw_body}}")
    with pytest.raises(Faults, match=f"`headers.{name}` is whatever the caller writes"):
        by_hand("{{signed}}", transform=f"$merge([$$, {{'signed': headers.`{name}` & raw_body}}])")


# -- the setting -------------------------------------------------------------------------------------------------------


def test_an_address_stays_as_it_is_written_but_for_its_last_slash() -> None:
    assert read_public_url("https://You.Example:443/Hooks/") == "https://You.Example:443/Hooks"


@pytest.mark.parametrize(
    "text",
    ["you.example", "ftp://you.example", "https://", "https:///x", "https://you.example:0", "https://you.example:99999",
     "https://[::1", "https://you example", "https://you.example?a=1", "https://you.example#a", "https://you.example/\n",
     ""],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        read_public_url(text)
    if text:
        with pytest.raises(Faults, match=r"sender\.options\.public_url: must"):
            source("square", own=text)


def test_sources_that_can_take_nothing_are_named_at_start_and_at_each_reload(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_bytes(orjson.dumps({name: {"preset": name, "secrets": [SECRET]} for name in ("github", "square")}))
    file = SourcesFile(path, {})
    for _ in ("start", "reload"):
        with capture_logs() as logs:
            file.load()
        assert [(log["event"], log["source"], log["log_level"]) for log in logs] == [
            ("public_url_missing", "square", "warning")
        ]
    with capture_logs() as logs:
        SourcesFile(path, {}, public_url=OURS).load()
    assert logs == []


def test_a_handshake_that_needs_no_address_is_answered_without_one() -> None:
    config = {"verification_content": ["{{url}}", "{{raw_body}}"], "compare_with": "{{headers.x-signature}}"}
    webhook = {
        "signature_verification": {"format": "hmac", "config": config},
        "handle_verification": "$exists(body.challenge) ? {'type': 'verify', 'verification_response': "
        "{'status_code': 200, 'body': {'challenge': body.challenge}}} : {'type': 'payload'}",
    }
    on = read_source("sender", {"webhook": webhook, "secrets": [SECRET]}, {})
    answered = verify(on, of_headers({}, b'{"challenge":"c"}'))
    assert isinstance(answered, Handshake)
    assert orjson.loads(answered.body) == {"challenge": "c"}
