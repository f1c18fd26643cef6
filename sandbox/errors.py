"""Everything this package raises on purpose.

::

    SandboxError
    ├── Refusal             the request cannot be done: answer with Truto's error envelope
    └── StateFileError      the file of ``--state`` cannot be used: do not start
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response


class SandboxError(Exception):
    """Base of everything raised here on purpose; catching it never hides a bug."""


class Refusal(SandboxError):
    """The request cannot be done; answered as ``{statusCode, error, message}`` (docs: errors).

    *failures* become ``details.failures[]`` (skill: error-and-evidence-model). *remote* marks the provider's
    own refusal with ``truto_is_remote_error``; *insight* is what the unified API says about it, *raw* its own answer.
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
        raw: Any = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.failures = failures
        self.remote = remote
        self.insight = insight
        self.headers = headers
        self.raw = raw

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
            body["raw_response"] = {"message": self.message} if self.raw is None else self.raw
        if self.insight:
            body["truto_error_insight"] = dict(self.insight)
        return body


class StateFileError(SandboxError):
    """The file cannot be used; the message says which, why, and what to do."""
