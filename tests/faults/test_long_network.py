"""Long tier: connections that hang, crawl, or lead to another master: rows 10, 11 and 12."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from redis import Redis as Client
from redis.asyncio import Redis

from tests.faults.conftest import Publish, Rigged
from tests.faults.ledger import read_attempts
from tests.faults.rig import until
from tests.redis_nodes import Node, replica_of

pytestmark = pytest.mark.long


async def test_a_black_hole_is_left_after_the_limit_for_an_answer(rig: Rigged, publish: Publish) -> None:
    async with rig(workers=2, proxied=True) as r:
        assert r.proxy is not None
        loading = asyncio.create_task(r.load(80, 60, patience=30))
        for _ in range(4):
            await asyncio.sleep(4)
            began = time.monotonic()
            r.proxy.swallow()
            await asyncio.sleep(8)
            r.proxy.flow()
            r.note("black hole", "store", began=began)
        await loading
        await r.drained()
        verdict = await r.verdict(resume_bound=10.0)
        assert verdict.holds, verdict
        publish(10, "black hole before Redis, 8 s", verdict, f"{len(r.faults)} holes")


async def test_a_slow_network_costs_time_and_no_lease(rig: Rigged, publish: Publish) -> None:
    async with rig(workers=2, proxied=True, lease_seconds=6) as r:
        assert r.proxy is not None
        r.proxy.delay = lambda: 1.0 if r.random.random() < 0.01 else r.random.uniform(0, 0.05)
        await r.load(100, 60, patience=30)
        await r.drained()
        verdict = await r.verdict()
        assert verdict.holds, verdict
        assert verdict.repeated == 0
        attempts = read_attempts(r.folder / "attempts.jsonl")
        took = sorted(attempt.ended - attempt.sent for attempt in attempts if attempt.outcome == "ok")
        p99 = took[int(len(took) * 0.99)]
        publish(11, "0-50 ms each way, 1 % stalls of 1 s", verdict, "60 s", f"acks p99 {p99:.2f} s")


class Pair:
    """A master and its replica on loopback; :meth:`fail_over` makes the replica the master."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._nodes = [Node(folder, [])]
        self._nodes.append(replica_of(self._nodes[0], folder))
        self._started = False

    @property
    def url(self) -> str:
        """The master of now."""
        return f"redis://127.0.0.1:{self._nodes[0].port}"

    @property
    def pid(self) -> int | None:
        """The master's."""
        return self._nodes[0].pid if self._started else None

    def start(self) -> None:
        """Start both."""
        for node in self._nodes:
            node.start()
        self._started = True

    def is_in_step(self) -> bool:
        """Whether the replica follows."""
        with self._nodes[1].client() as client:
            return bool(client.info("replication")["master_link_status"] == "up")

    def freeze_replica(self) -> None:
        """The replica falls behind."""
        os.kill(self._nodes[1].pid, signal.SIGSTOP)

    def fail_over(self) -> None:
        """The master dies, its replica takes its place, and a new replica follows."""
        old, new = self._nodes
        old.kill()
        os.kill(new.pid, signal.SIGCONT)
        with Client(port=new.port, socket_timeout=5) as client:
            client.replicaof("NO", "ONE")
        follower = replica_of(new, self._folder)
        follower.start()
        self._nodes = [new, follower]

    def kill(self) -> None:
        """End both."""
        for node in self._nodes if self._started else []:
            node.kill()
        self._started = False


@pytest.mark.parametrize("replicas", [1, 0], ids=["confirmed by the replica", "not confirmed"])
async def test_a_failover_keeps_what_the_replica_confirmed(rig: Rigged, publish: Publish, replicas: int) -> None:
    pairs: list[Pair] = []

    def server(folder: Path) -> Pair:
        pairs.append(Pair(folder))
        return pairs[0]

    confirm = {"CONFIRM_REPLICAS": str(replicas)}
    async with rig(workers=2, proxied=True, server=server, ingress=confirm) as r:
        pair = pairs[0]
        assert r.proxy is not None
        loading = asyncio.create_task(r.load(200, 40, patience=20))
        for _ in range(4):
            await until(pair.is_in_step, 20, "the replica does not follow")
            await asyncio.sleep(3)
            began = time.monotonic()
            pair.freeze_replica()
            await asyncio.sleep(1)
            await asyncio.to_thread(pair.fail_over)
            r.proxy.drop_all()
            r.note("failover", "store", began=began)
            await r.client.aclose()
            r.client = Redis.from_url(pair.url, socket_timeout=5)
        await loading
        await r.drained()
        verdict = await r.verdict(resume_bound=20.0 if replicas else 6.5)
        if replicas:
            assert verdict.holds, verdict
        else:
            assert verdict.lost, "it is known to lose: something else confirms"
        name = "failover, replica frozen before" + (", CONFIRM_REPLICAS=1" if replicas else " (CONTROL, unconfirmed)")
        publish(12 if replicas else 12.1, name, verdict, f"{len(r.faults)} failovers")
