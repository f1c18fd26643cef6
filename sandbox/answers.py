"""What the sandbox answers: JSON, and Truto's error envelope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer that can be kept and given again."""

    body: bytes
    status: int = 200

    def response(self) -> Response:
        """What goes on the wire."""
        return Response(self.body, self.status, media_type="application/json")


def answer(body: object, status: int = 200) -> Answer:
    """*body* as a JSON :class:`Answer`."""
    return Answer(orjson.dumps(body), status)


class Refusal(Exception):
    """The request cannot be done; answered as ``{statusCode, error, message}`` (docs: errors).

    *failures* become ``details.failures[]`` (skill: error-and-evidence-model). *remote* marks the provider's
    own refusal with ``truto_is_remote_error``.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        failures: Sequence[Mapping[str, str]] = (),
        remote: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.failures = failures
        self.remote = remote
        self.headers = headers

    def response(self) -> Response:
        """The error envelope."""
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
        return Response(orjson.dumps(body), self.status, self.headers, media_type="application/json")


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
