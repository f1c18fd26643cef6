"""Where the public port of real ingress processes listens, and how the start ends where it cannot."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from cli.processes import Processes
from tests.integration.ingress.edge import SECRET
from tests.servers import free_port

NO_STORE = {"REDIS_URL": "redis://127.0.0.1:1", "TRUTO_WEBHOOK_SECRET": SECRET, "ADMIN_PORT": "off"}


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(logs=tmp_path) as running:
        yield running


def reached(port: int) -> dict[str, bool]:
    found = {}
    for address in ("127.0.0.1", "127.0.0.2", "::1"):
        try:
            socket.create_connection((address, port), 2).close()
        except OSError:
            found[address] = False
        else:
            found[address] = True
    return found


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("::", {"127.0.0.1", "127.0.0.2", "::1"}),
        ("*", {"127.0.0.1", "127.0.0.2", "::1"}),
        ("0.0.0.0", {"127.0.0.1", "127.0.0.2"}),
        ("127.0.0.2", {"127.0.0.2"}),
        ("", {"127.0.0.1", "127.0.0.2", "::1"}),  # as a platform starts it: PORT alone
    ],
)
def test_it_listens_where_it_was_told_to(processes: Processes, host: str, addresses: set[str]) -> None:
    port = free_port()
    environment = {**NO_STORE, "PORT": str(port), "HOST": host}
    ingress = processes.start("ingress", ["ingress"], environment)
    first = "127.0.0.2" if host == "127.0.0.2" else "127.0.0.1"
    processes.wait_until_up(ingress, f"http://{first}:{port}/livez")
    assert {address for address, there in reached(port).items() if there} == addresses


@pytest.mark.parametrize(
    ("host", "reason"),
    [("127.0.0.1", "Address already in use"), ("::", "Address already in use"), ("nowhere.invalid", "")],
)
def test_where_it_cannot_listen_it_ends_with_code_2_and_says_why(host: str, reason: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "cli", "ingress"],
            env={"PATH": "", **NO_STORE, "HOST": host, "PORT": str(port)},
            capture_output=True,
            text=True,
            timeout=30,
        )
    (line,) = map(orjson.loads, ended.stderr.splitlines())
    assert (ended.returncode, line["event"], line["host"], line["port"]) == (2, "port_taken", host, port)
    assert reason in line["reason"]
    assert "PORT" in line["remedy"]
