"""``dev --truto``: a webhook in Truto (here: the sandbox in its role) leads to this machine through a relay."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.errors import TunnelFailedError
from cli.tunnel import tunnel_to
from tests.integration.cli import relay
from tests.integration.cli.installation import TOKEN, Installation, eventually, installed
from tests.servers import free_port

RELAY = f"{shlex.quote(sys.executable)} {shlex.quote(str(relay.__file__))} {{port}}"


@pytest.fixture
def truto(tmp_path: Path) -> Iterator[Installation]:
    """The sandbox in the role of Truto, and nothing else."""
    with installed(tmp_path, "") as found:
        found.start_sandbox()
        yield found


class Dev:
    """``dev --truto`` with the relay as its tunnel, in the folder of an installation."""

    def __init__(self, truto: Installation) -> None:
        self.port = free_port()
        self.output = truto.folder / f"output-{self.port}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRUTO_", "REDIS_"))}
        settings = {"TRUTO_API_URL": truto.sandbox_url, "TRUTO_API_TOKEN": TOKEN, "PYTHONUNBUFFERED": "1"}
        options = ["--port", str(self.port), "--sandbox-port", str(free_port()), "--tunnel-command", RELAY]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli", "dev", "--truto", *options],
                cwd=truto.folder,
                env={**kept, **settings},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_until_up(self) -> None:
        def up() -> bool:
            assert self.process.poll() is None, self.said()
            return "which removes the webhook" in self.said()

        eventually(up, 120)

    def end(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait(60)


@pytest.fixture
def dev(truto: Installation) -> Iterator[Dev]:
    running = Dev(truto)
    try:
        running.wait_until_up()
        yield running
    finally:
        if running.process.poll() is None:
            running.end(signal.SIGINT)


def test_what_truto_signs_arrives_unaltered_through_the_tunnel(truto: Installation, dev: Dev) -> None:
    truto.api("POST", "/sandbox/connect", {"tenant_id": "acme-2"})

    def delivered() -> list[int]:
        rows = truto.api("GET", "/sandbox/deliveries")["result"]
        return [row["status"] for row in rows if row["event"] == "integrated_account:active"]

    assert eventually(delivered, 60) == [200]
    eventually(lambda: re.search("integrated_account:active", dev.said()), 60)


def test_ctrl_c_removes_the_webhook_and_no_other(truto: Installation, dev: Dev) -> None:
    other = truto.api(
        "POST", "/webhook", {"target_url": "https://others.example/webhooks/truto?truto-worker-dev=theirs"}
    )
    assert len(truto.webhooks()) == 2
    dev.end(signal.SIGINT)
    assert [webhook["id"] for webhook in truto.webhooks()] == [other["id"]]
    assert "Stopped." in dev.said()


def test_after_a_kill_the_next_start_leaves_exactly_one_webhook(truto: Installation, dev: Dev) -> None:
    (left,) = truto.webhooks()
    dev.end(signal.SIGKILL)
    assert [webhook["id"] for webhook in truto.webhooks()] == [left["id"]]
    # What it has started ends by itself.
    socket = truto.folder / ".truto-worker" / "redis" / "redis.sock"
    eventually(lambda: not socket.exists(), 60)
    second = Dev(truto)
    try:
        second.wait_until_up()
        (now,) = truto.webhooks()
        assert now["id"] != left["id"]
        assert "1 of an earlier run removed" in second.said()
    finally:
        second.end(signal.SIGINT)
    assert truto.webhooks() == []


def test_a_wrong_token_leaves_nothing_running(truto: Installation) -> None:
    options = ["--port", str(free_port()), "--sandbox-port", str(free_port()), "--tunnel-command", RELAY]
    ran = truto.run("dev", "--truto", *options, TRUTO_API_TOKEN="another-token")
    assert ran.returncode == 1
    assert "Truto does not accept TRUTO_API_TOKEN" in ran.stdout


@pytest.mark.parametrize("options", [["--truto"], ["--tunnel"], ["--truto", "--tunnel", "--url", "https://a.example"]])
def test_one_way_is_to_be_named(truto: Installation, options: list[str]) -> None:
    assert truto.run("dev", *options).returncode == 2


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("no-such-command {port}", "cannot be run"),
        ("", "cannot be run"),
        (f"{shlex.quote(sys.executable)} -c pass", "has ended, and printed no address"),
    ],
)
def test_a_tunnel_that_does_not_come_is_told(command: str, reason: str) -> None:
    with pytest.raises(TunnelFailedError, match=reason), tunnel_to(1, command or " "):
        pass


def test_the_tunnel_ends_with_its_block() -> None:
    with tunnel_to(free_port(), RELAY) as url:
        assert url.startswith("http://127.0.0.1:")
    began = time.monotonic()
    while _answers(url):
        assert time.monotonic() - began < 10


def _answers(url: str) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) == 0
