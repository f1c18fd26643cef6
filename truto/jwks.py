"""Fetch a JSON Web Key Set: the public keys with which a sender signs its tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import orjson

from truto.errors import ProtocolError, TransportError
from truto.outgoing import outgoing_client, read_capped, unpacked

_MAX_BYTES = 256 * 1024
_MOST_KEYS = 100


class JwksClient:
    """One HTTP client for all key sets of a process. Follows no redirects, and reads no more than 256 KiB."""

    def __init__(self, *, timeout_seconds: float = 5.0) -> None:
        self._seconds = timeout_seconds
        self._http = outgoing_client(timeout_seconds=timeout_seconds, trust_env=True)

    async def fetch(self, url: str) -> list[Mapping[str, Any]]:
        """The keys at *url* as they stand there.

        Raises :class:`TransportError` when no whole answer comes within the time, and :class:`ProtocolError` when it is
        not a key set.
        """
        try:
            async with asyncio.timeout(self._seconds):
                body = await self._read(url)
        except httpx.DecodingError as exc:
            raise ProtocolError(f"the key set cannot be read: {exc}") from None
        except (httpx.HTTPError, TimeoutError, OSError) as exc:
            raise TransportError(f"the key set did not come: {type(exc).__name__}") from None
        try:
            keys = orjson.loads(body)["keys"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise ProtocolError("the answer is no JSON Web Key Set") from None
        if not isinstance(keys, list) or len(keys) > _MOST_KEYS:
            raise ProtocolError(f"the key set is no list of at most {_MOST_KEYS} keys")
        return [key for key in keys if isinstance(key, dict)]

    async def _read(self, url: str) -> bytes:
        async with self._http.stream("GET", url, headers={"accept": "application/json"}) as response:
            if response.status_code != 200:
                raise ProtocolError(f"the key set was answered with {response.status_code}")
            body = await read_capped(unpacked(response), _MAX_BYTES)
            if body is None:
                raise ProtocolError(f"the key set is larger than {_MAX_BYTES} bytes")
            return body

    async def aclose(self) -> None:
        """Close the connections. A second call does nothing."""
        await self._http.aclose()
