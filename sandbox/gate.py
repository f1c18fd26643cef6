"""The door of the imitated API: every call passes here, is let in or turned away, and is written down."""

from __future__ import annotations

import asyncio
import hmac
import random
import time
from collections.abc import Callable, Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.errors import Refusal
from sandbox.limits import PER_TOKEN, Limit
from sandbox.state import State

_CONTROL = frozenset({"", "sandbox", "connect", "inbox", "files", "openapi.json", "favicon.ico"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# Providers and agents call these, and have no API token: what lets them in is in the path.
_OPEN = frozenset({"mcp", "integrated-account-webhook", "environment-integration-webhook"})
_DATA_PLANE = frozenset({"unified", "proxy", "custom"})


def _family(path: str) -> str:
    return path.lstrip("/").partition("/")[0]


def needs_token(path: str) -> bool:
    """Whether a route at *path* wants a bearer token."""
    return _family(path) not in _CONTROL | _OPEN


class Gate:
    """ASGI middleware before the Truto API routes: faults, the bearer token, and the log of calls.

    Control routes need no token, so what a web page elsewhere could make a browser send there is refused. An
    integrated account token reaches ``/unified``, ``/proxy``, ``/custom`` and ``/integrated-account/me``, all
    else answers 403 (skill: authentication); its account is left in the scope as ``sandbox.account_id``.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        state: State,
        token: str,
        limited: bool = False,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._app = app
        self._state = state
        self._token = token.encode()
        self._limit = Limit(PER_TOKEN) if limited else None
        self._draw = draw

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        family = _family(scope["path"])
        if family in _CONTROL:
            stranger = scope["method"] not in _SAFE and is_cross_origin(Headers(scope=scope))
            await (_FOREIGN if stranger else self._app)(scope, receive, send)
            return
        entry = {
            "method": scope["method"],
            "path": "/mcp/…" if family == "mcp" else scope["path"],  # a token is in it
            "status": None,
            "at": time.time(),
            "idempotency_key": _header(scope, b"idempotency-key"),
        }

        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
                self._state.calls.add(entry)
            await send(message)

        if self._state.faults.latency_seconds:
            await asyncio.sleep(self._state.faults.latency_seconds)
        refusal = self._state.faults.refusal(self._draw()) or self._admit(scope, family)
        if refusal:
            await refusal.response()(scope, receive, recorded)
        else:
            await self._app(scope, receive, recorded)

    def _admit(self, scope: Scope, family: str) -> Refusal | None:
        if family in _OPEN:
            return None
        refusal = self._identify(scope, family)
        if refusal is None and self._limit:
            try:
                self._limit.take(scope.get("sandbox.account_id", ""))
            except Refusal as limit:
                return limit
        return refusal

    def _identify(self, scope: Scope, family: str) -> Refusal | None:
        scheme, _, presented = (_header(scope, b"authorization") or "").partition(" ")
        # Strangers choose this text; compare_digest() refuses non-ASCII str, so compare bytes.
        if scheme.lower() == "bearer" and hmac.compare_digest(presented.strip().encode(), self._token):
            return None
        account_id, expires_at = self._state.account_tokens.get(presented.strip(), ("", 0.0))
        if expires_at <= time.time() or scheme.lower() != "bearer":
            return Refusal(401, "Unknown or missing API token")
        own = scope["path"] == "/integrated-account/me" and scope["method"] in ("GET", "HEAD", "PATCH")
        if not own and family not in _DATA_PLANE:
            return Refusal(403, "An integrated account token does not reach this route")
        scope["sandbox.account_id"] = account_id
        return None


def _header(scope: Scope, name: bytes) -> str | None:
    for each, value in scope["headers"]:
        if each == name:
            return str(value, "latin-1")
    return None


def is_cross_origin(headers: Mapping[str, str]) -> bool:
    """Whether a browser sent this for a page of another origin; a program that is no browser says nothing of it."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host")


_FOREIGN = Refusal(403, "Pages of other origins cannot use the sandbox's own routes").response()
