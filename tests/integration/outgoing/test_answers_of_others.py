"""Hostile answers on real sockets, to everything that reads what others answer."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.outgoing.readers import (
    MAY_PASS,
    READERS,
    REFUSED,
    Reader,
    by_api_client,
    by_http_request,
    by_notification,
)
from tests.integration.truto.rude import Behaviour, Exchange, rude
from tests.integration.worker.workshop import plain
from truto.network import Allowed
from workflows.http import HttpRequest, HttpRequests

KEYS = b'{"keys":[{"kid":"1"}],"key":{"kid":"1"}}'
MEGABYTE = 1024**2


def bomb(megabytes: int, layers: int = 1) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join(packer.compress(bytes(MEGABYTE)) for _ in range(megabytes)) + packer.flush()
    for _ in range(layers - 1):
        packed = gzip.compress(packed)
    return packed


def answering(body: bytes, coding: str, **more: int) -> Behaviour:
    return lambda exchange: exchange.answer(body=body, headers={"content-encoding": coding}, **more)


async def endless_body(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        await exchange.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")


async def endless_emptiness(exchange: Exchange) -> None:
    """Blocks of gzip that hold nothing."""
    await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10])
    while True:
        await exchange.send(b"\x00\x00\x00\xff\xff" * 1000)


async def moved(exchange: Exchange) -> None:
    await exchange.answer(302, headers={"location": exchange.server.url + "/elsewhere"})


BAD: list[tuple[int, str, Behaviour]] = [
    (213, "bomb", answering(bomb(60), "gzip")),
    (213, "bomb-of-deflate", answering(zlib.compress(bytes(60 * MEGABYTE), 9), "deflate")),
    (214, "bomb-in-a-bomb", answering(bomb(200, layers=2), "gzip, gzip")),
    (214, "mixed", answering(zlib.compress(gzip.compress(KEYS)), "gzip, deflate")),
    (215, "brotli", answering(KEYS, "br")),
    (215, "zstd", answering(KEYS, "zstd")),
    (215, "made-up", answering(KEYS, "lzma")),
    (216, "no-gzip", answering(KEYS, "gzip")),
    (216, "cut-off", answering(gzip.compress(KEYS)[:-3], "gzip")),
    (217, "second-member", answering(gzip.compress(KEYS) + gzip.compress(b" "), "gzip")),
    (218, "nothing-packed", endless_emptiness),
    (223, "endless", endless_body),
    (224, "redirect", moved),
]


@pytest.mark.bad_input(213, 214, 215, 216, 217, 218, 223, 224)
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("behaviour", [row[2] for row in BAD], ids=[f"{row[0]}-{row[1]}" for row in BAD])
async def test_a_bad_answer_is_refused_and_read_no_further(reader: Reader, behaviour: Behaviour) -> None:
    async with rude(behaviour) as server:
        with pytest.raises(REFUSED):
            await reader(server.url, 8.0)
    assert len(server.heads) == 1
    assert server.written < 16 * MEGABYTE  # what sockets and buffers hold, and the limit


async def endless_head(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\n")
    for number in itertools.count():
        await exchange.send(b"x-%d: %b\r\n" % (number, b"y" * 1000))


async def endless_line(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\nx: ")
    while True:
        await exchange.send(b"y" * 1000)


async def interim(exchange: Exchange) -> None:
    while True:
        await exchange.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await asyncio.sleep(0.01)


async def trickle(exchange: Exchange) -> None:
    await exchange.answer(body=b"", length=1000)
    while True:
        await exchange.send(b"x")
        await asyncio.sleep(0.05)


async def trickling_head(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\nx: ")
    while True:
        await exchange.send(b"y")
        await asyncio.sleep(0.05)


async def shorter(exchange: Exchange) -> None:
    await exchange.answer(body=KEYS, length=1000)
    exchange.writer.close()


async def silent(exchange: Exchange) -> None:
    await exchange.hang_up_of_client()


UNFINISHED: list[tuple[int, Behaviour]] = [
    (219, endless_head),
    (219, endless_line),
    (220, interim),
    (221, trickle),
    (221, trickling_head),
    (221, silent),
    (222, shorter),
]
BOUNDED_IN_TIME = {name: reader for name, reader in READERS.items() if name != "download"}
"""A download has a time for each chunk, and its caller's for the whole."""


@pytest.mark.bad_input(219, 220, 221, 222)
@pytest.mark.parametrize("reader", BOUNDED_IN_TIME.values(), ids=BOUNDED_IN_TIME)
@pytest.mark.parametrize("behaviour", [row[1] for row in UNFINISHED], ids=[f"{n}-{b.__name__}" for n, b in UNFINISHED])
async def test_an_answer_that_does_not_come_to_an_end_is_given_up(reader: Reader, behaviour: Behaviour) -> None:
    async with rude(behaviour) as server, asyncio.timeout(5):
        with pytest.raises(MAY_PASS):
            await reader(server.url, 0.5)
    assert server.written < 16 * MEGABYTE


def moved_to(place: bytes) -> Behaviour:
    return lambda exchange: exchange.send(b"HTTP/1.1 302 X\r\nlocation: %b\r\ncontent-length: 0\r\n\r\n" % place)


NOWHERE = {"no-path": b"mailto:x", "no-port": b"http://a:b/", "half-an-address": b"http://[::1", "no-text": b"\xff\xfe"}


@pytest.mark.bad_input(290)
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("place", NOWHERE.values(), ids=NOWHERE)
async def test_a_redirect_to_what_is_no_url_is_one_of_our_errors(reader: Reader, place: bytes) -> None:
    """Httpx works the address out, though nobody follows."""
    async with rude(moved_to(place)) as server:
        with pytest.raises((*REFUSED, *MAY_PASS)):
            await reader(server.url, 8.0)


@pytest.mark.bad_input(219)
@pytest.mark.parametrize("behaviour", [endless_head, endless_line])
async def test_a_notification_reads_no_endless_head(behaviour: Behaviour) -> None:
    async with rude(behaviour) as server:
        with pytest.raises(MAY_PASS):
            await by_notification(server.url)
    assert server.written < 16 * MEGABYTE


@pytest.mark.bad_input(213, 214)
@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip", "br"])
async def test_a_notification_is_delivered_whatever_the_answer_holds(coding: str) -> None:
    """Its status is the answer; the body is never read."""
    async with rude(answering(bomb(60), coding)) as server:
        assert await by_notification(server.url) is True


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    ("coding", "body"),
    [("gzip", gzip.compress(KEYS)), ("deflate", zlib.compress(KEYS)), ("identity", KEYS)],
    ids=["gzip", "deflate", "identity"],
)
async def test_an_honest_answer_is_read_packed_or_not(reader: Reader, coding: str, body: bytes) -> None:
    async with rude(answering(body, coding)) as server:
        assert "1" in str(await reader(server.url, 8.0))


@pytest.mark.parametrize("status", [503, 404])
async def test_the_status_of_a_refusal_counts_whatever_comes_with_it(status: int) -> None:
    async with rude(lambda exchange: exchange.answer(status, bomb(60), {"content-encoding": "gzip, gzip"})) as server:
        with pytest.raises((*REFUSED, *MAY_PASS), match=f"answered {status}"):
            await by_http_request(server.url)


@pytest.mark.bad_input(225)
async def test_http_request_brings_no_cookie_to_anyone() -> None:
    async with rude(lambda exchange: exchange.answer(headers={"set-cookie": "tenant=a; Path=/"})) as server:
        http = HttpRequests(allowed=Allowed.parse(["127.0.0.1"]), transport=plain())
        for _ in range(2):
            await http.send(HttpRequest(url=server.url, method="GET"), "msg_1", "at")
        await http.aclose()
    assert not any("cookie" in head.lower() for head in server.heads)


@settings(max_examples=40)
@given(
    head=st.lists(
        st.sampled_from([b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Content-Encoding: gzip", b"X: y"])
    ),
    body=st.binary(max_size=60) | st.just(gzip.compress(KEYS)) | st.just(b"5\r\nhello\r\n0\r\n\r\n"),
)
def test_no_bytes_give_anything_but_an_answer_or_our_own_errors(head: list[bytes], body: bytes) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.send(b"\r\n".join([b"HTTP/1.1 200 OK", *head, b"", body]))
        exchange.writer.close()

    async def read_all() -> None:
        async with rude(behave) as server:
            for reader in (by_http_request, by_api_client):
                try:
                    await reader(server.url, 2.0)
                except (*REFUSED, *MAY_PASS):
                    pass

    asyncio.run(read_all())
