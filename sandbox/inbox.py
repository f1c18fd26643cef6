"""The tenant's own endpoint: where a worker's webhooks arrive and are checked (Standard Webhooks)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.answers import answer
from sandbox.errors import Refusal
from sandbox.state import State
from truto.signing_keys import SigningKeys


class Inbox:
    """``POST /inbox/{tenant_id}``: 204 to what the tenant's key explains, else 401. ``GET /inbox`` shows it."""

    def __init__(self, state: State, secret: str | None) -> None:
        self._state = state
        self._keys = SigningKeys.parse(secret, "tenant") if secret else None

    def routes(self) -> list[Route]:
        """Both routes."""
        return [
            Route("/inbox", self.list, methods=["GET"]),
            Route("/inbox/{tenant_id}", self.receive, methods=["POST"]),
        ]

    async def list(self, _request: Request) -> Response:
        """Everything kept, oldest first."""
        return answer({"result": self._state.inbox.rows()}).response()

    async def receive(self, request: Request) -> Response:
        """Verify and note one delivery. Nothing of the body is kept unless it is authentic."""
        body = await request.body()
        tenant_id = request.path_params["tenant_id"]
        keys = self._keys.keys_for(tenant_id, datetime.now(UTC)) if self._keys else ()
        verified = verify(keys, body, request.headers)
        self._state.inbox.add(
            {
                "tenant_id": tenant_id,
                "verified": verified,
                "id": request.headers.get("webhook-id"),
                **(_read(body) if verified else {"type": None, "data": None}),
                "received_at": time.time(),
            }
        )
        if not verified:
            return Refusal(401, "The signature does not match").response()
        return Response(status_code=204)


def verify(keys: Iterable[str], body: bytes, headers: Mapping[str, str]) -> bool:
    """Whether *body* is fresh and signed with one of *keys*. Without a key nothing is; no input raises."""
    return any(_explains(key, body, headers) for key in keys)


def _explains(key: str, body: bytes, headers: Mapping[str, str]) -> bool:
    try:
        Webhook(key).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):
        # ValueError: a signature without a comma, base64 that is none, or a body that is not UTF-8.
        return False
    return True


def _read(body: bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(body)
    except ValueError:
        message = None
    found = message if isinstance(message, dict) else {}
    return {"type": found.get("type"), "data": found.get("data")}
