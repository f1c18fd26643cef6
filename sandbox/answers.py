"""What the sandbox answers: JSON, and Truto's error envelope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sandbox.errors import Refusal


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
