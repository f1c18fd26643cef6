"""The ingress with a file of sources, as a process of its own: it starts, follows the file, and tells its refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.processes import Process, Processes
from events.embedded import EmbeddedRedis
from tests.servers import free_port

TOKEN = "a token of more than sixteen bytes"


def put(file: Path, token: str) -> None:
    block = {"signature_verification": {"format": "bearer", "config": {}}}
    file.write_text(json.dumps({"tools": {"webhook": block, "secrets": [token]}}))


class Ingress:
    """A running ingress without Truto's own source."""

    def __init__(self, processes: Processes, redis_url: str, folder: Path) -> None:
        self.file = folder / "sources.yaml"
        put(self.file, TOKEN)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.environment = {
            "REDIS_URL": redis_url,
            "SOURCES_FILE": str(self.file),
            "TRUTO_WEBHOOK_SECRET": "",
            "PORT": self.url.rpartition(":")[2],
        }
        self.process: Process = processes.start("ingress", ["ingress"], self.environment)
        processes.wait_until_up(self.process, f"{self.url}/readyz")

    def deliver(self, token: str) -> int:
        request = urllib.request.Request(
            f"{self.url}/webhooks/tools",
            data=b'{"event":"ping"}',
            headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answered:
                return int(answered.status)
        except urllib.error.HTTPError as exc:
            exc.close()
            return exc.code

    def wait_for(self, status: int, token: str) -> None:
        ends = time.monotonic() + 10
        while self.deliver(token) != status:
            assert time.monotonic() < ends, self.process.last_words()
            time.sleep(0.1)


@pytest.fixture
def ingress(redis_server: EmbeddedRedis, tmp_path: Path) -> Iterator[Ingress]:
    with Processes(logs=tmp_path) as processes:
        yield Ingress(processes, redis_server.url, tmp_path)


def test_an_ingress_follows_its_file_and_remembers_refusals(ingress: Ingress) -> None:
    assert ingress.deliver(TOKEN) == 200
    assert ingress.deliver("wrong") == 401
    put(ingress.file, "new " + TOKEN)
    os.kill(ingress.process.pid, signal.SIGHUP)
    ingress.wait_for(200, "new " + TOKEN)
    assert ingress.deliver(TOKEN) == 401
    ingress.file.write_text("tools: {preset: nope}")
    os.kill(ingress.process.pid, signal.SIGHUP)
    ends = time.monotonic() + 10
    while "sources_kept" not in ingress.process.last_words():
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert ingress.deliver("new " + TOKEN) == 200
    time.sleep(1.2)  # refusals are written about once a second
    command = [sys.executable, "-m", "cli", "sources", "refusals", "--source", "tools"]
    environment = {**os.environ, **ingress.environment}
    told = subprocess.run([*command, "--json"], env=environment, capture_output=True, text=True, check=True)
    assert {row["reason"] for row in json.loads(told.stdout)} == {"signature_mismatch"}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "signature_mismatch" in told.stdout
    assert TOKEN not in told.stdout


def test_an_ingress_with_a_faulty_file_does_not_start(tmp_path: Path) -> None:
    file = tmp_path / "sources.yaml"
    file.write_text("tools: {preset: nope}")
    environment = {**os.environ, "REDIS_URL": "redis://127.0.0.1:1", "SOURCES_FILE": str(file)}
    command = [sys.executable, "-m", "cli", "ingress"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    assert f"{file}: tools.preset: there is no such preset" in ended.stderr
