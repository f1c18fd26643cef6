"""The client against a Truto that fails in every way a socket allows: each ends in a documented error, in bounds."""

from __future__ import annotations

import asyncio
import resource
import time
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.integration.truto.rude import Behaviour, Exchange, rude
from truto import (
    AccountBlocked,
    AsyncTruto,
    BadRequest,
    CallTimeout,
    NeedsReauth,
    ProtocolError,
    RateLimited,
    RetryPolicy,
    ServerError,
    TransportError,
    Unauthorized,
)

TOKEN = "token-of-the-test"
QUICK = RetryPolicy(attempts=3, base_seconds=0.001, cap_seconds=0.002)


def client(url: str, **options: Any) -> AsyncTruto:
    return AsyncTruto(**{"token": TOKEN, "base_url": url, "retry": QUICK, **options})


async def silent(exchange: Exchange) -> None:
    await asyncio.sleep(60)


async def reset(exchange: Exchange) -> None:
    exchange.writer.transport.abort()


async def hung_up(exchange: Exchange) -> None:
    exchange.writer.close()


async def cut_short(exchange: Exchange) -> None:
    await exchange.answer(body=b'{"id": "1"', length=1000)
    exchange.writer.close()


async def cut_chunk(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{")
    exchange.writer.close()


async def no_http(exchange: Exchange) -> None:
    await exchange.send(b"220 mail.test ESMTP\r\n")
    exchange.writer.close()


async def endless_head(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await exchange.send(b"x-filler: " + b"x" * 1000 + b"\r\n")


LOST: dict[str, tuple[Behaviour, type[TransportError]]] = {
    "silence": (silent, CallTimeout),
    "reset": (reset, TransportError),
    "hung-up": (hung_up, TransportError),
    "cut-short": (cut_short, TransportError),
    "cut-chunk": (cut_chunk, TransportError),
    "no-http": (no_http, TransportError),
    "endless-head": (endless_head, TransportError),
}


def _patience(name: str) -> float:
    """Only silence is waited out. Half of it has to do for connecting, also on a busy machine."""
    return 1.5 if name == "silence" else 20.0


@pytest.mark.parametrize("name", LOST)
async def test_an_answer_that_is_lost_is_asked_for_again_and_then_given_up(name: str) -> None:
    behaviour, error = LOST[name]
    async with rude(behaviour) as server, client(server.url, timeout_seconds=_patience(name)) as truto:
        with pytest.raises(error) as caught:
            await truto.sync_jobs.get("1")
        assert len(server.heads) == 3
        with pytest.raises(error):
            await truto.sync_job_runs.create(sync_job_id="1")
    assert len(server.heads) == 4
    assert caught.value.sent
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("name", LOST)
async def test_a_lost_answer_of_a_tenants_account_is_asked_for_under_the_same_key(name: str) -> None:
    behaviour, _ = LOST[name]

    async def first_time(exchange: Exchange) -> None:
        await (behaviour(exchange) if exchange.number == 1 else exchange.answer(body=b'{"id":"1"}'))

    async with rude(first_time) as server, client(server.url, timeout_seconds=_patience(name)) as truto:
        made = await truto.unified("crm", "contacts").create({"name": "x"}, integrated_account_id="a")
    assert made == {"id": "1"}
    keys = {line for head in server.heads for line in head.split("\r\n") if line.lower().startswith("idempotency-key")}
    assert (len(server.heads), len(keys)) == (2, 1)
    assert server.bodies == [b'{"name":"x"}'] * 2


ODD: dict[str, tuple[bytes, dict[str, str]]] = {
    "html": (b"<html>sign in</html>", {"content-type": "text/html"}),
    "html-as-json": (b"<html>sign in</html>", {}),
    "half-json": (b'{"id": ', {}),
    "list": (b"[]", {}),
    "null": (b"null", {}),
    "wrong-field": (b'{"id": {}}', {}),
    "no-gzip": (b"{}", {"content-encoding": "gzip"}),
}


@pytest.mark.parametrize("name", ODD)
async def test_an_answer_of_another_kind_is_a_protocol_error_at_once(name: str) -> None:
    body, headers = ODD[name]
    async with (
        rude(lambda exchange: exchange.answer(body=body, headers=headers)) as server,
        client(server.url) as truto,
    ):
        with pytest.raises(ProtocolError):
            await truto.sync_jobs.get("1")
    assert len(server.heads) == 1


async def test_json_under_another_content_type_is_read() -> None:
    headers = {"content-type": "text/plain"}
    async with (
        rude(lambda exchange: exchange.answer(body=b'{"id":"1"}', headers=headers)) as server,
        client(server.url) as truto,
    ):
        assert (await truto.sync_jobs.get("1")).id == "1"


async def announced(exchange: Exchange) -> None:
    await exchange.answer(body=b"", length=10 * 1024**3)
    while True:
        await exchange.send(b"x" * 65536)


async def chunked(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        await exchange.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")


async def until_closed(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await exchange.send(b"x" * 65536)


async def packed(exchange: Exchange) -> None:
    """A megabyte of nothing in each kilobyte."""
    packer = zlib.compressobj(wbits=31)
    head = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    megabyte = packer.compress(bytes(1024**2)) + packer.flush(zlib.Z_FULL_FLUSH)
    await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n" + head)
    while True:
        await exchange.send(megabyte)


@pytest.mark.parametrize("behaviour", [announced, chunked, until_closed, packed], ids=lambda found: found.__name__)
async def test_a_body_without_end_is_read_to_the_limit_and_no_further(behaviour: Behaviour) -> None:
    limit = 4 * 1024**2
    async with rude(behaviour) as server, client(server.url, max_response_bytes=limit) as truto:
        before = _peak_bytes()
        with pytest.raises(ProtocolError, match="larger"):
            await truto.sync_jobs.get("1")
        grown = _peak_bytes() - before
    assert len(server.heads) == 1
    assert server.written < limit + 32 * 1024**2  # what sockets and buffers hold
    assert grown < 256 * 1024**2  # 64 KiB that are read at once unpack to 64 MiB


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def test_a_redirect_takes_the_token_nowhere() -> None:
    async with rude(lambda exchange: exchange.answer()) as elsewhere:

        async def redirect(exchange: Exchange) -> None:
            await exchange.answer(307, headers={"location": f"{elsewhere.url}/sync-job/1"})

        async with rude(redirect) as server, client(server.url) as truto:
            with pytest.raises(ProtocolError, match="redirects"):
                await truto.sync_jobs.get("1")
        assert elsewhere.heads == []


async def test_a_cookie_is_not_kept() -> None:
    async with (
        rude(lambda exchange: exchange.answer(body=b'{"id":"1"}', headers={"set-cookie": "a=b"})) as server,
        client(server.url) as truto,
    ):
        await truto.sync_jobs.get("1")
        await truto.sync_jobs.get("1")
    assert not any("cookie" in head.lower() for head in server.heads)


STATUSES: list[tuple[int, bytes, type[Exception], int]] = [
    (400, b"{}", BadRequest, 1),
    (401, b"{}", Unauthorized, 1),
    (401, b'{"truto_is_remote_error":true}', NeedsReauth, 1),
    (405, b"{}", BadRequest, 1),
    (409, b'{"truto_is_remote_error":true}', BadRequest, 1),
    (422, b"{}", BadRequest, 1),
    (429, b"{}", RateLimited, 3),
    (500, b"<html>", ServerError, 3),
    (502, b"", ServerError, 3),
    (503, b"{}", AccountBlocked, 1),
    (503, b'{"truto_is_remote_error":true}', ServerError, 3),
    (504, b"{", ServerError, 3),
]


@pytest.mark.parametrize(
    ("status", "body", "error", "attempts"),
    STATUSES,
    ids=[f"{status}-{body.decode()}" for status, body, *_ in STATUSES],
)
async def test_a_status_is_its_error_after_its_attempts(
    status: int, body: bytes, error: type[Exception], attempts: int
) -> None:
    async with (
        rude(lambda exchange: exchange.answer(status, body, {"retry-after": "0"})) as server,
        client(server.url) as truto,
    ):
        with pytest.raises(error):
            await truto.unified("crm", "contacts").get("1", integrated_account_id="a")
    assert len(server.heads) == attempts


@pytest.mark.parametrize("status", [429, 502])
async def test_a_storm_that_passes_is_weathered_by_all_callers(status: int) -> None:
    async def storm(exchange: Exchange) -> None:
        if exchange.number <= 20:
            await exchange.answer(status, headers={"retry-after": "0"})
        else:
            await exchange.answer(body=b'{"id":"1"}')

    policy = RetryPolicy(attempts=30, base_seconds=0.001, cap_seconds=0.002)
    async with rude(storm) as server, client(server.url, retry=policy) as truto:
        jobs = await asyncio.gather(*(truto.sync_jobs.get("1") for _ in range(20)))
    assert [job.id for job in jobs] == ["1"] * 20
    assert len(server.heads) == 40


async def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    async with (
        rude(lambda exchange: exchange.answer(429, headers={"retry-after": "86400"})) as server,
        client(server.url, deadline_seconds=30) as truto,
    ):
        with pytest.raises(RateLimited) as caught:
            await truto.sync_jobs.get("1")
    assert len(server.heads) == 1
    assert caught.value.retry_after == 60.0


Walk = Callable[[AsyncTruto], Awaitable[list[str]]]


async def walk(truto: AsyncTruto) -> list[str]:
    return [job.id async for job in truto.sync_jobs.list()]


@pytest.mark.parametrize("key", ["result", "results"])
async def test_either_word_for_results_is_read(key: str) -> None:
    async def two_pages(exchange: Exchange) -> None:
        await exchange.page("next" if exchange.number == 1 else None, key)

    async with rude(two_pages) as server, client(server.url) as truto:
        assert await walk(truto) == ["1", "2"]
    assert "next_cursor=next" in server.heads[1]


@pytest.mark.parametrize("length", [1, 2, 7])
async def test_cursors_in_a_circle_end_the_walk(length: int) -> None:
    async with (
        rude(lambda exchange: exchange.page(f"c{exchange.number % length}")) as server,
        client(server.url) as truto,
    ):
        with pytest.raises(ProtocolError, match="repeats"):
            await walk(truto)
    assert len(server.heads) <= 4 * length + 3


async def test_a_page_that_fails_is_fetched_again_in_the_middle_of_a_walk() -> None:
    async def stumbling(exchange: Exchange) -> None:
        if exchange.number == 2:
            await reset(exchange)
        else:
            await exchange.page("next" if exchange.number == 1 else None)

    async with rude(stumbling) as server, client(server.url) as truto:
        assert await walk(truto) == ["1", "3"]


async def test_a_walk_that_is_left_hangs_up() -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def second_never(exchange: Exchange) -> None:
        if exchange.number == 1:
            await exchange.page("next")
            return
        asked.set()
        await exchange.hang_up_of_client()
        gone.set()

    async with rude(second_never) as server, client(server.url) as truto:
        async for _ in truto.sync_jobs.list():
            await asked.wait()
            break
        async with asyncio.timeout(20):
            await gone.wait()


async def test_cancelled_calls_give_their_connections_back() -> None:
    everyone = 100  # as many as there are connections
    all_asked = asyncio.Event()

    async def first_never(exchange: Exchange) -> None:
        if exchange.number > everyone:
            await exchange.answer(body=b'{"id":"1"}')
            return
        if exchange.number == everyone:
            all_asked.set()
        await silent(exchange)

    async with rude(first_never) as server, client(server.url) as truto:
        calls = [asyncio.create_task(truto.sync_jobs.get("1")) for _ in range(everyone)]
        await all_asked.wait()
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        jobs = await asyncio.gather(*(truto.sync_jobs.get("1") for _ in range(everyone)))
    assert len(jobs) == everyone


async def test_chunks_reach_the_provider_and_come_back() -> None:
    async def store(exchange: Exchange) -> None:
        if exchange.number == 1:
            await exchange.answer(body=b'{"id":"1"}')
        else:
            await exchange.answer(body=bytes(range(256)) * 4096, headers={"content-type": "image/png"})

    async def content() -> Any:
        for number in range(3):
            yield bytes([number]) * 1000

    async with rude(store) as server, client(server.url) as truto:
        files = truto.proxy("files")
        await files.upload(content(), content_type="image/png", integrated_account_id="a")
        async with files.download("1", integrated_account_id="a") as file:
            received = [chunk async for chunk in file]
    assert server.bodies[0] == b"\0" * 1000 + b"\1" * 1000 + b"\2" * 1000
    assert b"".join(received) == bytes(range(256)) * 4096
    assert len(received) > 1


@pytest.mark.parametrize(
    ("behaviour", "error"), [(cut_short, TransportError), (cut_chunk, TransportError)], ids=["cut-short", "cut-chunk"]
)
async def test_a_download_that_breaks_off_says_so(behaviour: Behaviour, error: type[Exception]) -> None:
    async with (
        rude(behaviour) as server,
        client(server.url) as truto,
        truto.proxy("files").download("1", integrated_account_id="a") as file,
    ):
        with pytest.raises(error):
            await file.read()
    assert len(server.heads) == 1


async def test_a_download_that_stalls_ends_with_an_attempts_time() -> None:
    async def stalls(exchange: Exchange) -> None:
        await exchange.answer(body=b"begun", length=1000)
        await asyncio.sleep(60)

    async with (
        rude(stalls) as server,
        client(server.url, timeout_seconds=0.5) as truto,
        truto.proxy("files").download("1", integrated_account_id="a") as file,
    ):
        with pytest.raises(CallTimeout):
            await file.read()


async def test_a_download_that_is_left_early_leaves_its_connection_usable() -> None:
    async def first_endless(exchange: Exchange) -> None:
        await (chunked(exchange) if exchange.number == 1 else exchange.answer(body=b'{"id":"1"}'))

    async with rude(first_endless) as server, client(server.url) as truto:
        async with truto.proxy("files").download("1", integrated_account_id="a") as file:
            async for chunk in file:
                assert chunk
                break
        assert (await truto.sync_jobs.get("1")).id == "1"


async def test_a_call_ends_in_time_whatever_the_server_does() -> None:
    async def drips(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        while True:
            await exchange.send(b" ")
            await asyncio.sleep(0.01)

    async with rude(drips) as server, client(server.url) as truto:
        began = time.monotonic()
        with pytest.raises(CallTimeout):
            await truto.within(0.3, timeout_seconds=0.2).sync_jobs.get("1")
    assert time.monotonic() - began < 5
