"""Bodies of others: unpacked within bounds, or refused."""

from __future__ import annotations

import asyncio
import gzip
import random
import zlib
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from truto.outgoing import outgoing_client, read_capped, unpacked

PIECE = 64 * 1024
NOISE = random.Random(0).randbytes(300_000)


class Chunks(httpx.AsyncByteStream):
    """What arrives; ``taken`` counts the chunks that were asked for."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.taken += 1
            yield chunk


def answer(coding: str | None, *chunks: bytes) -> httpx.Response:
    headers = {} if coding is None else {"content-encoding": coding}
    return httpx.Response(200, headers=headers, stream=Chunks(chunks))


async def whole(response: httpx.Response) -> bytes:
    return b"".join([piece async for piece in unpacked(response)])


def deflated(content: bytes) -> bytes:
    return zlib.compress(content)


def endless_bomb() -> Iterable[bytes]:
    """Zeros without end, a thousand times smaller than they are."""
    packer = zlib.compressobj(9, wbits=31)
    while True:
        yield packer.compress(bytes(1024**2)) + packer.flush(zlib.Z_SYNC_FLUSH)


def endless_nothing() -> Iterable[bytes]:
    """Packing without content, without end."""
    yield gzip.compress(b"")[:10]
    while True:
        yield b"\x00\x00\x00\xff\xff" * 1000


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("GZip, identity", gzip.compress), ("deflate", deflated)],
)
@pytest.mark.parametrize("content", [b"", b"{}", bytes(PIECE), bytes(3 * PIECE + 1), NOISE], ids=len)
async def test_one_layer_is_undone(coding: str, pack: object, content: bytes) -> None:
    assert callable(pack)
    assert await whole(answer(coding, pack(content))) == content


@pytest.mark.parametrize("coding", [None, "", "identity", "aws-chunked", "UTF-8"], ids=str)
async def test_what_is_not_packed_comes_as_it_is(coding: str | None) -> None:
    assert await whole(answer(coding, b"as ", b"it is")) == b"as it is"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_no_body_needs_no_packing(coding: str) -> None:
    """A 204, or what answers HEAD, may name an encoding."""
    assert await whole(answer(coding)) == b""


@pytest.mark.bad_input(214, 215)
@pytest.mark.parametrize(
    "coding", ["gzip, gzip", "gzip,deflate", "deflate, identity, gzip", "br", "zstd", "compress", "bzip2", "gzip;q=1"]
)
async def test_more_layers_and_other_encodings_are_refused_unread(coding: str) -> None:
    response = answer(coding, gzip.compress(gzip.compress(b"{}")))
    with pytest.raises(httpx.DecodingError):
        await whole(response)
    assert isinstance(response.stream, Chunks)
    assert response.stream.taken == 0


@pytest.mark.bad_input(214)
async def test_layers_in_two_headers_are_two() -> None:
    headers = [("content-encoding", "gzip"), ("content-encoding", "gzip")]
    response = httpx.Response(200, headers=headers, stream=Chunks([gzip.compress(gzip.compress(b"{}"))]))
    with pytest.raises(httpx.DecodingError, match="more than once"):
        await whole(response)


@pytest.mark.bad_input(216)
@pytest.mark.parametrize(
    "body",
    [b"{}", gzip.compress(b"{}")[:-1], gzip.compress(b"{}")[:10], b"\x1f", gzip.compress(b"{}")[:-8] + bytes(8)],
    ids=["plain", "cut", "head-only", "one-byte", "wrong-checksum"],
)
async def test_what_is_not_packed_as_it_says_is_refused(body: bytes) -> None:
    with pytest.raises(httpx.DecodingError):
        await whole(answer("gzip", body))


@pytest.mark.bad_input(217)
@pytest.mark.parametrize("tail", [b"x", gzip.compress(b"more"), bytes(10)], ids=["byte", "member", "zeros"])
@pytest.mark.parametrize("apart", [True, False], ids=["apart", "combine"])
async def test_what_follows_the_packed_body_is_refused(tail: bytes, apart: bool) -> None:
    first = gzip.compress(bytes(PIECE))
    chunks = (first, tail) if apart else (first + tail,)
    with pytest.raises(httpx.DecodingError, match="follows"):
        await whole(answer("gzip", *chunks))


@pytest.mark.bad_input(213)
async def test_a_bomb_comes_in_small_pieces_and_is_left_at_the_limit() -> None:
    stream = Chunks(endless_bomb())
    response = httpx.Response(200, headers={"content-encoding": "gzip"}, stream=stream)
    assert await read_capped(unpacked(response), 128 * 1024) is None
    assert stream.taken == 1


@pytest.mark.bad_input(213)
async def test_other_tasks_run_between_the_pieces_of_one_chunk() -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(turn())
    sizes = [len(piece) async for piece in unpacked(answer("gzip", gzip.compress(bytes(100 * PIECE))))]
    other.cancel()
    with suppress(asyncio.CancelledError):
        await other
    assert (max(sizes), sum(sizes)) == (PIECE, 100 * PIECE)
    assert turns >= 100


@pytest.mark.bad_input(218)
async def test_packing_without_content_ends_soon() -> None:
    stream = Chunks(endless_nothing())
    response = httpx.Response(200, headers={"content-encoding": "gzip"}, stream=stream)
    with pytest.raises(httpx.DecodingError, match="larger packed"):
        await whole(response)
    assert stream.taken < 100


@given(content=st.binary(max_size=400), cut=st.integers(1, 60), coding=st.sampled_from(["gzip", "deflate"]))
def test_it_does_not_matter_how_a_body_is_cut_into_chunks(content: bytes, cut: int, coding: str) -> None:
    packed = gzip.compress(content) if coding == "gzip" else deflated(content)
    chunks = [packed[start : start + cut] for start in range(0, len(packed), cut)]
    assert asyncio.run(whole(answer(coding, *chunks))) == content


@given(coding=st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Zs"]), max_size=20), body=st.binary())
def test_no_answer_raises_anything_but_a_refusal(coding: str, body: bytes) -> None:
    with suppress(httpx.DecodingError):
        asyncio.run(whole(answer(coding, body)))


@given(content=st.binary(max_size=200), at=st.integers(0, 219), flip=st.integers(1, 255))
def test_a_body_with_one_byte_changed_is_refused_or_the_same(content: bytes, at: int, flip: int) -> None:
    """The checksum sees to it; the header of gzip has bytes that mean nothing."""
    packed = bytearray(gzip.compress(content))
    packed[at % len(packed)] ^= flip
    with suppress(httpx.DecodingError):
        assert asyncio.run(whole(answer("gzip", bytes(packed)))) == content


@pytest.mark.bad_input(224, 225)
async def test_a_client_keeps_no_cookie_follows_no_redirect_and_asks_for_nothing_packed() -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        headers = {"set-cookie": "a=b; Domain=test; Path=/", "location": "http://127.0.0.1/"}
        return httpx.Response(302, headers=headers)

    async with outgoing_client(timeout_seconds=1, transport=httpx.MockTransport(handle)) as client:
        for host in ("a.test", "b.test", "a.test"):
            assert (await client.get(f"http://{host}/")).status_code == 302
        assert not client.cookies
    assert [request.url.host for request in seen] == ["a.test", "b.test", "a.test"]
    assert not any("cookie" in request.headers for request in seen)
    assert {request.headers["accept-encoding"] for request in seen} == {"identity"}
