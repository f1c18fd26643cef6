"""Certificates that deliveries name, fetched beside the verification and kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import structlog

from truto.errors import TransportError, TrutoError

if TYPE_CHECKING:
    from truto.jwks import JwksClient

log = structlog.get_logger("ingress")

MAX_CERTIFICATES = 64
MAX_FETCHES = 10
"""Within a minute, for all sources: a stranger may name what is not there, but only at the sender's own addresses."""

_FETCHES_SECONDS = 60.0
_ABSENT_SECONDS = 60.0


class Certificates:
    """The certificates fetched so far, by address. The same one is fetched once, however many deliveries wait for it.

    One that is not there, or is none, is not asked for again within a minute.
    """

    def __init__(self, client: Callable[[], JwksClient]) -> None:
        self._client = client
        self._found: dict[str, Any] = {}
        self._fetching: dict[str, asyncio.Task[bool]] = {}
        self._began: list[float] = []
        self._absent: dict[str, float] = {}

    @property
    def keys(self) -> Mapping[str, Any]:
        """What was fetched, by address."""
        return self._found

    async def learn(self, url: str) -> bool:
        """Whether it is known by now what is at *url*: a certificate, or none. Otherwise ask again later."""
        if url in self._found or self._is_absent(url):
            return True
        if (task := self._fetching.get(url)) is None:
            if not self._may_fetch():
                log.warning("certificate_fetches_exhausted", limit=MAX_FETCHES, seconds=_FETCHES_SECONDS)
                return False
            task = self._fetching[url] = asyncio.create_task(self._fetch(url))
            task.add_done_callback(lambda _: self._fetching.pop(url, None))
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Stop fetching."""
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_absent(self, url: str) -> bool:
        now = time.monotonic()
        self._absent = {one: until for one, until in self._absent.items() if until > now}
        return url in self._absent

    def _may_fetch(self) -> bool:
        now = time.monotonic()
        self._began = [at for at in self._began if at > now - _FETCHES_SECONDS]
        if len(self._began) >= MAX_FETCHES:
            return False
        self._began.append(now)
        return True

    async def _fetch(self, url: str) -> bool:
        from ingress.verification.certificates import read_certificate

        try:
            found = read_certificate(await self._client().fetch_certificate(url))
        except TransportError as exc:
            log.warning("certificate_failed", url=url, error=str(exc))
            return False
        except (TrutoError, ValueError) as exc:
            log.warning("certificate_failed", url=url, error=str(exc))
            self._absent[url] = time.monotonic() + _ABSENT_SECONDS
            return True
        if len(self._found) >= MAX_CERTIFICATES:
            del self._found[next(iter(self._found))]
        self._found[url] = found
        log.info("certificate_fetched", url=url)
        return True
