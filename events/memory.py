"""A Redis inside of this process, on a clock of its own, for tests of handlers.

The store's own scripts run on it as they are, in a Lua interpreter, so what they decide is decided here as well. It is
lost with the process, and no other process reaches it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from events.client import StoreClient
from events.errors import ConfigError
from events.store import Store

try:
    from fakeredis import FakeAsyncRedis, FakeServer
    from fakeredis._core._database import Database
    from fakeredis.aioredis import AsyncFakeSocket, FakeAsyncRedisConnection, FakeReader, FakeWriter
except ImportError as exc:
    raise ConfigError("worker.testing needs what the extra `test` installs: pip install 'truto-worker[test]'") from exc

if TYPE_CHECKING:
    Clock = Callable[[], float]

_VERSION = (7, 0)


class MemoryRedis:
    """A server without a process, empty at first. *clock* answers unix seconds: its times are those of the store."""

    def __init__(self, clock: Clock) -> None:
        self._server = _Server(clock)

    def store(self, **options: Any) -> Store:
        """A store on it, with the *options* of :class:`Store`; several see the same events."""
        redis = FakeAsyncRedis(server=self._server, connection_class=_Connection)
        return Store(StoreClient(redis), **options)


class _Server(FakeServer):
    def __init__(self, clock: Clock) -> None:
        super().__init__(_VERSION)
        self.clock = clock
        self.dbs = defaultdict(lambda: _Database(self.lock, clock))


class _Database(Database):
    """Keys expire by the clock that it is given, not by the machine's."""

    def __init__(self, lock: Any, clock: Clock) -> None:
        self._clock = clock
        super().__init__(lock)

    @property
    def time(self) -> float:
        return self._clock()

    @time.setter
    def time(self, _machine: float) -> None:
        """The server sets this before each command, to the machine's time."""


class _Socket(AsyncFakeSocket):
    _server: _Server

    def time(self) -> list[bytes]:
        """``TIME``, which decides every due time."""
        microseconds = round(self._server.clock() * 1_000_000)
        return [str(part).encode() for part in divmod(microseconds, 1_000_000)]

    def _get_server_runtime(self, server: FakeServer) -> Any:
        runtime = super()._get_server_runtime(server)
        if runtime.globals()[b"redis"][b"sha1hex"] is None:
            runtime.globals()[b"redis"][b"sha1hex"] = _sha1hex
        return runtime


def _sha1hex(text: bytes) -> bytes:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()


class _Connection(FakeAsyncRedisConnection):
    async def _connect(self) -> None:
        self._sock = _Socket(self._server, self.db, client_class=self._client_class, client_info=self._client_info)
        self._reader, self._writer = FakeReader(self._sock), FakeWriter(self._sock)
