"""Why a request is not taken, as a value: status, reason and message. ``responses`` makes the answer of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RETRY_AFTER_SECONDS = 2
"""Truto gives up within about 10 s (docs: webhooks overview), so a longer wait would be a loss."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not taken, as a value.

    ``status``, ``reason`` and ``message`` are for the sender. ``cause`` is the reason for our own log and metrics:
    all causes of a 401 look alike from outside. ``detail`` says more about it, without secrets and bodies.
    ``close`` ends the connection, because the body was not read.
    """

    status: int
    reason: str
    message: str
    cause: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    close: bool = False
    detail: str = ""

    @property
    def logged_reason(self) -> str:
        """The reason to log and count."""
        return self.cause or self.reason


MEMORY_EXHAUSTED = Refusal(
    503,
    "memory_exhausted",
    "Too much is being received at once. Send it again.",
    headers={"retry-after": str(RETRY_AFTER_SECONDS)},
    close=True,
)
"""The refusal of what there is no room for; see ``MAX_BUFFERED_BYTES``."""


def not_authentic(cause: str, detail: str = "") -> Refusal:
    """The one refusal of a delivery whose sender is not proven; *cause* and *detail* stay with us."""
    return Refusal(401, "signature_mismatch", "The delivery is not authentic.", cause, detail=detail)


def enrolment_closed(source: str) -> Refusal:
    """The refusal of a handshake that would leave something while no enrolment window is open for *source*."""
    how = f"`truto-worker sources enrol {source} --for 10m` lets in the next one"
    return not_authentic("enrolment_closed", f"the handshake is not proven; {how}")


def wrong_method(allowed: str) -> Refusal:
    """The refusal of a request whose method is not the *allowed* one."""
    return Refusal(405, "method_not_allowed", f"Use {allowed} here.", headers={"allow": allowed}, close=True)
