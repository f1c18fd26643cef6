"""uvicorn, made safe to stand at the edge.

Three things httptools lets through are closed here: trailers of a chunked body would become request headers (so that a
signature could be appended after the body; RFC 9110 6.5.1 forbids the merge), the body of a request that asks for
another protocol would be read as the next request, and a request head may trickle in, or grow, for ever.

What is refused before there is a request for the application, is refused in the same envelope as everything else.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import deque
from collections.abc import Iterator
from http import HTTPStatus
from types import FrameType
from typing import Any, Literal

import httptools
import uvicorn
from starlette.applications import Starlette

from ingress.answers import Refusal, refuse
from ingress.body import HERE
from ingress.wire import WholeAnswersProtocol

_HEAD_SECONDS = 10.0
_MOST_HEAD_BYTES = 64 * 1024
# Takes what a list takes, and keeps nothing: a list of trailers would be endless for who sends them without end.
_NOWHERE: deque[tuple[bytes, bytes]] = deque(maxlen=0)
_NOT_HTTP = Refusal(400, "malformed_request", "This is no request that can be read.", close=True)
_TOO_SLOW = Refusal(408, "headers_too_slow", "The headers of the request did not arrive in time.", close=True)
_TOO_LARGE = Refusal(431, "headers_too_large", "Too many or too large headers.", close=True)


def _on_the_wire(refusal: Refusal) -> bytes:
    """*refusal* as the bytes of an answer, for a connection on which no request has come about."""
    response = refuse(refusal)
    lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}".encode()]
    lines += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join([*lines, b"", bytes(response.body)])


class EdgeProtocol(WholeAnswersProtocol):
    """HTTP/1.1 with a deadline and a cap on the head of a request, and without trailers."""

    head_seconds = _HEAD_SECONDS
    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """Start the clock: a connection that never says anything is closed too."""
        super().connection_made(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; close when the head has outgrown its cap without coming to an end."""
        super().data_received(data)
        if self._in_head:
            if self._head_timer is None:  # a head that comes whole, as nearly all do, needs none
                self._start_clock()
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_HEAD_BYTES:
                self._close_with(_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A new request on this connection: its head has the full time."""
        super().on_message_begin()
        self._stop_clock()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """From here on nothing may be added to the headers the application sees. Other protocols are refused."""
        self._in_head = False
        self._stop_clock()
        if self.parser.should_upgrade():
            raise httptools.HttpParserError("only HTTP/1.1 is spoken here")
        super().on_headers_complete()
        self.headers = _NOWHERE  # type: ignore[assignment]  # what comes now are trailers

    def on_message_complete(self) -> None:
        """The body is whole. When it came with its head, the application has not begun yet, and will find it."""
        self.scope["extensions"] = {HERE: {"body": bytes(self.cycle.body)}}
        super().on_message_complete()

    def _start_clock(self) -> None:
        self._head_timer = self.loop.call_later(self.head_seconds, self._close_with, _TOO_SLOW)

    def _stop_clock(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser could not read; *msg* is uvicorn's own word for it."""
        del msg
        self._close_with(_NOT_HTTP)

    def _close_with(self, refusal: Refusal) -> None:
        self._stop_clock()
        if not self.transport.is_closing():
            self.transport.write(_on_the_wire(refusal))
            self.transport.close()


def edge_config(app: Starlette, *, lifespan: Literal["on", "off"], drain_seconds: int, **where: Any) -> uvicorn.Config:
    """How every listener of ours is served; *where* it listens is up to the caller."""
    return uvicorn.Config(
        app,
        http=EdgeProtocol,
        loop="uvloop",
        ws="none",
        lifespan=lifespan,
        access_log=False,  # one line per delivery is written where its outcome is known
        log_config=None,
        server_header=False,
        proxy_headers=False,  # nothing here trusts X-Forwarded-*
        timeout_keep_alive=75,
        timeout_graceful_shutdown=drain_seconds,
        **where,
    )


class Server(uvicorn.Server):
    """Says at once, on SIGTERM, that it is draining; then finishes what it has and stops."""

    def __init__(self, app: Starlette, *, host: str, port: int, drain_seconds: int = 30) -> None:
        super().__init__(edge_config(app, lifespan="on", drain_seconds=drain_seconds, host=host, port=port))
        self._app = app

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Heed SIGTERM and SIGINT, and end with code 0: uvicorn would raise the signal again once all is done."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Turn readiness off before the listening socket closes."""
        self._app.state.readiness.draining = True
        super().handle_exit(sig, frame)
