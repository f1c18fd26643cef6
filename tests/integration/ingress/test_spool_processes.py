"""Real ingress processes that are killed with SIGKILL: whatever was answered with 200 arrives, once."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from redis import Redis

from cli.processes import Process, Processes
from events import Store
from events.embedded import EmbeddedRedis
from tests.integration.ingress.edge import HOOK, SECRET, client, event
from tests.servers import free_port, quick_folder
from truto.signature import sign


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as path:
        yield path


class Service:
    """An ingress process with a spool, and the Redis it uses; both can be killed and started again."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self.redis = EmbeddedRedis(folder / "redis")
        self.port, self.admin_port = free_port(), free_port()
        self.spool = folder / "spool"
        self.environment = {
            "REDIS_URL": self.redis.url,
            "TRUTO_WEBHOOK_SECRET": SECRET,
            "SPOOL_DIR": str(self.spool),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "ADMIN_PORT": str(self.admin_port),
        }
        self._processes = processes
        self._ingress: Process | None = None

    def start(self) -> None:
        self._ingress = self._processes.start("ingress", ["ingress"], self.environment)
        self._processes.wait_until_up(self._ingress, f"http://127.0.0.1:{self.port}/readyz")

    def kill(self) -> None:
        assert self._ingress is not None
        self._ingress.popen.send_signal(signal.SIGKILL)
        self._ingress.popen.wait()

    async def deliver(self, http: httpx.AsyncClient, event_id: str) -> str:
        body = event(event_id)
        response = await http.post(HOOK, content=body, headers={"x-truto-signature": sign(body, SECRET)})
        assert response.status_code == 200
        return str(response.json()["status"])

    async def all_arrived(self) -> list[str]:
        """Start Redis, wait for the spool to empty, and answer with the ids of all events in the store."""
        self.redis.start()
        async with asyncio.timeout(15), client(self.admin_port) as http:
            while (state := (await http.get("/readyz")).json()) != {"status": "ready", "store": True, "spooled": 0}:
                assert state["status"] == "ready"
                await asyncio.sleep(0.05)
        store = Store.connect(self.redis.url)
        found: list[str] = []
        while leases := (await store.queue.claim(500, "worker-1")).leases:
            found += [lease.event.id for lease in leases]
        await store.close()
        return found


@pytest.fixture
def service(folder: Path) -> Iterator[Service]:
    with Processes(logs=folder) as processes:
        running = Service(processes, folder)
        yield running
        running.redis.kill()


def wait_for_an_event(admin: Redis) -> None:
    deadline = time.monotonic() + 10
    while not admin.exists("tw:queue"):
        assert time.monotonic() < deadline
        time.sleep(0.001)


async def several_acknowledged(acknowledged: list[str], at_least: int) -> None:
    async with asyncio.timeout(20):
        while len(acknowledged) < at_least:  # noqa: ASYNC110  another coroutine appends
            await asyncio.sleep(0.005)


async def test_nothing_is_lost_when_the_ingress_is_killed_while_the_store_is_down(service: Service) -> None:
    service.start()
    acknowledged: list[str] = []

    async def send(http: httpx.AsyncClient, sender: int) -> None:
        number = 0
        while True:
            event_id = f"{sender}-{number}"
            assert await service.deliver(http, event_id) == "spooled"
            acknowledged.append(event_id)
            number += 1

    for round_ in range(2):
        async with client(service.port) as http:
            senders = [asyncio.create_task(send(http, 10 * round_ + sender)) for sender in range(8)]
            await several_acknowledged(acknowledged, len(acknowledged) + 40)
            await asyncio.to_thread(service.kill)
            await asyncio.gather(*senders, return_exceptions=True)
        await asyncio.to_thread(service.start)
    arrived = await service.all_arrived()
    assert set(acknowledged) <= set(arrived)
    assert len(arrived) == len(set(arrived))


async def test_killed_while_it_brings_over_it_begins_again_and_nothing_runs_twice(service: Service) -> None:
    service.start()
    ids = [str(number) for number in range(200)]
    async with client(service.port) as http:
        for start in range(0, len(ids), 20):
            await asyncio.gather(*(service.deliver(http, event_id) for event_id in ids[start : start + 20]))
    service.redis.start()
    with Redis(unix_socket_path=service.redis.url.removeprefix("unix://")) as admin:
        await asyncio.to_thread(wait_for_an_event, admin)
    service.kill()
    await asyncio.to_thread(service.start)
    arrived = await service.all_arrived()
    assert sorted(arrived, key=int) == ids
    assert list(service.spool.glob("*.spool")) == []


def test_a_folder_in_use_ends_a_second_ingress_with_a_message(service: Service) -> None:
    service.start()
    second = subprocess.run(
        [sys.executable, "-m", "cli", "ingress"],
        env={"PATH": "", **service.environment, "PORT": "0", "ADMIN_PORT": "off"},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert second.returncode == 2
    assert f"SPOOL_DIR: another process keeps its spool in {service.spool}" in second.stderr
