"""redis-servers on loopback ports, as masters, replicas and sentinels, for tests that break them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from events.embedded import find_redis_server
from tests.servers import free_port

PASSWORD = "p@ss/word:#1"
"""The password of masters and replicas: with characters that a URL has to encode."""

SENTINEL_PASSWORD = "sentinel-word"
_START_SECONDS = 10.0


class Node:
    """One redis-server on a loopback port of its own; ends with the ``with`` block, however it was left."""

    def __init__(
        self,
        folder: Path,
        lines: list[str],
        *,
        password: str | None = None,
        sentinel: bool = False,
        server: str | None = None,
    ) -> None:
        self.server = server or find_redis_server()
        self.port = free_port()
        self.password = password
        self._config = folder / f"{self.port}.conf"
        data = folder / str(self.port)
        data.mkdir()
        quoted = [f'requirepass "{password}"', f'masterauth "{password}"'] if password and not sentinel else []
        quoted += [f'requirepass "{password}"'] if password and sentinel else []
        durable = [] if sentinel else ["appendonly yes", "appendfsync always", "maxmemory-policy noeviction", 'save ""']
        own = [f"port {self.port}", "bind 127.0.0.1", f'dir "{data}"', "repl-diskless-sync-delay 0", *durable, *quoted]
        self._config.write_text("\n".join([*own, *lines]) + "\n")
        self._arguments = [self.server, str(self._config), *(["--sentinel"] if sentinel else [])]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def client(self) -> Redis:
        return Redis(port=self.port, password=self.password, socket_timeout=5)

    def start(self) -> None:
        self._process = subprocess.Popen(self._arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_SECONDS
        with self.client() as client:
            while True:
                try:
                    client.ping()
                    return
                except (RedisError, OSError):
                    assert self._process.poll() is None, "redis-server ended"
                    assert time.monotonic() < deadline, "redis-server does not answer"
                    time.sleep(0.01)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stopped by SIGSTOP within the block, and going on behind it."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> Node:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def cluster_lines() -> list[str]:
    """What makes a node one of a cluster. Its bus has a port of its own: it would be 10,000 above, and few are."""
    return ["cluster-enabled yes", f"cluster-port {free_port()}"]


def replica_of(master: Node, folder: Path, *lines: str) -> Node:
    """A node that follows *master*; not started yet."""
    following = [f"replicaof 127.0.0.1 {master.port}", *lines]
    return Node(folder, following, password=master.password, server=master.server)


def sentinel_of(master: Node, folder: Path, *, quorum: int = 1, down_after_ms: int = 300) -> Node:
    """A sentinel that watches *master* as ``events``; not started yet."""
    lines = [
        f"sentinel monitor events 127.0.0.1 {master.port} {quorum}",
        f"sentinel down-after-milliseconds events {down_after_ms}",
        "sentinel failover-timeout events 3000",
        f'sentinel auth-pass events "{master.password}"',
        f'sentinel sentinel-pass "{SENTINEL_PASSWORD}"',
    ]
    return Node(folder, lines, password=SENTINEL_PASSWORD, sentinel=True)


def wait_until_linked(master: Node, replica: Node) -> None:
    """Return when *replica* has its master's data and confirms what *master* writes, which Redis 7 does only later."""
    deadline = time.monotonic() + _START_SECONDS
    with master.client() as writer, replica.client() as reader:
        while not _confirms(writer, reader):
            assert time.monotonic() < deadline, "the replica does not follow"
            time.sleep(0.02)


def _confirms(master: Any, replica: Any) -> bool:
    if replica.info("replication")["master_link_status"] != "up":
        return False
    master.publish("linked", "?")  # goes to replicas as a write does, and leaves nothing behind
    return bool(master.wait(1, 100) == 1)
