"""Fetch public keys: a JSON Web Key Set, one key by its name, or the certificate of a sender that names one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import httpx
import orjson

from truto.errors import ProtocolError, TransportError
from truto.outgoing import outgoing_client, read_capped, unpacked

_MAX_BYTES = 256 * 1024
_MAX_KEYS = 100
_ERROR_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,63}")


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
        body = await self._ask("GET", url, "the key set", accept="application/json")
        try:
            keys = orjson.loads(body)["keys"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise ProtocolError("the answer is not a JSON Web Key Set") from None
        if not isinstance(keys, list) or len(keys) > _MAX_KEYS:
            raise ProtocolError(f"the key set is not a list of at most {_MAX_KEYS} keys")
        return [key for key in keys if isinstance(key, dict)]

    async def fetch_key(self, url: str, question: Mapping[str, str], *, member: str) -> Mapping[str, Any]:
        """The key that *url* gives as *member* of its answer, asked by a POST of *question* as JSON."""
        body = await self._ask("POST", url, "the key", accept="application/json", question=question)
        try:
            key = orjson.loads(body)[member]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            key = None
        if not isinstance(key, dict):
            raise ProtocolError(f"the answer holds no key as `{member}`")
        return key

    async def fetch_certificate(self, url: str) -> bytes:
        """What is at *url*, unread."""
        return await self._ask("GET", url, "the certificate", accept="*/*")

    async def visit(self, url: str) -> None:
        """Call *url*, for which nothing but the call counts. A second call is as good as the first."""
        await self._ask("GET", url, "the confirmation", accept="*/*")

    async def _ask(
        self, method: str, url: str, what: str, *, accept: str, question: Mapping[str, str] | None = None
    ) -> bytes:
        request = self._http.stream(method, url, headers={"accept": accept}, json=question)
        try:
            async with asyncio.timeout(self._seconds), request as response:
                return await _read(response, what)
        except httpx.DecodingError as exc:
            raise ProtocolError(f"{what} cannot be read: {exc}") from None
        except (httpx.InvalidURL, UnicodeError):  # httpx works out where a redirect leads, though nobody follows
            raise ProtocolError(f"{what} is not at a URL, or was redirected to an invalid one") from None
        except (httpx.HTTPError, TimeoutError, OSError) as exc:
            raise TransportError(f"{what} did not come: {type(exc).__name__}") from None

    async def aclose(self) -> None:
        """Close the connections. A second call does nothing."""
        await self._http.aclose()


async def _read(response: httpx.Response, what: str) -> bytes:
    status = response.status_code
    if status >= 500 or status == 429:
        raise TransportError(f"{what} was answered with {status}")
    if status != 200 and not response.headers.get("content-type", "").startswith("application/json"):
        raise ProtocolError(f"{what} was answered with {status}")
    body = await read_capped(unpacked(response), _MAX_BYTES)
    if status != 200:
        raise ProtocolError(f"{what} was answered with {status}{_error_code(body)}")
    if body is None:
        raise ProtocolError(f"{what} is larger than {_MAX_BYTES} bytes")
    return body


def _error_code(body: bytes | None) -> str:
    """The ``error_code`` of a refusal, which tells a wrong credential from an unknown key; nothing else of it."""
    try:
        code = orjson.loads(body or b"")["error_code"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
    return f" ({code})" if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else ""
