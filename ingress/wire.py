"""HTTP/1.1 as uvicorn speaks it, in fewer steps: bodies are put together once, each answer is one packet."""

from __future__ import annotations

import asyncio
import functools
import urllib.parse

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ingress.exchange import Exchange


class WholeAnswersProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, without WebSockets, its limit of concurrency and its timer of idle connections."""

    cycle: Exchange
    running: Exchange | None = None
    """The exchange whose answer comes next; ``cycle`` is the last one that has begun."""

    def on_headers_complete(self) -> None:
        """Hand the request to the application, or have it wait for the one before it."""
        scope = self.scope
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise httptools.HttpParserError("only HTTP/1.1 is spoken here")
        scope["path"], scope["raw_path"], scope["query_string"] = _parts_of(self.url)
        scope["http_version"] = version
        scope["method"] = self.parser.get_method().decode("ascii")
        before = self.cycle
        cycle = self.cycle = Exchange(
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
        cycle.pieces = []
        if before is None or before.response_complete:  # type: ignore[redundant-expr]  # None before the first request
            self.running = cycle
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_body(self, body: bytes) -> None:
        """Keep what came of the body, unless nobody will ask for it."""
        cycle = self.cycle
        if not (cycle.response_complete or cycle.refusal):
            cycle.pieces.append(body)
            cycle.size += len(body)

    def on_response_complete(self) -> None:
        """Begin with the request that waits."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self.running = cycle  # type: ignore[assignment]  # made above
            self._start_asgi_task(cycle, app)


@functools.lru_cache(maxsize=16)  # senders ask for the same few, again and again
def _parts_of(target: bytes) -> tuple[str, bytes, bytes]:
    """The path as text and as it came, and the query."""
    url = httptools.parse_url(target)
    path = url.path.decode("ascii")
    return urllib.parse.unquote(path) if "%" in path else path, url.path, url.query or b""
