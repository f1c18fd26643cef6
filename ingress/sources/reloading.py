"""Follow ``sources.yaml`` while the ingress runs: a new version replaces the old one, a broken one does not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from ingress.errors import BadSources
from ingress.sources.loading import load_sources
from ingress.sources.source import Source
from ingress.sources.table import SourceTable

log = structlog.get_logger("ingress")

_LOOK_SECONDS = 1.0


class SourcesFile:
    """The file at *path*, together with the *fixed* sources, which come from settings and whose names are taken.

    *public_url* is where senders reach this ingress, for sources that do not say it themselves.
    """

    def __init__(
        self, path: Path, environment: Mapping[str, str], fixed: Sequence[Source] = (), *, public_url: str = ""
    ) -> None:
        self.path = path
        self._public_url = public_url
        self._environment = environment
        self._fixed = tuple(fixed)
        self._seen = _state(path)
        self._asked = asyncio.Event()

    def load(self) -> list[Source]:
        """All sources as the file has them now; those that can take nothing are logged. Raises :class:`BadSources`."""
        self._seen = _state(self.path)
        taken = {source.name for source in self._fixed}
        found = load_sources(self.path, self._environment, taken=taken, public_url=self._public_url).values()
        for source in found:
            if source.unprovable:
                log.warning("public_url_missing", source=source.name, hint=str(source.unprovable))
        return [*self._fixed, *found]

    def reload(self) -> None:
        """Look at the file now, changed or not (SIGHUP)."""
        self._asked.set()

    async def follow(self, table: SourceTable, *, every_seconds: float = _LOOK_SECONDS) -> None:
        """Bring every change of the file into *table* until cancelled; a faulty file is told and changes nothing."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(every_seconds):
                    await self._asked.wait()
            if not self._asked.is_set() and _state(self.path) == self._seen:
                continue
            self._asked.clear()
            await self._bring_into(table)

    async def _bring_into(self, table: SourceTable) -> None:
        try:
            # Compiling expressions takes a while; requests go on meanwhile.
            sources = await asyncio.to_thread(self.load)
        except BadSources as exc:
            log.error("sources_kept", hint="the sources of before are still in use", faults=str(exc).splitlines())
            return
        await table.replace(sources)
        log.info("sources_loaded", file=str(self.path), sources=sorted(source.name for source in sources))


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
