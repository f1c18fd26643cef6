"""The client against a real server that is slow, silent or rude."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from tests.servers import free_port, serve
from truto import AsyncTruto, CallTimeout, RetryPolicy, TransportError

ONCE = RetryPolicy(attempts=1)
QUICK = RetryPolicy(attempts=3, base_seconds=0.001, cap_seconds=0.002)


async def _trickle() -> AsyncIterator[bytes]:
    for _ in range(100):
        yield b" "
        await asyncio.sleep(0.02)


async def _slow(_request: Request) -> StreamingResponse:
    return StreamingResponse(_trickle())


async def _echo(request: Request) -> JSONResponse:
    return JSONResponse({"path": request.url.path, "token": request.headers["authorization"]})


@asynccontextmanager
async def rude_server() -> AsyncIterator[tuple[str, list[bytes]]]:
    """Reads a request and resets the connection; yields its URL and what it has read."""
    seen: list[bytes] = []

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.transport.abort()

    server = await asyncio.start_server(reset, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen


async def test_a_call_goes_through_a_real_server() -> None:
    async with (
        serve(Starlette(routes=[Route("/ping", _echo)])) as url,
        AsyncTruto(token="t-1", base_url=url) as client,
    ):
        assert await client.request("GET", "/ping") == {"path": "/ping", "token": "Bearer t-1"}


async def test_a_trickling_answer_ends_with_the_attempts_time() -> None:
    """Each byte arrives in time; the whole does not."""
    async with (
        serve(Starlette(routes=[Route("/slow", _slow)])) as url,
        AsyncTruto(token="t-1", base_url=url, timeout_seconds=0.2, retry=ONCE) as client,
    ):
        started = time.monotonic()
        with pytest.raises(CallTimeout) as caught:
            await client.request("GET", "/slow")
    assert caught.value.sent
    assert time.monotonic() - started < 1.5


async def test_the_deadline_ends_a_call_however_many_attempts_are_left() -> None:
    async with (
        serve(Starlette(routes=[Route("/slow", _slow)])) as url,
        AsyncTruto(token="t-1", base_url=url, retry=QUICK) as client,
    ):
        started = time.monotonic()
        with pytest.raises(CallTimeout):
            await client.request("GET", "/slow", timeout_seconds=0.2, deadline_seconds=0.3)
    assert time.monotonic() - started < 1.5


Send = Callable[[AsyncTruto], Awaitable[object]]


@pytest.mark.parametrize(
    ("send", "attempts"),
    [
        pytest.param(lambda client: client.sync_jobs.get("1"), 3, id="read"),
        pytest.param(lambda client: client.sync_job_runs.create(sync_job_id="1"), 1, id="create"),
    ],
)
async def test_a_reset_after_sending_repeats_only_what_is_safe(send: Send, attempts: int) -> None:
    async with rude_server() as (url, seen), AsyncTruto(token="t-1", base_url=url, retry=QUICK) as client:
        with pytest.raises(TransportError) as caught:
            await send(client)
    assert caught.value.sent
    assert len(seen) == attempts


async def test_a_closed_port_is_known_as_unsent() -> None:
    async with AsyncTruto(token="t-1", base_url=f"http://127.0.0.1:{free_port()}", retry=QUICK) as client:
        with pytest.raises(TransportError) as caught:
            await client.sync_job_runs.create(sync_job_id="1")
    assert not caught.value.sent
