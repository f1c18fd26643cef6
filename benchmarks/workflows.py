"""What workflows cost: runs of one step per second, an expression, and a run that waits."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import orjson
import uvloop
from redis import Redis

from benchmarks.backlog import happened, info, until
from benchmarks.layout import TESTED_CORE, pin, process, redis
from events import Store, Verified
from truto import sample_event
from truto.expressions import compile_expression
from truto.expressions.evaluator import current_kept
from truto.expressions.library import Jsonata
from truto.workflows import Formula, Trigger, scope_of

_CONFIG = (
    '( $sync_job_id := $mapValues(integration.name,{ "calcom": "51b79ace-a7b4-4077-93ba-8048a06ece2b" }); '
    '{ "sync_job_id": $sync_job_id, "integrated_account_id": integrated_account_id, '
    '"webhook_id": "9fda519d-148f-4cc5-bbac-4e373b16e5d4" } )'
)
_ACTIVE = "integrated_account:active"
_PLAIN = {"trigger_name": _ACTIVE, "config": {"steps": [{"action": "noop"}]}}
_EXPRESSIONS = {
    "trigger_name": _ACTIVE,
    "config": {"run_if": "integration.name = 'calcom'", "steps": [{"action": "noop", "config": _CONFIG}]},
}
_WAITING = {
    "trigger_name": _ACTIVE,
    "config": {
        "steps": [
            {"action": "noop", "config": _CONFIG},
            {
                "action": "wait_for_event",
                "config": {
                    "event": "sync_job_run:completed",
                    "match": "payload.integrated_account_id = $with.account",
                    "with": {"account": "{{integrated_account_id}}"},
                    "timeout": 86_400,
                },
            },
        ]
    },
}

_OVER_ITEMS = {
    "filter": "$count(items[x = '7'])",
    "filter by two": "$count(items[x = '7' and n > 3])",
    "path": "items.(n * 2)",
    "map": "$map(items, function($i) { $i.n + 1 })",
    "sort": "items^(n).x",
    "aggregate": "$sum(items.n)",
}


class Figures(NamedTuple):
    """Runs per second of one worker, CPU of one evaluation in microseconds, and bytes of a waiting run in Redis."""

    plain_runs_per_second: float
    runs_with_two_expressions_per_second: float
    condition_microseconds: float
    sample_config_microseconds: float
    waiting_runs: int
    redis_bytes_per_waiting_run: float


def measure(folder: Path, *, rounds: int, runs: int, waiting: int) -> Figures:
    """Backlogs worked off by one worker on a core of its own; the median of *rounds*."""
    with redis(folder / "workflows") as server, Redis.from_url(server.url) as admin:
        rates = {
            name: statistics.median(_drain(folder, server.url, admin, document, runs) for _ in range(rounds))
            for name, document in (("plain", _PLAIN), ("expressions", _EXPRESSIONS))
        }
        each = _wait(folder, server.url, admin, waiting)
    return Figures(
        rates["plain"],
        rates["expressions"],
        _cost("integration.name = 'calcom'"),
        _cost(_CONFIG),
        waiting,
        each,
    )


def _event(number: int) -> Verified:
    envelope = sample_event(_ACTIVE, event_id=f"event-{number}")
    return Verified("truto", _ACTIVE, envelope["id"], orjson.dumps(envelope))


async def _accept(url: str, count: int) -> None:
    store = Store.connect(url)
    for start in range(0, count, 500):
        await store.accept([_event(number) for number in range(start, min(start + 500, count))])
    await store.close()


def _environment(folder: Path, url: str, document: dict[str, Any]) -> dict[str, str]:
    workflows = folder / "definitions"
    workflows.mkdir(exist_ok=True)
    (workflows / "bench.json").write_bytes(orjson.dumps(document))
    return {
        "REDIS_URL": url,
        "TRUTO_API_TOKEN": "bench",
        "TRUTO_API_URL": "http://127.0.0.1:9",
        "HANDLERS": "benchmarks.workflow_handlers",
        "WORKFLOWS_DIR": str(workflows),
    }


def _drain(folder: Path, url: str, admin: Redis, document: dict[str, Any], count: int) -> float:
    """Fill the queue, start the worker, and measure the middle of the way to empty."""
    admin.flushall()
    uvloop.run(_accept(url, count))
    with process("-m", "cli", "worker", environment=_environment(folder, url, document)):
        first, began = until(lambda: happened(admin, "done"), count // 10)
        last, ended = until(lambda: happened(admin, "done"), count)
    return (last - first) / (ended - began)


def _wait(folder: Path, url: str, admin: Redis, count: int) -> float:
    """How many bytes of Redis a run takes that waits, its event included."""
    admin.flushall()
    before = int(info(admin, "memory")["used_memory"])
    uvloop.run(_accept(url, count))
    bucket = "tw:waits:sync_job_run:completed|"
    with process("-m", "cli", "worker", environment=_environment(folder, url, _WAITING)):
        until(lambda: cast("int", admin.hlen(bucket)), count)
    return (int(info(admin, "memory")["used_memory"]) - before) / count


def compare_expressions(*, rounds: int, elements: int) -> dict[str, float]:
    """CPU of expressions over so many elements as multiples of jsonata-python's own; both take turns."""
    items = [{"x": str(number % 10), "n": number * 7919 % elements} for number in range(elements)]
    return {name: _ratio(source, {"items": items}, rounds) for name, source in _OVER_ITEMS.items()}


def _ratio(source: str, scope: dict[str, Any], rounds: int) -> float:
    ours = compile_expression(source)
    with current_kept():
        bare = Jsonata(source)
        ratios = []
        for _ in range(rounds):
            Jsonata.CURRENT.jsonata = bare  # where it looks for itself
            library = _cpu_seconds(lambda: bare.evaluate(scope))
            ratios.append(_cpu_seconds(lambda: ours.evaluate(scope)) / library)
    return statistics.median(ratios)


def _cpu_seconds(evaluate: Callable[[], object]) -> float:
    began = time.thread_time()
    evaluate()
    return time.thread_time() - began


def _cost(source: str, evaluations: int = 2_000) -> float:
    """CPU of one evaluation with its trace, on the core of what is measured."""
    event = sample_event(_ACTIVE)
    scope = scope_of(Trigger(event["id"], event["event"], event["payload"]))
    formula = Formula.compile(source, "bench")
    cores = os.sched_getaffinity(0)
    pin(os.getpid(), TESTED_CORE)
    try:
        for _ in range(100):
            formula.evaluate(scope)
        began = time.process_time()
        for _ in range(evaluations):
            formula.evaluate(scope)
        return (time.process_time() - began) / evaluations * 1e6
    finally:
        os.sched_setaffinity(0, cores)
