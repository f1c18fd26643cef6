"""What a handshake may leave behind: nothing before proof unless an operator lets it in, and nothing unusable ever."""

from __future__ import annotations

import base64
import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingress.answers import Refusal
from ingress.sources.loading import read_source
from ingress.verification.outcome import Accepted, Handshake, Ignored
from ingress.verification.pipeline import MAX_CONTEXT_NAMES
from tests.unit.ingress.sources.senders import OTHER, SECRET, of_headers, verify
from tests.unit.ingress.verification.test_pipeline import BODY, cause, signed, source

PUBLIC_KEY = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"


def test_a_handshake_that_brings_a_secret_asks_to_be_enrolled() -> None:
    on = read_source("s", {"preset": "asana"}, {})
    shaken = verify(on, of_headers({"x-hook-secret": SECRET}, b"{}"))
    assert isinstance(shaken, Handshake)
    assert (shaken.headers["x-hook-secret"], shaken.update_context, shaken.enrols) == (
        SECRET,
        {"webhook_secret": SECRET},
        True,
    )


def test_a_handshake_with_the_secret_that_is_known_changes_nothing() -> None:
    on = read_source("s", {"preset": "asana"}, {})
    again = verify(on, of_headers({"x-hook-secret": SECRET}, b"{}"), webhook_secret=SECRET)
    assert isinstance(again, Handshake)
    assert (again.update_context, again.enrols) == ({}, False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_another_secret_before_proof_asks_to_be_enrolled_whatever_the_options_say(overwrite: bool) -> None:
    on = read_source("s", {"preset": "asana", "options": {"allow_context_overwrite": overwrite}}, {})
    shaken = verify(on, of_headers({"x-hook-secret": OTHER}, b"{}"), webhook_secret=SECRET)
    assert isinstance(shaken, Handshake)
    assert (shaken.update_context, shaken.enrols) == ({"webhook_secret": OTHER}, True)


def test_a_configured_secret_is_not_exchanged_by_a_handshake() -> None:
    configured = read_source("s", {"preset": "asana", "secrets": [SECRET]}, {})
    assert cause(verify(configured, of_headers({"x-hook-secret": OTHER}, b"{}"))) == (401, "context_overwrite")
    same = verify(configured, of_headers({"x-hook-secret": SECRET}, b"{}"))
    assert isinstance(same, Handshake)
    assert same.update_context == {}


def test_a_meta_delivery_before_proof_asks_to_be_enrolled_too() -> None:
    on = source({"handle_verification": "{'type':'meta','update_context':{'team': body.event}}"})
    outcome = verify(on, of_headers({}, BODY))
    assert outcome == Ignored("meta", {"team": "ping"}, enrols=True)


SIGNED_FIRST = "body.event = 'rotate' ? {'type':'verify','update_context':{'webhook_secret': body.secret}}"


def test_a_proven_handshake_overwrites_where_the_source_allows_it() -> None:
    block = {"handle_verification": SIGNED_FIRST}
    body = orjson.dumps({"event": "rotate", "secret": OTHER})
    context = {"webhook_secret": SECRET}
    on = source(block, order="signature_first", allow_context_overwrite=True, secrets=[], context=context)
    shaken = verify(on, of_headers(signed(body), body))
    assert isinstance(shaken, Handshake)
    assert (shaken.update_context, shaken.enrols) == ({"webhook_secret": OTHER}, False)
    assert cause(verify(on, of_headers(signed(body, OTHER), body)))[0] == 401
    careful = source(block, order="signature_first", secrets=[], context=context)
    assert cause(verify(careful, of_headers(signed(body), body))) == (401, "context_overwrite")


def test_a_proven_handshake_cannot_leave_an_unusable_secret() -> None:
    body = orjson.dumps({"event": "rotate", "secret": "short"})
    on = source(
        {"handle_verification": SIGNED_FIRST},
        order="signature_first",
        allow_context_overwrite=True,
        secrets=[],
        context={"webhook_secret": SECRET},
    )
    assert cause(verify(on, of_headers(signed(body), body))) == (401, "secret_unusable")


NAMES_IT_READS = "{'type': 'payload', 'update_context': {body.name: body.event}}"
MANY: dict[str, Any] = {f"name-{number}": "x" for number in range(MAX_CONTEXT_NAMES)}


def naming(name: str) -> bytes:
    return orjson.dumps({"event": "ping", "name": name})


@pytest.mark.bad_input(304)
@pytest.mark.parametrize("order", ["signature_first", "truto"])
def test_a_proven_sender_cannot_fill_the_context_with_names(order: str) -> None:
    on = source({"handle_verification": NAMES_IT_READS}, order=order)
    body = naming("another")
    assert cause(verify(on, of_headers(signed(body), body), **MANY)) == (401, "context_full")


def test_a_full_context_takes_what_it_has_already() -> None:
    on = source({"handle_verification": NAMES_IT_READS}, order="signature_first", allow_context_overwrite=True)
    body = naming("name-7")
    outcome = verify(on, of_headers(signed(body), body), **MANY)
    assert isinstance(outcome, Accepted)
    assert outcome.update_context == {"name-7": "ping"}


UNUSABLE = {
    "list": [],
    "list-of-a-long-text": [SECRET],
    "object": {"webhook_secret": SECRET},
    "number": 12345678901234567890,
    "yes": True,
    "nothing": None,
    "empty": "",
    "short": "fifteen bytes, ",
    "placeholder": "{{raw_body}} and more text",
}


@pytest.mark.bad_input(185)
@pytest.mark.parametrize("value", UNUSABLE.values(), ids=UNUSABLE)
def test_what_cannot_be_a_secret_is_not_enrolled(value: Any) -> None:
    body = orjson.dumps({"verification_token": value})
    outcome = verify(read_source("s", {"preset": "notion"}, {}), of_headers({}, body))
    assert cause(outcome) == (401, "secret_unusable")


NO_TEXT = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False), st.lists)


@pytest.mark.bad_input(185)
@settings(max_examples=50)
@given(value=NO_TEXT)
def test_no_value_but_text_is_enrolled(value: Any) -> None:
    body = json.dumps({"verification_token": value}).encode()
    outcome = verify(read_source("s", {"preset": "notion"}, {}), of_headers({}, body))
    assert isinstance(outcome, Refusal)


@pytest.mark.bad_input(186)
def test_a_secret_has_to_be_readable_in_the_encoding_of_its_source() -> None:
    options = {"secret_encoding": "base64"}
    on = read_source("s", {"preset": "asana", "options": options}, {})
    assert cause(verify(on, of_headers({"x-hook-secret": "not base64 at all!"}, b"{}"))) == (401, "secret_unusable")
    good = base64.b64encode(SECRET.encode()).decode()
    assert isinstance(verify(on, of_headers({"x-hook-secret": good}, b"{}")), Handshake)


@pytest.mark.bad_input(186)
def test_a_public_key_has_to_be_one() -> None:
    config = {"parts": ["raw_body"], "compare_with": "{{headers.x-signature}}"}
    shake = "$exists(body.key) ? {'type':'verify','update_context':{'public_key': body.key}} : {'type':'payload'}"
    block = {"signature_verification": {"format": "ed25519", "config": config}, "handle_verification": shake}
    on = read_source("s", {"webhook": block}, {})
    for bad in ("00" * 31, "no hex at all, but long enough", PUBLIC_KEY + "00"):
        assert cause(verify(on, of_headers({}, orjson.dumps({"key": bad})))) == (401, "secret_unusable")
    assert isinstance(verify(on, of_headers({}, orjson.dumps({"key": PUBLIC_KEY}))), Handshake)


@pytest.mark.bad_input(187)
@pytest.mark.parametrize("kept", [[], {}, None, 7, "short", ["a list of more than 16 bytes"]], ids=str)
def test_an_unusable_secret_that_is_kept_already_does_not_keep_a_good_one_out(kept: Any) -> None:
    on = read_source("s", {"preset": "notion"}, {})
    assert on.secret_state({"webhook_secret": kept}) == "unusable"
    good = orjson.dumps({"verification_token": SECRET})
    shaken = verify(on, of_headers({}, good), webhook_secret=kept)
    assert isinstance(shaken, Handshake)
    assert shaken.enrols
    same = orjson.dumps({"verification_token": kept})
    assert cause(verify(on, of_headers({}, same), webhook_secret=kept)) == (401, "secret_unusable")
