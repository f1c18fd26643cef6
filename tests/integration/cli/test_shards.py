"""Accounts spread over two redis-servers, each with a worker of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import orjson
import pytest

from cli.dev import dev_environment
from cli.processes import Process, Processes
from events import Spool, Store, Verified
from events.embedded import EmbeddedRedis
from tests.servers import free_port
from truto import sign

SECRET = "6e17561c-a20c-44ce-b8b5-caff0bf786fe"
ACCOUNTS = [f"account-{number}" for number in range(40)]


class Fleet:
    """An ingress for two servers."""

    def __init__(self, processes: Processes, servers: list[EmbeddedRedis], spool: Path) -> None:
        self.servers = servers
        self.port = free_port()
        urls = " ".join(server.url for server in servers)
        self.admin_port = free_port()
        self.environment = {
            **dev_environment(urls, SECRET, self.port, free_port()),
            "SPOOL_DIR": str(spool),
            "ADMIN_PORT": str(self.admin_port),
            "LOG_FORMAT": "json",
        }
        self._processes = processes
        web = processes.start("web", ["ingress"], self.environment)
        processes.wait_until_up(web, f"{self.url}/readyz")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add_worker(self, shards: str = "") -> Process:
        return self._processes.start(f"worker-{shards}", ["worker"], self.environment | {"REDIS_SHARD": shards})

    async def deliver(self, prefix: str) -> dict[str, str]:
        """One event for each account; what each was answered with."""
        told = {}
        async with httpx.AsyncClient(base_url=self.url) as http:
            for account in ACCOUNTS:
                payload = {"integrated_account_id": account, "status": "completed"}
                event = {"id": f"{prefix}-{account}", "event": "sync_job_run:started", "payload": payload}
                body = orjson.dumps(event)
                answer = await http.post(
                    "/webhooks/truto", content=body, headers={"x-truto-signature": sign(body, SECRET)}
                )
                told[account] = str(answer.json().get("status"))
        return told


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    folders = [Path(tempfile.mkdtemp(prefix="tw-")) for _ in range(2)]
    servers = [EmbeddedRedis(folder) for folder in folders]
    try:
        with Processes(logs=tmp_path) as processes:
            for server in servers:
                server.start()
            yield Fleet(processes, servers, tmp_path / "spool")
    finally:
        for server in servers:
            server.kill()
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def stores(fleet: Fleet) -> AsyncIterator[list[Store]]:
    opened = [Store.connect(server.url) for server in fleet.servers]
    yield opened
    for store in opened:
        await store.close()


async def ended(store: Store) -> int:
    """How many events are over, or wait for somebody."""
    overview = await store.inspection.overview()
    return overview.totals.get("done", 0) + overview.parked


@pytest.mark.parametrize("workers", [[""], ["1", "2"], ["1,2", "2"]], ids=["one-for-all", "each-its-own", "mixed"])
async def test_each_account_has_its_store_and_each_store_its_worker(
    fleet: Fleet, stores: list[Store], workers: list[str]
) -> None:
    assert set((await fleet.deliver("first")).values()) == {"accepted"}
    assert set((await fleet.deliver("first")).values()) == {"duplicate"}
    shares = [(await store.inspection.overview()).totals["accepted"] for store in stores]
    assert sum(shares) == len(ACCOUNTS)
    assert min(shares) > 0
    for shards in workers:
        fleet.add_worker(shards)
    async with asyncio.timeout(20):
        while [await ended(store) for store in stores] != shares:  # noqa: ASYNC110  the workers are processes
            await asyncio.sleep(0.05)


async def test_a_worker_of_several_stores_drains_at_a_signal(fleet: Fleet, stores: list[Store]) -> None:
    worker = fleet.add_worker()
    await fleet.deliver("first")
    async with asyncio.timeout(20):
        while sum([await ended(store) for store in stores]) < len(ACCOUNTS):  # noqa: ASYNC110  it is a process
            await asyncio.sleep(0.05)
    worker.popen.terminate()
    assert await asyncio.to_thread(worker.popen.wait, 10) == 0
    assert worker.log is not None
    assert worker.log.read_text().count("worker_stopped") == 2


async def test_a_server_that_is_down_costs_nothing_but_its_own_share_waits(fleet: Fleet, stores: list[Store]) -> None:
    fleet.servers[1].kill()
    told = await fleet.deliver("first")
    assert set(told.values()) == {"accepted", "spooled"}
    async with httpx.AsyncClient() as http, asyncio.timeout(20):
        ready = await http.get(f"http://127.0.0.1:{fleet.admin_port}/readyz")
        while ready.json()["shards"][1]["store"]:  # what is told may be a second old
            await asyncio.sleep(0.05)
            ready = await http.get(f"http://127.0.0.1:{fleet.admin_port}/readyz")
        assert (await http.get(f"{fleet.url}/readyz")).json() == {"status": "ready"}
    spooled = list(told.values()).count("spooled")
    first, second = ready.json()["shards"]
    assert (ready.status_code, first, second) == (
        200,
        {"store": True, "spooled": 0},
        {"store": False, "spooled": spooled},
    )
    fleet.servers[1].start()
    async with asyncio.timeout(20):
        while (await stores[1].inspection.overview()).totals.get("accepted", 0) != spooled:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_an_ingress_does_not_forget_the_spool_of_a_store_that_is_not_named_any_more(tmp_path: Path) -> None:
    left = Spool.open(tmp_path / "shard-2")
    await left.append([Verified("truto", "ping", "e-1", b'{"event":"ping"}')])
    await left.close()
    environment = {
        **dev_environment("redis://127.0.0.1:1", SECRET, free_port(), free_port()),
        "SPOOL_DIR": str(tmp_path),
    }
    command = [sys.executable, "-m", "cli", "ingress"]
    ended = await asyncio.to_thread(
        subprocess.run, command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=30
    )
    assert ended.returncode == 2
    assert "shard-2 holds 1 deliveries for a store that REDIS_URL no longer names" in ended.stderr
