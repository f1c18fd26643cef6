"""The door of the imitated API: every call passes here, is let in or turned away, and is written down."""

from __future__ import annotations

import asyncio
import hmac
import random
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.answers import Refusal
from sandbox.state import State

_CONTROL = frozenset({"", "sandbox", "inbox", "favicon.ico"})
_DATA_PLANE = frozenset({"unified", "proxy", "custom"})


def _family(path: str) -> str:
    return path.lstrip("/").partition("/")[0]


class Gate:
    """ASGI middleware before the Truto API routes: faults, the bearer token, and the log of calls.

    Control routes pass untouched. An integrated account token reaches ``/unified``, ``/proxy``, ``/custom``
    and ``/integrated-account/me``, all else answers 403 (skill: authentication); its account is left in the
    scope as ``sandbox.account_id``.
    """

    def __init__(self, app: ASGIApp, *, state: State, token: str, draw: Callable[[], float] = random.random) -> None:
        self._app = app
        self._state = state
        self._token = token.encode()
        self._draw = draw

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or _family(scope["path"]) in _CONTROL:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        entry = {
            "method": scope["method"],
            "path": scope["path"],
            "status": None,
            "at": time.time(),
            "idempotency_key": headers.get("idempotency-key"),
        }

        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._state.calls.add({**entry, "status": message["status"]})
            await send(message)

        await asyncio.sleep(self._state.faults.latency_seconds)
        refusal = self._state.faults.refusal(self._draw()) or self._identify(scope, headers)
        if refusal:
            await refusal.response()(scope, receive, recorded)
        else:
            await self._app(scope, receive, recorded)

    def _identify(self, scope: Scope, headers: Headers) -> Refusal | None:
        scheme, _, presented = headers.get("authorization", "").partition(" ")
        # Strangers choose this text; compare_digest() refuses non-ASCII str, so compare bytes.
        if scheme.lower() == "bearer" and hmac.compare_digest(presented.strip().encode(), self._token):
            return None
        account_id, expires_at = self._state.account_tokens.get(presented.strip(), ("", 0.0))
        if expires_at <= time.time() or scheme.lower() != "bearer":
            return Refusal(401, "Unknown or missing API token")
        path = scope["path"]
        if path != "/integrated-account/me" and _family(path) not in _DATA_PLANE:
            return Refusal(403, "An integrated account token does not reach this route")
        scope["sandbox.account_id"] = account_id
        return None
