"""The transport over real sockets: what it does with connections, time, and servers that break the rules."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.truto.rude import Behaviour, Exchange, rude
from tests.integration.truto.wire import (
    PATIENCE,
    assert_all_free,
    connections,
    fetch,
    listening,
    read_head,
    request,
    threaded,
    until,
)
from tests.servers import free_port
from truto import connections as pool
from truto.connections import MOST_CONNECTIONS, Connections

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
OTHER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"


async def hello(exchange: Exchange) -> None:
    await exchange.answer(body=b"hello")


async def never(exchange: Exchange) -> None:
    await exchange.hang_up_of_client()


# --- connections -----------------------------------------------------------------------------------------------------


async def test_the_connection_used_last_is_used_first() -> None:
    both = asyncio.Event()
    ports: list[int] = []

    async def serve(exchange: Exchange) -> None:
        ports.append(exchange.writer.get_extra_info("peername")[1])
        if exchange.target == "/slow":
            await both.wait()
        await hello(exchange)

    async with rude(serve) as server, connections(server.url) as transport:
        slow = asyncio.create_task(fetch(transport, request(f"{server.url}/slow")))
        await until(lambda: len(ports) == 1)
        await fetch(transport, request(server.url))
        both.set()
        await slow
        await fetch(transport, request(server.url))
    assert ports[2] == ports[0]
    assert server.connections == 2


async def test_idle_connections_are_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "IDLE_SECONDS", 0.1)
    gone: list[str] = []

    async def serve(exchange: Exchange) -> None:
        if exchange.target == "/slow":
            await asyncio.sleep(0.05)
        await hello(exchange)
        await exchange.hang_up_of_client()
        gone.append(exchange.target)

    async with rude(serve) as server, connections(server.url) as transport:
        await asyncio.gather(*(fetch(transport, request(f"{server.url}/{name}")) for name in ("a", "b", "slow")))
        await until(lambda: len(gone) == 3)
    assert gone[2] == "/slow"


async def test_a_connection_that_the_server_has_closed_is_not_used() -> None:
    async def once(exchange: Exchange) -> None:
        await hello(exchange)
        exchange.writer.close()

    async with rude(once) as server, connections(server.url) as transport:
        for _ in range(10):
            assert await fetch(transport, request(server.url)) == b"hello"
            await asyncio.sleep(0.001)
    assert server.connections == len(server.heads) == 10


async def test_a_connection_closed_while_the_loop_stood_still_is_not_used() -> None:
    closed = threading.Event()

    def once(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(HELLO)
        connection.close()
        closed.set()

    with threaded(once) as url:
        async with connections(url) as transport:
            for _ in range(5):
                assert await fetch(transport, request(url)) == b"hello"
                assert closed.wait(20)  # the loop has no chance to see it
                closed.clear()


async def test_a_lost_answer_is_not_asked_for_again() -> None:
    async def second_never(exchange: Exchange) -> None:
        if exchange.number == 1:
            await hello(exchange)
        else:
            exchange.writer.close()

    async with rude(second_never) as server, connections(server.url) as transport:
        await fetch(transport, request(server.url))
        with pytest.raises(httpx.RemoteProtocolError, match="without an answer"):
            await fetch(transport, request(server.url))
    assert (server.connections, len(server.heads)) == (1, 2)


async def test_a_reset_is_a_read_error() -> None:
    async def reset(exchange: Exchange) -> None:
        sock = exchange.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        exchange.writer.transport.abort()

    async with rude(reset) as server, connections(server.url) as transport:
        with pytest.raises(httpx.ReadError):
            await fetch(transport, request(server.url))


async def test_requests_that_wait_go_in_the_order_they_came() -> None:
    all_busy, go_on = asyncio.Event(), asyncio.Semaphore(0)
    order: list[str] = []

    async def serve(exchange: Exchange) -> None:
        order.append(exchange.target)
        if len(order) == MOST_CONNECTIONS:
            all_busy.set()
        await go_on.acquire()
        await hello(exchange)

    async with rude(serve) as server, connections(server.url) as transport:
        calls = [asyncio.create_task(fetch(transport, request(server.url))) for _ in range(MOST_CONNECTIONS)]
        await all_busy.wait()
        for number in range(5):
            calls.append(asyncio.create_task(fetch(transport, request(f"{server.url}/{number}"))))
            await asyncio.sleep(0)
        for number in range(MOST_CONNECTIONS, MOST_CONNECTIONS + 5):
            go_on.release()
            await until(lambda: len(order) > number)  # noqa: B023  awaited at once
        for _ in calls:
            go_on.release()
        await asyncio.gather(*calls)
    assert order[MOST_CONNECTIONS:] == ["/0", "/1", "/2", "/3", "/4"]
    assert server.connections == MOST_CONNECTIONS


async def test_waiting_for_a_connection_is_bounded() -> None:
    async with rude(never) as server, connections(server.url) as transport:
        calls = [asyncio.create_task(fetch(transport, request(server.url))) for _ in range(MOST_CONNECTIONS)]
        await until(lambda: len(server.heads) == MOST_CONNECTIONS)
        with pytest.raises(httpx.PoolTimeout):
            await fetch(transport, request(server.url, timeouts={"pool": 0.02}))
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_a_request_for_another_server_is_not_sent() -> None:
    async with rude(hello) as server, connections(server.url) as transport:
        with pytest.raises(httpx.UnsupportedProtocol):
            await fetch(transport, request(f"http://127.0.0.1:{free_port()}/"))
        with pytest.raises(httpx.UnsupportedProtocol):
            await fetch(transport, request(server.url.replace("http", "https")))
    assert server.heads == []


# --- cancellation ----------------------------------------------------------------------------------------------------


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 65536


async def begun_only(exchange: Exchange) -> None:
    if exchange.target == "/begun":
        await exchange.answer(body=b"begun", length=1000)
        await exchange.hang_up_of_client()
    elif exchange.target == "/never":
        await exchange.hang_up_of_client()
    else:
        await hello(exchange)


@pytest.mark.parametrize("place", ["never", "begun"])
async def test_a_cancelled_read_leaves_no_connection_behind(place: str) -> None:
    async with rude(begun_only) as server, connections(server.url) as transport:
        sent = (request(f"{server.url}/{place}") for _ in range(MOST_CONNECTIONS))
        calls = [asyncio.create_task(fetch(transport, one)) for one in sent]
        await until(lambda: len(server.heads) == MOST_CONNECTIONS)
        await asyncio.sleep(0.02)
        for call in calls:
            call.cancel()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(end) for end in ends} == {asyncio.CancelledError}
        await assert_all_free(transport, server.url)
        assert server.connections > MOST_CONNECTIONS


async def test_a_cancelled_write_leaves_no_connection_behind() -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST"):
            await asyncio.sleep(0.2)
        else:
            writer.write(HELLO)
            await writer.drain()
        writer.close()

    async with listening(deaf) as url, connections(url) as transport:
        calls = [asyncio.create_task(fetch(transport, request(url, "POST", content=endless()))) for _ in range(10)]
        await asyncio.sleep(0.05)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await assert_all_free(transport, url)


async def test_a_cancelled_wait_leaves_no_connection_behind() -> None:
    busy = asyncio.Event()

    async def serve(exchange: Exchange) -> None:
        if len(server.heads) <= MOST_CONNECTIONS:
            await busy.wait()
        await hello(exchange)

    async with rude(serve) as server, connections(server.url) as transport:
        calls = [asyncio.create_task(fetch(transport, request(server.url))) for _ in range(2 * MOST_CONNECTIONS)]
        await until(lambda: len(server.heads) == MOST_CONNECTIONS)
        for call in calls[MOST_CONNECTIONS:]:
            call.cancel()
        busy.set()
        await asyncio.gather(*calls, return_exceptions=True)
        assert len(server.heads) == MOST_CONNECTIONS
        await assert_all_free(transport, server.url)


async def test_a_cancelled_connect_leaves_no_connection_behind() -> None:
    """A TLS handshake that the server never answers is a connection that is being made."""
    async with rude(never) as server:
        url = server.url.replace("http", "https")
        async with connections(url) as transport:
            for _ in range(3):
                calls = [asyncio.create_task(fetch(transport, request(url))) for _ in range(MOST_CONNECTIONS + 5)]
                await asyncio.sleep(0.1)
                for call in calls:
                    call.cancel()
                ends = await asyncio.gather(*calls, return_exceptions=True)
                assert {type(end) for end in ends} == {asyncio.CancelledError}
            with pytest.raises(httpx.ConnectTimeout):
                await fetch(transport, request(url, timeouts={"connect": 0.05, "pool": 0.05}))


# --- closing ---------------------------------------------------------------------------------------------------------


async def test_closing_ends_what_is_under_way_and_what_waits() -> None:
    async with rude(never) as server:
        transport = Connections(server.url)
        calls = [asyncio.create_task(fetch(transport, request(server.url))) for _ in range(MOST_CONNECTIONS + 3)]
        await until(lambda: len(server.heads) == MOST_CONNECTIONS)
        await transport.aclose()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(end) for end in ends] == [httpx.ReadError] * MOST_CONNECTIONS + [RuntimeError] * 3
        await transport.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await fetch(transport, request(server.url))


async def test_closing_cuts_a_body_that_only_the_end_would_end() -> None:
    async def until_closed(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\n\r\nbegun")
        await exchange.hang_up_of_client()

    async with rude(until_closed) as server:
        transport = Connections(server.url)
        response = await transport.handle_async_request(request(server.url))
        await transport.aclose()
        with pytest.raises(httpx.ReadError):
            await response.aread()


async def test_closing_while_a_connection_is_made_leaves_none_behind() -> None:
    async with rude(hello) as server:
        transport = Connections(server.url)
        call = asyncio.create_task(fetch(transport, request(server.url)))
        await asyncio.sleep(0)
        await transport.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await call
        assert server.heads == []


def test_in_another_event_loop_nothing_is_sent_and_closing_does_not_wait_for_ever() -> None:
    asked: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        while head := read_head(connection):
            asked.append(head)
            connection.sendall(HELLO)

    def send() -> Coroutine[Any, Any, bytes]:
        return asyncio.wait_for(fetch(transport, request(url, "POST")), PATIENCE)

    def close() -> Coroutine[Any, Any, None]:
        return asyncio.wait_for(transport.aclose(), PATIENCE)

    with threaded(talk) as url, asyncio.Runner() as first, asyncio.Runner() as second:
        transport = Connections(url)
        assert first.run(send()) == b"hello"
        with pytest.raises(RuntimeError, match="event loop"):
            second.run(send())
        with pytest.raises(RuntimeError, match="event loop"):
            second.run(close())
        assert first.run(send()) == b"hello"
        first.run(close())
        second.run(close())
    assert len(asked) == 2


# --- time ------------------------------------------------------------------------------------------------------------


async def test_each_wait_for_bytes_has_the_read_timeout() -> None:
    async def drips(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(0.1)
            await exchange.send(b"x")

    async with rude(drips) as server, connections(server.url) as transport:
        assert await fetch(transport, request(server.url, timeouts={"read": 0.6})) == b"x" * 8


@pytest.mark.parametrize("place", ["never", "begun"])
async def test_a_wait_for_bytes_is_bounded(place: str) -> None:
    async with rude(begun_only) as server, connections(server.url) as transport:
        for seconds in (0.05, 20, 0.05):
            if seconds < 1:
                with pytest.raises(httpx.ReadTimeout):
                    await fetch(transport, request(f"{server.url}/{place}", timeouts={"read": seconds}))
            else:
                assert await fetch(transport, request(server.url, timeouts={"read": seconds})) == b"hello"
        await assert_all_free(transport, server.url)


async def test_an_earlier_longer_timeout_does_not_lengthen_a_later_one() -> None:
    async with rude(begun_only) as server, connections(server.url) as transport:
        await fetch(transport, request(server.url, timeouts={"read": 600}))
        with pytest.raises(httpx.ReadTimeout):
            await fetch(transport, request(f"{server.url}/never", timeouts={"read": 0.05}))
    assert server.connections == 1


async def test_a_body_nobody_takes_is_a_write_timeout() -> None:
    async def deaf(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with listening(deaf) as url, connections(url) as transport:
        for content in (endless(), bytes(64 * 1024**2)):
            with pytest.raises(httpx.WriteTimeout):
                await fetch(transport, request(url, "POST", content=content, timeouts={"write": 0.1}))


# --- bodies that are sent ---------------------------------------------------------------------------------------------


async def test_a_body_is_taken_from_its_iterator_no_faster_than_it_is_sent() -> None:
    taken = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 65536
            yield b"x" * 65536

    async def deaf(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with listening(deaf) as url, connections(url) as transport:
        with pytest.raises(httpx.WriteTimeout):
            await fetch(transport, request(url, "POST", content=counted(), timeouts={"write": 0.2}))
    assert taken < 32 * 1024**2  # what sockets and buffers hold


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 5_000_000])
async def test_a_body_arrives_as_it_is(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)

    async def pieces() -> AsyncIterator[bytes]:
        yield b""
        for start in range(0, size, 100_000):
            yield body[start : start + 100_000]

    async with rude(hello) as server, connections(server.url) as transport:
        await fetch(transport, request(server.url, "POST", content=body))
        await fetch(transport, request(server.url, "POST", content=pieces()))
        await fetch(transport, request(server.url, "POST", content=pieces(), headers={"content-length": str(size)}))
    assert server.bodies == [body] * 3
    assert server.connections == 1


class Broken(Exception):
    pass


async def test_a_body_that_raises_is_its_own_error_and_never_whole() -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.put_nowait(await reader.read())
        writer.close()

    async def broken() -> AsyncIterator[bytes]:
        yield b"begun"
        raise Broken

    async with listening(listen) as url, connections(url) as transport:
        with pytest.raises(Broken):
            await fetch(transport, request(url, "POST", content=broken()))
        assert not (await received.get()).endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("length", [4, 6], ids=["longer", "shorter"])
async def test_a_body_of_another_length_than_announced_ends_the_connection(length: int) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"hello"

    async with rude(hello) as server, connections(server.url) as transport:
        for stream in (httpx.ByteStream(b"hello"), request(server.url, "POST", content=pieces()).stream):
            headers = {"host": "x", "content-length": str(length)}
            with pytest.raises(httpx.LocalProtocolError, match="Content-Length"):
                await fetch(transport, request(server.url, "POST", stream=stream, headers=headers))
        await assert_all_free(transport, server.url)


@pytest.mark.parametrize("kind", ["bytes", "iterator"])
async def test_an_answer_before_the_end_of_the_request_is_read_and_ends_the_connection(kind: str) -> None:
    heads: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 413 X\r\nContent-Length: 9\r\n\r\ntoo large")
        await reader.read()
        writer.close()

    async with listening(refuse) as url, connections(url) as transport:
        for _ in range(2):
            content = endless() if kind == "iterator" else bytes(64 * 1024**2)
            response = await transport.handle_async_request(request(url, "POST", content=content))
            assert (response.status_code, await response.aread()) == (413, b"too large")
    assert len(heads) == 2


async def test_a_server_that_hangs_up_within_the_request_is_told() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with listening(hang_up) as url, connections(url) as transport:
        with pytest.raises((httpx.WriteError, httpx.RemoteProtocolError)):
            await fetch(transport, request(url, "POST", content=endless()))


# --- bodies that are read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["content-length: 10737418240", "transfer-encoding: chunked", "x-until: closed"])
async def test_a_body_that_is_not_read_does_not_fill_the_memory(head: str) -> None:
    async def pour(exchange: Exchange) -> None:
        await exchange.send(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
        while True:
            await exchange.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    async with rude(pour) as server, connections(server.url) as transport:
        response = await transport.handle_async_request(request(server.url))
        written = -1
        while written != server.written:
            written = server.written
            await asyncio.sleep(0.1)
        assert written < 32 * 1024**2  # what sockets and buffers hold
        received = 0
        async for piece in response.aiter_raw():
            received += len(piece)
            if received > 2 * written:
                break
        await response.aclose()
        assert server.written > written


async def test_what_has_come_of_a_broken_body_is_read_before_the_error() -> None:
    async def cut(exchange: Exchange) -> None:
        await exchange.answer(body=b"begun", length=1000)
        exchange.writer.close()

    async with rude(cut) as server, connections(server.url) as transport:
        response = await transport.handle_async_request(request(server.url))
        pieces = response.aiter_raw()
        assert await anext(pieces) == b"begun"
        with pytest.raises(httpx.RemoteProtocolError, match="within"):
            await anext(pieces)


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    async def until_closed(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300_000)
        exchange.writer.close()

    async with rude(until_closed) as server, connections(server.url) as transport:
        for _ in range(2):
            assert await fetch(transport, request(server.url)) == b"x" * 300_000


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_the_body_of_an_answer_that_has_none_is_not_waited_for(method: str) -> None:
    async def bodyless(exchange: Exchange) -> None:
        status = 204 if method == "GET" else 200
        await exchange.send(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status)
        await exchange.hang_up_of_client()

    async with rude(bodyless) as server, connections(server.url) as transport:
        assert await fetch(transport, request(server.url, method)) == b""


# --- answers that belong to nobody ------------------------------------------------------------------------------------

SURPLUS: dict[str, bytes] = {
    "answer": HELLO + OTHER,
    "half-an-answer": HELLO + OTHER[:20],
    "line": HELLO + b"\r\n",
    "after-chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + OTHER,
    "body-of-204": b"HTTP/1.1 204 X\r\nContent-Length: 80\r\n\r\n" + OTHER,
    "body-of-304": b"HTTP/1.1 304 X\r\n\r\n" + OTHER,
}


@pytest.mark.parametrize("name", SURPLUS)
async def test_what_follows_an_answer_is_not_the_next_ones(name: str) -> None:
    async def smuggle(exchange: Exchange) -> None:
        await (exchange.send(SURPLUS[name]) if exchange.target == "/first" else exchange.send(HELLO))

    async with rude(smuggle) as server, connections(server.url) as transport:
        await fetch(transport, request(f"{server.url}/first"))
        assert await fetch(transport, request(f"{server.url}/second")) == b"hello"
    assert server.connections == 2


async def test_an_answer_that_comes_while_nothing_is_asked_is_nobodys() -> None:
    async def speaks_up(exchange: Exchange) -> None:
        await hello(exchange)
        if exchange.target == "/first":
            await asyncio.sleep(0.01)
            await exchange.send(OTHER)
            sent.set()

    sent = asyncio.Event()
    async with rude(speaks_up) as server, connections(server.url) as transport:
        await fetch(transport, request(f"{server.url}/first"))
        await sent.wait()
        assert await fetch(transport, request(server.url)) == b"hello"
    assert server.connections == 2


async def test_an_answer_that_came_while_the_loop_stood_still_is_nobodys() -> None:
    again, sent = threading.Event(), threading.Event()

    def talk(connection: socket.socket) -> None:
        if b"/first" in read_head(connection):
            connection.sendall(HELLO)
            assert again.wait(20)
            connection.sendall(OTHER)
            sent.set()
            read_head(connection)
        else:
            connection.sendall(HELLO)
            read_head(connection)

    with threaded(talk) as url:
        async with connections(url) as transport:
            await fetch(transport, request(f"{url}/first"))
            again.set()
            assert sent.wait(20)  # the loop has no chance to see it
            assert await fetch(transport, request(url)) == b"hello"


async def test_the_rest_of_an_answer_that_was_given_up_is_nobodys() -> None:
    async def slowly(exchange: Exchange) -> None:
        if exchange.target != "/first":
            await hello(exchange)
            return
        await exchange.answer(body=b"begun", length=1000)
        await asyncio.sleep(0.02)
        await exchange.send(OTHER * 100)

    async with rude(slowly) as server, connections(server.url) as transport:
        response = await transport.handle_async_request(request(f"{server.url}/first"))
        await response.aclose()
        for _ in range(20):
            assert await fetch(transport, request(server.url)) == b"hello"
            await asyncio.sleep(0.002)


async def test_a_response_that_is_closed_late_leaves_the_next_request_alone() -> None:
    async def second_slow(exchange: Exchange) -> None:
        if exchange.number == 2:
            asked.set()
            await go_on.wait()
        await hello(exchange)

    asked, go_on = asyncio.Event(), asyncio.Event()
    async with rude(second_slow) as server, connections(server.url) as transport:
        first = await transport.handle_async_request(request(server.url))
        second = asyncio.create_task(fetch(transport, request(server.url)))
        await asked.wait()
        await first.aclose()
        go_on.set()
        assert await second == b"hello"
    assert server.connections == 1


async def test_many_calls_at_once_have_each_its_own_answer() -> None:
    async def echo(exchange: Exchange) -> None:
        if exchange.number % 7 == 0:
            await asyncio.sleep(0.001)
        if exchange.number % 11 == 0:
            exchange.writer.transport.abort()
            return
        surplus = HELLO if exchange.number % 5 == 0 else b""
        body = exchange.target.encode()
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b%b" % (len(body), body, surplus))

    async def call(number: int) -> bool:
        seconds = 0.002 if number % 13 == 0 else 20.0
        try:
            async with asyncio.timeout(seconds):
                return await fetch(transport, request(f"{server.url}/{number}")) == b"/%d" % number
        except (httpx.ReadError, httpx.RemoteProtocolError, TimeoutError):
            return True

    async with rude(echo) as server, connections(server.url) as transport:
        assert all(await asyncio.gather(*(call(number) for number in range(1000))))
        server.heads.clear()


# --- servers that speak something else --------------------------------------------------------------------------------

NOISE: dict[str, bytes] = {
    "ssh": b"SSH-2.0-OpenSSH_9.6\r\n",
    "switches": b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "http2": b"PRI * HTTP/2.0\r\n\r\n",
    "nul": b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
}


@pytest.mark.parametrize("name", NOISE)
async def test_noise_is_a_protocol_error_at_once_and_the_connection_is_closed(name: str) -> None:
    async def noise(exchange: Exchange) -> None:
        await exchange.send(NOISE[name])
        await exchange.hang_up_of_client()

    async with rude(noise) as server, connections(server.url) as transport:
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):
                await fetch(transport, request(server.url))
    assert server.connections == 2


@pytest.mark.parametrize("behaviour", ["speaks", "closes"])
async def test_a_server_that_speaks_or_closes_before_it_is_asked_has_not_been_asked(behaviour: str) -> None:
    def talk(connection: socket.socket) -> None:
        if behaviour == "speaks":
            connection.sendall(b"220 mail.test ESMTP\r\n")
            read_head(connection)
        connection.close()

    with threaded(talk) as url:
        async with connections(url) as transport:
            # Whether it is noticed before or after the request is written depends on who is faster.
            with pytest.raises((httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError)):
                await fetch(transport, request(url))


@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(st.binary(max_size=60) | st.sampled_from([HELLO, HELLO[:17], b"\r\n\r\n", b"5\r\n"]), max_size=6)
)
def test_no_garbage_gets_out_as_anything_but_an_error_of_httpx(pieces: list[bytes]) -> None:
    async def garbage(exchange: Exchange) -> None:
        for piece in pieces:
            await exchange.send(piece)
            await asyncio.sleep(0)
        exchange.writer.close()

    async def run() -> None:
        async with rude(garbage) as server, connections(server.url) as transport:
            for _ in range(2):
                try:
                    await fetch(transport, request(server.url))
                except httpx.TransportError:
                    continue

    asyncio.run(asyncio.wait_for(run(), 20))


UNREACHABLE: dict[str, str] = {
    "no-such-label": f"http://{'a' * 64}.test",
    "empty-label": "http://a..test",
    "refused": "http://127.0.0.1:{port}",
    "refused-6": "http://[::1]:{port}",
    "port-too-large": "http://127.0.0.1:99999",
}


@pytest.mark.parametrize("name", UNREACHABLE)
async def test_a_server_that_cannot_be_reached_is_a_connect_error(name: str) -> None:
    url = UNREACHABLE[name].format(port=free_port())
    async with connections(url) as transport:
        for _ in range(2):
            with pytest.raises(httpx.ConnectError):
                await fetch(transport, request(url))


async def test_connecting_is_bounded() -> None:
    async with rude(never) as server:
        url = server.url.replace("http", "https")
        async with connections(url) as transport:
            with pytest.raises(httpx.ConnectTimeout):
                await fetch(transport, request(url, timeouts={"connect": 0.05}))


@pytest.mark.parametrize("behaviour", [hello, never], ids=["answers", "waits"])
async def test_a_request_without_timeouts_has_none(behaviour: Behaviour) -> None:
    async with rude(behaviour) as server, connections(server.url) as transport:
        call = asyncio.create_task(fetch(transport, httpx.Request("GET", server.url)))
        if behaviour is hello:
            assert await call == b"hello"
        else:
            await asyncio.sleep(0.05)
            assert not call.done()
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
