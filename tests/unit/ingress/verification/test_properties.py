"""For each way to prove a sender: what no live secret signed is refused, what one signed is taken, and nothing else."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ingress.answers import Refusal
from ingress.verification.context import Delivery
from ingress.verification.outcome import Accepted, Handshake, Ignored
from tests.unit.ingress.sources.senders import SENDERS, Sender, verify

PRESETS = (
    "truto",
    "github",
    "slack",
    "stripe",
    "pipedrive",
    "gitlab",
    "monday",
    "svix",
    "discord",
    "hubspot-v1",
    "twilio",
)
UNSIGNED = {"x-github-event", "x-gitlab-event", "idempotency-key"}
CHOSEN = [sender for sender in SENDERS if sender.preset in PRESETS]
SOURCES = {sender.preset: sender.source() for sender in CHOSEN}
EACH = pytest.mark.parametrize("sender", CHOSEN, ids=lambda sender: sender.preset)

CHARACTERS = st.characters(exclude_categories=["Cs"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(CHARACTERS, max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(CHARACTERS, max_size=8), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(CHARACTERS, min_size=1, max_size=8), JSON, max_size=4)


def names(sender: Sender) -> list[bytes]:
    """The headers that prove something."""
    return [name.encode() for name in sender.sign(sender.raw, sender.secret) if name not in UNSIGNED]


@EACH
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_nobody_signed_is_refused(sender: Sender, data: Any) -> None:
    good = dict(sender.delivery(sender.raw, sender.secret).headers)
    values = st.binary(max_size=80) | st.sampled_from(sorted(good.values()))
    headers = data.draw(st.lists(st.tuples(st.sampled_from(names(sender)), values), max_size=4))
    body = data.draw(st.binary(max_size=60) | st.just(sender.raw) | OBJECTS.map(orjson.dumps))
    assume(any(dict(headers).get(name) != good[name] for name in names(sender)) or len(headers) > len(names(sender)))
    outcome = verify(
        SOURCES[sender.preset], Delivery([*headers, (b"content-type", sender.content_type.encode())], body)
    )
    if isinstance(outcome, Handshake):
        assert outcome.status == 401
    else:
        assert isinstance(outcome, Refusal)
        assert outcome.status in (400, 401)
    if sender.preset not in ("slack", "monday", "discord", "hubspot-v1", "twilio"):
        assert outcome.status == 401


@EACH
@settings(max_examples=60, deadline=None)
@given(payload=OBJECTS)
def test_whatever_a_live_secret_signs_is_taken_or_malformed(sender: Sender, payload: dict[str, Any]) -> None:
    body = orjson.dumps({**payload, "event": "x"}) if sender.content_type == "application/json" else sender.raw
    outcome = verify(SOURCES[sender.preset], sender.delivery(body, sender.secret))
    assert isinstance(outcome, Accepted | Ignored) or outcome.status in (200, 400)


@pytest.mark.parametrize("sender", [s for s in CHOSEN if s.preset != "twilio"], ids=lambda sender: sender.preset)
@settings(max_examples=40, deadline=None)
@given(raw=st.binary(max_size=100), media=st.sampled_from(["application/json", "multipart/form-data; boundary=b", ""]))
def test_any_signed_bytes_are_taken_or_refused_and_nothing_breaks(sender: Sender, raw: bytes, media: str) -> None:
    delivery = sender.delivery(raw, sender.secret)
    headers = [(name, value) for name, value in delivery.headers if name != b"content-type"]
    outcome = verify(
        SOURCES[sender.preset], Delivery([*headers, (b"content-type", media.encode())], raw, path=delivery.path)
    )
    assert isinstance(outcome, Accepted | Ignored) or outcome.status in (200, 400)
