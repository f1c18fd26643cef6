"""Each process starts, and does its work, on a machine that lacks the packages of the others."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest

from cli.processes import Processes
from events import Store
from events.embedded import EmbeddedRedis
from tests.integration.ingress.edge import SECRET
from tests.integration.worker.processes import PRELUDE
from tests.integration.worker.workshop import delivered, eventually, is_empty
from tests.servers import free_port

HANDLER = """
@on("*", when="1 = 1", key="account", concurrency=1)
async def work(event: Event, ctx: Context) -> None:
    say(await ctx.step("name", lambda: event.type))
"""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(logs=tmp_path) as running:
        yield running


def without(folder: Path, *packages: str) -> dict[str, str]:
    """The environment of a process that can import none of *packages*."""
    hiding = folder / "hiding"
    hiding.mkdir()
    (hiding / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({packages!r}))\n")
    return {"PYTHONPATH": str(hiding)}


def test_a_hidden_package_cannot_be_imported(processes: Processes, tmp_path: Path) -> None:
    """The proof that the tests below prove something."""
    command = processes.start("worker", ["worker"], without(tmp_path, "worker"))
    assert command.popen.wait(20) != 0
    assert "No module named 'worker" in command.log_tail() or "import of worker" in command.log_tail()


async def test_the_ingress_takes_deliveries_without_worker_handlers_and_workflows(
    processes: Processes, store: Store, redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    port, admin_port = free_port(), free_port()
    sources = tmp_path / "sources.yaml"
    sources.write_text("hub: {preset: github, secrets: [whsec-of-sixteen-bytes]}")
    settings = {
        "REDIS_URL": redis_server.url,
        "TRUTO_WEBHOOK_SECRET": SECRET,
        "TRUTO_API_TOKEN": "token",
        "LINK_TOKEN_KEY": "a-key-of-sixteen-bytes",
        "SOURCES_FILE": str(sources),
        "SPOOL_DIR": str(tmp_path / "spool"),
        "PORT": str(port),
        "ADMIN_PORT": str(admin_port),
    }
    ingress = processes.start("ingress", ["ingress"], settings | without(tmp_path, "worker", "handlers", "workflows"))
    processes.wait_until_up(ingress, f"http://127.0.0.1:{port}/readyz")
    processes.wait_until_up(ingress, f"http://127.0.0.1:{admin_port}/metrics")

    body = orjson.dumps({"action": "opened"})
    signature = hmac.new(b"whsec-of-sixteen-bytes", body, hashlib.sha256).hexdigest()
    headers = {"x-hub-signature-256": f"sha256={signature}", "x-github-event": "issues", "x-github-delivery": "d-1"}
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"http://127.0.0.1:{port}/webhooks/hub", content=body, headers=headers)
    assert answer.json()["status"] == "accepted"
    assert (await store.inspection.overview()).ready == 1


async def test_a_worker_without_workflows_runs_handlers_without_that_package(
    processes: Processes, store: Store, redis_server: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a folder of that name make a difference, as long as no workflow is in it."""
    team = tmp_path / "team"
    team.mkdir()
    (tmp_path / "workflows").mkdir()
    handler = (
        '@on("*", when="1 = 1", key="account", concurrency=1)\nasync def work(event: Event, ctx: Context) -> None:\n'
    )
    (team / "__init__.py").write_text(f"{PRELUDE}\n{handler}    say(await ctx.step('name', lambda: event.type))\n")
    settings = {
        "REDIS_URL": redis_server.url,
        "TRUTO_API_TOKEN": "token",
        "TRUTO_API_URL": "http://127.0.0.1:9",
        "HANDLERS": "team",
    }
    monkeypatch.chdir(tmp_path)
    worker = processes.start("worker", ["worker"], settings | without(tmp_path, "workflows", "ingress"))
    await store.accept([delivered("order:placed")])
    await eventually(lambda: is_empty(store))
    processes.check(worker)
    assert (team / "said.txt").read_text() == "order:placed\n"
