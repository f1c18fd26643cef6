"""Of what a forger makes of genuine deliveries, nothing is accepted that the sender did not sign."""

from __future__ import annotations

import pytest

from ingress.sources.loading import read_source
from tests.unit.ingress.sources.forging import Forger, Judge, first_fault
from tests.unit.ingress.sources.senders import SENDERS, Sender

DELIVERIES = 2_000
EVALUATED = 250
"""Where an expression is the proof, one costs milliseconds."""

EACH = pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.preset)
GITHUB = next(sender for sender in SENDERS if sender.preset == "github")


@EACH
def test_no_forgery_of_a_genuine_delivery_is_accepted(sender: Sender) -> None:
    judge = Judge(sender)
    count = DELIVERIES if judge.source.verifier else EVALUATED
    assert first_fault(judge, count, seed=0) is None
    assert judge.figures["Accepted"] > count // 100  # it comes so close that some of it is still what was signed


def test_a_signature_that_does_not_cover_the_body_is_told() -> None:
    """The judge of the others: it has to find what it is there for."""
    judge = Judge(GITHUB)
    header = dict(judge.genuine[0].headers)[b"x-hub-signature-256"].decode()
    bearer = {"format": "bearer", "config": {"compare_with": "Bearer {{headers.x-hub-signature-256}}"}}
    judge.source = read_source("sender", {"secrets": [header], "webhook": {"signature_verification": bearer}}, {})
    found = first_fault(judge, DELIVERIES, seed=0)
    assert found is not None
    assert "nobody signed the body" in found[0]


def test_an_id_from_a_header_that_nobody_signs_is_told() -> None:
    judge = Judge(GITHUB)
    given = {"preset": "github", "secrets": [GITHUB.secret], "options": {"event": {"id": "{{headers.x-github-event}}"}}}
    judge.source = read_source("sender", given, {})
    found = first_fault(judge, DELIVERIES, seed=0)
    assert found is not None
    assert "nobody signed the id" in found[0]


def test_a_verifier_that_breaks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge(GITHUB)
    monkeypatch.setattr(type(judge.source.verifier), "check", lambda *_: 1 // 0)
    found = first_fault(judge, 1, seed=0)
    assert found is not None
    assert "verification broke" in found[0]


def test_one_seed_makes_the_same_deliveries_again() -> None:
    forger = Forger(Judge(GITHUB).genuine, seed=7)
    assert list(forger.deliveries(200)) == list(forger.deliveries(200))
