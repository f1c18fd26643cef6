"""The names of fakeredis that the in-memory store replaces, and the clock that they obey."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fakeredis.aioredis import AsyncFakeSocket

from events import ConfigError, End, Verified
from events.memory import MemoryRedis

ROOT = Path(__file__).resolve().parents[3]


def ping(event_id: str) -> Verified:
    return Verified("truto", "ping", event_id, b'{"event":"ping"}')


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.25

    def __call__(self) -> float:
        return self.now


async def test_the_time_of_the_store_is_that_of_its_clock() -> None:
    clock = Clock()
    store = MemoryRedis(clock).store()
    assert await store.now() == clock.now
    clock.now += 3600
    assert await store.now() == clock.now


async def test_a_key_expires_when_its_clock_says_so() -> None:
    clock = Clock()
    store = MemoryRedis(clock).store(dedup_ttl=60)
    await store.accept([ping("e-1")])
    (lease,) = (await store.queue.claim(1, "worker-1")).leases
    await store.queue.finish(lease, End("done"))
    assert await store.accept([ping("e-1")]) == ["duplicate"]
    clock.now += 61
    assert await store.accept([ping("e-1")]) == ["accepted"]


async def test_a_lease_ends_when_its_clock_says_so() -> None:
    clock = Clock()
    store = MemoryRedis(clock).store(lease_seconds=15)
    await store.accept([ping("e-1")])
    await store.queue.claim(1, "worker-1")
    assert (await store.queue.claim(1, "worker-2")).leases == []
    clock.now += 15.001
    assert len((await store.queue.claim(1, "worker-2")).leases) == 1


async def test_stores_on_one_server_share_their_events_and_others_do_not() -> None:
    redis = MemoryRedis(Clock())
    await redis.store().accept([ping("e-1")])
    assert await redis.store().accept([ping("e-1")]) == ["duplicate"]
    assert await MemoryRedis(Clock()).store().accept([ping("e-1")]) == ["accepted"]


@pytest.mark.parametrize("name", ["time", "_get_server_runtime"])
def test_what_is_replaced_is_there(name: str) -> None:
    assert callable(getattr(AsyncFakeSocket, name))


def test_without_its_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "events.memory")
    monkeypatch.setitem(sys.modules, "fakeredis", None)
    with pytest.raises(ConfigError, match=r"pip install 'truto-worker\[test\]'"):
        import events.memory  # noqa: F401


@pytest.mark.parametrize(
    ("store", "scenarios"), [("stopped", "leasing"), ("without-hincrby", "usage"), ("without-pexpire", "keeping")]
)
def test_a_store_that_is_wrong_does_not_conform(store: str, scenarios: str) -> None:
    file = f"tests/integration/events/test_{scenarios}.py"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--store", store, file]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 1, ended.stdout[-500:]
    assert "1 failed" in ended.stdout
