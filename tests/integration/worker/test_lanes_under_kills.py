"""Workers killed at any moment: limits hold, order holds, everything ends, and nobody is left waiting."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from events import Event, Store, Verified
from events.client import StoreClient
from events.embedded import EmbeddedRedis
from tests.conftest import MakeStore
from tests.integration.worker.processes import Team
from tests.integration.worker.workshop import QUICK, delivered, eventually, plain
from truto import AsyncTruto
from worker import Backoff, Context
from worker.dispatch import Dispatcher
from worker.engine import Engine
from worker.notify import Notifier
from worker.registry import Registry

LEASE = 0.4


def order(key: str, number: int) -> Verified:
    return delivered("order:paid", data={"integrated_account_id": key, "number": number})


class Mortal(StoreClient):
    """A worker's client that, from a moment on, says nothing to Redis any more: what a kill looks like from there."""

    dead = False

    async def run(self, script: str, args: Sequence[str | bytes | int]) -> Any:
        if self.dead:
            raise asyncio.CancelledError
        return await super().run(script, args)


class Fleet:
    """Engines that are killed without a word and replaced."""

    def __init__(self, store: Store, registry: Registry, pick: random.Random) -> None:
        self._store = store
        self._registry = registry
        self._pick = pick
        self._members: list[tuple[Mortal, Engine, asyncio.Task[None]]] = []
        self._client = AsyncTruto(token="sandbox-token", transport=plain())
        self._notifier = Notifier(transport=plain())

    def start(self) -> None:
        mortal = Mortal(self._store.redis)
        store = Store(mortal, lease_seconds=LEASE)
        dispatcher = Dispatcher(store, self._registry, self._client, self._notifier, QUICK)
        engine = Engine(store, dispatcher.dispatch, concurrency=8, grace_seconds=1, handle_signals=False)
        self._members.append((mortal, engine, asyncio.create_task(engine.run_until_stopped())))

    async def kill_one(self) -> None:
        mortal, engine, running = self._members.pop(self._pick.randrange(len(self._members)))
        mortal.dead = True
        for task in [*engine.tasks.values(), engine.main_task]:
            if task is not None:
                task.cancel()
        with suppress(asyncio.CancelledError):
            await running

    async def close(self) -> None:
        while self._members:
            await self.kill_one()
        await self._notifier.aclose()
        await self._client.aclose()


class Witness:
    """A handler that fails now and then, and remembers who ran when."""

    def __init__(self, pick: random.Random) -> None:
        self.starts: list[tuple[str | None, int]] = []
        self.most: Counter[str | None] = Counter()
        self._now: Counter[str | None] = Counter()
        self._pick = pick

    async def handle(self, event: Event, ctx: Context) -> None:
        key = event.account_id
        self.starts.append((key, event.payload["number"]))
        self._now[key] += 1
        self.most[key] = max(self.most[key], self._now[key])
        try:
            await asyncio.sleep(self._pick.choice([0, 0.001, 0.01]))
        finally:
            self._now[key] -= 1
        if self._pick.random() < 0.1:
            raise ValueError("now and then")


async def is_over(store: Store, count: int) -> bool:
    view = await store.inspection.overview()
    ends = sum(view.totals.get(name, 0) for name in ("done", "discarded", "dead"))
    return ends == count and (view.ready, view.waiting, view.held) == (0, 0, 0)


async def traces(store: Store) -> set[str]:
    names = {key.decode().split(":")[1] for key in await store.redis.keys("*")}
    return names & {"lane", "holding", "waiting", "held", "unrouted", "blocked"}


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({"concurrency": 2}, 2),
        ({"ordered": True}, 1),
        ({"concurrency": 1, "rate": (20, 0.1)}, 1),
        ({"debounce": 0.05}, 99),
    ],
    ids=["concurrency", "ordered", "rate", "debounce"],
)
async def test_whatever_is_killed_limits_and_order_hold_and_everything_ends(
    make_store: MakeStore, registry: Registry, options: dict[str, Any], most: int
) -> None:
    pick = random.Random(7)
    store, witness = make_store(), Witness(pick)
    registry.on("*", backoff=Backoff(0.001, 0.01), **options)(witness.handle)
    fleet = Fleet(store, registry, pick)
    for _ in range(3):
        fleet.start()
    try:
        for number in range(12):
            keys = pick.choices("abcdefgh", weights=[40, 8, 4, 2, 2, 1, 1, 1], k=16)
            await store.accept([order(key, number * 16 + n) for n, key in enumerate(keys)])
            await asyncio.sleep(pick.uniform(0, 0.1))
            if number % 2:
                await fleet.kill_one()
                fleet.start()
        await eventually(lambda: is_over(store, 12 * 16), seconds=20)
    finally:
        await fleet.close()
    assert max(witness.most.values()) <= most
    assert await traces(store) == set()
    if options.get("ordered"):
        for key in "abcdefgh":
            numbers = [number for name, number in witness.starts if name == key]
            assert numbers == sorted(numbers)


HANDLERS = """
    @on("order:paid", ordered=True, backoff=Backoff(0.01, 0.01))
    async def pay(event: Event, ctx: Context) -> None:
        say(f"start {event.payload['number']}")
        if event.payload["number"] in (KILLS := (3, 7)) and said_times(f"start {event.payload['number']}") == 1:
            os.kill(os.getpid(), 9)
        await asyncio.sleep(0.01)
        say(f"end {event.payload['number']}")

    def said_times(line: str) -> int:
        return (HERE / "said.txt").read_text().splitlines().count(line)
"""


async def test_a_process_that_is_killed_while_it_holds_a_key_strands_nobody(
    make_store: MakeStore, redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    store = make_store(lease_seconds=1)
    team = Team(tmp_path, redis_server.url, HANDLERS)
    await store.accept([order("a", n) for n in range(12)])
    with team.worker() as first, team.worker() as second, team.worker():
        await eventually(lambda: is_over(store, 12), seconds=25)
        assert [process.poll() for process in (first, second)].count(None) <= 1
    starts = [int(line.split()[1]) for line in team.said() if line.startswith("start")]
    assert starts == sorted(starts)
    assert set(starts) == set(range(12))
    assert starts.count(3) == starts.count(7) == 2
    assert await traces(store) == set()
