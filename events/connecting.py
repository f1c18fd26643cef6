"""From a ``REDIS_URL`` to a client that gives up in time and follows a failover. Makes no connection by itself."""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection
from redis.connection import HiredisRespSerializer, PythonRespSerializer
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from events.errors import BadStoreURL

SENTINEL_SCHEME = "redis+sentinel://"
SCHEMES = ("redis://", "rediss://", "unix://", SENTINEL_SCHEME)

_CONNECT_SECONDS = 2.0
# All sentinels are asked one after the other, and a sender is waiting meanwhile.
_SENTINEL_SECONDS = 1.0
_SENTINEL_PORT = 26379
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@/\s]+)(?::([0-9]{1,5}))?")
_MASTER = re.compile(r"[A-Za-z0-9._-]+")  # what Redis allows as a master's name
_SENTINEL_OPTIONS = {"sentinel_username": "username", "sentinel_password": "password"}
_ANSWERS_AS: dict[str, Any] = {"decode_responses": False, "encoding": "utf-8", "encoding_errors": "strict"}
_ENCODE = "in a password, write / ? # @ : % percent-encoded"


def connect(url: str, *, answer_seconds: float) -> Redis:
    """A client for the Redis at *url*, in one of :data:`SCHEMES`; ``redis+sentinel://`` follows the master.

    A Redis that has not answered within *answer_seconds* counts as unavailable. One that turns out to be a replica is
    left, so that the next command finds the new master. Raises :class:`BadStoreURL`, whose message repeats nothing of
    *url*.
    """
    if url.startswith(SENTINEL_SCHEME):
        return _through_sentinels(read_sentinel_url(url), _options(answer_seconds))
    if not url.startswith(SCHEMES):
        raise BadStoreURL(f"must begin with {', '.join(SCHEMES)}")
    return _directly(url, _options(answer_seconds))


def check_url(url: str) -> None:
    """Raise :class:`BadStoreURL` for what :func:`connect` would refuse."""
    connect(url, answer_seconds=1.0)


def _options(answer_seconds: float) -> dict[str, Any]:
    # Without these a frozen Redis hangs its clients for ever, and without a word.
    return {
        "socket_connect_timeout": _CONNECT_SECONDS,
        "socket_timeout": answer_seconds,
        "health_check_interval": 15,
        "socket_keepalive": True,
    }


def _directly(url: str, options: dict[str, Any]) -> Redis:
    if url.startswith("unix:"):
        del options["socket_keepalive"]
    try:
        parts = urlsplit(url)
        if not url.startswith("unix:") and not re.fullmatch(r"(/[0-9]*)?", parts.path):
            raise ValueError("redis-py would silently take database 0")
        pool = ConnectionPool.from_url(url, **options)
        if pool.connection_class is SSLConnection:
            _check_names(pool.connection_kwargs)
        pool.connection_class = _OUR_CONNECTIONS[pool.connection_class]
        pool.make_connection()  # type: ignore[no-untyped-call]  # to learn now that it does not know an option
    except (ValueError, TypeError, AttributeError, OSError, RedisError):
        # The text of these errors may hold what was taken for the port, and that may be a part of the password.
        fault = _tls_fault(url) or f"is not of the form redis://[user:password@]host[:port][/db]; {_ENCODE}"
        raise BadStoreURL(fault) from None
    pool.connection_kwargs.update(_ANSWERS_AS)  # what another program of the team says in its URL is about that one
    return Redis.from_pool(pool)


def _check_names(options: dict[str, Any]) -> None:
    """Have the server prove that it is the one in the URL, which redis-py 5 leaves out.

    Raises ``OSError`` for files of certificates or keys that cannot be used.
    """
    options.setdefault("ssl_check_hostname", options.get("ssl_cert_reqs") != "none")
    named = {name: options.get(f"ssl_{name}") for name in ("ca_certs", "certfile", "keyfile")}
    if any(named.values()):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if named["ca_certs"]:
            context.load_verify_locations(named["ca_certs"])
        if named["certfile"]:
            context.load_cert_chain(named["certfile"], named["keyfile"])


def _tls_fault(url: str) -> str:
    """What is wrong with the TLS options of *url*; nothing where it is something else."""
    given = dict(parse_qsl(url.partition("?")[2]))
    files = [name for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile") if name in given]
    if "ssl_cert_reqs" in given and not url.startswith("rediss://"):
        return "sets ssl_cert_reqs, which is for rediss:// alone"
    if given.get("ssl_cert_reqs", "none") not in ("none", "optional", "required"):
        return "sets ssl_cert_reqs to what it cannot be: none, optional or required"
    return (
        f"names files that cannot be used ({', '.join(files)}): they have to be PEM, and readable here" if files else ""
    )


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """What a ``redis+sentinel://`` URL says. ``login`` is for Redis, ``sentinel_login`` for the sentinels."""

    sentinels: tuple[tuple[str, int], ...]
    master: str
    db: int = 0
    login: dict[str, str] = field(repr=False, default_factory=dict)
    sentinel_login: dict[str, str] = field(repr=False, default_factory=dict)


def read_sentinel_url(url: str) -> SentinelAddress:
    """Read ``redis+sentinel://[[user]:password@]host[:port],…/<master name>[/<db>][?sentinel_password=…]``.

    The port of a sentinel is 26379 unless given; ``sentinel_username`` is taken too. Raises :class:`BadStoreURL`,
    whose message repeats nothing of *url*.
    """
    rest, _, query = url.removeprefix(SENTINEL_SCHEME).partition("?")
    netloc, _, path = rest.partition("/")
    userinfo, _, hosts = netloc.rpartition("@")
    master, _, db = path.partition("/")
    if not _MASTER.fullmatch(master) or not re.fullmatch(r"[0-9]*", db):
        raise BadStoreURL(f"needs the master's name behind the sentinels: …/<master name>[/<db>]; {_ENCODE}")
    return SentinelAddress(
        sentinels=tuple(_host_and_port(host) for host in hosts.split(",")),
        master=master,
        db=int(db or 0),
        login=_login(userinfo),
        sentinel_login=_sentinel_login(query),
    )


def _host_and_port(text: str) -> tuple[str, int]:
    match = _HOST_AND_PORT.fullmatch(text)
    port = int(match[2] or _SENTINEL_PORT) if match else 0
    if match is None or not 0 < port < 65536:
        raise BadStoreURL(f"names the sentinels as host:port,host:port; {_ENCODE}")
    return match[1].strip("[]"), port


def _login(userinfo: str) -> dict[str, str]:
    user, _, password = userinfo.partition(":")
    return {name: unquote(text) for name, text in (("username", user), ("password", password)) if text}


def _sentinel_login(query: str) -> dict[str, str]:
    given = parse_qsl(query, keep_blank_values=True)
    if not all(name in _SENTINEL_OPTIONS and text for name, text in given):
        raise BadStoreURL(f"takes only {' and '.join(_SENTINEL_OPTIONS)} behind the question mark; {_ENCODE}")
    return {_SENTINEL_OPTIONS[name]: text for name, text in given}


def _through_sentinels(address: SentinelAddress, options: dict[str, Any]) -> Redis:
    waiting = {"socket_connect_timeout": _SENTINEL_SECONDS, "socket_timeout": _SENTINEL_SECONDS}
    sentinels = Sentinel(address.sentinels, sentinel_kwargs={**waiting, **address.sentinel_login})  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    options |= {"connection_class": _MasterConnection, "db": address.db, **address.login}
    pool = _MasterPool(address.master, sentinels, **options)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    return Redis.from_pool(pool)


class _SendsAtOnce(AbstractConnection):
    """Has a command on its way within the round of the event loop that gave it.

    redis-py lets some rounds pass first: for what a connection from the pool might still bring, and for a task of its
    own that writes. All that is ready runs in these rounds, a hundred deliveries perhaps, and Redis is idle meanwhile.
    """

    def pack_command(self, *args: Any) -> list[bytes]:
        """*args* as Redis reads them; a command of two words is two arguments. One call of hiredis: ours have many.

        What is set may be large, and is not copied beside the rest.
        """
        if args[0] == "SET":
            return PythonRespSerializer(self._buffer_cutoff, self.encoder.encode).pack(*args)  # type: ignore[no-any-return, no-untyped-call]  # redis-py leaves it untyped
        return HiredisRespSerializer().pack(*args)  # type: ignore[no-any-return]  # redis-py leaves it untyped

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Write *command* and wait for nothing: an answer that does not come in time says the same of a full socket."""
        writer = self._writer
        if writer is None or writer.is_closing() or (check_health and self._is_to_be_checked()):
            await super().send_packed_command(command, check_health)
        else:
            writer.writelines([command] if isinstance(command, bytes) else command)

    def _is_to_be_checked(self) -> bool:
        return asyncio.get_running_loop().time() > self.next_health_check

    async def can_read_destructive(self) -> bool:
        """Whether there is an answer that nobody has asked for: the next command would take it for its own."""
        stream: Any = self._reader
        parser: Any = self._parser
        if stream is None or stream.exception() is not None or stream.at_eof():
            raise LostConnection("the server has hung up")
        return bool(stream._buffer) or parser._reader.has_data()  # noqa: SLF001  neither tells it in public


class _LeavesReplicas(_SendsAtOnce):
    """Hangs up on a server that was degraded to a replica: it will refuse every write from now on.

    redis-py does so only for masters found through sentinels, not behind a name that moves, and does not see the
    READONLY that Redis before 7 wraps into a script's own error.
    """

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().read_response(*args, **kwargs)
        except ResponseError as exc:
            # From Redis 7 on it is the error's code, which redis-py takes off the message.
            if not isinstance(exc, ReadOnlyError) and "READONLY" not in str(exc):
                raise
            await self.disconnect(nowait=True)
            raise ReadOnlyError("READONLY this server is a replica") from None


class _TcpConnection(_LeavesReplicas, Connection):
    pass


class _TlsConnection(_LeavesReplicas, SSLConnection):
    pass


class _UnixConnection(_SendsAtOnce, UnixDomainSocketConnection):
    pass


class _MasterConnection(_LeavesReplicas, SentinelManagedConnection):
    pass


_OUR_CONNECTIONS: dict[type[AbstractConnection], type[AbstractConnection]] = {
    Connection: _TcpConnection,
    SSLConnection: _TlsConnection,
    UnixDomainSocketConnection: _UnixConnection,
}


class _MasterPool(SentinelConnectionPool):
    """Closes the connections to the sentinels with its own; redis-py leaves them open."""

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        if inuse_connections:
            for sentinel in self.sentinel_manager.sentinels:
                await sentinel.aclose()
