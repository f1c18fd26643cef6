"""A time that the signature does not cover is no proof that a delivery is new: such a source is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ingress.answers import Refusal
from ingress.errors import Faults
from ingress.sources.coverage import named_in, uncovered
from ingress.sources.layers import presets, read_preset
from ingress.sources.loading import read_source
from tests.unit.ingress.sources.senders import OTHER, SECRET, SENDERS
from truto.placeholders import compile_template

FAULT = r"s\.options\.timestamp: `{}` is not covered by the signature"


def load(block: dict[str, Any], timestamp: str, **options: Any) -> None:
    webhook = {"signature_verification": block}
    read_source("s", {"webhook": webhook, "secrets": [SECRET], "options": {"timestamp": timestamp, **options}}, {})


def hmac(*content: str) -> dict[str, Any]:
    config = {"compare_with": "{{headers.x-signature}}", "verification_content": list(content)}
    return {"format": "hmac", "config": config}


UNSIGNED = [
    (["{{raw_body}}"], "{{headers.x-ts}}", "headers.x-ts"),
    (["{{raw_body}}"], "$header.X-Ts", "headers.x-ts"),
    (["{{raw_body}}"], "{{query.ts}}", "query.ts"),
    (["{{raw_body}}"], "{{signature_fields.t}}", "signature_fields.t"),
    (["{{raw_body}}"], "{{context.since}}", "context.since"),
    (["{{raw_body}}"], "{{body.ts|headers.x-ts}}", "headers.x-ts"),
    (["{{headers.x-ts}}", "{{raw_body}}"], "{{headers.x-time}}", "headers.x-time"),
    (["{{headers.a|headers.b}}", "{{raw_body}}"], "{{headers.b}}", "headers.b"),
    (["{{headers.a|headers.b}}", "{{raw_body}}"], "{{headers.b|headers.a}}", "headers.b"),
    (["{{body.id}}"], "{{body.ts}}", "body.ts"),
    (["{{body.ts|raw_body}}"], "{{body.ts}}", "body.ts"),
    (["{{path}}", "{{raw_body}}"], "{{query.ts}}", "query.ts"),
]


@pytest.mark.bad_input(177)
@pytest.mark.parametrize(("content", "timestamp", "named"), UNSIGNED)
def test_a_time_that_is_not_signed_is_refused_at_load(content: list[str], timestamp: str, named: str) -> None:
    with pytest.raises(Faults, match=FAULT.format(named)):
        load(hmac(*content), timestamp)


SIGNED = [
    (["{{headers.x-ts}}", ".", "{{raw_body}}"], "{{headers.x-ts}}"),
    (["v0:{{headers.x-ts}}:{{raw_body}}"], "$header.x-ts"),
    (["{{headers.a|headers.b}}", "{{raw_body}}"], "{{headers.a|headers.b}}"),
    (["{{headers.a}}", "{{headers.b}}"], "{{headers.a|headers.b}}"),
    (["{{raw_body}}"], "{{body.meta.ts|body.ts}}"),
    (["$body"], "$body.ts"),
    (["{{body.ts}}", "{{body.id}}"], "{{body.ts}}"),
    (["{{url}}", "{{raw_body}}"], "{{query.ts}}"),
    (["{{timestamp}}", "{{raw_body}}"], "{{timestamp}}"),
]


@pytest.mark.parametrize(("content", "timestamp"), SIGNED)
def test_a_time_that_is_signed_is_taken(content: list[str], timestamp: str) -> None:
    load(hmac(*content), timestamp)


@pytest.mark.bad_input(177)
def test_a_time_that_a_transform_puts_into_the_body_is_not_signed() -> None:
    webhook = {
        "signature_verification": hmac("{{raw_body}}"),
        "payload_transform": "$merge([$$, {'body': $merge([body, {'ts': headers.`x-ts`}])}])",
    }
    given = {"webhook": webhook, "secrets": [SECRET], "options": {"timestamp": "{{body.ts}}"}}
    with pytest.raises(Faults, match=FAULT.format("body.ts")):
        read_source("s", given, {})
    read_source("s", {**given, "options": {"timestamp": "{{body.ts}}", "order": "transform_last"}}, {})


@pytest.mark.parametrize(
    "transform",
    ["$merge([$$, {'signature': $substringAfter(headers.`x-signature`, 'v0=')}])", "body.list.{'event': e, 'body': t}"],
)
def test_a_transform_that_leaves_the_body_alone_leaves_its_time_signed(transform: str) -> None:
    webhook = {"signature_verification": hmac("{{raw_body}}"), "payload_transform": transform}
    read_source("s", {"webhook": webhook, "secrets": [SECRET], "options": {"timestamp": "{{body.ts}}"}}, {})


def test_parts_are_signed_as_well() -> None:
    config = {"compare_with": "{{headers.x-signature}}", "parts": ["headers.x-ts", "raw_body"]}
    load({"format": "hmac", "config": config}, "{{headers.x-ts}}")
    with pytest.raises(Faults, match=FAULT.format("headers.ts")):
        load({"format": "hmac", "config": config}, "{{headers.ts}}")


@pytest.mark.bad_input(177)
@pytest.mark.parametrize("form", ["basic", "bearer", "jwt"])
def test_credentials_sign_nothing(form: str) -> None:
    for timestamp in ("{{headers.x-ts}}", "{{body.ts}}"):
        with pytest.raises(Faults, match=FAULT.format(r"\w+\.[\w-]+")):
            load({"format": form, "config": {}}, timestamp)


def test_a_token_with_a_hash_of_the_body_covers_the_body() -> None:
    load({"format": "jwt", "config": {}}, "{{body.ts}}", jwt={"body_hash": {"claim": "h"}})
    with pytest.raises(Faults, match=FAULT.format("headers.x-ts")):
        load({"format": "jwt", "config": {}}, "{{headers.x-ts}}", jwt={"body_hash": {"claim": "h"}})


@pytest.mark.parametrize("form", ["truto", "standard_webhooks"])
def test_formats_that_sign_the_body_cover_its_fields_alone(form: str) -> None:
    webhook = {"signature_verification": {"format": form, "config": {}}}
    given = {"webhook": webhook, "secrets": ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]}
    read_source("s", {**given, "options": {"timestamp": "{{body.created_at}}", "timestamp_unit": "iso"}}, {})
    with pytest.raises(Faults, match=FAULT.format("headers.x-ts")):
        read_source("s", {**given, "options": {"timestamp": "{{headers.x-ts}}"}}, {})


def test_a_time_that_no_one_looks_at_is_refused() -> None:
    given = {"preset": "hubspot-v1", "secrets": [SECRET], "options": {"timestamp": "{{body.at}}"}}
    with pytest.raises(Faults, match=r"s\.options\.timestamp: is never looked at"):
        read_source("s", given, {})
    with pytest.raises(Faults, match=r"s\.options\.timestamp: names no field of a delivery"):
        load(hmac("{{raw_body}}"), "1700000000")


def test_what_is_signed_is_covered_and_nothing_else() -> None:
    signed = named_in([compile_template("{{a.b|c}}-{{url}}"), compile_template("{{raw_body}}")])
    assert signed == {("a.b", "c"), ("url",), ("raw_body",)}
    assert uncovered(compile_template("{{a.b|c}}{{body.x}}{{query.y}}"), signed) == []
    assert uncovered(compile_template("{{a.b}}{{c|a.b}}{{headers.x}}"), signed) == ["a.b", "c", "a.b", "headers.x"]


TIMED = [name for name in presets() if "timestamp" in read_preset(name).get("options", {})]


@pytest.mark.parametrize("preset", TIMED)
def test_the_time_of_a_preset_is_signed(preset: str) -> None:
    """Another time in a genuine delivery is never a fresh delivery: the signature does not fit it any more."""
    sender = next(one for one in SENDERS if one.preset == preset)
    genuine = sender.delivery(sender.raw, sender.secret)
    moments = {b"1700000000": b"1700009999", b"2023-11-14T22:13:20Z": b"2023-11-15T22:13:20Z"}
    for old, new in moments.items():
        headers = [(name, value.replace(old, new)) for name, value in genuine.headers]
        changed = replace(genuine, headers=headers, body=genuine.body.replace(old, new))
        if changed == genuine:
            continue
        outcome = sender.verify(changed, now=1_700_009_999.0)
        assert isinstance(outcome, Refusal)
        assert outcome.logged_reason == "signature_mismatch"


def test_most_presets_that_can_have_a_time_window_have_one() -> None:
    assert {"slack", "stripe", "hubspot", "zendesk", "linear", "calendly", "zoom", "customerio", "discord"} <= set(
        TIMED
    )


def test_a_preset_cannot_be_given_a_time_that_is_not_signed() -> None:
    for preset in ("github", "shopify", "gitlab", "pipedrive"):
        secret = f"user:{OTHER}" if preset == "pipedrive" else OTHER
        given = {"preset": preset, "secrets": [secret], "options": {"timestamp": "{{headers.x-ts}}"}}
        with pytest.raises(Faults, match=FAULT.format("headers.x-ts")):
            read_source("s", given, {})
