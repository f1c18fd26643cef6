"""``make bench``: everything docs/reliability.md says about speed, in one run.

``--quick`` takes about a minute and is for looking; figures for documents come from the full run. ``--json FILE``
keeps the figures.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from benchmarks import client, ingress, verification, workers, workflows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parts = (
        "ingress",
        "large",
        "verification",
        "throughput",
        "waiting",
        "latency",
        "memory",
        "client",
        "workflows",
        "expressions",
    )
    parser.add_argument("--only", choices=parts)
    options = parser.parse_args()
    workers.keep_to_load_core()
    console = Console(highlight=False)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="tw-bench-") as name:
        folder, quick = Path(name), options.quick
        if options.only in (None, "ingress"):
            rows = ingress.measure(folder, rounds=1 if quick else 3, deliveries=4000 if quick else 12_000)
            figures["ingress"] = [row._asdict() for row in rows]
            _show_ingress(console, rows)
        if options.only in (None, "large"):
            large = ingress.measure_large(folder, rounds=1 if quick else 5)
            figures["large"] = [row._asdict() for row in large]
            _show_large(console, large)
        if options.only in (None, "verification"):
            costs = verification.measure(rounds=2 if quick else 3, deliveries=2000 if quick else 5000)
            figures["verification"] = {row.name: _plain(row.microseconds) for row in costs}
            _show_verification(console, costs)
        if options.only in (None, "throughput"):
            fleet = (1, 2) if quick else (1, 2, 4, 8)
            rounds, events = (1, 8000) if quick else (3, 30_000)
            seen = workers.measure_throughput(folder, rounds=rounds, events=events, fleet=fleet)
            figures["throughput"] = {key: _plain(value) for key, value in seen._asdict().items()}
            _show_throughput(console, seen)
        if options.only in (None, "waiting"):
            waits = workers.measure_waiting(folder, rounds=1 if quick else 3, seconds=1.0 if quick else 2.0)
            figures["waiting"] = [row._asdict() for row in waits]
            _show_waiting(console, waits)
        if options.only in (None, "latency"):
            latency = workers.measure_latency(folder, samples=100 if quick else 1000, idle_seconds=3 if quick else 15)
            figures["latency"] = latency._asdict()
            _show(console, "accept -> handler start, idle worker", latency._asdict())
        if options.only in (None, "memory"):
            memory = workers.measure_memory(folder, events=10_000 if quick else 100_000)
            figures["memory"] = memory._asdict()
            _show(console, "a backlog in flight", memory._asdict())
        if options.only in (None, "client"):
            seen_client = client.measure(rounds=2 if quick else 3, calls=1000 if quick else 3000, records=100_000)
            figures["client"] = {part: row._asdict() for part, row in seen_client._asdict().items()}
            for found in (seen_client.calls, seen_client.sandbox):
                _show(console, f"small GETs, {client.CONCURRENCY} at once", found._asdict())
            _show(console, "a long list", seen_client.walk._asdict())
        if options.only in (None, "workflows"):
            rounds, runs, waiting = (1, 3000, 2000) if quick else (3, 6000, 10_000)
            cost = workflows.measure(folder, rounds=rounds, runs=runs, waiting=waiting)
            figures["workflows"] = cost._asdict()
            _show(console, "workflows, one worker", cost._asdict())
        if options.only in (None, "expressions"):
            for elements in (1_500, 20_000):
                ratios = workflows.compare_expressions(rounds=3 if quick else 5, elements=elements)
                figures[f"expressions over {elements}"] = ratios
                _show(console, f"expressions over {elements:,} elements, x CPU of jsonata-python", ratios)
    if options.json:
        options.json.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))


def _plain(value: Any) -> Any:
    return {str(key): entry for key, entry in value.items()} if isinstance(value, dict) else value


def _show_ingress(console: Console, rows: list[ingress.Row]) -> None:
    table = Table("ingress, one process", "per s", "x ours", "CPU us each", "p50 ms", "p99 ms", box=None)
    ours = rows[0].per_second
    for row in rows:
        ratio = f"{ours / row.per_second:.2f}"
        latencies = (f"{row.p50_ms:.1f}", f"{row.p99_ms:.1f}")
        table.add_row(row.name, f"{row.per_second:,.0f}", ratio, f"{row.cpu_microseconds:.0f}", *latencies)
    console.print(table)


def _show_large(console: Console, rows: list[ingress.Large]) -> None:
    table = Table("large deliveries, one process", "per s", "x stock", "CPU ms each", "x stock", box=None)
    for row in rows:
        (ours, stock), (cpu, stock_cpu) = row.per_second.values(), row.cpu_milliseconds.values()
        size = f"{row.megabytes} MB, {row.connections} connections"
        table.add_row(size, f"{ours:,.1f}", f"{ours / stock:.2f}", f"{cpu:.1f}", f"{cpu / stock_cpu:.2f}")
    console.print(table)


def _show_waiting(console: Console, rows: list[workers.Waiting]) -> None:
    table = Table("handlers that wait, one worker", "slots", "of the ceiling", "of a core", box=None)
    for row in rows:
        handler = f"{row.handler_ms} ms"
        table.add_row(handler, str(row.slots), f"{row.of_ceiling:.0%}", f"{row.cpu_percent:.0f} %")
    console.print(table)


def _show_verification(console: Console, rows: list[verification.Row]) -> None:
    sizes = (f"{size:,} bytes" for size in verification.SIZES)
    table = Table("verify and parse, CPU us each", *sizes, box=None)
    for row in rows:
        table.add_row(row.name, *(f"{cost:,.0f}" for cost in row.microseconds.values()))
    console.print(table)


def _show_throughput(console: Console, seen: workers.Throughput) -> None:
    table = Table("no-op events, one worker", "per s", "ratio", box=None)
    table.add_row("truto-worker", f"{seen.ours:,.0f}", f"{seen.ours / seen.stock:.2f}")
    table.add_row("stock arq, poll_delay=0", f"{seen.stock:,.0f}", "1")
    console.print(table)
    cost = Table("Redis, us of its one core for an event", "", box=None)
    cost.add_row("accepted (64 in a batch)", f"{seen.redis_accept:.0f}")
    cost.add_row("claimed and finished", f"{seen.redis_work:.0f}")
    cost.add_row("so one Redis takes, events/s", f"{1e6 / (seen.redis_accept + seen.redis_work):,.0f}")
    console.print(cost)
    fleet = Table("Redis commands per event", *(f"{n} workers" for n in seen.ours_commands), box=None)
    fleet.add_row("truto-worker", *(f"{count:.1f}" for count in seen.ours_commands.values()))
    fleet.add_row("stock arq", *(f"{count:.1f}" for count in seen.stock_commands.values()))
    console.print(fleet)


def _show(console: Console, title: str, figures: dict[str, Any]) -> None:
    table = Table(title, "", box=None)
    for name, value in figures.items():
        text = value if isinstance(value, str) else f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
        table.add_row(name, text)
    console.print(table)


if __name__ == "__main__":
    main()
