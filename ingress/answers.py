"""What the ingress answers: Truto's error envelope plus a machine-readable reason, and JSON for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import orjson
import structlog
from starlette.responses import Response

RETRY_AFTER_SECONDS = 2
"""Truto gives up within about 10 s (docs: webhooks overview), so a longer wait would be a loss."""

log = structlog.get_logger("ingress")


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


def refuse(refusal: Refusal) -> Response:
    """The answer that carries *refusal*."""
    headers = dict(refusal.headers)
    if refusal.close:
        headers["connection"] = "close"
    return answer(
        {
            "statusCode": refusal.status,
            "error": HTTPStatus(refusal.status).phrase,
            "message": refusal.message,
            "reason": refusal.reason,
        },
        refusal.status,
        headers,
    )


def answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """*content* as JSON."""
    return _Json(orjson.dumps(content), status, headers)


class _Json(Response):
    media_type = "application/json"

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Spell the usual two at once: putting them together costs Starlette as much as three of our JSON documents."""
        if headers:
            super().init_headers(headers)
        else:
            self.raw_headers = [(b"content-length", b"%d" % len(self.body)), (b"content-type", b"application/json")]


def wrong_method(allowed: str) -> Refusal:
    """The refusal of a request whose method is not the *allowed* one."""
    return Refusal(405, "method_not_allowed", f"Use {allowed} here.", headers={"allow": allowed}, close=True)


def failed(error: Exception, path: str) -> Response:
    """The answer to a request that met a defect of ours. Only the error's kind is logged: its text may quote a body."""
    log.error("request_failed", error=type(error).__name__, path=path)
    return refuse(Refusal(500, "internal", "Something went wrong on our side; nothing was accepted.", close=True))
