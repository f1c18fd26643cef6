"""What no delivery can ever match is found without one; what can is left alone."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.errors import Faults
from ingress.sources.loading import read_entry, read_source
from ingress.sources.reviewing import review
from tests.unit.ingress.sources.senders import SECRET, SENDERS, Sender


def found(**more: Any) -> list[str]:
    """The faults of a source that verifies by HMAC, but for what *more* says of it."""
    config = {"parts": ["raw_body"], "compare_with": "{{headers.x-signature}}", **more.pop("config", {})}
    block = {"signature_verification": {"format": "hmac", "config": config}, **more.pop("webhook", {})}
    given = {"webhook": block, "secrets": [SECRET], **more}
    return [str(fault) for fault in review(read_entry("s", given, {}), read_source("s", given, {}))]


COMPARE = "s.webhook.signature_verification.config.compare_with: "
HANDLE = "s.webhook.handle_verification: "
GET = "method = 'GET' ? {'type': 'verify'} : {'type': 'payload'}"
XML = "headers.`content-type` = 'text/xml' ? {'type': 'meta'} : {'type': 'payload'}"


@pytest.mark.parametrize("sender", SENDERS, ids=lambda each: each.preset)
def test_presets_have_nothing_that_cannot_match(sender: Sender) -> None:
    source = read_source("s", sender.given(), {}, public_url="https://you.example")
    assert review(read_entry("s", sender.given(), {}), source) == []


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"config": {"compare_with": "{{header.x-signature}}"}}, COMPARE + "`header.x-signature`: nothing is called"),
        ({"config": {"compare_with": "{{headers.X-Signature}}"}}, COMPARE + "`headers.X-Signature`: names of headers"),
        ({"config": {"compare_with": "{{headers.x@s}}"}}, COMPARE + "names nothing of a delivery"),
        (
            {"webhook": {"handle_verification": "$exists(headers.`x sig`) ? {'type': 'meta'} : {}"}},
            HANDLE + "no request can carry a header called `x sig`",
        ),
        ({"config": {"compare_with": "{{headers.x.s}}"}}, COMPARE + "`headers.x.s` looks for a field inside"),
        ({"config": {"compare_with": "fixed"}}, COMPARE + "names nothing of a delivery"),
        ({"config": {"parts": ["rawbody"]}}, "s.webhook.signature_verification.config.parts.0: `rawbody`: nothing is"),
        (
            {"config": {"parts": None, "verification_content": ["{{bdoy.a}}", "{{raw_body}}"]}},
            "s.webhook.signature_verification.config.verification_content.0: `bdoy.a`: nothing is called `bdoy` here",
        ),
        ({"options": {"event": {"type": "{{boby.type}}"}}}, "s.options.event.type: `boby.type`: nothing is called"),
        ({"options": {"event": {"type": "body.type"}}}, "s.options.event.type: is the text itself for every event"),
        ({"options": {"event": {"type": "header.x-event"}}}, "s.options.event.type: is the text itself for every"),
        ({"options": {"event": {"type": "X-Event"}}}, "s.options.event.type: is the text itself for every event"),
        ({"options": {"event": {"type": "{{method}}"}}}, "s.options.event.type: is the same for every delivery"),
        ({"options": {"event": {"id": "{{body.id|heders.x-id}}"}}}, "s.options.event.id: `heders.x-id`: nothing is"),
        ({"webhook": {"handle_verification": GET}}, HANDLE + "asks for GET, which is not enabled"),
        ({"webhook": {"handle_verification": XML}}, HANDLE + "asks for text/xml, which `options.media_types`"),
        (
            {"webhook": {"handle_verification": "header.`x-a` = '1' ? {'type': 'meta'} : {'type': 'payload'}"}},
            HANDLE + "`header.x-a`: nothing is called `header` here; did you mean headers?",
        ),
        (
            {"webhook": {"payload_transform": "$merge([$$, {'signature': headers.`X-Sig`}])"}},
            "s.webhook.payload_transform: `headers.X-Sig`: names of headers are in lower case here",
        ),
        (
            {"webhook": {"handle_verification": "$header.`X-Hook` = '1' ? {'type': 'meta'} : {'type': 'payload'}"}},
            HANDLE + "`headers.X-Hook`: names of headers are in lower case here",
        ),
        ({"config": {"compare_with": "{{raw_body}}"}}, COMPARE + "names what is signed, and no place where"),
        ({"config": {"compare_with": "sha256={{headers.x-s}}"}}, COMPARE + "has `sha256=` beside the signature"),
        ({"config": {"compare_with": "v0=$header.x-s"}}, COMPARE + "has `v0=` beside the signature"),
        ({"options": {"compare_prefix": "{{headers.x}}"}}, "s.options.compare_prefix: is taken as it is written"),
        (
            {"config": {"parts": None, "verification_content": ["{raw_body}"]}},
            "s.webhook.signature_verification.config.verification_content.0: is the text itself; did you mean {{raw_b",
        ),
        (
            {"config": {"parts": None, "verification_content": ["v0:", "headers.x-t", "{{raw_body}}"]}},
            "s.webhook.signature_verification.config.verification_content.1: is the text itself; did you mean {{heade",
        ),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
@pytest.mark.bad_input(285)
def test_what_cannot_match_is_named_with_its_place(more: dict[str, Any], fault: str) -> None:
    (told,) = found(**more)
    assert told.startswith(fault)


@pytest.mark.parametrize(
    ("given", "meant"),
    [("header", "headers"), ("raw-body", "raw_body"), ("querry", "query"), ("environment_variable", "environment_var")],
)
def test_a_misspelt_name_is_guessed(given: str, meant: str) -> None:
    (told,) = found(options={"event": {"type": f"{{{{{given}.x}}}}"}})
    assert f"did you mean {meant}" in told


@pytest.mark.parametrize(
    "more",
    [
        {"options": {"event": {"type": "call"}}},
        {"options": {"event": {"type": "v1.call"}}},
        {"options": {"event": {"type": "interaction:{{body.type}}"}}},
        {
            "config": {"compare_with": "{{signature}}", "parts": ["stamp"]},
            "webhook": {"payload_transform": ("$merge([$$, {'signature': headers.`x-s`, 'stamp': headers.`x-t`}])")},
        },
        {"webhook": {"handle_verification": GET}, "options": {"handshake_methods": ["GET"]}},
        {"webhook": {"handle_verification": GET}, "options": {"get_handshake": True}},
        {"webhook": {"handle_verification": "body.items[header.name = 'x' or content.id = 1] ? {} : {}"}},
        {"webhook": {"handle_verification": "$exists(headers.`x-hook`) ? {'type': 'meta'} : {'type': 'payload'}"}},
        {"options": {"event": {"id": "{{headers.x_id}}"}}},
        {
            "config": {"compare_with": "{{headers.x-a}},{{headers.x-b?:-}}"},
            "options": {"signature_separator": ","},
        },
        {"config": {"parts": None, "verification_content": ["v0:", "url", ".", "{{raw_body}}", "}"]}},
    ],
    ids=[
        *("constant", "version", "composed", "transform", "methods", "get", "predicate", "header", "underscore"),
        *("separated", "texts"),
    ],
)
def test_what_can_match_is_left_alone(more: dict[str, Any]) -> None:
    faults = found(**more)
    assert [fault for fault in faults if "header.name" not in fault] == []


def test_what_a_late_transform_makes_is_not_there_for_the_signature() -> None:
    transform = {"payload_transform": "$merge([$$, {'signature': headers.`x-s`}])"}
    config = {"compare_with": "{{signature}}"}
    assert found(webhook=transform, config=config) == []
    (told,) = found(webhook=transform, config=config, options={"order": "transform_last"})
    assert "`signature`: nothing is called `signature` here" in told


@given(name=st.text(st.characters(codec="utf-8", exclude_characters="{}|:?.[]"), min_size=1, max_size=20))
def test_whatever_a_header_is_called_the_review_ends(name: str) -> None:
    with suppress(Faults):  # what cannot be loaded is refused there
        assert isinstance(found(options={"event": {"type": f"{{{{headers.{name}}}}}"}}), list)
