"""One connection to a server: one request at a time, and its answer in pieces as they are read."""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import httpx

from truto.http1 import Answer

_MOST_UNREAD_BYTES = 64 * 1024
_MOST_WRITTEN_AT_ONCE = 64 * 1024


class Connection(asyncio.Protocol):
    """A socket that is idle, or carries one exchange, or is closed, and then no longer ``is_open``.

    *free* is called when an exchange has ended and another one may follow, *lost* once when the socket is closed.
    """

    idle_since = 0.0

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        free: Callable[[Connection], None],
        lost: Callable[[Connection], None],
    ) -> None:
        self.loop = loop
        self.closed: asyncio.Future[None] = loop.create_future()
        self._free = free
        self._lost = lost
        self._exchange: Exchange | None = None
        self.is_open = False
        self._full = False
        self._paused = False
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to look at what arrives."""
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True
        self._arrived = select.poll()
        self._arrived.register(transport.get_extra_info("socket"), select.POLLIN)
        if transport.get_extra_info("sslcontext") is not None:
            # While we read nothing, TLS must not read on either: if it came upon the end, uvloop's would throw away
            # what it holds for us, and a body that only the end ends would look whole.
            cast("Any", transport).set_read_buffer_limits(high=1, low=0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits, and the pool."""
        self._end(exc)
        if self._timer is not None:
            self._timer.cancel()
        self.closed.set_result(None)
        self._lost(self)

    def eof_received(self) -> None:
        """The server has closed its half: nothing more is to be had here."""
        self._end(None)
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer. While there is no request they belong to nothing, and the connection is closed."""
        exchange = self._exchange
        if exchange is None:
            self.abort()
            return
        answer = exchange.answer
        try:
            answer.feed(data)
        except httpx.RemoteProtocolError as exc:
            self._fail(exc)
            return
        if answer.complete:
            self._finish(exchange)
        elif answer.unread > _MOST_UNREAD_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        exchange.wake()

    def pause_writing(self) -> None:
        """The server does not read as fast as we write."""
        self._full = True

    def resume_writing(self) -> None:
        """There is room again."""
        self._full = False
        if self._exchange is not None:
            self._exchange.wake()

    def is_usable(self) -> bool:
        """Whether another request may be sent: open, idle, and nothing has arrived that was not looked at yet."""
        return self.is_open and self._exchange is None and not self._arrived.poll(0)

    def abort(self) -> None:
        """Close at once; an exchange that is under way fails. A second call does nothing."""
        if self._exchange is not None:
            self._fail(httpx.ReadError("the connection was closed on this side"))
        elif self.is_open:
            self.is_open = False
            self._transport.abort()

    async def send(self, request: httpx.Request, head: bytes, length: int | None) -> httpx.Response:
        """Send *request*, as :func:`truto.http1.encode_head` describes it; answers when the answer's head is there."""
        timeouts = request.extensions.get("timeout", {})
        exchange = self._exchange = Exchange(self, request.method, timeouts.get("read"))
        try:
            if isinstance(request.stream, httpx.ByteStream) and length is not None:
                await self._write_whole(exchange, head, length, b"".join(request.stream), timeouts.get("write"))
            else:
                await self._write_stream(exchange, head, length, request.stream, timeouts.get("write"))
            while not exchange.answer.status:
                await exchange.wait(exchange.read_seconds, httpx.ReadTimeout)
        except BaseException:
            exchange.abort()
            raise
        return httpx.Response(exchange.answer.status, headers=exchange.answer.headers, stream=_Body(exchange))

    async def _write_whole(
        self, exchange: Exchange, head: bytes, length: int, content: bytes, seconds: float | None
    ) -> None:
        if len(content) != length:
            raise httpx.LocalProtocolError("the body is not as long as its Content-Length")
        if len(content) <= _MOST_WRITTEN_AT_ONCE:
            self._transport.write(head + content)
            exchange.written = True
            return
        self._transport.write(head)
        for start in range(0, len(content), _MOST_WRITTEN_AT_ONCE):
            if not await self._has_room(exchange, seconds):
                return
            self._transport.write(content[start : start + _MOST_WRITTEN_AT_ONCE])
        exchange.written = True

    async def _write_stream(
        self,
        exchange: Exchange,
        head: bytes,
        length: int | None,
        stream: httpx.SyncByteStream | httpx.AsyncByteStream,
        seconds: float | None,
    ) -> None:
        assert isinstance(stream, httpx.AsyncByteStream), "the body of the request is an iterator without async"
        self._transport.write(head)
        sent = 0
        async for chunk in stream:
            sent += len(chunk)
            if length is not None and sent > length:
                raise httpx.LocalProtocolError("the body is longer than its Content-Length")
            if not await self._has_room(exchange, seconds):
                return
            if chunk:
                self._transport.write(chunk if length is not None else b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if length is not None and sent < length:
            raise httpx.LocalProtocolError("the body is shorter than its Content-Length")
        if not await self._has_room(exchange, seconds):
            return
        if length is None:
            self._transport.write(b"0\r\n\r\n")
        exchange.written = True

    async def _has_room(self, exchange: Exchange, seconds: float | None) -> bool:
        """Wait until more may be written; false when the answer has come already and nobody wants the rest."""
        exchange.check()
        while self._full and not exchange.answer.status:
            await exchange.wait(seconds, httpx.WriteTimeout)
        return not exchange.answer.status

    def read_on(self) -> None:
        """There is room for more of the answer."""
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def watch(self, seconds: float) -> None:
        """Look after *seconds* whether the exchange is still waiting.

        The timer is moved when it fires, not whenever a wait begins: nearly all waits end long before.
        """
        self._deadline = self.loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= self._deadline:
                return
            self._timer.cancel()
        self._timer = self.loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._exchange is None or self._exchange.late is None:
            return
        # uvloop counts in milliseconds.
        if self.loop.time() + 0.001 < self._deadline:
            self._timer = self.loop.call_at(self._deadline, self._look)
        else:
            self._fail(self._exchange.late("the time for a step of the request is over"))

    def _finish(self, exchange: Exchange) -> None:
        self._exchange = exchange.connection = None
        in_step = exchange.written and exchange.answer.reusable and not self._transport.get_write_buffer_size()
        if self.is_open and in_step:
            self.read_on()
            self._free(self)
        else:
            self.abort()

    def _end(self, exc: Exception | None) -> None:
        """The socket is at its end; for some answers that is the end of the body."""
        self.is_open = False
        exchange = self._exchange
        if exchange is None:
            return
        if exc is not None:
            kind = httpx.ReadError if exchange.written else httpx.WriteError
            self._fail(kind(f"the connection broke: {type(exc).__name__}"))
            return
        try:
            exchange.answer.feed_end()
        except httpx.RemoteProtocolError as error:
            self._fail(error)
        else:
            self._finish(exchange)
            exchange.wake()

    def _fail(self, error: httpx.TransportError) -> None:
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        exchange.connection = None
        exchange.error = error
        exchange.wake()
        self.is_open = False
        self._transport.abort()


class Exchange:
    """A request and its answer. It lets go of the connection with the answer's last byte, or when it fails."""

    __slots__ = ("_waiter", "answer", "connection", "error", "late", "read_seconds", "written")

    def __init__(self, connection: Connection, method: str, read_seconds: float | None) -> None:
        self.connection: Connection | None = connection
        self.answer = Answer(method)
        self.error: httpx.TransportError | None = None
        self.late: type[httpx.TimeoutException] | None = None
        self.read_seconds = read_seconds
        self.written = False
        self._waiter: asyncio.Future[None] | None = None

    def check(self) -> None:
        """Raise what the exchange has failed with."""
        if self.error is not None:
            raise self.error

    async def wait(self, seconds: float | None, late: type[httpx.TimeoutException]) -> None:
        """Wait until something happens: bytes, room to write, or a failure, which is raised."""
        self.check()
        assert self.connection is not None
        assert self._waiter is None
        self._waiter = self.connection.loop.create_future()
        if seconds is not None:
            self.late = late
            self.connection.watch(seconds)
        try:
            await self._waiter
        finally:
            self._waiter = self.late = None
        self.check()

    def wake(self) -> None:
        """Something has happened."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def read(self) -> bytes:
        """The next piece of the body, empty at its end."""
        while not self.answer.unread:
            if self.answer.complete:
                return b""
            await self.wait(self.read_seconds, httpx.ReadTimeout)
        piece = self.answer.take()
        if self.connection is not None and not self.answer.unread:
            self.connection.read_on()
        return piece

    def abort(self) -> None:
        """Give the exchange up: its connection, if it still has one, is closed."""
        if self.connection is not None:
            self.connection.abort()


class _Body(httpx.AsyncByteStream):
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while piece := await self._exchange.read():
                yield piece
        except BaseException:
            self._exchange.abort()
            raise

    async def aclose(self) -> None:
        self._exchange.abort()
