"""``python -m benchmarks.versions CHECKOUT``: this version beside another one, in turn, on the same machine.

Both run with this interpreter and its packages. Prints medians, and the ratio of this version to the other.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from redis import Redis
from rich.console import Console
from rich.table import Table

from benchmarks import ingress, workers
from benchmarks.backlog import happened, until
from benchmarks.layout import ROOT, SECRET, process, redis, rss_bytes
from benchmarks.load import signed_requests
from cli.processes import free_port

_FILL = """
import sys, uvloop
from benchmarks.workers import _accept
uvloop.run(_accept(sys.argv[1], int(sys.argv[2])))
"""
_INGRESS = ("-m", "cli", "ingress")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.versions", description=__doc__)
    parser.add_argument("checkout", type=Path, help="a checkout of the version to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=12_000)
    options = parser.parse_args()
    workers.keep_to_load_core()
    checkouts = {"other": options.checkout.resolve(), "this": ROOT}
    seen: dict[str, dict[str, list[float]]] = {}
    requests = signed_requests(options.events, SECRET)
    with (
        tempfile.TemporaryDirectory(prefix="tw-bench-") as name,
        redis(Path(name)) as server,
        Redis.from_url(server.url) as admin,
    ):
        for _ in range(options.rounds):
            for version, checkout in checkouts.items():
                rate, cpu, p50, _ = ingress.deliver(server.url, admin, requests, _INGRESS, checkout)
                drained = _drained_per_second(server.url, admin, options.events, checkout)
                rows = {"deliveries/s": rate, "us of CPU each": cpu, "p50 ms": p50, "events worked off/s": drained}
                rows |= _started(server.url, admin, checkout)
                for row, value in rows.items():
                    seen.setdefault(row, {}).setdefault(version, []).append(value)
    _show({row: {version: statistics.median(found) for version, found in sides.items()} for row, sides in seen.items()})


def _drained_per_second(url: str, admin: Redis, events: int, checkout: Path) -> float:
    """Fill the queue with the version's own code, and measure the middle of the way to empty."""
    admin.flushall()
    with process("-c", _FILL, url, str(events), environment={}, checkout=checkout) as filling:
        assert filling.wait() == 0
    environment = workers.environment(url)
    with process("-m", "cli", "worker", environment=environment, checkout=checkout):
        first, began = until(lambda: happened(admin, "done"), events // 10)
        last, ended = until(lambda: happened(admin, "done"), events)
        return (last - first) / (ended - began)


def _started(url: str, admin: Redis, checkout: Path) -> dict[str, float]:
    """How soon the ingress listens, what it holds then, and how soon the worker has done its first event."""
    port = free_port()
    environment = {"REDIS_URL": url, "TRUTO_WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    begun = time.perf_counter()
    with process(*_INGRESS, environment=environment, checkout=checkout) as tested:
        ingress.wait_until_up(port, 0.002)
        listening = time.perf_counter() - begun
        held = rss_bytes(tested.pid) / 1e6
    admin.flushall()
    with process("-c", _FILL, url, "1", environment={}, checkout=checkout) as filling:
        assert filling.wait() == 0
    begun = time.perf_counter()
    with process("-m", "cli", "worker", environment=workers.environment(url), checkout=checkout):
        until(lambda: happened(admin, "done"), 1)
        handled = time.perf_counter() - begun
    return {"ingress listens, s": listening, "ingress, MB": held, "worker's first event, s": handled}


def _show(medians: dict[str, dict[str, float]]) -> None:
    table = Table("one process", "other", "this", "this / other", box=None)
    for row, sides in medians.items():
        table.add_row(row, f"{sides['other']:,.2f}", f"{sides['this']:,.2f}", f"{sides['this'] / sides['other']:.3f}")
    Console(highlight=False).print(table)


if __name__ == "__main__":
    main()
