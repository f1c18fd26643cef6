"""From a request to a handler and back: parse, refuse the malformed, answer a repeated key from memory."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sandbox import fields
from sandbox.answers import Answer
from sandbox.errors import Refusal
from sandbox.fields import Field

_MAX_DEPTH = 64
_REMEMBERED_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read. ``account_id`` is what an integrated account token implies, else ``None``.

    ``scheme`` is what the caller reached the sandbox with, ``target`` the path asked for, ``raw`` the body as it came.
    """

    path: Mapping[str, str]
    query: list[tuple[str, str]]
    body: dict[str, Any]
    account_id: str | None = None
    table: Mapping[str, Field] = field(default_factory=dict)
    method: str = ""
    scheme: str = "http"
    target: str = ""
    raw: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        """Where the caller reached us, without a slash at the end; see :func:`base_url`."""
        return base_url(self.scheme, self.headers.get("host", ""))

    @property
    def url(self) -> str:
        """The address that was called, without its query."""
        return f"{self.base_url}{self.target}"

    def param(self, name: str) -> str | None:
        """The last value of a query parameter."""
        return next((value for key, value in reversed(self.query) if key == name), None)

    def read(self) -> dict[str, Any]:
        """The values of the fields that the endpoint was declared with; see :func:`sandbox.fields.read`."""
        return fields.read(self.body, self.table)


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


Reader = Callable[[Request], Awaitable[dict[str, Any]]]
"""Reads a request's body; raises :class:`Refusal` for one that cannot be used."""

_NOTHING: Mapping[str, str] = {}


async def read_json(request: Request) -> dict[str, Any]:
    """A JSON object; ``{}`` where there is no body."""
    raw = await request.body()
    return parse_object(raw) if raw else {}


async def read_nothing(request: Request) -> dict[str, Any]:
    """``{}``: the handler looks at the raw body itself."""
    await request.body()
    return {}


class Endpoint:
    """An ASGI application around one :data:`Handler`, which also knows how to describe it.

    ``body`` are the fields its handler reads, ``partial`` whether each may be absent, ``query`` its parameters
    with what they do, ``reads`` how the body becomes an object, ``takes`` the JSON Schema of a body that has no
    table of fields, ``shape`` the name of the answer's schema, ``media_type`` the body's.
    """

    def __init__(
        self,
        handler: Handler,
        replies: Replies,
        *,
        body: Mapping[str, Field] | None = None,
        partial: bool = False,
        query: Mapping[str, str] = _NOTHING,
        reads: Reader = read_json,
        takes: Mapping[str, Any] | None = None,
        shape: str = "Object",
        media_type: str = "application/json",
    ) -> None:
        self.handler = handler
        self.body = body
        self.partial = partial
        self.query = query
        self.takes = takes
        self.shape = shape
        self.media_type = media_type
        self._reads = reads
        self._replies = replies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. A :class:`Refusal` of the handler is answered by the application."""
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        call = await self._read(request)
        key = request.headers.get("idempotency-key") if request.method in ("POST", "PATCH") else None
        if not key:
            return (await self.handler(call)).response()
        account = call.account_id or call.body.get("integrated_account_id") or call.param("integrated_account_id")
        scope = (request.method, request.scope["path"], str(account), key)
        return (await self._replies.once(scope, lambda: self.handler(call))).response()

    async def _read(self, request: Request) -> Call:
        body: dict[str, Any] = {}
        has_body = request.method in ("POST", "PATCH", "PUT")
        if has_body:
            body = await self._reads(request)
        return Call(
            path=request.path_params,
            query=request.query_params.multi_items() if request.scope["query_string"] else [],
            body=body,
            account_id=request.scope.get("sandbox.account_id"),
            table=self.body or {},
            method=request.method,
            scheme=request.scope.get("scheme", "http"),
            target=request.scope["path"],
            raw=await request.body() if has_body and self._reads is read_nothing else b"",
            headers=request.headers,
        )


class Endpoints:
    """Makes the :class:`Endpoint` of each handler; all share one memory of ``Idempotency-Key``."""

    def __init__(self) -> None:
        self._replies = Replies()

    def __call__(self, handler: Handler, **description: Any) -> Endpoint:
        """The endpoint for *handler*; *description* as :class:`Endpoint` takes it."""
        return Endpoint(handler, self._replies, **description)


def base_url(scheme: str, host: str) -> str:
    """Where the caller reached us, from its ``Host``; a loopback name where that is no address."""
    if not re.fullmatch(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?", host):
        host = "localhost"
    return f"{scheme}://{host}"


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
