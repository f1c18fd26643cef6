"""The connections to Truto: httpx's own transport, several of it side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

POOLS = 50
CONNECTIONS_PER_POOL = 2


class Pools(httpx.AsyncBaseTransport):
    """Up to 100 kept connections in fifty small pools.

    httpcore's pool looks, for each idle connection, at all its connections, whenever a request begins or ends: with
    fifty at once that costs several times the request itself. A request goes to the pool that has the fewest, so none
    waits for a connection while another pool has one to spare.
    """

    def __init__(self) -> None:
        limits = httpx.Limits(max_connections=CONNECTIONS_PER_POOL, max_keepalive_connections=CONNECTIONS_PER_POOL)
        context = httpx.create_ssl_context(trust_env=False)
        self._pools = [httpx.AsyncHTTPTransport(verify=context, limits=limits, trust_env=False) for _ in range(POOLS)]
        self._busy = [0] * POOLS

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request on a connection of the pool with the fewest under way."""
        number = self._busy.index(min(self._busy))
        self._busy[number] += 1
        try:
            response = await self._pools[number].handle_async_request(request)
        except BaseException:
            self._busy[number] -= 1
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Counted(response.stream, self._busy, number)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools:
            await pool.aclose()


class _Counted(httpx.AsyncByteStream):
    """A body that gives its place in the pool back when it is closed."""

    def __init__(self, stream: httpx.AsyncByteStream, busy: list[int], number: int) -> None:
        self._stream = stream
        self._busy = busy
        self._number: int | None = number

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()

    async def aclose(self) -> None:
        if self._number is not None:
            self._busy[self._number] -= 1
            self._number = None
        await self._stream.aclose()
