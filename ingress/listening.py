"""Listen for HTTP, and drain on SIGTERM: uvicorn with the protocol of :mod:`ingress.server`."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any, Literal

import uvicorn
from starlette.applications import Starlette

from ingress.server import EdgeProtocol


def edge_config(app: Starlette, *, lifespan: Literal["on", "off"], drain_seconds: int, **where: Any) -> uvicorn.Config:
    """The configuration of every listener; *where* is its address."""
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
        **where,
    )


class Server(uvicorn.Server):
    """A server that drains on SIGTERM: it turns readiness off at once, finishes its requests and stops."""

    def __init__(self, app: Starlette, *, drain_seconds: int = 30, **where: Any) -> None:
        super().__init__(edge_config(app, lifespan="on", drain_seconds=drain_seconds, **where))
        self._app = app

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
