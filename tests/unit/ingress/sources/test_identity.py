"""Two happenings are two events, and one that is sent again is one: for every preset, and for sources of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import Verified
from ingress.answers import Refusal
from ingress.errors import Faults
from ingress.sources.layers import presets
from ingress.sources.loading import read_source
from ingress.sources.source import Source
from ingress.verification.context import Delivery
from ingress.verification.outcome import Accepted
from tests.unit.ingress.sources.retries import FACTS, Facts
from tests.unit.ingress.sources.senders import NOW, SECRET, SENDERS, digest, of_headers, verify

EACH = pytest.mark.parametrize("facts", FACTS, ids=lambda facts: f"{facts.preset} {facts.case}".strip())
NUMBERS = st.integers(0, 59_000)
ATTEMPTS = st.integers(0, 60)
few = settings(max_examples=15, deadline=None)


def events_of(source: Source, delivery: Delivery) -> list[Verified]:
    outcome = verify(source, delivery)
    assert isinstance(outcome, Accepted), outcome
    return list(outcome.events)


def event_of(facts: Facts, n: int, attempt: int) -> Verified:
    outcome = facts.sender.verify(facts.delivery(n, attempt))
    assert isinstance(outcome, Accepted), outcome
    (event,) = outcome.events
    return event


def known_by(facts: Facts, n: int, attempt: int) -> str:
    return event_of(facts, n, attempt).key


def test_the_facts_of_every_preset_are_there() -> None:
    assert {facts.preset for facts in FACTS} == set(presets())


@EACH
@few
@given(NUMBERS, NUMBERS, ATTEMPTS)
def test_two_happenings_are_two_events(facts: Facts, n: int, other: int, attempt: int) -> None:
    if n == other:
        other += 1
    assert known_by(facts, n, attempt) != known_by(facts, other, attempt)


@EACH
@few
@given(NUMBERS, ATTEMPTS, ATTEMPTS)
def test_what_is_sent_again_is_one_event_where_the_sender_says_so(
    facts: Facts, n: int, attempt: int, later: int
) -> None:
    assert (known_by(facts, n, attempt) == known_by(facts, n, later)) is facts.known_again


@pytest.mark.parametrize("preset", presets())
def test_every_preset_states_its_identity_and_says_where_that_is_written(preset: str) -> None:
    from importlib import resources

    text = (resources.files("ingress.sources") / "presets" / f"{preset}.yaml").read_text()
    comment = text.partition("\n  identity:")[0].rpartition("\noptions:")[2]
    assert "\n  identity:" in text
    assert "  # " in comment


@pytest.mark.parametrize("facts", FACTS, ids=lambda facts: f"{facts.preset} {facts.case}".strip())
def test_events_have_their_senders_name(facts: Facts) -> None:
    assert event_of(facts, 1, 0).type != "unnamed" or facts.case == "a call"


@pytest.mark.parametrize("topic", ["orders/paid", "orders/updated"])
def test_one_body_under_several_topics_is_an_event_for_each(topic: str) -> None:
    shopify = next(facts for facts in FACTS if facts.preset == "shopify")
    headers = {"x-shopify-webhook-id": "the same", "x-shopify-event-id": "the same"}
    keys = {
        events_of(shopify.sender.source(), with_headers(shopify.delivery(1, 0), {**headers, "x-shopify-topic": one}))[
            0
        ].key
        for one in ("orders/create", topic)
    }
    assert len(keys) == 2


def with_headers(delivery: Delivery, headers: Mapping[str, str]) -> Delivery:
    kept = [(name, value) for name, value in delivery.headers if name.decode() not in headers]
    return replace(delivery, headers=[*kept, *((name.encode(), value.encode()) for name, value in headers.items())])


@pytest.mark.bad_input(230)
def test_equal_events_in_one_delivery_are_as_many_events() -> None:
    sender = next(one for one in SENDERS if one.preset == "microsoft-graph")
    body = orjson.dumps({"value": [{"changeType": "updated", "clientState": SECRET}] * 3})
    keys = [event.key for event in events_of(sender.source(), sender.delivery(body, SECRET))]
    assert len(set(keys)) == 3


@pytest.mark.bad_input(235)
def test_another_id_in_an_unsigned_header_makes_another_event_of_a_signed_body() -> None:
    github = next(facts for facts in FACTS if facts.preset == "github")
    plain = github.delivery(1, 0)
    first, again = keys_of(github.sender.source(), plain, with_headers(plain, {"x-github-delivery": "chosen"}))
    assert first != again


@pytest.mark.bad_input(235)
def test_where_a_time_is_signed_such_a_replay_is_refused_by_it() -> None:
    linear = next(facts for facts in FACTS if facts.preset == "linear")
    replayed = with_headers(linear.delivery(1, 0), {"linear-delivery": "chosen"})
    outcome = verify(linear.sender.source(), replayed, now=NOW + 400)
    assert isinstance(outcome, Refusal)
    assert outcome.logged_reason == "timestamp_out_of_tolerance"


# -- sources of one's own ----------------------------------------------------------------------------------------------


def own(signed: list[str] | None = None, **options: Any) -> Source:
    config = {"compare_with": "{{headers.x-signature}}", "verification_content": signed or ["{{raw_body}}"]}
    block = {"signature_verification": {"format": "hmac", "config": config}}
    return read_source("shop", {"webhook": block, "secrets": [SECRET], "options": options}, {})


def timed(**options: Any) -> Source:
    return own(["{{headers.x-time}}", "{{raw_body}}"], timestamp="{{headers.x-time}}", **options)


def sent(event: Any, at: str = "", **headers: str) -> Delivery:
    body = event if isinstance(event, bytes) else orjson.dumps(event)
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    if at:
        more["x-time"] = at
    return of_headers({"content-type": "application/json", "x-signature": digest(SECRET, at, body).hex(), **more}, body)


def keys_of(source: Source, *deliveries: Delivery) -> list[str]:
    return [event.key for delivery in deliveries for event in events_of(source, delivery)]


UPDATED = {"type": "order.updated", "event": "order.updated", "id": "42"}
T1, T2 = str(int(NOW)), str(int(NOW) + 1)


@pytest.mark.bad_input(231)
def test_without_anything_stated_two_equal_deliveries_are_two_events() -> None:
    first, second = keys_of(own(), sent(UPDATED), sent(UPDATED))
    assert first != second


def test_the_very_same_signed_request_is_one_event_where_a_time_is_signed() -> None:
    first, again, later = keys_of(timed(), sent(UPDATED, T1), sent(UPDATED, T1), sent(UPDATED, T2))
    assert first == again
    assert first != later


def test_a_signed_time_tells_no_types_together() -> None:
    on = timed(event={"type": "{{headers.x-topic}}"})
    first, other = keys_of(on, sent(UPDATED, T1, x_topic="a"), sent(UPDATED, T1, x_topic="b"))
    assert first != other


def test_the_body_counts_where_the_source_says_so() -> None:
    on = own(identity="body")
    first, again, other = keys_of(on, sent(UPDATED), sent(UPDATED), sent({**UPDATED, "n": 1}))
    assert first == again
    assert first != other


def test_none_makes_every_delivery_an_event_of_its_own_even_under_a_signed_time() -> None:
    first, again = keys_of(timed(identity="none"), sent(UPDATED, T1), sent(UPDATED, T1))
    assert first != again


def test_references_are_the_identity_and_the_rest_of_the_body_is_not() -> None:
    on = own(identity=["{{body.id}}", "{{headers.x-sequence}}"])
    first, again, other = keys_of(
        on,
        sent({**UPDATED, "attempt": 1}, x_sequence="1"),
        sent({**UPDATED, "attempt": 2}, x_sequence="1"),
        sent(UPDATED, x_sequence="2"),
    )
    assert first == again
    assert first != other


@given(st.lists(st.text(min_size=1), min_size=2, max_size=2), st.lists(st.text(min_size=1), min_size=2, max_size=2))
def test_different_values_are_never_one_identity(one: list[str], other: list[str]) -> None:
    on = own(identity=["{{body.a}}", "{{body.b}}"])
    first, second = keys_of(on, *(sent({"event": "x", "a": a, "b": b}) for a, b in (one, other)))
    assert (first == second) is (one == other)


@pytest.mark.parametrize(("one", "other"), [(["a:b", "c"], ["a", "b:c"]), (["a%3Ab", "c"], ["a:b", "c"])])
def test_separators_inside_the_values_do_not_shift_them(one: list[str], other: list[str]) -> None:
    on = own(identity=["{{body.a}}", "{{body.b}}"])
    first, second = keys_of(on, *(sent({"event": "x", "a": a, "b": b}) for a, b in (one, other)))
    assert first != second


@pytest.mark.bad_input(232)
@pytest.mark.parametrize("missing", [{}, {"seq": None}, {"seq": ""}, {"seq": [1]}, {"seq": True}], ids=str)
def test_where_a_reference_has_no_value_the_others_are_not_enough(missing: dict[str, Any]) -> None:
    on = own(identity=["{{body.id}}", "{{body.seq}}"])
    first, second = keys_of(on, sent({**UPDATED, **missing}), sent({**UPDATED, **missing}))
    assert first != second


def test_where_a_reference_has_no_value_the_signed_time_counts() -> None:
    on = timed(identity=["{{body.none}}"])
    first, again, later = keys_of(on, sent(UPDATED, T1), sent(UPDATED, T1), sent(UPDATED, T2))
    assert first == again
    assert first != later


@pytest.mark.parametrize("reference", ["{{raw_body}}", "{{body.none|raw_body}}", "b-{{raw_body}}"])
def test_a_body_is_never_shown_in_an_id(reference: str) -> None:
    on = own(identity=["{{body.id}}", reference])
    (first,), (again,), (other,) = (events_of(on, sent(one)) for one in (UPDATED, UPDATED, {**UPDATED, "n": 1}))
    assert first.id == again.id != other.id
    assert first.id.startswith("sha256:")


def test_text_of_several_words_is_never_shown_among_the_parts_of_an_id() -> None:
    on = own(identity=["{{body.id}}", "{{body.text}}"])
    (event,) = events_of(on, sent({**UPDATED, "text": "to: a@b.example"}))
    assert event.id.startswith("sha256:")


def test_a_default_says_that_the_others_are_enough() -> None:
    on = own(identity=["{{body.id}}", "{{body.seq?:-}}"])
    first, again, other = keys_of(on, sent(UPDATED), sent(UPDATED), sent({**UPDATED, "seq": 1}))
    assert first == again
    assert first != other


@pytest.mark.bad_input(233)
def test_one_id_under_two_types_is_two_events() -> None:
    on = own(event={"id": "{{body.id}}", "type": "{{body.type}}"})
    first, other, again = keys_of(on, sent({"type": "a", "id": "42"}), sent({"type": "b", "id": "42"}), sent(UPDATED))
    assert len({first, other, again}) == 3


def test_an_id_that_is_stated_by_a_user_counts_over_the_presets_identity() -> None:
    given_ = {"preset": "github", "secrets": [SECRET], "options": {"event": {"id": "{{body.id}}"}}}
    assert str(read_source("s", given_, {}).identity) == "{{body.id}}"


def test_an_identity_that_is_stated_by_a_user_counts_over_the_presets() -> None:
    given_ = {"preset": "stripe", "secrets": [SECRET], "options": {"identity": "none"}}
    assert str(read_source("s", given_, {}).identity) == "none"


@pytest.mark.parametrize(
    "identity", [["fixed"], ["{{method}}", "{{path}}"], ["{{body.x?:y}}"], [], ["{{body}}"], "all"]
)
def test_an_identity_that_is_one_for_every_delivery_or_none_at_all_is_refused_at_load(identity: Any) -> None:
    with pytest.raises(Faults) as raised:
        own(identity=identity)
    assert "identity" in str(raised.value)


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({}, "none"),
        ({"identity": "body"}, "body"),
        ({"identity": ["{{body.a}}", "{{body.b}}"]}, "{{body.a}}, {{body.b}}"),
    ],
)
def test_a_source_says_what_its_events_are_known_by(options: dict[str, Any], shown: str) -> None:
    assert str(own(**options).identity) == shown


def test_a_source_with_a_signed_time_says_so() -> None:
    assert str(timed().identity) == "signed time and body"


@pytest.mark.parametrize("preset", ["svix", "standard-webhooks"])
def test_the_id_that_was_signed_is_the_one_that_counts(preset: str) -> None:
    """Another family's header is not signed, so whoever replays a delivery could put any id there."""
    facts = next(one for one in FACTS if one.preset == "standard-webhooks")
    source = next(one for one in SENDERS if one.preset == preset).source()
    plain = facts.delivery(1, 0)
    first, again = keys_of(source, plain, with_headers(plain, {"svix-id": "chosen"}))
    assert first == again
