"""Options that mean nothing for a source, or contradict each other, are refused by key and reason."""

from __future__ import annotations

from typing import Any

import pytest

from ingress.errors import Faults
from ingress.sources.layers import presets
from ingress.sources.loading import read_source
from tests.unit.ingress.sources.senders import SECRET, SENDERS

COMPARED = {"compare_with": "{{headers.x-signature}}"}
CONFIGS: dict[str, dict[str, Any]] = {
    "hmac": {**COMPARED, "parts": ["raw_body"]},
    "ed25519": {**COMPARED, "parts": ["raw_body"]},
    "basic": {},
    "bearer": {},
    "jwt": {},
    "standard_webhooks": {},
    "truto": {},
    "expression": {},
}
SECRETS = {
    "basic": f"user:{SECRET}",
    "ed25519": "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "standard_webhooks": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


def described(name: str, options: dict[str, Any], **webhook: Any) -> dict[str, Any]:
    block: dict[str, Any] = {"signature_verification": {"format": name, "config": CONFIGS[name]}, **webhook}
    if name == "expression":
        block = {"handle_verification": "headers.a = context.webhook_secret ? {'type': 'payload'}", **webhook}
        options = {"verified_by_expression": True, **options}
    return {"webhook": block, "secrets": [SECRETS.get(name, SECRET)], "options": options}


def faults_of(given: dict[str, Any]) -> str:
    try:
        read_source("s", given, {})
    except Faults as exc:
        return "\n".join(str(fault) for fault in exc.faults)
    return ""


MEANT: dict[str, tuple[dict[str, Any], set[str]]] = {
    "compare_prefix": ({"compare_prefix": "v1="}, {"hmac", "ed25519", "basic", "bearer", "jwt"}),
    "signature_separator": ({"signature_separator": ","}, {"hmac", "ed25519", "basic", "bearer"}),
    "secret_encoding": ({"secret_encoding": "hex"}, {"hmac"}),
    "allow_md5": ({"allow_md5": True}, set()),
    "jwt": ({"jwt": {"leeway_seconds": 5}}, {"jwt"}),
    "allow_short_secret": (
        {"allow_short_secret": True},
        {"hmac", "basic", "bearer", "jwt", "standard_webhooks", "truto", "expression"},
    ),
    "get_handshake": ({"get_handshake": True}, {"expression"}),
    "either_port": ({"either_port": True}, set()),
    "either_encoding": ({"either_encoding": True}, {"hmac"}),
    "form_field": ({"form_field": "payload"}, set()),
    "handshake_methods": ({"handshake_methods": ["HEAD"]}, {"expression"}),
    "allow_context_overwrite": ({"allow_context_overwrite": True}, {"expression"}),
    "client_ip_header": ({"client_ip_header": "x-forwarded-for"}, set()),
    "trusted_proxies": ({"trusted_proxies": 2}, set()),
    "timestamp_unit": ({"timestamp_unit": "iso"}, set()),
    "transform_gives": ({"transform_gives": "events"}, set()),
    "signature_fields": ({"signature_fields": "x-signature"}, set()),
}


@pytest.mark.bad_input(164)
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("option", MEANT)
def test_an_option_counts_where_it_means_something_and_is_refused_elsewhere(option: str, name: str) -> None:
    options, meant = MEANT[option]
    told = faults_of(described(name, options))
    assert (f"s.options.{option}: has no meaning" in told) is (name not in meant), told


@pytest.mark.bad_input(164)
def test_a_list_of_tokens_is_refused_with_its_format() -> None:
    told = faults_of(described("jwt", {"signature_separator": ","}))
    assert told == "s.options.signature_separator: has no meaning for `format: jwt`; leave it out"


@pytest.mark.bad_input(164)
@pytest.mark.parametrize("order", ["signature_first", "handshake_last"])
def test_a_signature_that_a_source_does_not_have_cannot_come_first(order: str) -> None:
    assert "s.options.order: puts a signature first" in faults_of(described("expression", {"order": order}))


@pytest.mark.bad_input(164)
def test_a_prefix_that_the_separator_cuts_is_refused() -> None:
    told = faults_of(described("hmac", {"signature_separator": ",", "compare_prefix": "v1,"}))
    assert told.startswith("s.options.compare_prefix: holds the `signature_separator`")


@pytest.mark.bad_input(164)
def test_signature_fields_are_named_and_referred_to_or_neither() -> None:
    config = {**COMPARED, "verification_content": ["{{signature_fields.t}}", "{{raw_body}}"]}
    block = {"signature_verification": {"format": "hmac", "config": config}}
    assert faults_of(described("hmac", {}, **block)).startswith("s.options.signature_fields: is missing")
    assert faults_of(described("hmac", {"signature_fields": "x-signature"}, **block)) == ""


@pytest.mark.bad_input(164)
def test_options_of_public_keys_need_such_keys() -> None:
    told = faults_of(described("jwt", {"jwt": {"jwks_cooldown_seconds": 60}}))
    assert told == "s.options.jwt.jwks_cooldown_seconds: has no meaning without `jwks_url`; leave it out"


@pytest.mark.parametrize("preset", presets())
def test_no_preset_contradicts_itself(preset: str) -> None:
    sender = next(one for one in SENDERS if one.preset == preset)
    assert faults_of(sender.given()) == "" or preset in ("hubspot", "square", "twilio")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hmac", {"compare_prefix": "v1=", "signature_separator": ",", "timestamp": "{{headers.x-time}}"}),
        ("ed25519", {"signature_separator": ","}),
        ("bearer", {"compare_prefix": "x"}),
        ("jwt", {"jwt": {"algorithms": ["HS512"]}}),
        ("hmac", {"order": "signature_first"}),
        ("standard_webhooks", {"tolerance_seconds": 60}),
        ("truto", {"timestamp": "{{body.created_at}}", "timestamp_unit": "iso"}),
        ("bearer", {"ip_allow_list": ["192.0.2.0/24"], "client_ip_header": "x-forwarded-for"}),
    ],
)
def test_options_that_belong_together_are_taken(name: str, options: dict[str, Any]) -> None:
    config = {
        "signature_verification": {
            "format": "hmac",
            "config": {**COMPARED, "verification_content": ["{{headers.x-time}}", "{{raw_body}}"]},
        }
    }
    webhook = config if name == "hmac" else {}
    assert faults_of(described(name, options, **webhook)) == ""


def test_an_encoding_of_the_body_has_to_be_a_piece_of_what_is_signed() -> None:
    given = described("hmac", {"either_encoding": True})
    given["webhook"]["signature_verification"]["config"] = {**COMPARED, "verification_content": ["{{method}}"]}
    assert "s.options.either_encoding: has no meaning where no piece of what is signed is `{{raw_body}}`" in faults_of(
        given
    )


def test_either_port_and_either_encoding_exclude_each_other() -> None:
    given = described("hmac", {"either_port": True, "either_encoding": True, "public_url": "https://you.example"})
    given["webhook"]["signature_verification"]["config"] = {
        **COMPARED,
        "verification_content": ["{{raw_body}}", "{{url}}"],
    }
    assert "s.options.either_encoding: cannot stand beside `either_port`" in faults_of(given)
