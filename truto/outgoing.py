"""HTTP to servers of others: what they answer is read within bounds, whatever it claims to be.

httpx undoes every encoding an answer names, and a chunk of it at once: 64 KiB that are packed twice may become 64 GiB.
"""

from __future__ import annotations

import asyncio
import functools
import os
import ssl
import zlib
from collections.abc import AsyncIterator, Iterator
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

ACCEPTED_ENCODINGS = "gzip, deflate"

_AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_IDLE_SECONDS = 5.0
_MAX_PIECE_BYTES = 64 * 1024
# Honest packing is never larger than its content by more than a header and a few bytes for every 16 KiB.
_MAX_OVERHEAD_BYTES = 64 * 1024
_UNPACKED = frozenset({"gzip", "x-gzip", "deflate"})
# What servers are known to name there although nothing is packed.
_PLAIN = frozenset({"", "identity", "aws-chunked", "utf-8"})
_GZIP_OR_ZLIB = zlib.MAX_WBITS + 32


def outgoing_client(
    *,
    timeout_seconds: float,
    transport: httpx.AsyncBaseTransport | None = None,
    trust_env: bool = False,
    max_connections: int = 100,
) -> httpx.AsyncClient:
    """A client for requests to others: follows no redirect, keeps no cookie, and asks for nothing packed.

    Read its answers with :func:`read_capped` and :func:`unpacked`, inside ``client.stream(…)`` and a timeout around the
    whole: *timeout_seconds* bounds each step alone.
    """
    return httpx.AsyncClient(
        headers={"Accept-Encoding": "identity"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=timeout_seconds,
        limits=httpx.Limits(max_connections=max_connections, keepalive_expiry=_IDLE_SECONDS),
        follow_redirects=False,
        trust_env=trust_env,
        verify=_authorities(*map(os.environ.get, _AUTHORITIES)) if trust_env else _authorities(),
        transport=transport,
    )


@functools.cache  # to read them takes tens of milliseconds
def _authorities(file: str | None = None, folder: str | None = None) -> ssl.SSLContext:
    """The certificate authorities that are trusted: the usual ones, or those that the environment names."""
    return httpx.create_ssl_context(trust_env=bool(file or folder))


def host_name(url: httpx.URL) -> str:
    """The host of *url* as keys are derived for it, with its port unless that is 80 or 443."""
    return url.copy_with(port=None if url.port in (80, 443) else url.port).netloc.decode("ascii")


def check_encoding(headers: httpx.Headers) -> bool:
    """Whether a body under *headers* is packed.

    Raises :class:`httpx.DecodingError` for more than one layer, and for an encoding that :func:`unpacked` cannot undo.
    """
    names = [name.strip().lower() for name in headers.get_list("content-encoding", split_commas=True)]
    layers = [name for name in names if name not in _PLAIN]
    if len(layers) > 1:
        raise httpx.DecodingError("the answer is packed more than once")
    if not _UNPACKED.issuperset(layers):
        raise httpx.DecodingError("the answer has a Content-Encoding that was not asked for")
    return bool(layers)


async def unpacked(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body of an answer that has not been read yet, with at most one layer of encoding undone.

    What is packed comes in pieces of at most 64 KiB, and other tasks run between them; stop whenever it is enough.
    Raises :class:`httpx.DecodingError` as :func:`check_encoding` does, and for a body that is broken, cut off, followed
    by other bytes, or mostly no content.
    """
    assert isinstance(response.stream, httpx.AsyncByteStream)
    if not check_encoding(response.headers):
        async for chunk in response.stream:
            yield chunk
        return
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    received = given = 0
    async for chunk in response.stream:
        received += len(chunk)
        for piece in _inflated(inflater, chunk):
            given += len(piece)
            yield piece
            await asyncio.sleep(0)
        if received > 2 * given + _MAX_OVERHEAD_BYTES:
            raise httpx.DecodingError("the answer is larger packed than unpacked")
    if received and not inflater.eof:
        raise httpx.DecodingError("the packed answer is cut off")


def _inflated(inflater: zlib._Decompress, packed: bytes) -> Iterator[bytes]:
    piece = b""
    # A full piece may leave something behind even when all of *packed* has been taken in.
    while packed or len(piece) == _MAX_PIECE_BYTES:
        try:
            piece = inflater.decompress(packed, _MAX_PIECE_BYTES)
        except zlib.error:
            raise httpx.DecodingError("the answer is not packed as it says") from None
        if inflater.unused_data:
            raise httpx.DecodingError("something follows the packed answer")
        packed = inflater.unconsumed_tail
        if piece:
            yield piece


async def read_capped(chunks: AsyncIterator[bytes], limit: int) -> bytes | None:
    """All *chunks* as one, ``None`` as soon as they are more than *limit* bytes."""
    pieces = []
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        if received > limit:
            return None
        pieces.append(chunk)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
