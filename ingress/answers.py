"""What the ingress answers: Truto's error envelope plus a machine-readable reason, and JSON for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import orjson
from starlette.requests import Request
from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not taken, as a value.

    ``status``, ``reason`` and ``message`` are for the sender. ``cause`` is the reason for our own log and metrics:
    all causes of a 401 look alike from outside. ``close`` ends the connection, because the body was not read.
    """

    status: int
    reason: str
    message: str
    cause: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    close: bool = False

    @property
    def logged_reason(self) -> str:
        """The reason to log and count."""
        return self.cause or self.reason


def not_authentic(cause: str) -> Refusal:
    """The one refusal of a delivery whose sender is not proven; *cause* stays with us."""
    return Refusal(401, "signature_mismatch", "The delivery is not authentic.", cause)


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
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


def wrong_method(request: Request, allowed: str) -> Response | None:
    """A 405 when the request's method is not the *allowed* one, else ``None``."""
    if request.method == allowed:
        return None
    return refuse(Refusal(405, "method_not_allowed", f"Use {allowed} here.", headers={"allow": allowed}, close=True))
