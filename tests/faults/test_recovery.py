"""Events of which a tenth never arrives, with the reconciling worker killed again and again: each runs, and once."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from redis import Redis

from cli.processes import Process, Processes, free_port
from tests.servers import quick_redis

TOKEN, SECRET = "sandbox-token", "6e17561c-a20c-44ce-b8b5-caff0bf786fe"
EVERY = 6.0
PER_SECOND = 50
"""What Truto's limit of a token comes to: 500 calls in 10 s."""

HANDLERS = """
import os
from pathlib import Path
from events import Event
from worker import Context, on

SAID = Path(__file__).parent / "said.txt"


@on("integrated_account:*", "record:*")
async def say(event: Event, ctx: Context) -> None:
    about = event.account_id if event.type.startswith("integrated") else event.payload["raw"]["id"]
    with SAID.open("a") as file:
        file.write(f"{event.type} {about} {event.id} {event.recovered}\\n")
"""

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Fleet:
    """A sandbox, an ingress and workers, each a process of its own."""

    def __init__(self, folder: Path, redis_url: str, processes: Processes) -> None:
        self.processes = processes
        self.folder = folder
        package = folder / "team"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "says.py").write_text(dedent(HANDLERS))
        self.said_file = package / "said.txt"
        self.said_file.touch()
        self.port, sandbox_port = free_port(), free_port()
        self.sandbox_url = f"http://127.0.0.1:{sandbox_port}"
        self.environment = {
            "REDIS_URL": redis_url,
            "TRUTO_WEBHOOK_SECRET": SECRET,
            "TRUTO_API_TOKEN": TOKEN,
            "TRUTO_API_URL": self.sandbox_url,
            "PORT": str(self.port),
            "ADMIN_PORT": "off",
            "HANDLERS": "team",
            "PYTHONPATH": str(folder),
            "RECONCILE_EVERY": str(EVERY),
            "LEASE_SECONDS": "2",
        }
        hook = f"http://127.0.0.1:{self.port}/webhooks/truto"
        sandbox = processes.start(
            "sandbox",
            ["sandbox", "--port", str(sandbox_port), "--webhook-url", hook, "--step-seconds", "0.05"],
            self.environment,
        )
        processes.wait_until_up(sandbox, f"{self.sandbox_url}/sandbox/faults")
        self.ingress = self.start_ingress()
        self.workers: list[Process] = []
        self.own_calls = 0

    def start_ingress(self) -> Process:
        ingress = self.processes.start("ingress", ["ingress"], self.environment)
        self.processes.wait_until_up(ingress, f"http://127.0.0.1:{self.port}/readyz")
        return ingress

    def start_worker(self) -> None:
        self.workers.append(self.processes.start(f"worker-{len(self.workers)}", ["worker"], self.environment))

    def kill(self, process: Process) -> None:
        process.popen.kill()
        self.processes.stop(process)

    def call(self, method: str, path: str, body: object = None) -> Any:
        self.own_calls += not path.startswith("/sandbox/")
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.sandbox_url + path, data, headers, method=method)
        with _DIRECT.open(request, timeout=30) as response:
            return json.loads(response.read() or b"{}")

    def connect(self) -> str:
        return str(self.call("POST", "/sandbox/connect", {"tenant_id": "t"})["id"])

    def send_record(self, account: str, name: str) -> None:
        self.call("POST", f"/integrated-account-webhook/{account}", {"event_type": "created", "id": name})

    def said(self) -> list[tuple[str, str, str, bool]]:
        rows = (line.split() for line in self.said_file.read_text().splitlines())
        return [(kind, about, event_id, recovered == "True") for kind, about, event_id, recovered in rows]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    logs = tmp_path / "logs"
    logs.mkdir()
    with quick_redis() as server, Processes(logs=logs) as processes:
        yield Fleet(tmp_path, server.url, processes)


def test_a_tenth_of_the_events_is_lost_and_recovered(fleet: Fleet, request: pytest.FixtureRequest) -> None:
    recover(fleet, events=200, kills=4, workers=2, seed=request.config.getoption("--seed", default=None))


@pytest.mark.long
def test_a_hundred_of_a_thousand_events_are_lost_and_recovered(fleet: Fleet, request: pytest.FixtureRequest) -> None:
    recover(fleet, events=1000, kills=20, workers=8, seed=request.config.getoption("--seed", default=None))


def recover(fleet: Fleet, *, events: int, kills: int, workers: int, seed: int | None) -> None:
    """So many events: nine in ten about accounts, two for each; the rest of records, whose data is lost for good."""
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    for _ in range(workers):
        fleet.start_worker()
    with Redis.from_url(fleet.environment["REDIS_URL"]) as redis:
        until(lambda: redis.zcard("tw:workers") >= workers, "the workers are there")
        redis.hset("tw:reconcile", "due", 0)
        began = time.monotonic()
        fleet.call("PUT", "/sandbox/faults", {"lose": 0.1, "late": 0.1, "late_seconds": 2 * EVERY, "seed": seed})
        accounts = [fleet.connect() for _ in range(events * 45 // 100)]
        for number in range(events // 10):
            fleet.send_record(accounts[0], f"r-{number}")
        fleet.call("PUT", "/sandbox/faults", {})
        killed = kill_reconcilers(fleet, redis, kills // 2)

        # The ingress is away for so long that Truto switches the webhook off.
        fleet.kill(fleet.ingress)
        accounts += [fleet.connect() for _ in range(8)]
        until(lambda: not active(fleet) or recovered_since(redis, began), "the webhook is off")
        accounts += [fleet.connect() for _ in range(4)]
        time.sleep(1)  # steps of their connections, which nobody is told of
        fleet.ingress = fleet.start_ingress()
        killed += kill_reconcilers(fleet, redis, kills - killed)

        wanted = {(f"integrated_account:{end}", account) for account in accounts for end in ("created", "active")}
        until(lambda: wanted <= {row[:2] for row in fleet.said()}, "everything has run", seconds=40 * EVERY)
        until(lambda: active(fleet), "the webhook is on again", seconds=10 * EVERY)
        until(lambda: never_said(fleet) <= listed(redis).keys(), "the rest is listed", seconds=40 * EVERY)
        took = time.monotonic() - began
        calls = len(fleet.call("GET", "/sandbox/calls")["result"]) - fleet.own_calls
        time.sleep(2 * EVERY + 1)  # the last late originals
        said = fleet.said()
        lost = listed(redis)
    check(said, wanted, never_said(fleet), lost)
    share = calls / (PER_SECOND * took)
    recovered = len({row[2] for row in said if row[3]})
    sys.stderr.write(
        f"recovery: {events} events, {recovered} recovered, {len(lost)} listed, {killed} kills, {workers} workers, "
        f"{took:.0f} s, {calls} calls ({share:.1%} of the budget), seed {seed}\n"
    )
    assert share < 0.05
    assert recovered > events // 20


def check(
    said: list[tuple[str, str, str, bool]],
    wanted: set[tuple[str, str]],
    missing: set[str],
    lost: dict[str, dict[str, Any]],
) -> None:
    ids: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for kind, about, event_id, _ in said:
        ids[kind, about].add(event_id)
    twice = {what: found for what, found in ids.items() if what in wanted and len(found) > 1}
    assert twice == {}
    assert wanted - ids.keys() == set()
    # What carries data has arrived, late perhaps, or is listed.
    assert missing <= lost.keys()
    assert all(row["why"] and row["where"] for row in lost.values())
    again = Counter(row[2] for row in said)
    sys.stderr.write(f"recovery: {sum(count > 1 for count in again.values())} repeated after a kill\n")


def kill_reconcilers(fleet: Fleet, redis: Any, kills: int) -> int:
    """Kill the process that has the turn, so often, as soon as it has it; another one is started each time."""
    for _ in range(kills):
        redis.hset("tw:reconcile", "due", 0)
        owner = until(lambda: redis.hget("tw:reconcile", "owner"), "somebody has the turn", seconds=60)
        time.sleep(random.uniform(0, 0.3))
        with suppress(ProcessLookupError):
            os.kill(int(owner.decode().partition("-")[0]), signal.SIGKILL)
        fleet.start_worker()
    return kills


def never_said(fleet: Fleet) -> set[str]:
    """The ids of the events of records that were tried, and have not run."""
    tried = {
        row["event_id"]
        for row in fleet.call("GET", "/sandbox/deliveries")["result"]
        if row["event"].startswith("record:")
    }
    return tried - {row[2] for row in fleet.said()}


def listed(redis: Any) -> dict[str, dict[str, Any]]:
    """What cannot be recovered, by id."""
    return {row["id"]: row for row in json.loads(redis.hget("tw:reconcile", "unrecoverable") or "[]")}


def active(fleet: Fleet) -> bool:
    (webhook,) = fleet.call("GET", "/webhook")["result"]
    return bool(webhook["is_active"])


def recovered_since(redis: Any, _began: float) -> bool:
    """Whether the job has seen it off, and has switched it on already."""
    return bool(json.loads(redis.hget("tw:reconcile", "webhook") or "{}").get("times"))


def until(holds: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)
    return found
