"""How the client uses its connections, whatever is cancelled, closed or refused meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from tests.integration.truto.rude import Exchange, rude
from tests.integration.truto.wire import PATIENCE, listening, read_head, threaded, until
from tests.servers import free_port
from truto import AsyncTruto, CallTimeout, RetryPolicy, TransportError
from truto.attempts import MAX_CONNECTIONS

ANSWER = b'{"id":"1"}'
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + ANSWER


def client(url: str, *, attempts: int = 1, timeout_seconds: float = 30.0, **options: Any) -> AsyncTruto:
    retry = RetryPolicy(attempts=attempts, base_seconds=0.001)
    return AsyncTruto(token="t", base_url=url, retry=retry, timeout_seconds=timeout_seconds, **options)


async def answer(exchange: Exchange) -> None:
    await exchange.answer(body=ANSWER)


async def assert_all_free(truto: AsyncTruto) -> None:
    """As many calls at once as there are connections: each gets one."""
    jobs = await asyncio.gather(*(truto.sync_jobs.get("1") for _ in range(MAX_CONNECTIONS)))
    assert len(jobs) == MAX_CONNECTIONS


async def cancelled(calls: list[asyncio.Task[Any]]) -> None:
    for call in calls:
        call.cancel()
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(end) for end in ends} == {asyncio.CancelledError}


async def test_calls_one_after_the_other_share_a_connection() -> None:
    async with rude(answer) as server, client(server.url) as truto:
        for _ in range(5):
            await truto.sync_jobs.get("1")
    assert server.connections == 1


async def test_calls_at_once_have_a_connection_each_and_it_is_kept() -> None:
    async with rude(answer) as server, client(server.url) as truto:
        for _ in range(3):
            await asyncio.gather(*(truto.sync_jobs.get("1") for _ in range(20)))
    assert server.connections == 20


async def test_more_calls_than_connections_wait_their_turn() -> None:
    under_way: list[int] = [0]

    async def counted(exchange: Exchange) -> None:
        under_way.append(under_way[-1] + 1)
        await asyncio.sleep(0.01)
        await answer(exchange)
        under_way.append(under_way[-1] - 1)

    async with rude(counted) as server, client(server.url) as truto:
        jobs = await asyncio.gather(*(truto.sync_jobs.get("1") for _ in range(3 * MAX_CONNECTIONS)))
    assert len(jobs) == 3 * MAX_CONNECTIONS
    assert 1 < max(under_way) <= MAX_CONNECTIONS


async def test_a_call_without_a_connection_in_time_is_known_as_unsent() -> None:
    everyone_is_there, go_on = asyncio.Event(), asyncio.Event()

    async def busy(exchange: Exchange) -> None:
        if exchange.number == MAX_CONNECTIONS:
            everyone_is_there.set()
        await go_on.wait()
        await answer(exchange)

    async with rude(busy) as server, client(server.url) as truto:
        calls = [asyncio.create_task(truto.sync_jobs.get("1")) for _ in range(MAX_CONNECTIONS)]
        await everyone_is_there.wait()
        with pytest.raises(CallTimeout) as caught:
            await truto.within(5, timeout_seconds=0.1).sync_jobs.get("1")
        go_on.set()
        await asyncio.gather(*calls)
    assert not caught.value.sent
    assert len(server.heads) == MAX_CONNECTIONS


async def test_a_connection_that_failed_gives_its_place_back() -> None:
    async def first_round_fails(exchange: Exchange) -> None:
        if exchange.number <= MAX_CONNECTIONS:
            exchange.writer.transport.abort()
        else:
            await answer(exchange)

    async with rude(first_round_fails) as server, client(server.url) as truto:
        lost = (truto.sync_jobs.get("1") for _ in range(MAX_CONNECTIONS))
        outcomes = await asyncio.gather(*lost, return_exceptions=True)
        assert all(isinstance(outcome, TransportError) for outcome in outcomes)
        await assert_all_free(truto)


async def test_a_connection_closed_while_the_loop_stood_still_is_not_used() -> None:
    closed = threading.Event()

    def once(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(HELLO)
        connection.close()
        closed.set()

    with threaded(once) as url:
        async with client(url) as truto:
            for _ in range(5):
                assert (await truto.sync_jobs.get("1")).id == "1"
                assert closed.wait(PATIENCE)  # the loop has no chance to see it
                closed.clear()


async def test_an_answer_that_comes_while_nothing_is_asked_is_nobodys() -> None:
    sent = asyncio.Event()

    async def speaks_up(exchange: Exchange) -> None:
        await answer(exchange)
        if exchange.number == 1:
            await asyncio.sleep(0.01)
            await exchange.answer(body=b'{"id":"other"}')
            sent.set()

    async with rude(speaks_up) as server, client(server.url) as truto:
        await truto.sync_jobs.get("1")
        await sent.wait()
        assert (await truto.sync_jobs.get("1")).id == "1"
    assert server.connections == 2


@pytest.mark.parametrize("place", ["before-the-answer", "within-the-answer"])
async def test_a_cancelled_call_leaves_no_connection_behind(place: str) -> None:
    async def first_round_stalls(exchange: Exchange) -> None:
        if exchange.number > MAX_CONNECTIONS:
            await answer(exchange)
            return
        if place == "within-the-answer":
            await exchange.answer(body=b"{", length=1000)
        await exchange.hang_up_of_client()

    async with rude(first_round_stalls) as server, client(server.url) as truto:
        calls = [asyncio.create_task(truto.sync_jobs.get("1")) for _ in range(MAX_CONNECTIONS)]
        await until(lambda: len(server.heads) == MAX_CONNECTIONS)
        await cancelled(list(calls))
        await assert_all_free(truto)


async def test_a_cancelled_upload_leaves_no_connection_behind() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    begun = 0

    async def deaf_to_uploads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal begun
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST"):
            begun += 1
            await asyncio.sleep(60)
        writer.write(HELLO)
        await writer.drain()
        writer.close()

    async with listening(deaf_to_uploads) as url, client(url) as truto:
        files = truto.proxy("files")
        uploads = [
            asyncio.create_task(files.upload(endless(), content_type="image/png", integrated_account_id="a"))
            for _ in range(10)
        ]
        await until(lambda: begun == 10)
        await cancelled(list(uploads))
        await assert_all_free(truto)


async def test_a_call_cancelled_while_it_waits_for_a_connection_leaves_none_behind() -> None:
    busy = asyncio.Event()

    async def serve(exchange: Exchange) -> None:
        if exchange.number <= MAX_CONNECTIONS:
            await busy.wait()
        await answer(exchange)

    async with rude(serve) as server, client(server.url) as truto:
        calls = [asyncio.create_task(truto.sync_jobs.get("1")) for _ in range(2 * MAX_CONNECTIONS)]
        await until(lambda: len(server.heads) == MAX_CONNECTIONS)
        await cancelled(list(calls[MAX_CONNECTIONS:]))
        busy.set()
        await asyncio.gather(*calls[:MAX_CONNECTIONS])
        assert len(server.heads) == MAX_CONNECTIONS
        await assert_all_free(truto)


async def test_an_upload_is_taken_from_its_iterator_no_faster_than_it_is_sent() -> None:
    taken = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 65536
            yield b"x" * 65536

    async def deaf(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with listening(deaf) as url, client(url, timeout_seconds=0.5) as truto:
        with pytest.raises(CallTimeout):
            await truto.proxy("files").upload(counted(), content_type="image/png", integrated_account_id="a")
    assert taken < 32 * 1024**2  # what sockets and buffers hold


async def test_a_download_that_is_not_read_does_not_fill_the_memory() -> None:
    async def pour(exchange: Exchange) -> None:
        await exchange.answer(body=b"", length=10 * 1024**3)
        while True:
            await exchange.send(b"x" * 65536)

    async with (
        rude(pour) as server,
        client(server.url) as truto,
        truto.proxy("files").download("1", integrated_account_id="a"),
    ):
        written = -1
        while written != server.written:
            written = server.written
            await asyncio.sleep(0.1)
    assert written < 32 * 1024**2  # what sockets and buffers hold


async def test_a_closed_client_sends_nothing_more_and_may_be_closed_again() -> None:
    async with rude(answer) as server:
        truto = client(server.url)
        await truto.sync_jobs.get("1")
        await truto.aclose()
        await truto.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await truto.sync_jobs.get("1")
    assert len(server.heads) == 1


def test_in_another_event_loop_nothing_is_sent() -> None:
    asked: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        while head := read_head(connection):
            asked.append(head)
            connection.sendall(HELLO)

    def call() -> Coroutine[Any, Any, Any]:
        return asyncio.wait_for(truto.within(PATIENCE).sync_jobs.get("1"), PATIENCE)

    with threaded(talk) as url, asyncio.Runner() as first, asyncio.Runner() as second:
        truto = client(url)
        assert first.run(call()).id == "1"
        for other in (call(), truto.aclose()):
            with pytest.raises(RuntimeError, match="event loop"):
                second.run(other)
        assert first.run(call()).id == "1"
        first.run(truto.aclose())
    assert len(asked) == 2


async def test_the_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rude(answer) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with client("http://api.example") as truto:
            assert (await truto.sync_jobs.get("1")).id == "1"
    assert proxy.heads[0].startswith("GET http://api.example/sync-job/1 ")


async def test_hosts_that_need_no_proxy_are_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with rude(answer) as server, client(server.url) as truto:
        assert (await truto.sync_jobs.get("1")).id == "1"


async def test_an_https_api_is_asked_through_a_tunnel_of_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token is inside the tunnel: the proxy never sees it."""

    async def refuse(exchange: Exchange) -> None:
        await exchange.answer(403)

    async with rude(refuse) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with client("https://api.example") as truto:
            with pytest.raises(TransportError):
                await truto.sync_jobs.get("1")
    assert proxy.heads[0].startswith("CONNECT api.example:443 ")
    assert "bearer" not in proxy.heads[0].lower()


async def test_the_token_in_an_mcp_servers_url_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Httpx logs each URL at INFO."""
    caplog.set_level(logging.DEBUG)
    async with rude(answer) as server, client(server.url) as truto:
        with contextlib.suppress(Exception):
            await truto.mcp("secret-of-a-tenant").initialize()
        await truto.sync_jobs.get("1")
    assert len(server.heads) == 2
    assert "secret-of-a-tenant" not in caplog.text
