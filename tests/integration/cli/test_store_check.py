"""STORE_CHECK: a process says loudly that its Redis is not fit to keep events, or does not start."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from cli.store_check import checked
from events import ConfigError, Store
from tests.integration.cli.commands import Commands
from tests.redis_nodes import Node
from tests.servers import free_port, quick_folder

SERVICES = {
    "ingress": {"TRUTO_WEBHOOK_SECRET": "0123456789abcdef"},
    "worker": {"TRUTO_API_TOKEN": "token", "HANDLERS": "handlers"},
}


@pytest.fixture(scope="module")
def unsafe() -> Iterator[str]:
    with quick_folder() as folder, Node(folder, ["maxmemory-policy allkeys-lru", "appendfsync everysec"]) as node:
        yield f"redis://127.0.0.1:{node.port}"


@pytest.mark.parametrize("service", SERVICES)
def test_strict_refuses_to_start_naming_every_fault_and_remedy(commands: Commands, unsafe: str, service: str) -> None:
    for name, value in {**SERVICES[service], "REDIS_URL": unsafe, "STORE_CHECK": "Strict"}.items():
        commands.monkeypatch.setenv(name, value)
    shown = commands(service)
    assert shown.code == 2
    assert "allkeys-lru" in shown.err
    assert "everysec" in shown.err
    assert shown.err.count("CONFIG SET") == 2


async def test_strict_does_not_wait_for_a_store_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="cannot be checked"):
        async with checked(Store.connect(f"redis://:hunter2@127.0.0.1:{free_port()}"), "strict"):
            raise AssertionError("it was run")


async def test_strict_runs_with_a_sound_store(store: Store) -> None:
    async with checked(store, "strict"):
        await store.ping()


async def logged(url: str, mode: str, *, until: int) -> list[tuple[str, str]]:
    store = Store.connect(url)
    with capture_logs() as records:
        async with checked(store, mode):  # type: ignore[arg-type]  # the modes
            for _ in range(100):
                if len(records) >= until:
                    break
                await asyncio.sleep(0.01)
    await store.close()
    return [(record["event"], record["log_level"]) for record in records]


async def test_warn_logs_one_warning_for_each_fault(unsafe: str) -> None:
    assert await logged(unsafe, "warn", until=2) == [("store_fault_found", "warning")] * 2


async def test_warn_says_once_that_the_store_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.store_check._AGAIN_SECONDS", 0.01)
    url = f"redis://127.0.0.1:{free_port()}"
    assert await logged(url, "warn", until=2) == [("store_unreachable", "warning")]


async def test_warn_checks_a_store_as_soon_as_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.store_check._AGAIN_SECONDS", 0.05)
    with quick_folder() as folder:
        node = Node(folder, ["appendfsync everysec"])
        records = asyncio.create_task(logged(f"redis://127.0.0.1:{node.port}", "warn", until=2))
        await asyncio.sleep(0.1)
        with node:
            told = await records
    assert told == [("store_unreachable", "warning"), ("store_fault_found", "warning")]


async def test_off_looks_at_nothing(unsafe: str) -> None:
    assert await logged(unsafe, "off", until=0) == []
