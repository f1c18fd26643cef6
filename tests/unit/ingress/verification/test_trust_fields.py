"""Fields that decide about trust take text and numbers: nothing that several values would have in common."""

from __future__ import annotations

import hmac
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.answers import Refusal
from ingress.errors import Faults
from ingress.sources.loading import read_source
from ingress.sources.source import Source
from ingress.verification.outcome import Accepted
from tests.unit.ingress.sources.senders import NOW, SECRET, of_headers, verify

COMPARED = {"compare_with": "{{headers.x-signature}}"}


def hmac_source(*content: str, **options: Any) -> Source:
    block = {"format": "hmac", "config": {**COMPARED, "verification_content": list(content)}}
    return read_source("s", {"webhook": {"signature_verification": block}, "secrets": [SECRET], "options": options}, {})


def parts_source(*parts: str) -> Source:
    block = {"format": "hmac", "config": {**COMPARED, "parts": list(parts)}}
    return read_source("s", {"webhook": {"signature_verification": block}, "secrets": [SECRET]}, {})


def sent(on: Source, body: Any, signed: str) -> Any:
    """What becomes of *body*, signed as if its signed fields were *signed*."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    made = hmac.digest(SECRET.encode(), signed.encode(), "sha256").hex()
    return verify(on, of_headers({"x-signature": made}, raw))


def cause(outcome: Any) -> tuple[int, str]:
    assert isinstance(outcome, Refusal), outcome
    return outcome.status, outcome.logged_reason


UNUSABLE = (401, "signed_value_unusable")
BY_DATA = parts_source("body.data", "body.ts")
NO_TEXT = [
    pytest.param(b'{"amount":1}', "[object Object]", marks=pytest.mark.bad_input(165), id="object"),
    pytest.param(b"{}", "[object Object]", marks=pytest.mark.bad_input(165), id="empty-object"),
    pytest.param(b"[1,2]", "1,2", marks=pytest.mark.bad_input(166), id="list"),
    pytest.param(b'["a"]', "a", marks=pytest.mark.bad_input(166), id="list-of-one"),
    pytest.param(b"[]", "", marks=pytest.mark.bad_input(166), id="empty-list"),
    pytest.param(b"true", "true", marks=pytest.mark.bad_input(167), id="true"),
    pytest.param(b"false", "false", marks=pytest.mark.bad_input(167), id="false"),
    pytest.param(b"1.0", "1", marks=pytest.mark.bad_input(168), id="whole-with-a-point"),
    pytest.param(b"-0.0", "0", marks=pytest.mark.bad_input(168), id="negative-zero"),
    pytest.param(b"1e21", "1e+21", marks=pytest.mark.bad_input(168), id="exponent"),
    pytest.param(b"1e-7", "1e-7", marks=pytest.mark.bad_input(168), id="small"),
    pytest.param(b"18446744073709551616", "18446744073709552000", marks=pytest.mark.bad_input(168), id="65-bits"),
]


@pytest.mark.parametrize(("data", "text"), NO_TEXT)
def test_a_signed_field_without_one_text_is_refused(data: bytes, text: str) -> None:
    assert cause(sent(BY_DATA, b'{"event":"x","ts":1,"data":%b}' % data, text + "1")) == UNUSABLE


@pytest.mark.parametrize(("data", "text"), NO_TEXT)
def test_it_is_refused_inside_longer_text_too(data: bytes, text: str) -> None:
    on = hmac_source("v0:{{body.data}}:{{body.ts}}")
    assert cause(sent(on, b'{"event":"x","ts":1,"data":%b}' % data, f"v0:{text}:1")) == UNUSABLE


@pytest.mark.bad_input(167)
@pytest.mark.parametrize(
    ("body", "reason"),
    [(b'{"event":"x","ts":1,"data":null}', UNUSABLE[1]), (b'{"event":"x","ts":1}', "signed_content_missing")],
    ids=["null", "none"],
)
def test_a_signed_field_that_is_not_there_is_refused(body: bytes, reason: str) -> None:
    for text in ("", "null", "undefined", "{{body.data}}"):
        assert cause(sent(BY_DATA, body, text + "1")) == (401, reason)


@pytest.mark.bad_input(169)
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'"7"', "7"),
        (b"7", "7"),
        (b"-7", "-7"),
        (b"0", "0"),
        (b'""', ""),
        (b"12.5", "12.5"),
        (b"0.0001", "0.0001"),
        (b"18446744073709551615", "18446744073709551615"),
        (b"9007199254740993", "9007199254740993"),
    ],
    ids=str,
)
def test_text_and_exact_numbers_are_signed_as_they_are_written(data: bytes, text: str) -> None:
    body = b'{"event":"x","ts":1,"data":%b}' % data
    assert isinstance(sent(BY_DATA, body, text + "1"), Accepted)
    assert cause(sent(BY_DATA, body, text + "2")) == (401, "signature_mismatch")


@pytest.mark.parametrize("modifier", ["int", "num", "any", "json", "bool"])
def test_a_modifier_cannot_make_several_values_one(modifier: str) -> None:
    on = hmac_source(f"{{{{body.data:{modifier}}}}}")
    values = {"int": "12 for you", "num": "1.50", "any": " 12", "json": "[12]", "bool": " true"}
    read = {"int": "12", "num": "1.5", "any": "12", "json": "12", "bool": "true"}
    assert cause(sent(on, {"event": "x", "data": values[modifier]}, read[modifier])) == UNUSABLE


def test_a_modifier_that_changes_nothing_is_harmless() -> None:
    assert isinstance(sent(hmac_source("{{body.data:int}}"), {"event": "x", "data": "12"}, "12"), Accepted)


WHOLE = ["body", "headers", "query", "context", "environment_variables", "signature_fields"]


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_object_is_refused_when_the_source_is_loaded(name: str) -> None:
    with pytest.raises(Faults, match=rf"s\.webhook\.signature_verification\.config\.parts\.0: `{name}` is a whole"):
        parts_source(name)
    with pytest.raises(Faults, match=rf"verification_content\.1: `{name}` is a whole object"):
        hmac_source("v0:", f"{{{{{name}}}}}")


def test_who_signs_the_body_is_told_its_name() -> None:
    with pytest.raises(Faults, match="`raw_body` is the body as it came"):
        parts_source("body")


@pytest.mark.parametrize("key", ["timestamp", "event.id", "event.type"])
def test_other_fields_refuse_whole_objects_as_well(key: str) -> None:
    options: dict[str, Any] = {"timestamp": "{{body}}"} if key == "timestamp" else {"event": {key[6:]: "{{body}}"}}
    with pytest.raises(Faults, match=rf"s\.options\.{key}: `body` is a whole object"):
        hmac_source("{{raw_body}}", **options)


# -- other formats -----------------------------------------------------------------------------------------------------


def bearer(compare_with: str) -> Source:
    block = {"format": "bearer", "config": {"compare_with": compare_with}}
    return read_source("s", {"webhook": {"signature_verification": block}, "secrets": [SECRET]}, {})


@pytest.mark.bad_input(170)
@pytest.mark.parametrize("token", [[SECRET], [[SECRET]], {"token": SECRET}, True], ids=str)
def test_a_bearer_token_that_is_no_text_is_refused(token: Any) -> None:
    on = bearer("Bearer {{body.token}}")
    assert cause(verify(on, of_headers({}, orjson.dumps({"event": "x", "token": token})))) == UNUSABLE


def test_a_bearer_token_in_the_body_is_accepted() -> None:
    body = orjson.dumps({"event": "x", "token": SECRET})
    assert isinstance(verify(bearer("Bearer {{body.token}}"), of_headers({}, body)), Accepted)


@pytest.mark.bad_input(170)
def test_a_graph_notification_shows_its_state_as_text() -> None:
    on = read_source("s", {"preset": "microsoft-graph", "secrets": [SECRET]}, {})
    body = {"value": [{"changeType": "created", "clientState": [SECRET]}]}
    refused = verify(on, of_headers({}, orjson.dumps(body)))
    assert refused.status == 401  # type: ignore[union-attr]


@pytest.mark.parametrize("secret", [[SECRET], {"s": SECRET}, True], ids=str)
@pytest.mark.parametrize("field", ["webhook_secret", "webhook_username", "webhook_password"])
def test_a_secret_that_is_no_text_is_refused_at_load(field: str, secret: Any) -> None:
    context = {"webhook_username": "user", "webhook_password": SECRET, field: secret}
    block = {"format": "bearer" if field == "webhook_secret" else "basic"}
    with pytest.raises(Faults, match=f"context.{field}.*only text, and numbers"):
        read_source("s", {"webhook": {"signature_verification": block}, "context": context}, {})


@pytest.mark.bad_input(171)
@pytest.mark.parametrize("moment", [True, [int(NOW)], {"at": int(NOW)}, NOW + 0.0], ids=str)
def test_a_time_that_is_no_text_and_no_whole_number_is_refused(moment: Any) -> None:
    on = hmac_source("{{raw_body}}", timestamp="{{body.at}}")
    body = orjson.dumps({"event": "x", "at": moment})
    assert cause(sent(on, body, body.decode())) == UNUSABLE


# -- ids and types -----------------------------------------------------------------------------------------------------


def named(**event: str) -> Source:
    return hmac_source("{{raw_body}}", event=event)


def event_of(on: Source, body: bytes) -> tuple[Any, frozenset[str]]:
    outcome = sent(on, body, body.decode())
    assert isinstance(outcome, Accepted), outcome
    (event,) = outcome.events
    return event, outcome.unusable


@pytest.mark.bad_input(172)
@pytest.mark.parametrize("template", ["{{body._id}}", "order-{{body._id}}", "{{body.none|body._id}}"])
@pytest.mark.parametrize("value", [{"$oid": "0"}, ["0"], True, None, 1.0], ids=str)
def test_what_cannot_be_an_id_is_replaced_by_the_hash_of_the_body(template: str, value: Any) -> None:
    on = named(id=template)
    events = [event_of(on, orjson.dumps({"event": "x", "n": n, "_id": value}))[0] for n in (1, 2)]
    assert all(event.id.startswith("sha256:") for event in events)
    assert events[0].id != events[1].id


@pytest.mark.bad_input(172)
def test_the_outcome_says_which_field_could_not_be_used() -> None:
    body = orjson.dumps({"event": "x", "_id": {"$oid": "0"}, "kind": ["x"]})
    event, unusable = event_of(named(id="{{body._id}}", type="{{body.kind}}"), body)
    assert unusable == {"id", "type"}
    assert event.type == "x"


def test_an_id_that_a_delivery_lacks_is_no_matter() -> None:
    event, unusable = event_of(named(id="{{body._id}}"), b'{"event":"x"}')
    assert (event.id[:7], unusable) == ("sha256:", frozenset())


def test_ids_that_are_text_or_whole_numbers_are_taken_as_they_are() -> None:
    on = named(id="{{body._id}}")
    assert [event_of(on, b'{"event":"x","_id":%b}' % value)[0].id for value in (b'"a"', b"7")] == ["a", "7"]


@pytest.mark.bad_input(173)
def test_named_ids_that_differ_beyond_64_bits_are_two_events() -> None:
    on = named(id="{{body._id}}")
    ids = {event_of(on, b'{"event":"x","_id":%d}' % number)[0].id for number in (2**64, 2**64 + 1)}
    assert len(ids) == 2


@pytest.mark.parametrize("template", ["fixed", "{{body._id?:none}}", "{{method}}-{{path}}", "{{context.tenant}}"])
def test_an_id_that_is_the_same_for_every_delivery_is_refused_at_load(template: str) -> None:
    given = {
        "preset": "github",
        "secrets": [SECRET],
        "context": {"tenant": "t"},
        "options": {"event": {"id": template}},
    }
    with pytest.raises(Faults, match=r"s\.options\.event\.id: is the same for every delivery"):
        read_source("s", given, {})


def test_a_type_may_be_the_same_for_every_delivery() -> None:
    assert event_of(named(type="order"), b'{"event":"x"}')[0].type == "order"


# -- whatever a stranger chooses ---------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
BY_VALUE = parts_source("body.data")


def written(value: Any) -> str | None:
    """How JSON writes *value*, where it is text or a number."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


@given(value=VALUES, signed=st.sampled_from(["[object Object]", "", "true", "null", "1", "0", "1,2", "NaN"]))
def test_a_signature_fits_nothing_but_the_text_that_was_signed(value: Any, signed: str) -> None:
    outcome = sent(BY_VALUE, json.dumps({"event": "x", "data": value}).encode(), signed)
    assert isinstance(outcome, Refusal) or written(value) == signed


@given(value=VALUES)
def test_an_id_is_what_is_written_there_or_tells_bodies_apart(value: Any) -> None:
    on = named(id="{{body.data}}")
    found = set()
    for number in (1, 2):
        body = json.dumps({"event": "x", "n": number, "data": value}).encode()
        outcome = sent(on, body, body.decode())
        if isinstance(outcome, Refusal):  # NaN and lone surrogates are no JSON
            return
        found.add(outcome.events[0].id)
    assert len(found) == 2 or written(value)
