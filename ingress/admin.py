"""The admin port: a separate listener with metrics and details for operators."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette

from ingress.listening import edge_config

_DRAIN_SECONDS = 3
_BACKLOG = 128


def listen(host: str, port: int) -> socket.socket:
    """A listening socket at *host* and *port*. Raises :class:`OSError` where that cannot be."""
    flags = socket.AI_PASSIVE
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)[0]
    both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
    return socket.create_server(address[:2], family=family, backlog=_BACKLOG, dualstack_ipv6=both)


class AdminServer(uvicorn.Server):
    """A second server with the same limits; the public server handles the signals."""

    def __init__(self, app: Starlette, listening: socket.socket) -> None:
        super().__init__(edge_config(app, lifespan="off", drain_seconds=_DRAIN_SECONDS))
        self._listening = listening

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]  # as it is used
        """Heed none."""
        return contextlib.nullcontext()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve until the block ends, then finish the requests under way."""
        task = asyncio.create_task(self.serve(sockets=[self._listening]), name="serve-admin")
        try:
            yield
        finally:
            self.should_exit = True
            await task
