"""Make a call: attempts within a deadline, each bounded in time and size.

What may be sent again is decided in :mod:`truto.retry`, what an answer means in :mod:`truto.answers`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TypeVar

import httpx

from truto.answers import read_answer
from truto.calls import Call
from truto.errors import ApiError, CallTimeout, NotFound, ProtocolError, TransportError
from truto.outgoing import ACCEPTED_ENCODINGS, check_encoding, outgoing_client, read_capped, unpacked
from truto.retry import Failure, RetryPolicy, counts_against_account, is_repeatable, wait_before_next

MAX_CONNECTIONS = 100

_AnswerT = TypeVar("_AnswerT")


class Attempts:
    """The connections to one API with one token, and the rule by which a call on them is repeated.

    The parameters are those of :class:`truto.AsyncTruto`.
    """

    def __init__(
        self,
        *,
        token: str,
        base_url: str,
        timeout_seconds: float,
        retry: RetryPolicy,
        max_response_bytes: int,
        admit: Callable[[str | None], Awaitable[object]] | None,
        transport: httpx.AsyncBaseTransport | None,
        sleep: Callable[[float], Awaitable[object]],
        draw: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._token = _checked_token(token)
        self.base_url = _checked_base_url(base_url)
        self._retry = retry
        self._max_response_bytes = max_response_bytes
        self._admit = admit
        self._sleep, self._draw, self._clock = sleep, draw, clock
        self._loop = _OwnLoop()
        self._http = outgoing_client(
            timeout_seconds=timeout_seconds, transport=transport, trust_env=True, max_connections=MAX_CONNECTIONS
        )
        self._http.headers = httpx.Headers(
            {
                "Authorization": f"Bearer {token}",
                "Accept": "application/json",
                "Accept-Encoding": ACCEPTED_ENCODINGS,
                "User-Agent": "truto-worker",
            }
        )

    async def aclose(self) -> None:
        """Close the connections. A second call does nothing."""
        if not self._http.is_closed:
            self._loop.check()
            await self._http.aclose()

    async def whole(self, call: Call, timeout_seconds: float, deadline: float) -> bytes:
        """The body of the answer; empty for a ``DELETE`` that an earlier attempt had carried out."""
        return await self._persist(call, self._whole_once, timeout_seconds, deadline, gone=b"")

    async def beginning(self, call: Call, timeout_seconds: float, deadline: float) -> httpx.Response:
        """The answer, with its body still to be read."""
        return await self._persist(call, self._beginning_once, timeout_seconds, deadline, gone=None)

    async def _persist(
        self,
        call: Call,
        attempt_once: Callable[[Call, float], Awaitable[_AnswerT]],
        timeout_seconds: float,
        deadline: float,
        *,
        gone: _AnswerT | None,
    ) -> _AnswerT:
        """Repeat the call while it fails and may be repeated; *gone* is the answer to a delete that had succeeded."""
        keyed = call.idempotency_key is not None
        repeatable = is_repeatable(call.method, call.route, keyed=keyed)
        may_have_acted = False
        attempt = 0
        while True:
            attempt += 1
            if self._admit is not None:
                await self._await_admission(call, deadline, sent=attempt > 1)
            try:
                return await attempt_once(call, min(timeout_seconds, deadline - self._clock()))
            except (ApiError, TransportError) as error:
                if gone is not None and may_have_acted and call.method == "DELETE" and isinstance(error, NotFound):
                    return gone
                failure = _failure(error)
                wait = wait_before_next(
                    failure, repeatable=repeatable, attempt=attempt, policy=self._retry, draw=self._draw()
                )
                if wait is None or call.one_shot or self._clock() + wait >= deadline:
                    raise
                may_have_acted = may_have_acted or failure.may_have_acted
            await self._sleep(wait)

    async def _await_admission(self, call: Call, deadline: float, *, sent: bool) -> None:
        assert self._admit is not None
        account_id = call.account_id if counts_against_account(call.route) else None
        try:
            async with asyncio.timeout(deadline - self._clock()) as timer:
                await self._admit(account_id)
        except TimeoutError as exc:
            if not timer.expired():
                raise
            raise CallTimeout(f"{call}: not admitted in time", sent=sent) from exc
        if self._clock() >= deadline:
            raise CallTimeout(f"{call}: admitted too late", sent=sent)

    async def _whole_once(self, call: Call, timeout_seconds: float) -> bytes:
        """One attempt: the body of its answer."""
        with Translating(call):
            async with asyncio.timeout(timeout_seconds):
                response = await self._open(call, timeout_seconds)
                body = await self._read(response)
        return read_answer(call, response.status_code, response.headers, body, token=self._token, now=time.time())

    async def _beginning_once(self, call: Call, timeout_seconds: float) -> httpx.Response:
        """One attempt: an answer with an unread body, or the error of the answer."""
        with Translating(call):
            async with asyncio.timeout(timeout_seconds):
                response = await self._open(call, timeout_seconds, accept="*/*")
                if response.is_success:
                    body: bytes | None = b""
                else:
                    body = await self._read(response)
        read_answer(call, response.status_code, response.headers, body, token=self._token, now=time.time())
        return response

    async def _read(self, response: httpx.Response) -> bytes | None:
        try:
            return await read_capped(unpacked(response), self._max_response_bytes)
        finally:
            await response.aclose()

    async def _open(self, call: Call, timeout_seconds: float, accept: str | None = None) -> httpx.Response:
        self._loop.check()
        # Connecting gets half of the time, so that a failure to connect is not mistaken for a lost answer.
        half = timeout_seconds / 2
        request = self._http.build_request(
            call.method,
            self.base_url + call.target,
            headers=call.headers if accept is None else {**call.headers, "Accept": accept},
            content=call.content,
            timeout=httpx.Timeout(timeout_seconds, connect=half, pool=half),
        )
        response = await self._http.send(request, stream=True)
        try:
            check_encoding(response.headers)
        except httpx.DecodingError:
            await response.aclose()
            raise
        return response


class _OwnLoop:
    """The event loop of the first call: connections of one loop cannot be used in another."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def check(self) -> None:
        running = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = running
        elif self._loop is not running:
            raise RuntimeError("this client belongs to another event loop: make one for each")


class Translating:
    """Turns what httpx raises into our errors. A class, because ``contextmanager`` costs several times as much."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(exc, httpx.InvalidURL):
            if "too long" not in str(exc):  # no head of an answer has room for that, and all else was checked
                raise ProtocolError(f"{self._call}: a redirect to an invalid URL; redirects are not followed") from None
            raise ValueError("the path and query are too long for a URL") from None
        if isinstance(exc, (httpx.RequestError, TimeoutError)):
            raise _translation(self._call, exc) from exc


def _translation(call: Call, exc: httpx.RequestError | TimeoutError) -> TransportError | ProtocolError:
    """Our error for one of httpx's. Their texts are left out: they may quote the answer."""
    match exc:
        case httpx.ConnectTimeout() | httpx.PoolTimeout():
            return CallTimeout(f"{call}: no connection in time ({type(exc).__name__})", sent=False)
        case httpx.TimeoutException() | TimeoutError():
            return CallTimeout(f"{call}: no answer in time ({type(exc).__name__})")
        case httpx.ConnectError():
            return TransportError(f"{call}: no connection ({type(exc).__name__})", sent=False)
        case httpx.DecodingError():
            return ProtocolError(f"{call}: the answer's Content-Encoding cannot be undone")
        case _:
            return TransportError(f"{call}: the answer was lost ({type(exc).__name__})")


def _failure(error: ApiError | TransportError) -> Failure:
    if isinstance(error, ApiError):
        return Failure(status=error.status, remote=error.remote, retry_after=error.retry_after)
    return Failure(sent=error.sent)


def _checked_token(token: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("the API token is empty or holds characters that a header cannot carry")
    return token


def _checked_base_url(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        raise ValueError("base_url is not a URL") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("base_url is an http or https URL")
    if url.userinfo or url.query or url.fragment:
        raise ValueError("base_url carries no user, query or fragment")
    return str(url).rstrip("/")
