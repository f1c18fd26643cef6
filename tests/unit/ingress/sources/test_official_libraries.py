"""The senders' own libraries sign; we verify."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import jwt
import pytest
import standardwebhooks
import stripe
import svix
from slack_sdk.signature import SignatureVerifier

from ingress.answers import Refusal
from ingress.sources.loading import read_source
from ingress.verification.outcome import Accepted
from tests.unit.ingress.sources.senders import OTHER, OTHER_WHSEC, SECRET, WHSEC, of_headers, verify

BODY = '{"id": "e-1", "type": "thing.happened", "name": "é"}'


def by_standardwebhooks(secret: str, moment: float) -> Mapping[str, str]:
    made = standardwebhooks.Webhook(secret).sign("msg_1", datetime.fromtimestamp(int(moment), UTC), BODY)
    return {"webhook-id": "msg_1", "webhook-timestamp": str(int(moment)), "webhook-signature": made}


def by_svix(secret: str, moment: float) -> Mapping[str, str]:
    made = svix.Webhook(secret).sign("msg_1", datetime.fromtimestamp(int(moment), UTC), BODY)
    return {"svix-id": "msg_1", "svix-timestamp": str(int(moment)), "svix-signature": made}


def by_stripe(secret: str, moment: float) -> Mapping[str, str]:
    signature = stripe.WebhookSignature._compute_signature(f"{int(moment)}.{BODY}", secret)  # noqa: SLF001
    header = f"t={int(moment)},v1={'0' * 64},v1={signature},v0=old"
    stripe.WebhookSignature.verify_header(BODY, header, secret, tolerance=None)
    return {"stripe-signature": header}


def by_slack(secret: str, moment: float) -> Mapping[str, str]:
    made = SignatureVerifier(secret).generate_signature(timestamp=str(int(moment)), body=BODY)
    assert made is not None
    return {"x-slack-request-timestamp": str(int(moment)), "x-slack-signature": made}


def by_pyjwt(secret: str, moment: float) -> Mapping[str, str]:
    claims = {"iat": int(moment), "exp": int(moment) + 300}
    return {"authorization": "Bearer " + jwt.encode(claims, secret, algorithm="HS256")}


LIBRARIES = {
    "standard-webhooks": (by_standardwebhooks, WHSEC, OTHER_WHSEC),
    "svix": (by_svix, WHSEC, OTHER_WHSEC),
    "stripe": (by_stripe, SECRET, OTHER),
    "slack": (by_slack, SECRET, OTHER),
    "monday": (by_pyjwt, SECRET, OTHER),
}

Sign = Callable[[str, float], Mapping[str, str]]


@pytest.mark.parametrize("preset", LIBRARIES)
def test_what_the_library_signs_is_taken_and_nothing_else(preset: str) -> None:
    sign, secret, other = LIBRARIES[preset]
    source = read_source("s", {"preset": preset, "secrets": [secret]}, {})
    now = time.time()
    assert isinstance(verify(source, of_headers(sign(secret, now), BODY.encode()), now=now), Accepted)
    assert isinstance(verify(source, of_headers(sign(other, now), BODY.encode()), now=now), Refusal)
    assert isinstance(verify(source, of_headers(sign(secret, now - 1000), BODY.encode()), now=now), Refusal)
    if preset != "monday":
        changed = BODY.replace("e-1", "e-2").encode()
        assert isinstance(verify(source, of_headers(sign(secret, now), changed), now=now), Refusal)
