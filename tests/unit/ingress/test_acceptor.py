"""How connections are accepted."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from ingress.listening import Acceptor


class Opened(asyncio.Protocol):
    """Counts the connections."""

    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Opened.count += 1
        transport.close()


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    Opened.count = 0
    with socket.create_server(("127.0.0.1", 0), backlog=128) as made:
        yield made


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
async def acceptor(listening: socket.socket) -> AsyncIterator[Acceptor]:
    made = Acceptor(listening, Opened, backlog=128)
    yield made
    made.close()


def connect(clients: ExitStack, listening: socket.socket, count: int) -> None:
    for _ in range(count):
        clients.enter_context(socket.create_connection(listening.getsockname()))


async def opened(count: int) -> list[int]:
    """How many connections were open after each round of the loop, until there were *count*."""
    seen = [0]
    async with asyncio.timeout(10):
        while seen[-1] < count:
            await asyncio.sleep(0)
            seen.append(Opened.count)
    return seen


async def test_a_burst_of_connections_is_accepted_a_few_at_a_time(
    listening: socket.socket, clients: ExitStack, acceptor: Acceptor
) -> None:
    connect(clients, listening, 100)
    seen = await opened(100)
    assert max(after - before for before, after in pairwise(seen)) <= 4


async def test_a_single_connection_is_accepted(
    listening: socket.socket, clients: ExitStack, acceptor: Acceptor
) -> None:
    connect(clients, listening, 1)
    assert (await opened(1))[-1] == 1


async def test_a_connection_that_was_reset_before_it_was_accepted_stops_nothing(
    listening: socket.socket, clients: ExitStack, acceptor: Acceptor
) -> None:
    gone = socket.create_connection(listening.getsockname())
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    gone.close()
    connect(clients, listening, 1)
    await opened(1)


async def test_without_descriptors_it_pauses_and_goes_on_later(
    listening: socket.socket, clients: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingress.listening._RETRY_SECONDS", 0.01)

    class Exhausted(socket.socket):
        """Has no descriptor for the first connection."""

        refused = 0

        def accept(self) -> tuple[socket.socket, object]:
            if not self.refused:
                self.refused = 1
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    exhausted = Exhausted(fileno=listening.detach())
    acceptor = Acceptor(exhausted, Opened, backlog=128)
    connect(clients, exhausted, 3)
    with capture_logs() as logs:
        await opened(3)
    acceptor.close()
    assert [(entry["event"], entry["error"]) for entry in logs] == [("accept_failed", "Too many open files")]


async def test_a_closed_acceptor_refuses_connections(listening: socket.socket) -> None:
    address = listening.getsockname()
    acceptor = Acceptor(listening, Opened, backlog=128)
    acceptor.close()
    acceptor.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
