"""Every preset takes what its sender signs, and nothing else."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from ingress.answers import Refusal
from ingress.sources.layers import presets
from ingress.verification.context import Delivery
from ingress.verification.outcome import Accepted, Handshake
from tests.unit.ingress.sources.senders import GRAPH, NOW, OTHER, SENDERS, Sender

ALL = pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.preset)
SIGNED = pytest.mark.parametrize("sender", [s for s in SENDERS if s.binds], ids=lambda sender: sender.preset)
IN_HEADERS = pytest.mark.parametrize(
    "sender",
    [s for s in SENDERS if s.preset not in ("microsoft-graph", "salesforce") and s.in_body is None],
    ids=lambda sender: sender.preset,
)


ANOTHER_KEY = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"


def assert_refused(sender: Sender, delivery: Delivery) -> None:
    outcome = sender.verify(delivery)
    assert isinstance(outcome, Refusal | Handshake)
    assert outcome.status == 401


def test_every_preset_is_tried() -> None:
    assert {sender.preset for sender in SENDERS} == set(presets())


@ALL
def test_what_the_sender_signs_is_accepted(sender: Sender) -> None:
    outcome = sender.verify(sender.delivery(sender.raw, sender.secret))
    assert isinstance(outcome, Accepted), outcome
    (event,) = outcome.events
    assert event.type == sender.type
    assert event.id == sender.id if sender.id else event.id.startswith("sha256:")
    assert isinstance(orjson.loads(event.body), dict)


@pytest.mark.parametrize("sender", [s for s in SENDERS if not s.keys], ids=lambda sender: sender.preset)
def test_an_older_secret_still_counts_and_is_told(sender: Sender) -> None:
    newer = ANOTHER_KEY if sender.preset == "discord" else sender.other
    outcome = sender.verify(sender.delivery(sender.raw, sender.secret), newer, sender.secret)
    assert isinstance(outcome, Accepted), outcome
    assert outcome.secret_position == 1
    assert outcome.events[0].secret_position == 1


@ALL
def test_another_secret_is_refused(sender: Sender) -> None:
    assert_refused(sender, sender.delivery(sender.raw_by(sender.other), sender.other))


@IN_HEADERS
def test_nothing_signed_is_refused(sender: Sender) -> None:
    assert_refused(sender, Delivery([(b"content-type", sender.content_type.encode())], sender.raw))


@SIGNED
def test_another_body_is_refused(sender: Sender) -> None:
    other = (
        sender.raw[:-1] + b" " + sender.raw[-1:] if sender.content_type == "application/json" else sender.raw + b"&x=1"
    )
    assert_refused(sender, sender.delivery(other, sender.secret, signed=sender.raw))


@IN_HEADERS
def test_headers_that_came_twice_are_refused_whichever_is_right(sender: Sender) -> None:
    for first, second in ((sender.secret, sender.other), (sender.other, sender.secret), (sender.secret, sender.secret)):
        one, two = (sender.delivery(sender.raw, secret) for secret in (first, second))
        own = [pair for pair in two.headers if pair[0] != b"content-type"]
        assert_refused(sender, Delivery([*one.headers, *own], sender.raw, path="/webhooks/sender"))


@IN_HEADERS
@pytest.mark.parametrize("spoil", ["cut", "capitals", "spaces", "empty", "latin"])
def test_a_spoiled_proof_is_refused(sender: Sender, spoil: str) -> None:
    good = sender.delivery(sender.raw, sender.secret)
    name, value = max((pair for pair in good.headers if pair[0] != b"content-type"), key=lambda pair: len(pair[1]))
    spoiled = {
        "cut": value[:-3],
        "capitals": value.swapcase() + b"=",
        "spaces": value[:-2] + b" " + value[-2:],
        "empty": b"",
        "latin": value[:-1] + b"\xe9",
    }[spoil]
    headers = [(n, spoiled if n == name else v) for n, v in good.headers]
    assert_refused(sender, Delivery(headers, sender.raw, path="/webhooks/sender"))


TIMED = (
    *("slack", "stripe", "hubspot", "zendesk", "linear", "calendly", "zoom", "customerio", "svix", "discord"),
    *("bamboohr", "close", "paddle", "workos"),
)


@pytest.mark.parametrize("preset", TIMED)
@pytest.mark.parametrize(("seconds", "taken"), [(-301, False), (-180, True), (0, True), (180, True), (301, False)])
def test_a_signed_time_may_be_a_few_minutes_from_now(preset: str, seconds: int, taken: bool) -> None:
    sender = next(one for one in SENDERS if one.preset == preset)
    outcome = sender.verify(sender.delivery(sender.raw, sender.secret), now=1_700_000_000.9 - seconds)
    assert isinstance(outcome, Accepted) is taken
    if not taken:
        assert isinstance(outcome, Refusal)
        assert outcome.logged_reason == "timestamp_out_of_tolerance"


@pytest.mark.parametrize(("preset", "window"), [("workos", 180), ("box", 600), ("mailgun", 43_200)])
def test_a_window_is_as_wide_as_the_sender_needs_it(preset: str, window: int) -> None:
    sender = next(one for one in SENDERS if one.preset == preset)
    delivery = sender.delivery(sender.raw, sender.secret)
    assert isinstance(sender.verify(delivery, now=NOW + window), Accepted)
    outcome = sender.verify(delivery, now=NOW + window + 1)
    assert isinstance(outcome, Refusal)
    assert outcome.logged_reason == "timestamp_out_of_tolerance"


def test_one_notification_of_a_stranger_among_others_is_refused() -> None:
    sender = next(one for one in SENDERS if one.preset == "microsoft-graph")
    for stranger in ({"changeType": "x"}, {"changeType": "x", "clientState": OTHER}, {"clientState": None}):
        body: dict[str, Any] = {"value": [*GRAPH["value"], stranger]}
        assert_refused(sender, sender.delivery(orjson.dumps(body), sender.secret))


@pytest.mark.parametrize("body", [b"{}", b'{"value":[]}', b"[]", b"null", b""])
def test_notifications_that_name_no_state_are_refused(body: bytes) -> None:
    sender = next(one for one in SENDERS if one.preset == "microsoft-graph")
    assert_refused(sender, sender.delivery(body, sender.secret))
