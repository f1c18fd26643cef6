"""``truto-worker dev``: everything up, handlers reload, nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from cli.dev_folder import read_dev_secret
from events.embedded import EmbeddedRedis
from tests.servers import free_port

HANDLER = """
from events import Event
from worker import Context, on


@on("visit:made")
async def made(event: Event, ctx: Context) -> None:
    ctx.log.info("visit_seen", number={number})
"""


class Dev:
    """A running ``dev`` in a folder of its own."""

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        self.folder, self.port, self.sandbox_port = folder, free_port(), free_port()
        self.output = folder / "output"
        arguments = ["dev", "--port", str(self.port), "--sandbox-port", str(self.sandbox_port), *options]
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("REDIS_", "TRUTO_"))}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli", *arguments],
                cwd=folder,
                env={**keep, "PYTHONUNBUFFERED": "1", **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_for(self, text: str, seconds: float = 30) -> str:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            said = self.output.read_text(errors="replace")
            if re.search(text, said):
                return said
            time.sleep(0.05)
        raise AssertionError(f"{text!r} was never said:\n{self.output.read_text(errors='replace')}")

    def send(self, event_type: str) -> int:
        command = [sys.executable, "-m", "cli", "send", event_type, "--url", f"http://127.0.0.1:{self.port}"]
        return subprocess.run(command, cwd=self.folder, capture_output=True, timeout=30).returncode

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(40)


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    (tmp_path / "visits").mkdir()
    (tmp_path / "visits" / "__init__.py").touch()
    running = Dev(tmp_path, HANDLERS="visits")
    yield running
    if running.process.poll() is None:
        running.stop()


def test_an_unwanted_event_prints_a_handler_and_runs_when_it_is_saved(dev: Dev) -> None:
    dev.wait_for("Ctrl-C stops everything")
    assert dev.send("visit:made") == 0
    said = dev.wait_for("visit_made|def made")
    assert '@on("visit:made")' in said
    (dev.folder / "visits" / "visit.py").write_text(HANDLER.format(number=1))
    dev.wait_for("visit_seen.*number=1")
    (dev.folder / "visits" / "visit.py").write_text("this is no Python(")
    dev.wait_for("cannot be imported: SyntaxError")
    (dev.folder / "visits" / "visit.py").write_text(HANDLER.format(number=2))
    dev.wait_for("(visits.visit.made handles[^§]*){2}")
    assert dev.send("visit:made") == 0
    dev.wait_for("visit_seen.*number=2")
    assert dev.stop() == 0
    assert "Stopped." in dev.output.read_text()
    assert not (dev.folder / ".truto-worker" / "redis" / "redis.sock").exists()
    assert (dev.folder / ".truto-worker" / "dev-secret").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("option", ["--port", "--sandbox-port"])
def test_a_port_in_use_is_told_with_the_option_that_helps(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = str(somebody.getsockname()[1])
        ports = {"--port": str(free_port()), "--sandbox-port": str(free_port()), option: port}
        ran = run_dev(tmp_path, *(word for pair in ports.items() for word in pair))
    assert ran.returncode == 2
    assert f"port {port} is in use by another process: end that one, or choose another with {option}" in ran.stderr


def test_dev_ends_when_one_of_its_processes_cannot_start(tmp_path: Path) -> None:
    ran = run_dev(tmp_path, "--port", str(free_port()), "--sandbox-port", str(free_port()), MAX_BODY_BYTES="1")
    assert ran.returncode == 1
    assert "ended with code 2" in ran.stdout


def run_dev(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", "dev", *options]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )


def test_dev_works_on_its_own_redis_whatever_is_exported(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    with Redis.from_url(redis_server.url) as admin:
        admin.flushall()
        running = Dev(tmp_path, REDIS_URL=redis_server.url, TRUTO_API_TOKEN="production", NOTIFY_URLS="json://10.0.0.1")
        try:
            said = running.wait_for("Ctrl-C stops everything")
            assert running.send("link_token:connection_error") == 0
            running.wait_for("link_token:connection_error .* done")
        finally:
            running.stop()
        assert admin.keys("*") == []
    assert "REDIS_URL is not used" in said


def test_dev_works_on_the_redis_that_is_named(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    with Redis.from_url(redis_server.url) as admin:
        admin.flushall()
        running = Dev(tmp_path, "--redis", redis_server.url)
        try:
            running.wait_for("Ctrl-C stops everything")
            assert running.send("link_token:connection_error") == 0
            running.wait_for("link_token:connection_error .* done")
        finally:
            running.stop()
        assert admin.exists("tw:totals")
        assert f"redis      {redis_server.url}" in running.output.read_text()


def test_a_folder_of_handlers_that_appears_is_loaded(tmp_path: Path) -> None:
    running = Dev(tmp_path)
    try:
        running.wait_for("Ctrl-C stops everything")
        (tmp_path / "handlers").mkdir()
        (tmp_path / "handlers" / "visit.py").write_text(HANDLER.format(number=3))
        running.wait_for(r"handlers\.visit\.made handles visit:made \(handlers/visit\.py\)")
    finally:
        running.stop()


def test_a_line_for_each_event_fits_the_terminal_and_the_rest_is_for_verbose(dev: Dev) -> None:
    dev.wait_for("Ctrl-C stops everything")
    (dev.folder / "visits" / "visit.py").write_text(
        HANDLER.format(number=1).replace("ctx.log.info", "raise ValueError")
    )
    dev.wait_for(r"visits\.visit\.made handles")
    assert dev.send("visit:made") == 0
    said = dev.wait_for(r"visit:made +- +made +retried +\d+ ms(.*\n)+ +raise ValueError")
    assert "visits/visit.py, line 8, in made" in said
    assert "worker_started" not in said
    assert all(len(line) <= 100 for line in said.partition("Ctrl-C")[2].splitlines())


def test_a_delivery_of_send_is_listed_in_the_sandbox(dev: Dev) -> None:
    dev.wait_for("Ctrl-C stops everything")
    command = [sys.executable, "-m", "cli", "send", "record:meta", "--json"]  # dev says where its ingress is
    sent = json.loads(subprocess.run(command, cwd=dev.folder, capture_output=True, timeout=30, check=True).stdout)
    with urllib.request.urlopen(f"http://127.0.0.1:{dev.sandbox_port}/sandbox/deliveries") as answer:
        (row,) = json.load(answer)["result"]
    assert (row["event"], row["event_id"], row["status"]) == ("record:meta", sent["id"], 200)


def test_a_second_interrupt_leaves_no_process_behind(dev: Dev) -> None:
    dev.wait_for("Ctrl-C stops everything")
    dev.process.send_signal(signal.SIGINT)
    dev.process.send_signal(signal.SIGINT)
    assert dev.process.wait(40) == 0
    for port in (dev.port, dev.sandbox_port):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


def test_there_is_no_dev_secret_where_dev_has_not_run(tmp_path: Path) -> None:
    assert read_dev_secret(tmp_path) is None
