"""Fetch public keys: a JSON Web Key Set, or the certificate of a sender that names one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import orjson

from truto.errors import ProtocolError, TransportError
from truto.outgoing import outgoing_client, read_capped, unpacked

_MAX_BYTES = 256 * 1024
_MAX_KEYS = 100


class JwksClient:
    """One HTTP client for all keys of a process. Follows no redirects, and reads no more than 256 KiB.

    Every method raises :class:`TransportError` when no whole answer comes within the time, or the server says that it
    is its own fault, and :class:`ProtocolError` when the answer is not what it should be.
    """

    def __init__(self, *, timeout_seconds: float = 5.0, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._seconds = timeout_seconds
        self._http = outgoing_client(timeout_seconds=timeout_seconds, transport=transport, trust_env=True)

    async def fetch(self, url: str) -> list[Mapping[str, Any]]:
        """The keys at *url* as they stand there."""
        body = await self._get(url, "the key set", accept="application/json")
        try:
            keys = orjson.loads(body)["keys"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise ProtocolError("the answer is not a JSON Web Key Set") from None
        if not isinstance(keys, list) or len(keys) > _MAX_KEYS:
            raise ProtocolError(f"the key set is not a list of at most {_MAX_KEYS} keys")
        return [key for key in keys if isinstance(key, dict)]

    async def fetch_certificate(self, url: str) -> bytes:
        """What is at *url*, unread."""
        return await self._get(url, "the certificate", accept="*/*")

    async def visit(self, url: str) -> None:
        """Call *url*, for which nothing but the call counts. A second call is as good as the first."""
        await self._get(url, "the confirmation", accept="*/*")

    async def _get(self, url: str, what: str, *, accept: str) -> bytes:
        try:
            async with asyncio.timeout(self._seconds):
                return await self._read(url, what, accept)
        except httpx.DecodingError as exc:
            raise ProtocolError(f"{what} cannot be read: {exc}") from None
        except (httpx.InvalidURL, UnicodeError):  # httpx works out where a redirect leads, though nobody follows
            raise ProtocolError(f"{what} is not at a URL, or was redirected to an invalid one") from None
        except (httpx.HTTPError, TimeoutError, OSError) as exc:
            raise TransportError(f"{what} did not come: {type(exc).__name__}") from None

    async def _read(self, url: str, what: str, accept: str) -> bytes:
        async with self._http.stream("GET", url, headers={"accept": accept}) as response:
            if response.status_code >= 500 or response.status_code == 429:
                raise TransportError(f"{what} was answered with {response.status_code}")
            if response.status_code != 200:
                raise ProtocolError(f"{what} was answered with {response.status_code}")
            body = await read_capped(unpacked(response), _MAX_BYTES)
            if body is None:
                raise ProtocolError(f"{what} is larger than {_MAX_BYTES} bytes")
            return body

    async def aclose(self) -> None:
        """Close the connections. A second call does nothing."""
        await self._http.aclose()
