"""An answer that is read in chunks: files that pass through Truto, of any size."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

import httpx

from truto.errors import ProtocolError
from truto.outgoing import unpacked


class Download:
    """An answer whose body comes in chunks: ``async with …download(…) as file: async for chunk in file: …``.

    Entering sends the request, with the client's repetitions, until the answer's head is there; the client's deadline
    ends then, and each chunk has the time of one attempt. Nothing is repeated once the body has begun. *max_bytes*
    bounds the body after decompression; without it, only you do.
    """

    def __init__(
        self,
        what: str,
        begin: Callable[[], Awaitable[httpx.Response]],
        translated: Callable[[], AbstractContextManager[None]],
        max_bytes: int | None,
    ) -> None:
        self._what = what
        self._begin = begin
        self._translated = translated
        self._max_bytes = max_bytes
        self._response: httpx.Response | None = None

    def __repr__(self) -> str:
        return f"Download({self._what})"

    async def __aenter__(self) -> Self:
        if self._response is not None:
            raise RuntimeError("a download is entered once")
        self._response = await self._begin()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._opened().aclose()

    @property
    def content_type(self) -> str:
        """What the answer says it is; empty if it does not."""
        return str(self._opened().headers.get("content-type", ""))

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers, the provider's among them; names in any case."""
        return self._opened().headers

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        received = 0
        with self._translated():
            async for chunk in unpacked(self._opened()):
                received += len(chunk)
                if self._max_bytes is not None and received > self._max_bytes:
                    raise ProtocolError(f"{self._what}: the answer is larger than {self._max_bytes} bytes")
                yield chunk

    async def read(self) -> bytes:
        """The whole body at once. Give ``max_bytes`` to bound what it may take of memory."""
        return b"".join([chunk async for chunk in self])

    def _opened(self) -> httpx.Response:
        if self._response is None:
            raise RuntimeError("enter the download first: async with … as file")
        return self._response
