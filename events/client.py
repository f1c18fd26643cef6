"""The client of one Redis: its scripts, and one error for every failure.

:mod:`events.store` lists the keys.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from io import BytesIO
from typing import Any, cast

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from events.checking import RIGHTS
from events.errors import StoreUnavailable

PREFIX = "tw:"
ANSWER_SECONDS = 5.0

_CLUSTER_CODES = {"MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN", "TRYAGAIN"}
_BYTES_READ = 1024 * 1024  # of a long value at a time

_SCRIPTS = (
    "accept",
    "claim",
    "begin",
    "gate",
    "renew",
    "plan",
    "steps",
    "keep_step",
    "finish",
    "requeue",
    "discard",
    "overview",
    "bound_parked",
    "index_parked",
    "index_causes",
    "keep",
    "open_enrolment",
    "enrol",
    "spend",
    "reconnect",
    "begin_run",
    "end_run",
    "await_event",
    "stop_awaiting",
    "remember_arrival",
    "wake_runs",
    "take_turn",
    "keep_turn",
)
_PARTS = {
    "accept": ["leasing"],
    "claim": ["leasing"],
    "gate": ["ending", "lanes"],
    "plan": ["lanes"],
    "finish": ["ending", "lanes", "parking", "causes"],
    "bound_parked": ["ending", "parking"],
    "index_parked": ["ending", "parking"],
    "index_causes": ["ending", "parking", "causes"],
    "requeue": ["ending", "parking", "causes"],
    "discard": ["ending", "parking", "causes"],
    "await_event": ["lanes"],
    "reconnect": ["ending"],
}


class StoreClient:
    """One Redis: its scripts, the prefix of its keys, and the timeout (s) of an answer.

    Every method raises :class:`StoreUnavailable` when Redis did not confirm. The outcome is unknown then.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str = PREFIX,
        answer_seconds: float = ANSWER_SECONDS,
        platform_sources: Collection[str] = (),
    ) -> None:
        self.redis = redis
        self.platform_sources = frozenset(platform_sources)
        """Sources besides ``truto`` that are Truto's own, for events of versions that did not write it down."""
        self.prefix = prefix
        self.answer_seconds = answer_seconds
        self.maxmemory = 0
        """The server's memory limit in bytes, as last read; 0 if there is none or it could not be read."""
        self._scripts = {name: redis.register_script(_source(name)) for name in _SCRIPTS}

    def key(self, name: str) -> str:
        """The key of this name."""
        return self.prefix + name

    def script(self, name: str) -> AsyncScript:
        """A script by its name, for callers that send more in the same round trip."""
        return self._scripts[name]

    async def run(self, script: str, args: Sequence[str | bytes | int]) -> Any:
        """The answer of a script."""
        async with confirmed():
            return await self._scripts[script](args=[self.prefix, *args])

    async def read(self, key: str) -> bytes:
        """A long value, or ``b""``. It is read in pieces, so that neither side buffers it twice."""
        read = BytesIO()
        async with confirmed():
            while piece := await self.redis.getrange(f"{self.prefix}{key}", read.tell(), read.tell() + _BYTES_READ - 1):
                read.write(piece)
                if len(piece) < _BYTES_READ:
                    break
        return read.getvalue()

    async def now(self) -> float:
        """Unix seconds by Redis' clock, which decides every due time."""
        async with confirmed():
            seconds, micro = await cast("Awaitable[tuple[int, int]]", self.redis.time())
        return seconds + micro / 1e6


@cache  # a test kit opens a store for each test
def _source(name: str) -> str:
    folder = resources.files("events") / "scripts"
    return "".join((folder / f"{part}.lua").read_text() for part in ("prelude", *_PARTS.get(name, ()), name))


@asynccontextmanager
async def confirmed() -> AsyncIterator[None]:
    """Turn every failure of a Redis call into :class:`StoreUnavailable`."""
    try:
        yield
    except (TimeoutError, RedisError, OSError) as exc:
        raise unconfirmed(exc) from None


def unconfirmed(exc: BaseException) -> StoreUnavailable:
    """The :class:`StoreUnavailable` for a failed Redis call, with what to do where waiting will not help."""
    # The text of a Redis error can contain the whole command with its payload: only the kind of error is passed on.
    code = _error_code(exc)
    remedy = _remedy(exc, code)
    kind = f"Redis did not confirm: {type(exc).__name__}{code and ' '}{code}"
    return StoreUnavailable(f"{kind}: {remedy}" if remedy else kind, remedy=remedy)


def _remedy(exc: BaseException, code: str) -> str:
    if isinstance(exc, AuthenticationError):
        return "REDIS_URL needs another user or password (percent-encoded)"
    if isinstance(exc, NoPermissionError) or "ACL failure in script" in str(exc):
        return f"the user of REDIS_URL lacks a right: it needs `{RIGHTS}`"
    if code in _CLUSTER_CODES or "in a cluster node" in str(exc):
        return "REDIS_URL leads to a node of a Redis Cluster, which is not supported: use one master"
    if "CERTIFICATE_VERIFY_FAILED" in str(exc):
        return (
            "its certificate does not prove that it is the host in REDIS_URL: give the file of your own authority with "
            "?ssl_ca_certs=<file>, and write the host as the certificate names it"
        )
    return ""


def _error_code(exc: BaseException) -> str:
    """The first word of a server's error, such as MISCONF or OOM; nothing for other errors."""
    word = str(exc).split(" ", 1)[0]
    return word if word.isalpha() and word.isupper() else ""


def time_of(milliseconds: float) -> datetime:
    """A moment of Redis' clock, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
