"""Listen for HTTP, and drain on SIGTERM: uvicorn with the protocol of :mod:`ingress.server`.

uvloop accepts all waiting connections before it does anything else: of 2,000 at once, deliveries on open connections
wait for a fifth of a second. So connections are accepted a few at a time here, and requests are served in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import socket
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Literal, cast

import structlog
import uvicorn
from starlette.applications import Starlette

from ingress.server import EdgeProtocol

log = structlog.get_logger("ingress")

_MAX_ACCEPTED = 4
_RETRY_SECONDS = 1.0


def edge_config(app: Starlette, *, lifespan: Literal["on", "off"], drain_seconds: int) -> uvicorn.Config:
    """The configuration of every listener."""
    return uvicorn.Config(
        app,
        http=functools.partial(EdgeProtocol, connections=app.state.connections),  # type: ignore[arg-type]  # makes one
        loop="uvloop",
        ws="none",
        lifespan=lifespan,
        access_log=False,  # one line per delivery is written where its outcome is known
        log_config=None,
        server_header=False,
        proxy_headers=False,  # nothing here trusts X-Forwarded-*
        timeout_graceful_shutdown=drain_seconds,
    )


class Acceptor:
    """Accepts connections on *listening*, at most 4 in one round of the event loop, until it is closed."""

    def __init__(self, listening: socket.socket, protocol: Callable[[], asyncio.Protocol], *, backlog: int) -> None:
        self._listening = listening
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[object]] = set()
        self._retry: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        listening.listen(backlog)
        self._loop.add_reader(listening, self._accept)

    def close(self) -> None:
        """Accept no more. A second call does nothing."""
        if self._listening.fileno() < 0:
            return
        self._loop.remove_reader(self._listening)
        if self._retry is not None:
            self._retry.cancel()
        self._listening.close()

    async def wait_closed(self) -> None:
        """Wait until the connections accepted before are open."""
        await asyncio.gather(*self._opening)

    def _accept(self) -> None:
        for _ in range(_MAX_ACCEPTED):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:  # no descriptor or no memory is left
                log.error("accept_failed", error=exc.strerror, again_in_seconds=_RETRY_SECONDS)
                self._loop.remove_reader(self._listening)
                self._retry = self._loop.call_later(_RETRY_SECONDS, self._resume)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._open(connection), name="open-connection")
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # it was reset meanwhile
            connection.close()

    def _resume(self) -> None:
        self._loop.add_reader(self._listening, self._accept)


class Server(uvicorn.Server):
    """A server on given sockets (``serve(sockets=…)``) that drains on SIGTERM.

    It turns readiness off at once, finishes its requests and stops.
    """

    def __init__(self, app: Starlette, *, drain_seconds: int = 30) -> None:
        super().__init__(edge_config(app, lifespan="on", drain_seconds=drain_seconds))
        self._app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then listen on *sockets*."""
        await super().startup(sockets=[])
        protocol = functools.partial(
            cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class),
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        for listening in sockets or ():
            acceptor = Acceptor(listening, protocol, backlog=self.config.backlog)
            self.servers.append(cast("asyncio.Server", acceptor))  # uvicorn closes it, and waits for that

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT, and end with code 0: uvicorn would raise the signal again at the end."""
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
