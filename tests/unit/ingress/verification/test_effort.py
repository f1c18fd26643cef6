"""What a public key may cost for one delivery."""

from __future__ import annotations

import hmac
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ingress.answers import Refusal
from ingress.errors import Faults
from ingress.sources.loading import read_source
from ingress.sources.source import Source
from ingress.verification import asymmetric
from ingress.verification.evidence import MAX_CHECKS, check_effort
from ingress.verification.outcome import Accepted
from tests.unit.ingress.sources.senders import of_headers, verify
from tests.unit.ingress.verification.test_tokens import RSA, pem
from tests.unit.ingress.verification.test_tokens import source as token_source
from truto.errors import SignatureError
from truto.secret_text import MAX_SECRETS

BODY = b'{"event":"ping"}'
KEYS = [Ed25519PrivateKey.generate() for _ in range(MAX_CHECKS + 1)]


def source(number: int) -> Source:
    config = {"parts": ["raw_body"], "compare_with": "{{headers.x-signature}}"}
    given: dict[str, Any] = {
        "webhook": {"signature_verification": {"format": "ed25519", "config": config}},
        "secrets": [key.public_key().public_bytes_raw().hex() for key in KEYS[:number]],
        "options": {"signature_separator": ","},
    }
    return read_source("s", given, {})


def sent(on: Source, *signatures: bytes) -> Any:
    return verify(on, of_headers({"x-signature": ",".join(one.hex() for one in signatures)}, BODY))


WRONG, RIGHT = bytes(64), KEYS[0].sign(BODY)


def faults_of(given: dict[str, Any]) -> str:
    with pytest.raises(Faults) as caught:
        read_source("s", given, {})
    return str(caught.value)


def shared(number: int) -> dict[str, Any]:
    return {"preset": "github", "secrets": [f"a secret of more than sixteen bytes {place}" for place in range(number)]}


@pytest.mark.bad_input(300)
@pytest.mark.parametrize("number", [MAX_SECRETS + 1, 10_000])
def test_a_source_with_more_secrets_than_every_delivery_can_be_tried_with_does_not_start(number: int) -> None:
    told = faults_of(shared(number))
    assert f"s.secrets: are more than {MAX_SECRETS}" in told
    assert "a secret of" not in told


@pytest.mark.bad_input(300)
def test_an_expression_is_evaluated_for_few_secrets() -> None:
    told = faults_of({**shared(MAX_CHECKS + 1), "preset": "hubspot-v1"})
    assert f"s.secrets: are more than {MAX_CHECKS}" in told


def test_as_many_secrets_as_a_rotation_of_many_customers_needs_are_tried() -> None:
    given = shared(MAX_SECRETS)
    signature = hmac.digest(given["secrets"][-1].encode(), BODY, "sha256").hex()
    on = read_source("s", given, {})
    outcome = verify(on, of_headers({"x-github-event": "ping", "x-hub-signature-256": f"sha256={signature}"}, BODY))
    assert isinstance(outcome, Accepted)
    assert outcome.secret_position == MAX_SECRETS - 1


@pytest.mark.bad_input(178)
@pytest.mark.parametrize("number", [5, 50])
def test_many_signatures_are_refused_before_a_key_is_used(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asymmetric, "is_signed_by", lambda *_: pytest.fail("a public key was used"))
    outcome = sent(source(1), *[WRONG] * (number - 1), RIGHT)
    assert isinstance(outcome, Refusal)
    assert (outcome.status, outcome.logged_reason) == (401, "too_many_signatures")


def test_four_signatures_for_four_keys_are_tried() -> None:
    assert isinstance(sent(source(4), WRONG, WRONG, WRONG, RIGHT), Accepted)
    refused = sent(source(6), WRONG, WRONG, RIGHT)
    assert isinstance(refused, Refusal)
    assert refused.logged_reason == "too_many_signatures"


def test_one_signature_is_tried_with_as_many_keys_as_a_source_may_have() -> None:
    on = source(MAX_CHECKS)
    assert isinstance(sent(on, KEYS[MAX_CHECKS - 1].sign(BODY)), Accepted)


def test_more_public_keys_are_refused_at_load() -> None:
    with pytest.raises(Faults, match=r"s\.secrets: hold more than 16 public keys"):
        source(MAX_CHECKS + 1)
    with pytest.raises(Faults, match=r"s\.options\.jwt\.public_keys: hold more than 16 public keys"):
        token_source(algorithms=["RS256"], public_keys=[pem(RSA)] * (MAX_CHECKS + 1))


@given(signatures=st.integers(0, 200), keys=st.integers(0, 50))
def test_what_is_tried_never_costs_more_than_it_may(signatures: int, keys: int) -> None:
    if signatures > 4 or signatures * keys > MAX_CHECKS:
        with pytest.raises(SignatureError, match="too many"):
            check_effort(signatures, keys)
    else:
        check_effort(signatures, keys)
