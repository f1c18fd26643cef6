"""The ingress on a real socket, with the protocol of its own server, in the test's process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from events import Spool, Store
from ingress import Limits, Server, create_app, truto_source
from ingress.budget import BodyBudget
from ingress.connections import Connections
from ingress.server import EdgeProtocol
from ingress.sources.source import Source
from truto import AsyncTruto
from truto.signature import sign

SECRET = "6e17561c-a20c-44ce-b8b5-caff0bf786fe"
OLD_SECRET = "0c0f4a56-3a2f-4f0e-93f8-9d7a5a0f0c11"
KEY = "link-token-key-9f8e7d"
LIMITS = Limits(body_bytes=64 * 1024, receipt_seconds=0.3)
HOOK = "/webhooks/truto"


@dataclass(frozen=True)
class Edge:
    """A running ingress: ``http`` and ``admin`` call its ports, ``port`` is for raw sockets, ``server`` its state."""

    http: httpx.AsyncClient
    admin: httpx.AsyncClient
    port: int
    server: Server

    @property
    def budget(self) -> BodyBudget:
        """Where the ingress accounts for bodies."""
        return self._connections.budget

    @property
    def connections_open(self) -> int:
        """How many connections the ingress has."""
        return len(self._connections)

    @property
    def _connections(self) -> Connections:
        app: Any = self.server.config.app
        connections: Connections = app.state.connections
        return connections

    def turned_away(self, what: str, reason: str) -> float | None:
        """What the metric of that name says; ``None`` when nothing was."""
        labels = {"what": what, "reason": reason}
        return self._connections.turned_away.registry.get_sample_value("truto_worker_turned_away_total", labels)

    @asynccontextmanager
    async def lines(
        self, count: int = 1, *, window: int = 0
    ) -> AsyncIterator[list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]:
        """So many connections, cut off at the end; *window* bounds (bytes) what the system takes in for each."""
        lines = []
        for _ in range(count):
            line = socket.socket()
            if window:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            line.connect(("127.0.0.1", self.port))
            lines.append(await asyncio.open_connection(sock=line, limit=1))
        try:
            yield lines
        finally:
            for _, writer in lines:
                writer.transport.abort()
            await asyncio.gather(*(writer.wait_closed() for _, writer in lines), return_exceptions=True)

    async def deliver(self, body: bytes, *, secret: str = SECRET, **headers: str) -> httpx.Response:
        """A delivery signed with *secret*; *headers* are written with underscores."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        signed = {"content-type": "application/json", "x-truto-signature": sign(body, secret)}
        return await self.http.post(HOOK, content=body, headers={**signed, **given})

    async def told(self, path: str, holds: Callable[[httpx.Response], bool]) -> httpx.Response:
        """What the admin port says at *path* once *holds* is true of it: it may be a second old before."""
        async with asyncio.timeout(5):
            while not holds(response := await self.admin.get(path)):  # noqa: ASYNC110  it is asked over HTTP
                await asyncio.sleep(0.05)
        return response

    async def talk(self, *pieces: bytes, pause: float = 0.0) -> bytes:
        """Send *pieces*, a *pause* (s) apart, and read until the server closes, at most 2 s."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        answered = bytearray()

        async def read() -> None:
            # A server that closes early resets the connection; what it had said before counts.
            with suppress(ConnectionError):
                while chunk := await reader.read(65_536):
                    answered.extend(chunk)

        async with asyncio.timeout(2), asyncio.TaskGroup() as group:
            group.create_task(read())
            with suppress(ConnectionError):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(pause)
        writer.close()
        return bytes(answered)


def client(port: int) -> httpx.AsyncClient:
    """Without the certificates that nothing on loopback needs, and that take longer to load than a test to run."""
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=False, trust_env=False)


def event(event_id: str = "e-1", **fields: Any) -> bytes:
    return orjson.dumps({"id": event_id, "event": "ping", **fields})


def request(body: bytes, *headers: bytes, method: bytes = b"POST", path: bytes = HOOK.encode()) -> bytes:
    """A request as bytes, with *headers* as they are and a length only when they name neither that nor an encoding."""
    lines = [method + b" " + path + b" HTTP/1.1", b"Host: test", b"Connection: close", *headers]
    if not any(line.lower().startswith((b"content-length", b"transfer-encoding")) for line in headers):
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def signature_line(body: bytes, secret: str = SECRET) -> bytes:
    return b"X-Truto-Signature: " + sign(body, secret).encode()


@asynccontextmanager
async def run_edge(
    store: Store,
    *,
    limits: Limits = LIMITS,
    truto: AsyncTruto | None = None,
    link_token_key: str | None = None,
    spool: Spool | None = None,
    sources: Sequence[Source] = (),
) -> AsyncIterator[Edge]:
    """Without :class:`Server`'s own loop, which takes a tenth of a second to notice that it should stop."""
    app = create_app(
        store,
        [truto_source([SECRET, OLD_SECRET]), *sources],
        limits=limits,
        truto=truto,
        link_token_key=link_token_key,
        spool=spool,
    )
    server = Server(app)
    admin = Server(app.state.admin)
    async with (
        app.router.lifespan_context(app),
        _listening(admin, app.state.admin.state.connections) as admin_port,
        _listening(server, app.state.connections) as port,
        client(port) as http,
        client(admin_port) as admin_http,
    ):
        yield Edge(http, admin_http, port, server)


@asynccontextmanager
async def _listening(server: Server, connections: Connections) -> AsyncIterator[int]:
    server.config.load()
    listening = await asyncio.get_running_loop().create_server(
        lambda: EdgeProtocol(
            config=server.config, server_state=server.server_state, app_state={}, connections=connections
        ),
        "127.0.0.1",
        0,
    )
    yield listening.sockets[0].getsockname()[1]
    listening.close()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    await asyncio.gather(*server.server_state.tasks, return_exceptions=True)
