"""HTTP/1.1 as uvicorn speaks it, in fewer steps: each answer is one packet, each connection has one timer."""

from __future__ import annotations

import asyncio
import re
import urllib.parse
from collections.abc import Iterable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import (
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

_PLAIN_NAMES = re.compile(rb"[a-z0-9-]+")


def whole_answer(
    status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, last: bool = False
) -> bytes | None:
    """The answer as one packet; ``None`` where that takes more thought. The *last* one tells that the connection ends.

    Plain is a head that declares the length of *body*, says nothing about the connection, and holds no byte that
    could end a line.
    """
    names, values, lines, length = [], [], [STATUS_LINE[status]], b""
    for name, value in headers:
        if name == b"content-length":
            length = value
        elif name in (b"connection", b"transfer-encoding"):
            return None
        names.append(name)
        values.append(value)
        lines += name, b": ", value, b"\r\n"
    if length != b"%d" % len(body) or not _PLAIN_NAMES.fullmatch(b"".join(names)):
        return None
    if HEADER_VALUE_RE.search(b"".join(values)):
        return None
    lines += b"connection: close\r\n\r\n" if last else b"\r\n", body
    return b"".join(lines)


class Exchange(RequestResponseCycle):
    """One request and its answer. A head waits for the first of its body: one packet costs half of two."""

    _head: Any = None

    async def send(self, message: Any) -> None:
        """Take the next part of the answer; uvicorn's own way wherever it is not the plain and whole one."""
        if message["type"] == "http.response.start" and not self.response_started:
            self._head = message
            return
        head, self._head = self._head, None
        if head is not None:
            if self._send_whole(head, message):
                return
            await super().send(head)
        await super().send(message)

    def _send_whole(self, head: Any, message: Any) -> bool:
        if message.get("more_body") or self.disconnected or self.flow.write_paused or self.scope["method"] == "HEAD":
            return False
        headers = [*self.default_headers, *head.get("headers", ())]
        answer = whole_answer(head["status"], headers, message.get("body", b""), last=not self.keep_alive)
        if answer is None:
            return False
        self.transport.write(answer)
        if not self.keep_alive:
            self.transport.close()
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.message_event.set()
        self.on_response()
        return True


class WholeAnswersProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, without WebSockets and its limit of concurrency.

    Its timer for idle connections is started with each answer and cancelled with each request; ours looks, when it is
    due, how long the connection has been idle by then.
    """

    _idle_since: float | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        super().connection_lost(exc)
        super()._unset_keepalive_if_required()  # ours only notes that the connection is not idle

    def on_headers_complete(self) -> None:
        """Hand the request to the application, or have it wait for the one before it."""
        scope = self.scope
        version = self.parser.get_http_version()
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["http_version"] = version
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["path"] = urllib.parse.unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        before = self.cycle
        self.cycle = Exchange(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:  # type: ignore[redundant-expr]  # None before the first request
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_response_complete(self) -> None:
        """Begin with the request that waits, or be idle."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_again_in(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Close when the connection has been idle for long enough, else look again when it will have been."""
        idle = self.loop.time() - self._idle_since if self._idle_since is not None else 0.0
        if idle < self.timeout_keep_alive:
            self._look_again_in(self.timeout_keep_alive - idle)
        else:
            super().timeout_keep_alive_handler()

    def _look_again_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None
