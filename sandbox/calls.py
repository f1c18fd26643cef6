"""From a request to a handler and back: parse, refuse the malformed, answer a repeated key from memory."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from sandbox.answers import Answer, Refusal

_MAX_DEPTH = 64
_REMEMBERED_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read. ``account_id`` is what an integrated account token implies, else ``None``."""

    path: Mapping[str, str]
    query: list[tuple[str, str]]
    body: dict[str, Any]
    account_id: str | None = None

    def param(self, name: str) -> str | None:
        """The last value of a query parameter."""
        return next((value for key, value in reversed(self.query) if key == name), None)


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(slots=True)
class _Reply:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    answer: Answer | None = None


class Replies:
    """Answers already given under an ``Idempotency-Key``; the oldest are forgotten beyond 10 000.

    The key's scope is account, path and key (skill). Truto documents the header for unified, proxy, custom
    and batch calls only; the sandbox honours it on every POST and PATCH. Only successes are kept: after a
    refusal, the corrected request may use its key again.
    """

    def __init__(self) -> None:
        self._replies: OrderedDict[tuple[str, ...], _Reply] = OrderedDict()

    async def once(self, scope: tuple[str, ...], act: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer kept for *scope*, else that of *act*. A call in flight makes its twin wait, not act."""
        reply = self._replies.setdefault(scope, _Reply())
        if len(self._replies) > _REMEMBERED_KEYS:
            self._replies.popitem(last=False)
        async with reply.lock:
            if reply.answer is None:
                reply.answer = await act()
            return reply.answer


class Endpoints:
    """Turns a :data:`Handler` into a Starlette endpoint."""

    def __init__(self) -> None:
        self._replies = Replies()

    def __call__(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint for *handler*; its :class:`Refusal` is answered by the application."""

        async def endpoint(request: Request) -> Response:
            call = await _read(request)
            key = request.headers.get("idempotency-key")
            if not key or request.method not in ("POST", "PATCH"):
                return (await handler(call)).response()
            account = call.account_id or call.body.get("integrated_account_id") or call.param("integrated_account_id")
            scope = (request.method, request.url.path, str(account), key)
            return (await self._replies.once(scope, lambda: handler(call))).response()

        return endpoint


async def _read(request: Request) -> Call:
    body: dict[str, Any] = {}
    if request.method in ("POST", "PATCH", "PUT"):
        raw = await request.body()
        body = parse_object(raw) if raw else {}
    return Call(
        request.path_params,
        request.query_params.multi_items(),
        body,
        request.scope.get("sandbox.account_id"),
    )


def parse_object(raw: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises a 400 :class:`Refusal` for everything else, and for what is nested too deep to be answered.
    """
    try:
        value = orjson.loads(raw)
    except ValueError:
        raise Refusal(400, "The body is not JSON") from None
    if not isinstance(value, dict):
        raise Refusal(400, "The body must be a JSON object")
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return value
    raise Refusal(400, "The body is nested too deep")
