"""``adyen``: every item is signed, eight of its fields are, and nothing else is believed to be."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given as chosen
from hypothesis import strategies as st

from ingress.answers import Refusal
from ingress.errors import Faults
from ingress.sources.loading import read_source
from ingress.sources.source import Source
from ingress.verification.outcome import Accepted
from tests.unit.ingress.sources.senders import ADYEN_KEYS, PAYMENT, adyen_signature, of_headers, verify

KEY, OTHER_KEY = ADYEN_KEYS


def signed(item: Any, key: str = KEY) -> dict[str, Any]:
    return {**item, "additionalData": {"hmacSignature": adyen_signature(item, key), "cardSummary": "7777"}}


def sent(*items: Any, on: Source | None = None) -> Any:
    body = {"live": "false", "notificationItems": [{"NotificationRequestItem": item} for item in items]}
    return verify(on or source(), of_headers({"content-type": "application/json"}, orjson.dumps(body)))


def source(*keys: str) -> Source:
    return read_source("s", {"preset": "adyen", "secrets": list(keys or (KEY,))}, {})


def cause(outcome: Any) -> str:
    assert isinstance(outcome, Refusal), outcome
    assert (outcome.status, outcome.reason) == (401, "signature_mismatch")
    return outcome.logged_reason


CAPTURE = {**PAYMENT, "eventCode": "CAPTURE", "originalReference": "7914073381342284", "pspReference": "881"}


def test_the_item_that_adyen_publishes_is_taken() -> None:
    """Key, item and signature as in Adyen's documents and in the tests of its libraries."""
    assert adyen_signature(PAYMENT, KEY) == "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="
    assert isinstance(sent(signed(PAYMENT)), Accepted)


def test_each_item_is_an_event_of_its_own() -> None:
    outcome = sent(signed(PAYMENT), signed(CAPTURE))
    assert isinstance(outcome, Accepted)
    assert [event.type for event in outcome.events] == ["AUTHORISATION", "CAPTURE"]
    assert [event.id for event in outcome.events] == ["7914073381342284:AUTHORISATION:true", "881:CAPTURE:true"]


def test_a_later_outcome_of_the_same_payment_is_another_event() -> None:
    (first,), (second,) = (sent(signed({**PAYMENT, "success": said})).events for said in ("true", "false"))
    assert first.id != second.id


def test_items_may_be_signed_with_different_live_keys() -> None:
    outcome = sent(signed(PAYMENT, OTHER_KEY), signed(CAPTURE), on=source(OTHER_KEY, KEY))
    assert isinstance(outcome, Accepted)
    assert outcome.secret_position == 1


@pytest.mark.bad_input(273)
@pytest.mark.parametrize(
    "forged", [CAPTURE, signed(CAPTURE, OTHER_KEY), {**signed(CAPTURE), "success": "false"}, {}, 7]
)
@pytest.mark.parametrize("first", [True, False])
def test_one_forged_item_among_others_refuses_them_all(forged: Any, first: bool) -> None:
    items = (forged, signed(PAYMENT)) if first else (signed(PAYMENT), forged)
    cause(sent(*items))


@pytest.mark.bad_input(273)
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"notificationItems":[]}', b'{"notificationItems":[{}]}'])
def test_a_delivery_without_items_is_refused(body: bytes) -> None:
    assert cause(verify(source(), of_headers({}, body))) == "signature_missing"


@pytest.mark.bad_input(273)
def test_too_many_items_are_refused_before_one_is_looked_at() -> None:
    assert cause(sent(*[signed(PAYMENT)] * 101)) == "too_many_signatures"
    assert isinstance(sent(*[signed({**PAYMENT, "pspReference": str(n)}) for n in range(100)]), Accepted)


@pytest.mark.bad_input(274)
def test_one_signature_does_not_fit_two_items() -> None:
    """The same text, cut otherwise: another reference would be another event."""
    shifted = {**signed(CAPTURE), "pspReference": "881:7914073381342284", "originalReference": "TestMerchant"}
    shifted |= {"merchantAccountCode": CAPTURE["merchantReference"], "merchantReference": ""}
    assert cause(sent(shifted)) == "signed_value_unusable"


def test_a_reference_of_the_merchant_s_own_may_hold_colons() -> None:
    assert isinstance(sent(signed({**PAYMENT, "merchantReference": "shop:17:b\\c"})), Accepted)


TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.mark.parametrize("name", [*PAYMENT, "originalReference"])
@chosen(value=TEXTS | st.none() | st.integers(0, 2**63) | st.booleans() | st.lists(TEXTS, max_size=2))
def test_no_change_of_what_is_signed_is_taken(name: str, value: Any) -> None:
    if value == PAYMENT.get(name, ""):
        return
    if name == "originalReference" and value is None:
        return  # as good as left out
    cause(sent({**signed(PAYMENT), name: value}))


@pytest.mark.parametrize(
    "amount", [{"value": 1131, "currency": "EUR"}, {"value": 1130, "currency": "USD"}, {}, [], 1130]
)
def test_no_other_amount_is_taken(amount: Any) -> None:
    cause(sent({**signed(PAYMENT), "amount": amount}))


@pytest.mark.parametrize("amount", [{"value": 1130.0, "currency": "EUR"}, {"value": True, "currency": "EUR"}])
def test_an_amount_that_is_no_whole_number_is_refused(amount: Any) -> None:
    assert cause(sent({**signed(PAYMENT), "amount": amount})) == "signed_value_unusable"


@pytest.mark.parametrize("key", ["not hex at all, but long", "0f" * 15])
def test_what_is_no_key_is_refused_at_load(key: str) -> None:
    with pytest.raises(Faults, match=r"s\.secrets\.0"):
        source(key)
