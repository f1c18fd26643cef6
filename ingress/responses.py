"""What the ingress answers: Truto's error envelope plus a machine-readable reason, and JSON for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import orjson
import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ingress.answers import Refusal
from ingress.body import HERE

log = structlog.get_logger("ingress")


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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it in one step to a request that has come whole: Starlette's two messages cost as much as its making."""
        at_once = scope.get("extensions", {}).get(HERE, {}).get("answer")
        if at_once is None or not at_once(self.status_code, self.raw_headers, self.body):
            await super().__call__(scope, receive, send)


def failed(error: Exception, path: str) -> Response:
    """The answer to a request that met a defect of ours. Only the error's kind is logged: its text may quote a body."""
    log.error("request_failed", error=type(error).__name__, path=path)
    return refuse(Refusal(500, "internal", "Something went wrong on our side; nothing was accepted.", close=True))
