"""Connections without sockets: what is said on them comes packet by packet, and what is sent is remembered."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from ingress.budget import BodyBudget
from ingress.connections import Connections
from ingress.limits import Limits
from ingress.turned_away import TurnedAway
from ingress.wire import WholeAnswersProtocol


class Wire(asyncio.Transport):
    """Remembers what is sent on it, packet by packet."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed = False
        self.over = asyncio.Event()

    def write(self, data: Any) -> None:
        assert not self.closed
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.closed = True
        self.over.set()

    def abort(self) -> None:
        self.close()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is buffered."""

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """Packets come one by one anyway."""

    def resume_reading(self) -> None:
        """Packets come one by one anyway."""


class Connection:
    """One connection to *app*, spoken by *protocol*."""

    def __init__(self, app: ASGIApp, protocol: type[HttpToolsProtocol] = WholeAnswersProtocol, **options: Any) -> None:
        config = uvicorn.Config(app, lifespan="off", log_config=None, ws="none", access_log=False)
        config.load()
        state = ServerState()
        state.default_headers = [(b"date", b"today")]
        self.wire = Wire()
        self.protocol = protocol(config, state, {}, **options)
        self.protocol.connection_made(self.wire)

    async def say(self, *packets: bytes) -> Connection:
        for packet in packets:
            self.protocol.data_received(packet)
            await settled()
        return self


def connections(**limits: Any) -> Connections:
    """The bookkeeping of a server with these limits, and one source: ``truto``, as in ``/webhooks/truto``."""
    bounds = Limits(**limits)
    budget = BodyBudget(bounds.buffered_bytes, owner=lambda path: path.removeprefix("/webhooks/"))
    return Connections(bounds, budget, TurnedAway(CollectorRegistry()))


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)
