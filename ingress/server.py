"""The HTTP protocol of the ingress: uvicorn's, made safe for requests from the internet.

Three things httptools lets through are closed here: trailers of a chunked body would become request headers (so that a
signature could be appended after the body; RFC 9110 6.5.1 forbids the merge), the body of a request that offers
another protocol would be read as the next request, and a request head may trickle in, or grow, for ever. A request
without exactly one usable Host is refused (RFC 9112 3.2), except that HTTP/1.0 may leave it out.

An offer of another protocol (``Upgrade``) is ignored, as RFC 9110 7.8 allows: Java's clients make one with every first
request. httptools stops behind such a head, so the head is read again without the offer.

What is refused before there is a request for the application, is refused in the same envelope as everything else. Where
nothing was asked, nothing is answered: whoever opens connections ahead would read it as the answer to the next request.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections import deque
from http import HTTPStatus
from typing import Any

import httptools

from ingress.answers import MEMORY_EXHAUSTED, Refusal
from ingress.body import DELIVERED, HERE, is_more, too_large
from ingress.budget import FIRST, SMALL_BYTES, Holding
from ingress.connections import Connections, Phase
from ingress.exchange import Exchange
from ingress.responses import refuse
from ingress.wire import WholeAnswersProtocol

_MAX_HEAD_BYTES = 64 * 1024
_MAX_PIPELINED = 512
_MAX_UNSENT_BYTES = 8 * 1024
# What Python takes for a request, and for each of its headers, besides the bytes that came.
_REQUEST_BYTES = 4096
_HEADER_BYTES = 160
_FIRST_URL = f"/webhooks/{FIRST}".encode()
_OFFERING = (b"upgrade", b"http2-settings")
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]{1,255}\]|[A-Za-z0-9._~%-]{1,255})(:[0-9]{1,5})?")
# Takes what a list takes, and keeps nothing: a list of trailers would be endless for who sends them without end.
_NOWHERE: deque[tuple[bytes, bytes]] = deque(maxlen=0)
_NOT_HTTP = Refusal(400, "malformed_request", "This is no request that can be read.", close=True)
_BAD_HOST = Refusal(400, "malformed_host", "Send one Host header that names a host, and a port if need be.", close=True)
_TOO_SLOW = Refusal(408, "headers_too_slow", "The headers of the request did not arrive in time.", close=True)
_TOO_LARGE = Refusal(431, "headers_too_large", "Too many or too large headers.", close=True)


def _on_the_wire(refusal: Refusal) -> bytes:
    """*refusal* as the bytes of an answer, for a connection on which no request has come about."""
    response = refuse(refusal)
    lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}".encode()]
    lines += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join([*lines, b"", bytes(response.body)])


class EdgeProtocol(WholeAnswersProtocol):
    """HTTP/1.1 within the bounds of :class:`Connections` and its budget, with a cap on heads, and without trailers."""

    peer = ""
    phase: Phase | None = None
    since = 0.0
    _in_head = False
    _head_bytes = 0
    _head: Holding | None = None
    _host: bytes | None = None
    _good_host: bytes | None = None
    _refusal = _NOT_HTTP
    _delivered = False
    _offers_upgrade = False

    def __init__(self, *arguments: Any, connections: Connections, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._connections = connections
        self._budget = connections.budget

    # -- the connection ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """Begin, or end at once where there is no room."""
        super().connection_made(transport)
        if self.client:
            self.peer = self.client[0]
        if self._connections.admit(self, self.loop.time()):
            transport.set_write_buffer_limits(high=_MAX_UNSENT_BYTES)  # whoever does not read answers gets no more
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything but what the application still works on."""
        self._connections.ended(self)
        self._release_head()
        self._forget_waiting()
        super().connection_lost(exc)

    def drop(self) -> None:
        """End at once, whatever was not sent or read yet."""
        self.transport.abort()

    def retire(self) -> None:
        """End after the answer to the request that is under way, at once when there is none."""
        self.shutdown()

    def end_head(self) -> bool:
        """Answer a head that did not come to its end in time; false when not a byte of one has come."""
        if self._in_head:
            self._end_with(_TOO_SLOW)
        return self._in_head

    def pause_writing(self) -> None:
        """An answer is not being read."""
        super().pause_writing()
        self._connections.blocks(self, self.loop.time())

    def resume_writing(self) -> None:
        """It is read again."""
        super().resume_writing()
        self._connections.unblocks(self)

    def pause_reading(self) -> None:
        """Read no more for now."""
        self.flow.pause_reading()

    def read_on(self) -> None:
        """Go on with a body, unless it has ended meanwhile, or nobody wants it any more."""
        if self.cycle.more_body and self.cycle.wanted and self.cycle.refusal is None:
            self.flow.resume_reading()

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way."""
        running = self.running
        return running is not None and not running.response_complete

    # -- what comes ----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes | memoryview) -> None:
        """Feed the parser, and account for what is not complete."""
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                data = self._read_on(memoryview(data), offer)
        except httptools.HttpParserError:
            self._end_with(self._refusal)
            return
        if self._in_head:
            self._hold_head(len(data))
        elif self.running is not None and self.cycle.more_body:
            self._hold_body(self.cycle)

    def _read_on(self, data: memoryview, offer: httptools.HttpParserUpgrade | None) -> memoryview:
        """Read the requests in *data* of which the first makes an *offer*, as if none did; the last piece fed."""
        while offer is not None:
            self._offers_upgrade = False
            data = data[offer.args[0] :]
            head = _without_offer(self.parser, self.url, self.headers)
            self.parser = httptools.HttpRequestParser(self)
            self.parser.feed_data(head)
            try:
                self.parser.feed_data(data)
                offer = None
            except httptools.HttpParserUpgrade as following:
                offer = following
        return data

    def on_message_begin(self) -> None:
        """A new request on this connection: its head has the full time."""
        super().on_message_begin()
        self._in_head, self._head_bytes, self._host = True, 0, None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; of several hosts, none is usable."""
        name = name.lower()
        if name == b"host":
            self._host = value if self._host is None else b""
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """From here on nothing may be added to the headers the application sees."""
        self._in_head = False
        if self._head is not None:
            self._release_head()
        if len(self.pipeline) >= _MAX_PIPELINED:
            raise httptools.HttpParserError("this is not served")
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise httptools.HttpParserError("this is not served")
            self._offers_upgrade = True  # the head comes again, without the offer
            return
        if self._host != self._good_host or self._host is None:
            self._check_host(self._host)
        super().on_headers_complete()
        self.cycle.budget = self._budget
        self.headers = _NOWHERE  # type: ignore[assignment]  # what comes now are trailers
        if self.cycle is self.running:
            self.since = self.loop.time()
            if self.phase is self._connections.silent:
                self._connections.speaks(self, trusted=self._delivered)

    def _check_host(self, host: bytes | None) -> None:
        if _HOST.fullmatch(host) is None if host is not None else self.parser.get_http_version() != "1.0":
            self._refusal = _BAD_HOST
            raise httptools.HttpParserError("no usable Host")
        self._good_host = host

    def on_message_complete(self) -> None:
        """The body is whole. When it came with its head, the application has not begun yet, and will find it."""
        if self._offers_upgrade:
            return
        cycle = self.cycle
        if cycle.refusal is None and not cycle.response_complete and self._hold_whole(cycle):
            self.scope["extensions"] = {HERE: {"body": cycle.whole(), "answer": cycle.answer}}
            cycle.more_body = False
            cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Begin with the request that waits, or be idle."""
        running: Exchange = self.running  # type: ignore[assignment]  # it has just been answered
        self.since = self.loop.time()
        if not self._delivered and DELIVERED in running.scope:
            self._delivered = True
            self._connections.speaks(self, trusted=True)
        super().on_response_complete()
        following: Exchange = self.running  # type: ignore[assignment]  # as above
        if following is not running:
            if following.holding is not None and not following.more_body:
                self._budget.settle(following.holding)
        elif self._in_head:
            self._connections.begins(self, self.since)
        else:
            self.url = b""  # an idle connection keeps nothing of the request that was

    # -- what is held --------------------------------------------------------------------------------------------------

    def _hold_head(self, size: int) -> None:
        """Account for a part of a head that is not complete."""
        self._head_bytes += size
        if self._head_bytes > _MAX_HEAD_BYTES:
            self._end_with(_TOO_LARGE)
            return
        if self._head is None:
            self._head = Holding("", self._give_way)
            size += _REQUEST_BYTES
            if not self.is_busy:
                self._connections.begins(self, self.loop.time())
        if not self._budget.grow(self._head, size, is_large=False):
            self._give_way()

    def _hold_body(self, cycle: Exchange) -> None:
        """Account for a part of a body that is not complete."""
        if cycle.response_complete or cycle.refusal is not None:
            return
        most = self._connections.body_bytes(cycle.scope["path"])
        if cycle.size > most:
            cycle.refuse(too_large(most))
        elif self._grow(cycle) and cycle.size > SMALL_BYTES:
            if cycle.wanted:
                self._connections.turns.wait(self)
            else:
                self.pause_reading()

    def _hold_whole(self, cycle: Exchange) -> bool:
        """Account for a body that is complete; false where there is no room for it."""
        if cycle is not self.running:  # it can give way until its turn comes
            return self._grow(cycle)
        size = cycle.size
        if cycle.holding is None and (
            not size or (size <= SMALL_BYTES and self._budget.hold(size, first=self.url == _FIRST_URL))
        ):
            cycle.held = size
            return True
        if not self._grow(cycle):
            return False
        self._budget.settle(cycle.holding)  # type: ignore[arg-type]  # there is one now
        return True

    def _grow(self, cycle: Exchange) -> bool:
        """Hold all that has come of a request, others giving way if need be; false where it is refused instead."""
        if cycle.holding is None:
            give_way = functools.partial(cycle.refuse, MEMORY_EXHAUSTED) if cycle is self.running else self._give_way
            cycle.holding = Holding(self._budget.owner(cycle.scope["path"]), give_way)
            cycle.overhead = _REQUEST_BYTES + sum(
                len(name) + len(value) + _HEADER_BYTES for name, value in cycle.scope["headers"]
            )
        more = cycle.overhead + cycle.size - cycle.holding.size
        if self._budget.grow(cycle.holding, more, is_large=cycle.size > SMALL_BYTES or _is_declared_large(cycle)):
            return True
        cycle.holding.give_way()
        return False

    def _give_way(self) -> None:
        """End for want of memory: a head that is not complete, or a request that waits for the one before it."""
        self._connections.turned_away.note(MEMORY_EXHAUSTED.reason, "connection")
        self._release_head()
        self._forget_waiting()
        self.drop()

    def _release_head(self) -> None:
        if self._head is not None:
            self._budget.release(self._head)
            self._head = None

    def _forget_waiting(self) -> None:
        for cycle, _ in self.pipeline:
            cycle.release_body()  # type: ignore[attr-defined]  # an Exchange
        self.pipeline.clear()

    def _end_with(self, refusal: Refusal) -> None:
        """Refuse what came, and end: after the answers that are still owed, if there are any."""
        if self.transport.is_closing():
            return
        if self.pipeline and self.cycle.more_body:  # it will not come to its end
            self.pipeline.popleft()
            self.cycle.release_body()
        last = self.pipeline[0][0] if self.pipeline else self.running
        if last is not None and not (last.response_complete or last.more_body):
            last.keep_alive = False
            self.flow.pause_reading()
            return
        self._connections.turned_away.note("request_refused", refusal.reason)
        self.since = self.loop.time()
        self._connections.speaks(self, trusted=self._delivered)
        self.transport.write(_on_the_wire(refusal))
        self.transport.close()


def _without_offer(parser: httptools.HttpRequestParser, url: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The head that *parser* has just read, without its offer of another protocol.

    After any other than ``h2c`` the connection ends with the answer: a proxy that takes every answer for a consent
    would pass on whatever follows unseen.
    """
    offered = {value.strip().lower() for name, value in headers if name == b"upgrade"}
    options = [
        option.strip()
        for name, value in headers
        if name == b"connection"
        for option in value.split(b",")
        if option.strip().lower() not in _OFFERING
    ]
    if offered != {b"h2c"}:
        options.append(b"close")
    kept = [(name, value) for name, value in headers if name not in (b"connection", *_OFFERING)]
    if options:
        kept.append((b"connection", b", ".join(options)))
    line = b"%b %b HTTP/%b\r\n" % (parser.get_method(), url, parser.get_http_version().encode())
    return line + b"".join(b"%b: %b\r\n" % header for header in kept) + b"\r\n"


def _is_declared_large(cycle: Exchange) -> bool:
    return any(name == b"content-length" and is_more(value, SMALL_BYTES) for name, value in cycle.scope["headers"])
