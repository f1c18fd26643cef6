"""What the sandbox answers: JSON, and Truto's error envelope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that can be kept and given again; JSON unless said otherwise."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"

    def response(self) -> Response:
        """What goes on the wire."""
        return Response(self.body, self.status, dict(self.headers), media_type=self.media_type)


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """*body* as a JSON :class:`Answer`. Keys that are no text are written as text."""
    return Answer(orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS), status, headers or {})


class Refusal(Exception):
    """The request cannot be done; answered as ``{statusCode, error, message}`` (docs: errors).

    *failures* become ``details.failures[]`` (skill: error-and-evidence-model). *remote* marks the provider's
    own refusal with ``truto_is_remote_error``; *insight* is what the unified API says about it.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        failures: Sequence[Mapping[str, str]] = (),
        remote: bool = False,
        insight: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.failures = failures
        self.remote = remote
        self.insight = insight
        self.headers = headers

    def response(self) -> Response:
        """The error envelope."""
        return Response(orjson.dumps(self.body()), self.status, self.headers, media_type="application/json")

    def body(self) -> dict[str, Any]:
        """The envelope as a value."""
        body: dict[str, Any] = {
            "statusCode": self.status,
            "error": HTTPStatus(self.status).phrase,
            "message": self.message,
        }
        if self.failures:
            body["details"] = {"failures": list(self.failures)}
        if self.remote:
            body["truto_is_remote_error"] = True
            body["raw_response"] = {"message": self.message}
        if self.insight:
            body["truto_error_insight"] = dict(self.insight)
        return body


def invalid(field: str, message: str) -> Refusal:
    """One validation failure. The inside of ``failures[]`` is in no source: ``path`` and ``message`` here."""
    return Refusal(400, "Validation failed", failures=[{"path": field, "message": message}])


def missing(what: str) -> Refusal:
    """404 for something that is not in this environment."""
    return Refusal(404, f"{what} not found")


async def answer_refusal(_request: Request, exc: Exception) -> Response:
    """Starlette's hook for :class:`Refusal`."""
    assert isinstance(exc, Refusal)
    return exc.response()


async def answer_http_error(_request: Request, exc: Exception) -> Response:
    """Starlette's own 404 and 405, in the envelope."""
    assert isinstance(exc, HTTPException)
    message = {404: "No such route", 405: "Method not allowed here"}.get(exc.status_code, exc.detail)
    return Refusal(exc.status_code, message, headers=exc.headers).response()


async def answer_disconnect(_request: Request, _exc: Exception) -> Response:
    """A body that ended early; whoever sent it has most likely gone."""
    return Refusal(400, "The body ended early").response()
