"""Standard Webhooks: several signatures, both kinds of keys, and no way to move the dots."""

from __future__ import annotations

import base64
import hmac
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ingress.answers import Refusal
from ingress.sources.loading import read_source
from ingress.verification import asymmetric
from ingress.verification.outcome import Accepted
from tests.unit.ingress.sources.senders import NOW, OTHER_WHSEC, SECRET, WHSEC, of_headers, verify

BODY = b'{"type":"x"}'
MOMENT = str(int(NOW))
ON = read_source("s", {"preset": "standard-webhooks", "secrets": [WHSEC]}, {})


def made(content: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(SECRET.encode(), content, "sha256")).decode()


def headers(event_id: str = "msg_1", moment: str = MOMENT, body: bytes = BODY, **more: str) -> dict[str, str]:
    signature = made(f"{event_id}.{moment}.".encode("latin-1") + body)
    given = {"webhook-id": event_id, "webhook-timestamp": moment, "webhook-signature": signature}
    return {**given, **{name.replace("_", "-"): value for name, value in more.items()}}


def cause(outcome: Any) -> str:
    assert isinstance(outcome, Refusal)
    assert outcome.status == 401
    return outcome.logged_reason


GOOD = headers()["webhook-signature"]
WRONG = "v1," + base64.b64encode(b"x" * 32).decode()


@pytest.mark.parametrize(
    "listed", [GOOD, f"{WRONG} {GOOD}", f"{GOOD} {WRONG}", f"v1a,AAAA {GOOD}", f"v2,x {GOOD}", f"  {GOOD}"]
)
def test_one_right_signature_among_several_is_enough(listed: str) -> None:
    assert isinstance(verify(ON, of_headers(headers(webhook_signature=listed), BODY)), Accepted)


@pytest.mark.parametrize(
    "listed",
    [
        "",
        WRONG,
        GOOD[3:],
        GOOD.replace("v1", "v2"),
        GOOD.replace(",", "="),
        GOOD + "=",
        GOOD[:-2],
        " ".join([WRONG] * 1000),
    ],
    ids=["empty", "wrong", "bare", "version", "equals", "padded", "cut", "thousand"],
)
def test_no_right_signature_is_refused(listed: str) -> None:
    assert cause(verify(ON, of_headers(headers(webhook_signature=listed), BODY)))


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_all_three_headers_are_needed(missing: str) -> None:
    given = {name: value for name, value in headers().items() if name != missing}
    assert cause(verify(ON, of_headers(given, BODY))) == "signature_missing"


def test_the_boundary_between_id_time_and_body_cannot_be_moved() -> None:
    content = f"a.{MOMENT}.{MOMENT}.x".encode()
    for event_id, moment, body in (
        ("a", MOMENT, f"{MOMENT}.x"),
        (f"a.{MOMENT}", MOMENT, "x"),
        ("a", f"{MOMENT}.{MOMENT}", "x"),
    ):
        given = {"webhook-id": event_id, "webhook-timestamp": moment, "webhook-signature": made(content)}
        outcome = verify(ON, of_headers(given, body.encode()))
        assert isinstance(outcome, Refusal)
        assert outcome.logged_reason == ("not_json" if "." not in event_id + moment else "signature_malformed")


@pytest.mark.parametrize("moment", ["nan", "1e9", "1_700_000_000", "+1700000000", "1700000000.0", "1" * 25, ""])
def test_a_time_that_is_no_plain_number_is_refused(moment: str) -> None:
    assert cause(verify(ON, of_headers(headers(moment=moment), BODY))) in {"signature_malformed", "signature_missing"}


@pytest.mark.parametrize(("seconds", "taken"), [(-301, False), (-300, True), (300, True), (301, False)])
def test_a_time_may_be_five_minutes_from_now(seconds: int, taken: bool) -> None:
    outcome = verify(ON, of_headers(headers(moment=str(int(NOW) + seconds)), BODY))
    assert isinstance(outcome, Accepted) is taken


def test_an_old_delivery_gets_no_new_time_from_the_other_family_of_headers() -> None:
    old = str(int(NOW) - 10_000)
    given = headers(moment=old)
    svix = {name.replace("webhook", "svix"): value for name, value in given.items()}
    assert cause(verify(ON, of_headers({**svix, "webhook-timestamp": MOMENT}, BODY))) == "timestamp_out_of_tolerance"
    assert cause(verify(ON, of_headers({**svix, **headers(event_id="other"), "webhook-signature": WRONG}, BODY)))


def test_a_key_without_its_prefix_is_the_same_key() -> None:
    on = read_source("s", {"preset": "svix", "secrets": [OTHER_WHSEC, WHSEC.removeprefix("whsec_")]}, {})
    outcome = verify(on, of_headers(headers(), BODY))
    assert isinstance(outcome, Accepted)
    assert outcome.secret_position == 1


@pytest.mark.bad_input(179)
@pytest.mark.parametrize("number", [5, 50])
def test_many_signatures_are_refused_before_a_public_key_is_used(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    private = Ed25519PrivateKey.generate()
    public = "whpk_" + base64.b64encode(private.public_key().public_bytes_raw()).decode()
    on = read_source("s", {"preset": "standard-webhooks", "secrets": [public, WHSEC]}, {})
    right = "v1a," + base64.b64encode(private.sign(f"msg_1.{MOMENT}.".encode() + BODY)).decode()
    wrong = "v1a," + base64.b64encode(bytes(64)).decode()
    few = headers(webhook_signature=" ".join([wrong, wrong, wrong, right]))
    assert isinstance(verify(on, of_headers(few, BODY)), Accepted)
    with monkeypatch.context() as patch:
        patch.setattr(asymmetric, "is_signed_by", lambda *_: pytest.fail("a public key was used"))
        many = headers(webhook_signature=" ".join([wrong] * (number - 1) + [right]))
        assert cause(verify(on, of_headers(many, BODY))) == "too_many_signatures"


def test_many_digests_beside_a_public_key_are_still_compared() -> None:
    public = "whpk_" + base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
    on = read_source("s", {"preset": "standard-webhooks", "secrets": [public, WHSEC]}, {})
    right = headers()["webhook-signature"]
    listed = headers(webhook_signature=" ".join(["v1,AAAA"] * 20 + [right]))
    assert isinstance(verify(on, of_headers(listed, BODY)), Accepted)


def test_a_public_key_checks_the_asymmetric_version() -> None:
    private = Ed25519PrivateKey.generate()
    public = "whpk_" + base64.b64encode(private.public_key().public_bytes_raw()).decode()
    on = read_source("s", {"preset": "standard-webhooks", "secrets": [public, WHSEC]}, {})
    signature = base64.b64encode(private.sign(f"msg_1.{MOMENT}.".encode() + BODY)).decode()
    outcome = verify(on, of_headers(headers(webhook_signature=f"v1a,{signature}"), BODY))
    assert isinstance(outcome, Accepted)
    assert outcome.secret_position == 0
    assert isinstance(verify(on, of_headers(headers(), BODY)), Accepted)
    for spoiled in (f"v1,{signature}", f"v1a,{signature[:-4]}", "v1a,!", f"v1a,{base64.b64encode(b'x' * 64).decode()}"):
        assert cause(verify(on, of_headers(headers(webhook_signature=spoiled), BODY)))
