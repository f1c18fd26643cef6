"""How many deliveries one ingress process verifies and commits, against the two baselines."""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import uvloop
from redis import Redis

from benchmarks.layout import ROOT, SECRET, cpu_seconds, process, redis
from benchmarks.load import Outcome, deliver_all, median_and_p99_ms, signed_requests
from cli.processes import free_port

_COMMANDS = {
    "truto-worker": ("-m", "cli", "ingress"),
    "verify only": ("-m", "benchmarks.baselines", "verify"),
    "stock enqueue_job": ("-m", "benchmarks.baselines", "enqueue"),
}


class Row(NamedTuple):
    """Medians over the rounds."""

    name: str
    per_second: float
    cpu_microseconds: float
    p50_ms: float
    p99_ms: float


def measure(folder: Path, *, rounds: int, deliveries: int) -> list[Row]:
    """Each variant in turn, *rounds* times, so that the machine's mood falls on all of them alike."""
    requests = signed_requests(deliveries, SECRET)
    seen: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in _COMMANDS}
    with redis(folder / "ingress") as server, Redis.from_url(server.url) as admin:
        for _ in range(rounds):
            for name, command in _COMMANDS.items():
                seen[name].append(deliver(server.url, admin, requests, command))
    return [Row(name, *map(statistics.median, zip(*rows, strict=True))) for name, rows in seen.items()]


class Large(NamedTuple):
    """Large deliveries: medians of what one process accepts per second, and of its CPU for each (ms)."""

    megabytes: int
    connections: int
    per_second: dict[str, float]
    cpu_milliseconds: dict[str, float]


def measure_large(folder: Path, *, rounds: int) -> list[Large]:
    """1 and 10 MB at a time, to each variant in turn. Both sides store what comes."""
    names = ("truto-worker", "stock enqueue_job")
    sizes = ((1, 8, 160), (10, 4, 20))
    found = []
    with redis(folder / "large") as server, Redis.from_url(server.url) as admin:
        for megabytes, connections, deliveries in sizes:
            requests = signed_requests(deliveries, SECRET, filler_bytes=megabytes * 1_000_000)
            seen: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in names}
            for _ in range(rounds):
                for name in names:
                    row = deliver(server.url, admin, requests, _COMMANDS[name], connections=connections)
                    seen[name].append(row)
            per_second = {name: statistics.median(row[0] for row in rows) for name, rows in seen.items()}
            cpu = {name: statistics.median(row[1] for row in rows) / 1000 for name, rows in seen.items()}
            found.append(Large(megabytes, connections, per_second, cpu))
    return found


def deliver(
    url: str,
    admin: Redis,
    requests: Sequence[bytes],
    command: Sequence[str],
    checkout: Path = ROOT,
    connections: int = 64,
) -> tuple[float, float, float, float]:
    """Deliver *requests* to one process: per second, CPU of each (us), p50 and p99 (ms). A tenth of them warms up."""
    port = free_port()
    environment = {"REDIS_URL": url, "TRUTO_WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    admin.flushall()
    with process(*command, environment=environment, checkout=checkout) as tested:
        wait_until_up(port)
        uvloop.run(deliver_all(port, requests[: len(requests) // 10], connections))
        admin.flushall()
        before = cpu_seconds(tested.pid)
        outcome = uvloop.run(deliver_all(port, requests, connections))
        cpu = (cpu_seconds(tested.pid) - before) / len(requests) * 1e6
    return (outcome.rate, cpu, *_percentiles(outcome))


def _percentiles(outcome: Outcome) -> tuple[float, float]:
    assert not outcome.others, f"{outcome.others} deliveries were not accepted"
    return median_and_p99_ms(outcome.latencies)


def wait_until_up(port: int, pause: float = 0.05) -> None:
    """Return when something listens at *port*; look every *pause* seconds. ``RuntimeError`` after 20 s."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(pause)
        else:
            return
    raise RuntimeError("the ingress did not come up")
