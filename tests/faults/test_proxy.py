"""The proxy of the fault tests leaves no socket behind: an unclosed one would fail the test after it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from tests.faults.proxy import Proxy


@pytest.fixture
def deaf() -> Iterator[int]:
    """The port of a server whose queue is full: whoever connects to it waits."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port: int = server.getsockname()[1]
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.1", port))
        yield port
        for caller in callers:
            caller.close()


@pytest.mark.parametrize("end", ["drop_all", "stop"])
async def test_who_waits_for_a_server_that_does_not_answer_is_hung_up_on(deaf: int, end: str) -> None:
    proxy = Proxy(lambda: f"redis://127.0.0.1:{deaf}")
    await proxy.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    await asyncio.sleep(0.05)  # the proxy is on its way to the server
    if end == "stop":
        await proxy.stop()
    else:
        proxy.drop_all()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 2)
    writer.close()
    await proxy.stop()
