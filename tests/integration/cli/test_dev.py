"""``truto-worker dev``: everything up, handlers reload, nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.dev import handler_folders, read_dev_secret
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

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.output = folder / "output"
        arguments = ["dev", "--port", str(self.port), "--sandbox-port", str(free_port())]
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("REDIS_", "TRUTO_"))}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli", *arguments],
                cwd=folder,
                env={**keep, "HANDLERS": "visits", "PYTHONUNBUFFERED": "1"},
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
    running = Dev(tmp_path)
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
    dev.wait_for("(worker_started[^§]*){3}")
    assert dev.send("visit:made") == 0
    dev.wait_for("visit_seen.*number=2")
    assert dev.stop() == 0
    assert "Stopped." in dev.output.read_text()
    assert not (dev.folder / ".truto-worker" / "redis" / "redis.sock").exists()
    assert (dev.folder / ".truto-worker" / "dev-secret").stat().st_mode & 0o077 == 0


def test_dev_ends_when_one_of_its_processes_cannot_start(dev: Dev) -> None:
    dev.wait_for("Ctrl-C stops everything")
    second = Dev.__new__(Dev)
    second.folder = dev.folder
    command = [sys.executable, "-m", "cli", "dev", "--port", str(dev.port), "--sandbox-port", str(free_port())]
    ran = subprocess.run(command, cwd=dev.folder.parent, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1
    assert "ended with code" in ran.stdout


def test_there_is_no_dev_secret_where_dev_has_not_run(tmp_path: Path) -> None:
    assert read_dev_secret(tmp_path) is None


def test_the_watched_folders_are_those_of_the_handler_packages(tmp_path: Path) -> None:
    import handlers

    assert handler_folders(["handlers", " no_such_package"]) == list(handlers.__path__)
    assert handler_folders(["string"]) == [__import__("string").__file__]
