"""How fast events are worked off, how soon one starts, and what that costs Redis and memory."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import statistics
import struct
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, cast

import orjson
import uvloop
from arq import create_pool
from arq.connections import RedisSettings
from redis import Redis

from benchmarks.backlog import happened, info, until
from benchmarks.layout import LOAD_CORE, TESTED_CORE, cpu_seconds, peak_rss_bytes, pin, process, redis
from benchmarks.load import median_and_p99_ms
from events import Store, Verified

_PAYLOAD = {"id": "79a39d69-e27e-49cb-b9a9-79f5eea7aa26", "tenant_id": "acme-1", "filler": "x" * 900}
_FIRST_STARTS = 20
"""That open connections and fill caches."""
_OURS = ("-m", "cli", "worker")
_STOCK = ("-m", "benchmarks.baselines", "worker")


def _event(number: int, kind: str = "bench:noop") -> Verified:
    body = orjson.dumps({"id": f"event-{number}", "event": kind, "payload": _PAYLOAD})
    return Verified("truto", kind, f"event-{number}", body)


async def _accept(url: str, count: int, kind: str = "bench:noop") -> None:
    store = Store.connect(url)
    for start in range(0, count, 500):
        await store.accept([_event(number, kind) for number in range(start, min(start + 500, count))])
    await store.close()


async def _enqueue(url: str, count: int) -> None:
    pool = await create_pool(RedisSettings(unix_socket_path=url.removeprefix("unix://")))
    for start in range(0, count, 100):
        ids = [f"event-{number}" for number in range(start, start + 100)]
        events: list[dict[str, Any]] = [{"id": name, "event": "bench:noop", "payload": _PAYLOAD} for name in ids]
        await asyncio.gather(*(pool.enqueue_job("noop", event, _job_id=event["id"]) for event in events))
    await pool.aclose()


class Drain(NamedTuple):
    """One backlog worked off."""

    per_second: float
    commands_per_event: float
    redis_microseconds: float
    peak_rss: int


def environment(url: str) -> dict[str, str]:
    return {
        "REDIS_URL": url,
        "TRUTO_API_TOKEN": "bench",
        "TRUTO_API_URL": "http://127.0.0.1:9",
        "HANDLERS": "benchmarks.noop_handlers",
    }


def _drain(url: str, admin: Redis, command: tuple[str, ...], count: int, workers: int = 1) -> Drain:
    """Fill the queue, start the workers, and measure the middle of the way to empty."""
    admin.flushall()
    ours = command is _OURS
    uvloop.run(_accept(url, count) if ours else _enqueue(url, count))
    done: Callable[[], int] = (
        (lambda: happened(admin, "done")) if ours else (lambda: count - cast("int", admin.zcard("arq:queue")))
    )
    with ExitStack() as stack:
        before = _commands(admin)
        running = [stack.enter_context(process(*command, environment=environment(url))) for _ in range(workers)]
        first, began = until(done, count // 10)
        redis_began = _redis_cpu_seconds(admin)
        last, ended = until(done, count)
        redis_seconds = _redis_cpu_seconds(admin) - redis_began
        polls = (ended - began) / 0.02 * 1.5
        return Drain(
            (last - first) / (ended - began),
            (_commands(admin) - before - polls) / count,
            redis_seconds / (last - first) * 1e6,
            max(peak_rss_bytes(worker.pid) for worker in running),
        )


def _commands(admin: Redis) -> int:
    return int(info(admin, "stats")["total_commands_processed"])


def _redis_cpu_seconds(admin: Redis) -> float:
    usage = info(admin, "cpu")
    return float(usage["used_cpu_user"]) + float(usage["used_cpu_sys"])


class Throughput(NamedTuple):
    """Medians over the rounds; commands per event by number of workers.

    ``redis_accept`` and ``redis_work`` are what an event costs Redis (us of its one core) on its way in, and from its
    claim to its end.
    """

    ours: float
    stock: float
    redis_accept: float
    redis_work: float
    ours_commands: dict[int, float]
    stock_commands: dict[int, float]


def measure_throughput(folder: Path, *, rounds: int, events: int, fleet: tuple[int, ...]) -> Throughput:
    """Ours and stock arq in turn; then fleets of each."""
    with redis(folder / "workers") as server, Redis.from_url(server.url) as admin:
        rates: dict[tuple[str, ...], list[float]] = {_OURS: [], _STOCK: []}
        costs = []
        for _ in range(rounds):
            ours = _drain(server.url, admin, _OURS, events)
            rates[_OURS].append(ours.per_second)
            costs.append(ours.redis_microseconds)
            rates[_STOCK].append(_drain(server.url, admin, _STOCK, events // 4).per_second)
        commands = {
            command: {n: _drain(server.url, admin, command, events // 4, n).commands_per_event for n in fleet}
            for command in (_OURS, _STOCK)
        }
        accepting = statistics.median(_accept_cost(server.url, admin, events // 4) for _ in range(rounds))
    return Throughput(
        statistics.median(rates[_OURS]),
        statistics.median(rates[_STOCK]),
        accepting,
        statistics.median(costs),
        commands[_OURS],
        commands[_STOCK],
    )


def _accept_cost(url: str, admin: Redis, count: int) -> float:
    """What Redis spends on one event that comes in with 63 others (us)."""
    admin.flushall()
    events = [_event(number) for number in range(count)]

    async def accept() -> None:
        store = Store.connect(url)
        for start in range(0, count, 64):
            await store.accept(events[start : start + 64])
        await store.close()

    before = _redis_cpu_seconds(admin)
    uvloop.run(accept())
    return (_redis_cpu_seconds(admin) - before) / count * 1e6


class Waiting(NamedTuple):
    """Handlers that only wait, in a backlog: how near one worker comes to its slots divided by their time."""

    handler_ms: int
    slots: int
    of_ceiling: float
    cpu_percent: float


def measure_waiting(folder: Path, *, rounds: int, seconds: float) -> list[Waiting]:
    """Each kind of handler with 50 and 100 slots; medians of the rounds."""
    cases = [(milliseconds, slots) for milliseconds in (10, 50) for slots in (50, 100)]
    with redis(folder / "waiting") as server, Redis.from_url(server.url) as admin:
        return [_median([_wait(server.url, admin, *case, seconds=seconds) for _ in range(rounds)]) for case in cases]


def _median(found: list[Waiting]) -> Waiting:
    return sorted(found, key=lambda row: row.of_ceiling)[len(found) // 2]


def _wait(url: str, admin: Redis, milliseconds: int, slots: int, *, seconds: float) -> Waiting:
    ceiling = slots / milliseconds * 1000
    count = round(ceiling * seconds)
    admin.flushall()
    uvloop.run(_accept(url, count, f"bench:wait_{milliseconds}ms"))
    settings = {**environment(url), "WORKER_CONCURRENCY": str(slots)}
    with process(*_OURS, environment=settings) as worker:
        first, began = until(lambda: happened(admin, "done"), count // 10)
        before = cpu_seconds(worker.pid)
        last, ended = until(lambda: happened(admin, "done"), count - slots)
        busy = (cpu_seconds(worker.pid) - before) / (ended - began)
    return Waiting(milliseconds, slots, (last - first) / (ended - began) / ceiling, busy * 100)


class Latency(NamedTuple):
    """From before the accept call to the first line of the handler, on an idle worker.

    In between, what no worker can be quicker than: a PING to the same Redis, and an fdatasync of an event's size on
    the same disk.
    """

    p50_ms: float
    p99_ms: float
    ping_p50_ms: float
    ping_p99_ms: float
    fsync_p50_ms: float
    fsync_p99_ms: float
    idle_cpu_percent: float


def measure_latency(folder: Path, *, samples: int, idle_seconds: float) -> Latency:
    """One event at a time, at random moments."""
    address = str(folder / "bench.sock")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(address)
    listening.settimeout(10)
    with (
        redis(folder / "latency") as server,
        process(*_OURS, environment={**environment(server.url), "BENCH_SOCKET": address}) as worker,
    ):
        starts, pings, syncs = uvloop.run(_tell(server.url, listening, samples, folder / "synced"))
        before = cpu_seconds(worker.pid)
        time.sleep(idle_seconds)
        idle = (cpu_seconds(worker.pid) - before) / idle_seconds * 100
    return Latency(*median_and_p99_ms(starts), *median_and_p99_ms(pings), *median_and_p99_ms(syncs), idle)


Times = tuple[list[float], list[float], list[float]]


async def _tell(url: str, listening: socket.socket, samples: int, scratch: Path) -> Times:
    """The times (s) of so many starts, pings and fsyncs, in turn."""
    store = Store.connect(url)
    starts: list[float] = []
    pings: list[float] = []
    syncs: list[float] = []
    with scratch.open("ab", buffering=0) as file:
        for number in range(samples + _FIRST_STARTS):
            await asyncio.sleep(random.uniform(0.005, 0.03))
            event = _event(number, "bench:tell")
            accepted = time.monotonic()
            await store.accept([event])
            (began,) = struct.unpack("d", listening.recv(8))
            starts.append(began - accepted)
            asked = time.monotonic()
            await store.ping()
            pings.append(time.monotonic() - asked)
            file.write(event.body)
            written = time.monotonic()
            os.fdatasync(file.fileno())
            syncs.append(time.monotonic() - written)
    await store.close()
    return starts[_FIRST_STARTS:], pings[_FIRST_STARTS:], syncs[_FIRST_STARTS:]


class Memory(NamedTuple):
    """What a backlog costs."""

    events: int
    payload_bytes: int
    redis_bytes_per_event: float
    worker_peak_rss: int


def measure_memory(folder: Path, *, events: int) -> Memory:
    """Accept a backlog with no worker, look at Redis; then let one worker take it."""
    with redis(folder / "memory") as server, Redis.from_url(server.url) as admin:
        empty = int(info(admin, "memory")["used_memory"])
        uvloop.run(_accept(server.url, events))
        full = int(info(admin, "memory")["used_memory"])
        with process(*_OURS, environment=environment(server.url)) as worker:
            until(lambda: happened(admin, "done"), events)
            rss = peak_rss_bytes(worker.pid)
    return Memory(events, len(_event(events).body), (full - empty) / events, rss)


def keep_to_load_core() -> None:
    """This process is the load."""
    pin(os.getpid(), LOAD_CORE)
    assert TESTED_CORE != LOAD_CORE or os.cpu_count() == 1
