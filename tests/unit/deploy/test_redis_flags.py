"""The Redis of the deploy files keeps what it acknowledged, asked of a real server started with the same flags."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import pytest
import redis

from events.embedded import find_redis_server
from tests.unit.deploy.tree import compose, of_kind


def _flags() -> dict[str, list[str]]:
    (stateful_set,) = of_kind("StatefulSet")
    (container,) = stateful_set["spec"]["template"]["spec"]["containers"]
    return {"compose": compose()["services"]["redis"]["command"], "kubernetes": container["args"]}


@contextmanager
def _running(command: list[str]) -> Iterator[redis.Redis]:
    """A server with *command*'s flags, on a unix socket and in a directory of its own."""
    # A unix socket's path may have 107 characters, and pytest's own directories can be longer.
    with TemporaryDirectory() as directory:
        socket = Path(directory) / "s"
        # Redis enters --dir as soon as it reads it, so /data has to be replaced and cannot be overridden.
        flags = [directory if flag == "/data" else flag for flag in command[1:]]
        here = ["--port", "0", "--unixsocket", str(socket)]
        process = subprocess.Popen([find_redis_server(), *flags, *here], stdout=subprocess.DEVNULL)
        client = redis.Redis(unix_socket_path=str(socket), decode_responses=True)
        try:
            _wait_until_it_answers(client, process)
            yield client
        finally:
            client.close()
            process.terminate()
            process.wait()


def _wait_until_it_answers(client: redis.Redis, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(redis.ConnectionError):
            client.ping()
            return
        time.sleep(0.01)


def _setting(client: redis.Redis, name: str) -> str:
    return cast("dict[str, str]", client.config_get(name))[name]


@pytest.mark.parametrize("host", ["compose", "kubernetes"])
def test_redis_started_with_the_flags_syncs_every_write_and_evicts_nothing(host: str) -> None:
    with _running(_flags()[host]) as client:
        wanted = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "save": ""}
        assert {name: _setting(client, name) for name in wanted} == wanted
        assert int(_setting(client, "maxmemory")) == 1024**3
