"""Say why a delivery is taken or refused, for the person who set the source up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ingress.answers import Refusal, enrolment_closed
from ingress.errors import Unusable
from ingress.sources.source import Source
from ingress.verification.context import Account, Delivery
from ingress.verification.outcome import NOTHING, Accepted, Handshake, Ignored, Outcome
from ingress.verification.pipeline import evidence_of, verify_delivery
from truto.errors import SignatureError


@dataclass(frozen=True, slots=True)
class Explanation:
    """``taken`` says whether the delivery would be answered with success, ``reason`` the one word for it.

    ``lines`` hold what was signed, which is part of the body, and the beginnings of digests; no secrets.
    """

    taken: bool
    reason: str
    lines: tuple[str, ...]


def explain_delivery(
    source: Source,
    delivery: Delivery,
    account: Account,
    *,
    now: float,
    keys: Mapping[str, Any] = NOTHING,
    enrolling: bool = False,
) -> Explanation:
    """Everything that can be said about *delivery* without a secret. *enrolling*: an enrolment window is open."""
    outcome = verify_delivery(source, delivery, account, now=now, keys=keys)
    if isinstance(outcome, Handshake | Ignored) and outcome.enrols and not enrolling:
        outcome = enrolment_closed(source.name)
    reason, lines = _told(outcome)
    lines.append(f"live secrets: {len(account.secrets)}{f' ({account.fault})' if account.fault else ''}")
    try:
        evidence = evidence_of(source, delivery, account, now=now, keys=keys)
        if source.verifier is not None:
            lines += source.verifier.explain(evidence)
        if source.freshness is not None:
            difference = source.freshness.difference(evidence.context, now)
            lines.append(f"timestamp: {difference:+.0f} s from now; allowed: {source.freshness.tolerance:.0f} s")
    except SignatureError as exc:
        lines.append(f"{exc.reason}: {exc}")
    except Unusable as exc:
        lines.append(f"{exc.reason}: {exc.detail}")
    return Explanation(not isinstance(outcome, Refusal) and _status(outcome) < 400, reason, tuple(dict.fromkeys(lines)))


def _status(outcome: Outcome) -> int:
    return outcome.status if isinstance(outcome, Handshake) else 200


def _told(outcome: Outcome) -> tuple[str, list[str]]:
    match outcome:
        case Refusal():
            return outcome.logged_reason, [f"{outcome.logged_reason}: {outcome.detail or outcome.message}"]
        case Accepted():
            lines = [f"authentic with secret {outcome.secret_position} (0 is the newest)"]
            return "accepted", lines + [f"event: {one.type} with id {one.id}" for one in outcome.events]
        case Ignored():
            return "ignored", [f"nothing to queue: {outcome.why}"]
        case Handshake():
            return "handshake", [f"handle_verification answers with status {outcome.status}"]
