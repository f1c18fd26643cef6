"""``truto-worker sandbox``, a process of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.processes import Processes
from cli.sandbox import run_sandbox
from events import ConfigError
from tests.servers import free_port

CALL = b"GET /ping HTTP/1.1\r\nHost: sandbox\r\nAuthorization: Bearer sandbox-token\r\n\r\n"
PER_TOKEN = 500


@contextmanager
def connected(logs: Path, *options: str) -> Iterator[socket.socket]:
    """A connection to a sandbox that was started with *options*."""
    port = free_port()
    with Processes(logs=logs) as processes:
        process = processes.start("sandbox", ["sandbox", "--port", str(port), *options], {})
        processes.wait_until_up(process, f"http://127.0.0.1:{port}/sandbox/faults")
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            yield connection


def ask(connection: socket.socket) -> tuple[int, bytes]:
    """The status and the body of the one packet that answers a call."""
    connection.sendall(CALL)
    head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@pytest.mark.parametrize(("options", "status"), [((), 429), (("--no-rate-limits",), 200)], ids=["limited", "unlimited"])
def test_a_token_is_limited_unless_told_otherwise(tmp_path: Path, options: tuple[str, ...], status: int) -> None:
    with connected(tmp_path, *options) as connection:
        assert {ask(connection)[0] for _ in range(PER_TOKEN)} == {200}
        assert ask(connection)[0] == status


def test_an_answer_is_one_packet(tmp_path: Path) -> None:
    with connected(tmp_path, "--no-rate-limits") as connection:
        assert {ask(connection) for _ in range(200)} == {(200, b'{"success":true}')}


def test_an_integration_of_a_file_is_installed(tmp_path: Path) -> None:
    file = tmp_path / "acme.yaml"
    file.write_text("base_url: https://api.acme.example\nresources: {users: {list: {path: /users}}}\n")
    call = CALL.replace(b"/ping", b"/environment-integration")
    with connected(tmp_path, "--integration", str(file)) as connection:
        connection.sendall(call)
        assert b'"base_url":"https://api.acme.example"' in connection.recv(65536)


def test_an_integration_with_faults_does_not_start(tmp_path: Path) -> None:
    file = tmp_path / "acme.yaml"
    file.write_text("base_url: https://api.acme.example\nresourcs: {}\n")
    with pytest.raises(ConfigError, match=r"acme\.yaml: resourcs: is not known here; did you mean resources\?"):
        run_sandbox(host="127.0.0.1", port=free_port(), webhook_url=None, step_seconds=0.1, integrations=[file])
