"""The connections to Truto: a pool of them as a transport for httpx's requests and responses."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque

import httpx

from truto.connection import Connection
from truto.http1 import encode_head

MOST_CONNECTIONS = 100
IDLE_SECONDS = 5.0

_PORTS = {"http": 80, "https": 443}


class Connections(httpx.AsyncBaseTransport):
    """Up to 100 kept connections to one server, over HTTP/1.1, with TLS where *base_url* says https.

    *tls* replaces the context that trusts certifi's authorities; it is set to offer HTTP/1.1. Whatever goes wrong
    raises httpx's own errors; nothing is ever sent twice. A request takes the connection that was used last, so that
    those which are not needed grow old; with 100 under way, requests wait in the order they came, for at most the
    ``pool`` timeout. After :meth:`aclose` a request raises :class:`RuntimeError`; so do both in another event loop than
    that of the first request, to which the connections belong.
    """

    def __init__(self, base_url: str, *, tls: ssl.SSLContext | None = None) -> None:
        url = httpx.URL(base_url)
        self._origin = url.scheme, url.raw_host, url.port
        self._host = url.raw_host.decode("ascii")
        self._port = url.port or _PORTS[url.scheme]
        self._tls: ssl.SSLContext | None = None
        if url.scheme == "https":
            self._tls = tls or httpx.create_ssl_context(trust_env=False)
            self._tls.set_alpn_protocols(["http/1.1"])
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        # Each is held by a connection in use, or by one that is being made.
        self._permits = asyncio.Semaphore(MOST_CONNECTIONS)
        self._busy: set[Connection] = set()
        self._idle: deque[Connection] = deque()  # the one used last at the right
        self._sweep: asyncio.TimerHandle | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; its answer's body is still to be read, and to be closed."""
        url = request.url
        if (url.scheme, url.raw_host, url.port) != self._origin:
            raise httpx.UnsupportedProtocol("the connections lead to another server than the request is for")
        self._check_loop()
        head, length = encode_head(request)
        timeouts = request.extensions.get("timeout", {})
        await self._permit(timeouts.get("pool"))
        connection = self._kept() or await self._connect(timeouts.get("connect"))
        return await connection.send(request, head, length)

    async def aclose(self) -> None:
        """Close all connections; what is under way fails. A second call does nothing."""
        if not self._is_closed:
            self._check_loop()
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        everyone = [*self._busy, *self._idle]
        for connection in everyone:
            connection.abort()
        if everyone:
            await asyncio.wait([connection.closed for connection in everyone])

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError("the client belongs to the event loop of its first request: make one for each loop")

    async def _permit(self, seconds: float | None) -> None:
        self._check_open()
        if not self._permits.locked():
            await self._permits.acquire()
            return
        try:
            async with asyncio.timeout(seconds):
                await self._permits.acquire()
        except TimeoutError:
            raise httpx.PoolTimeout("all connections are in use") from None
        if self._is_closed:
            self._permits.release()
            self._check_open()

    def _check_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("the client is closed")

    def _kept(self) -> Connection | None:
        """A connection that is certain to be idle, now in use; those which are not are closed on the way."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable():
                self._busy.add(connection)
                return connection
            connection.abort()
        return None

    async def _connect(self, seconds: float | None) -> Connection:
        try:
            connection = await self._opened(seconds)
        except BaseException:
            self._permits.release()
            raise
        # From here on the permit is the connection's, until it is kept or lost.
        if connection.closed.done():
            self._permits.release()
        else:
            self._busy.add(connection)
        # What may have arrived on a new one belongs to no earlier request: session tickets of TLS do.
        if self._is_closed or not connection.is_open:
            connection.abort()
            self._check_open()
            raise httpx.ConnectError("the server closed the connection, or spoke before it was asked")
        return connection

    async def _opened(self, seconds: float | None) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop, self._keep, self._lost),
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls is not None else None,
                )
        except TimeoutError as exc:
            raise httpx.ConnectTimeout("no connection in time") from exc
        except Exception as exc:
            # Names, certificates, sockets and the loop's own checks fail with more kinds than anyone lists.
            raise httpx.ConnectError(f"no connection: {type(exc).__name__}") from exc
        return connection

    def _keep(self, connection: Connection) -> None:
        """An exchange has ended well."""
        self._busy.discard(connection)
        self._permits.release()
        self._idle.append(connection)
        connection.idle_since = connection.loop.time()
        if self._sweep is None:
            self._sweep = connection.loop.call_later(IDLE_SECONDS, self._close_idle)

    def _lost(self, connection: Connection) -> None:
        """A connection is closed, by whomever."""
        if connection in self._busy:
            self._busy.discard(connection)
            self._permits.release()
        elif connection in self._idle:
            self._idle.remove(connection)

    def _close_idle(self) -> None:
        """Close those that have not been used for a while; looks again when the next one may be due."""
        self._sweep = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._idle and self._idle[0].idle_since + IDLE_SECONDS <= now + 0.001:
            self._idle.popleft().abort()
        if self._idle:
            self._sweep = loop.call_at(self._idle[0].idle_since + IDLE_SECONDS, self._close_idle)
