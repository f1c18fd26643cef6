"""The Procfile's lines and the sandbox, each a process of its own, as a team would first run them."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.dev import SANDBOX_TOKEN, dev_environment
from cli.processes import Process, Processes
from events import Store
from events.embedded import EmbeddedRedis
from tests.servers import free_port
from truto import AsyncTruto
from truto.samples import ACCOUNT_ID, SYNC_JOB_ID

ROOT = Path(__file__).resolve().parents[3]
SECRET = "6e17561c-a20c-44ce-b8b5-caff0bf786fe"


class Service:
    """A sandbox, and the processes of the Procfile by their names there."""

    def __init__(self, processes: Processes, redis_url: str) -> None:
        self.port, self.sandbox_port = free_port(), free_port()
        self.redis_url = redis_url
        self.environment = {**dev_environment(redis_url, SECRET, self.port, self.sandbox_port), "LOG_FORMAT": "json"}
        self.ingress_url = f"http://127.0.0.1:{self.port}"
        self.sandbox_url = f"http://127.0.0.1:{self.sandbox_port}"
        webhook = f"{self.ingress_url}/webhooks/truto"
        self.sandbox = processes.start(
            "sandbox", ["sandbox", "--port", str(self.sandbox_port), "--webhook-url", webhook], self.environment
        )
        self.by_name: dict[str, Process] = {}
        for line in (ROOT / "Procfile").read_text().splitlines():
            name, _, command = line.partition(": ")
            program, *arguments = command.split()
            assert program == "truto-worker"
            if name == "release":
                continue  # a platform runs it once before the others; what it finds has tests of its own
            self.by_name[name] = processes.start(name, arguments, self.environment)
        processes.wait_until_up(self.sandbox, f"{self.sandbox_url}/inbox")
        processes.wait_until_up(self.by_name["web"], f"{self.ingress_url}/readyz")
        self._wait_until_the_worker_works()

    def _wait_until_the_worker_works(self) -> None:
        deadline = time.monotonic() + 20
        while "worker_started" not in self.by_name["worker"].log_tail():
            assert time.monotonic() < deadline, self.by_name["worker"].log_tail()
            time.sleep(0.05)

    def send(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cli", "send", *arguments, "--url", self.ingress_url, "--json"]
        return subprocess.run(
            command,
            env={"PATH": "", "TRUTO_WEBHOOK_SECRET": SECRET, **environment},
            capture_output=True,
            text=True,
            timeout=30,
        )


@pytest.fixture
def service(redis_server: EmbeddedRedis, store: Store, tmp_path: Path) -> Iterator[Service]:
    with Processes(logs=tmp_path) as processes:
        yield Service(processes, redis_server.url)


async def test_an_active_account_ends_in_a_completed_sync_run_and_a_told_tenant(service: Service) -> None:
    sent = service.send("integrated_account:active")
    assert sent.returncode == 0, sent.stdout + sent.stderr
    async with AsyncTruto(token=SANDBOX_TOKEN, base_url=service.sandbox_url) as truto:
        async with asyncio.timeout(20):
            while not (inbox := (await truto.request("GET", "/inbox"))["result"]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # the inbox is in another process: nothing here could set an event
        runs = [run async for run in truto.sync_job_runs.list(sync_job_id=SYNC_JOB_ID)]
    assert [(run.integrated_account_id, run.status) for run in runs] == [(ACCOUNT_ID, "completed")]
    assert [(note["type"], note["verified"]) for note in inbox] == [("sync_job_run.completed", True)]


async def test_send_reports_a_refusal_and_exits_1(service: Service) -> None:
    sent = service.send("test", TRUTO_WEBHOOK_SECRET="another secret of some length")
    assert sent.returncode == 1
    summary = json.loads(sent.stdout)
    assert (summary["status"], summary["answer"]["reason"]) == (401, "signature_mismatch")


async def test_send_takes_the_payload_from_a_file_or_standard_input(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "payload.json"
    file.write_text('{"id": "1"}')
    assert service.send("record:meta", "--data", str(file)).returncode == 0
    unknown = service.send("test", "--source", "nobody")
    assert json.loads(unknown.stdout)["status"] == 404


@pytest.mark.parametrize("name", ["web", "worker"])
def test_sigterm_ends_a_process_of_the_procfile_in_order(service: Service, name: str) -> None:
    process = service.by_name[name]
    process.popen.send_signal(signal.SIGTERM)
    assert process.popen.wait(20) == 0


@pytest.mark.parametrize("file", ["Procfile", "cli/scaffold/app/Procfile.txt"])
def test_a_platform_shows_what_the_doctor_finds_and_releases_all_the_same(file: str) -> None:
    """Before the first release no worker runs and no webhook is registered, which must not keep it from running."""
    assert (ROOT / file).read_text().splitlines()[0] == "release: truto-worker doctor || true"


def test_a_platform_that_builds_python_finds_what_to_install() -> None:
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines == ["-c constraints.txt", "."]
    assert (ROOT / ".python-version").read_text().strip() == "3.11"
