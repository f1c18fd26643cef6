"""Keys that deliveries name, fetched beside the verification and kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import structlog

from ingress.sources.source import KeyRequest
from truto.errors import TransportError, TrutoError

if TYPE_CHECKING:  # it brings httpx, which sources without fetched keys never load
    from truto.jwks import JwksClient

log = structlog.get_logger("ingress")

MAX_KEYS = 64
MAX_FETCHES = 10
"""Within a minute: a stranger may name what is not there, but is asked for only where the sender's keys are."""

_FETCHES_SECONDS = 60.0
_ABSENT_SECONDS = 60.0


class NamedKeys:
    """The keys fetched so far, by name. The same one is fetched once, however many deliveries wait for it.

    *fetch* gives the key of a name and raises :class:`TrutoError`, or :class:`ValueError` where it is none. One that is
    not there, or is none, is not asked for again within a minute. The log says under *named_by* which it is.
    """

    def __init__(self, fetch: Callable[[str], Awaitable[Any]], named_by: Literal["certificate", "kid"]) -> None:
        self._fetch_one = fetch
        self._named_by = named_by
        self._found: dict[str, Any] = {}
        self._fetching: dict[str, asyncio.Task[bool]] = {}
        self._began: list[float] = []
        self._absent: dict[str, float] = {}

    @property
    def keys(self) -> Mapping[str, Any]:
        """What was fetched, by name."""
        return self._found

    async def learn(self, name: str) -> bool:
        """Whether it is known by now what has this *name*: a key, or nothing. Otherwise ask again later."""
        if name in self._found or self._is_absent(name):
            return True
        if (task := self._fetching.get(name)) is None:
            if not self._may_fetch():
                log.warning("key_fetches_exhausted", of=self._named_by, limit=MAX_FETCHES, seconds=_FETCHES_SECONDS)
                return False
            task = self._fetching[name] = asyncio.create_task(self._fetch(name))
            task.add_done_callback(lambda _: self._fetching.pop(name, None))
        return await asyncio.shield(task)

    async def keep_fresh(self, seconds: float) -> NoReturn:
        """Fetch what is known anew, every *seconds*: its sender may have let it expire. It stays where that fails."""
        while True:
            await asyncio.sleep(seconds)
            for name in list(self._found):
                await self._fetch(name)

    async def aclose(self) -> None:
        """Stop fetching."""
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_absent(self, name: str) -> bool:
        now = time.monotonic()
        self._absent = {one: until for one, until in self._absent.items() if until > now}
        return name in self._absent

    def _may_fetch(self) -> bool:
        now = time.monotonic()
        self._began = [at for at in self._began if at > now - _FETCHES_SECONDS]
        if len(self._began) >= MAX_FETCHES:
            return False
        self._began.append(now)
        return True

    async def _fetch(self, name: str) -> bool:
        told = {self._named_by: name}
        try:
            found = await self._fetch_one(name)
        except TransportError as exc:
            log.warning("key_failed", **told, error=str(exc))
            return False
        except (TrutoError, ValueError) as exc:
            log.warning("key_failed", **told, error=str(exc))
            self._absent[name] = time.monotonic() + _ABSENT_SECONDS
            return True
        if name not in self._found:
            log.info("key_fetched", **told)
            if len(self._found) >= MAX_KEYS:
                del self._found[next(iter(self._found))]
        self._found[name] = found
        return True


async def fetch_certificate(client: JwksClient, url: str) -> Any:
    """The certificate at *url*. Raises :class:`TrutoError`, or :class:`ValueError` where it is none."""
    from ingress.verification.certificates import read_certificate

    return read_certificate(await client.fetch_certificate(url))


async def fetch_key(client: JwksClient, request: KeyRequest, kid: str) -> Any:
    """The public key *kid*, asked for as *request* says. Raises as :func:`fetch_certificate` does."""
    from ingress.verification.tokens import public_key

    key = await client.fetch_key(request.url, request.question(kid), member=request.key_field)
    if key.get("kid", kid) != kid:
        raise ValueError("the key that came has another kid")
    return public_key(key)
