"""The rig: real processes on a real Redis, a supervisor that restarts them, and the means to break each of them."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from events import Store
from events.embedded import EmbeddedRedis
from events.identity import event_key
from tests.faults.checker import Demands, Evidence, State, Verdict, judge
from tests.faults.ledger import Fault, Ledger, Target, read_attempts, read_runs, read_stalls
from tests.faults.proxy import Proxy
from tests.faults.sender import CANARY, LIKE_TRUTO, SECRET, Sender, patiently
from tests.servers import free_port
from worker.watchdog import EXIT_CODE

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "token-5b2f6d1c9e"
HANDLERS: Mapping[str, frozenset[str]] = {
    "order:paid": frozenset({"book"}),
    "order:split": frozenset({"pack", "invoice"}),
    "order:blocking": frozenset({"block"}),
    "order:stubborn": frozenset({"hold_on"}),
    "order:refunded": frozenset({"refund"}),
}
_RESTART_SECONDS = 0.2
_UP_SECONDS = 30.0
_STUCK_LEASES = 3


class Server(Protocol):
    """A Redis that can be broken, such as :class:`EmbeddedRedis`."""

    @property
    def url(self) -> str: ...

    @property
    def pid(self) -> int | None: ...

    def start(self) -> None: ...

    def kill(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a row runs on. Times in seconds; *ingress* and *worker* are settings besides."""

    workers: int = 3
    lease_seconds: int = 2
    grace_seconds: int = 5
    concurrency: int = 20
    handlers: str = "tests.faults.team"
    server: Callable[[Path], Server] = EmbeddedRedis
    proxied: bool = False
    ingress: Mapping[str, str] = field(default_factory=dict)
    worker: Mapping[str, str] = field(default_factory=dict)
    ingress_command: Sequence[str] = ("-m", "cli", "ingress")


class Supervised:
    """A process that is started again when it ends, until it is not wanted any more."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], logs: Path) -> None:
        self.name = name
        self.command = command
        self.environment = dict(environment)
        self.wanted = True
        self.starts = 0
        self._logs = logs
        self.popen = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, *self.command],
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def restart(self) -> None:
        """Start it again."""
        self.popen = self._start()

    @property
    def pid(self) -> int:
        """The process id of its present life."""
        return self.popen.pid

    @property
    def log(self) -> Path:
        """What its present life logs to."""
        return self._logs / f"{self.name}.{self.starts}.log"

    @property
    def alive(self) -> bool:
        """Whether it runs (or is frozen)."""
        return self.popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        if self.alive:
            self.popen.send_signal(number)

    def said(self, words: str) -> bool:
        """Whether its present life has logged that."""
        return words.encode() in self.log.read_bytes()


class Rig:
    """One layout under test. Made by :func:`rigged`."""

    def __init__(self, folder: Path, setup: Setup, seed: int) -> None:
        self.folder = folder
        self.setup = setup
        self.random = random.Random(seed)
        self.redis = setup.server(folder / "redis")
        self.port = free_port()
        self.workers: list[Supervised] = []
        self.faults: list[Fault] = []
        self.wanted: dict[str, frozenset[str]] = {}
        self.proxy: Proxy | None = None
        self._ops = Ledger(folder / "operations.jsonl")
        self._attempts = Ledger(folder / "attempts.jsonl")
        self.sender = Sender(self.port, self._attempts)
        self._supervisor: asyncio.Task[None] | None = None
        self._ended_by_us: set[int] = set()

    # Starting and ending

    async def start(self) -> None:
        """Start everything and return once it works."""
        await asyncio.to_thread(self.redis.start)
        self.store = Store.connect(self.redis.url, lease_seconds=self.setup.lease_seconds)
        # A connection that a kill broke is found out at its next use: that is not the news the rig is after.
        retry = Retry(ExponentialBackoff(cap=1, base=0.1), 6)
        self.client: Redis = Redis.from_url(
            self.redis.url, socket_timeout=5, retry=retry, retry_on_error=[RedisConnectionError]
        )
        url = self.redis.url
        if self.setup.proxied:
            self.proxy = Proxy(lambda: self.redis.url)
            await self.proxy.start()
            url = f"redis://127.0.0.1:{self.proxy.port}"
        self.environment = {
            "REDIS_URL": url,
            "LEASE_SECONDS": str(self.setup.lease_seconds),
            "GRACE_SECONDS": str(self.setup.grace_seconds),
            "TRUTO_API_TOKEN": TOKEN,
            "TRUTO_API_URL": "http://127.0.0.1:9",
            "FAULTS_SINK": str(self.folder / "runs.jsonl"),
        }
        edge = {**self.environment, "TRUTO_WEBHOOK_SECRET": SECRET, "PORT": str(self.port), **self.setup.ingress}
        self.ingress = Supervised("ingress", self.setup.ingress_command, edge, self.folder)
        for _ in range(self.setup.workers):
            self.add_worker()
        self._supervisor = asyncio.create_task(self._supervise())
        await self._until_up()

    def add_worker(self, **settings: str) -> Supervised:
        """One more worker."""
        environment = {
            **self.environment,
            "HANDLERS": self.setup.handlers,
            "WORKER_CONCURRENCY": str(self.setup.concurrency),
            **self.setup.worker,
            **settings,
        }
        worker = Supervised(f"worker-{len(self.workers)}", ("-m", "cli", "worker"), environment, self.folder)
        self.workers.append(worker)
        return worker

    async def _until_up(self) -> None:
        await until(self._answers, _UP_SECONDS, "the ingress did not come up")
        await until(lambda: all(w.said("worker_started") for w in self.workers), _UP_SECONDS, "a worker did not start")

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def close(self) -> None:
        """End every process that was started, whatever state it is in."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
        self.sender.close()
        for process in self._processes():
            process.wanted = False
            process.signal(signal.SIGCONT)
            process.signal(signal.SIGKILL)
            process.popen.wait()
        if self.proxy is not None:
            await self.proxy.stop()
        if self.redis.pid is not None:
            os.kill(self.redis.pid, signal.SIGCONT)
        if hasattr(self, "store"):
            await self.store.close()
            await self.client.aclose()
        await asyncio.to_thread(self.redis.kill)
        await self._ops.close()
        await self._attempts.close()

    def _processes(self) -> list[Supervised]:
        return [*([self.ingress] if hasattr(self, "ingress") else []), *self.workers]

    async def _supervise(self) -> None:
        """Restart what has ended, as systemd or Kubernetes do; an end that we did not cause is a crash."""
        while True:
            for process in self._processes():
                if process.wanted and not process.alive:
                    target: Target = "ingress" if process.name == "ingress" else "worker"
                    code = process.popen.returncode
                    if process.pid not in self._ended_by_us:
                        # One that its watchdog ended had been stuck before.
                        stuck = _STUCK_LEASES * self.setup.lease_seconds + 1 if code == EXIT_CODE else 0
                        began = time.monotonic() - stuck
                        self.note("crash", target, process.pid, began=began, detail=f"{process.name} ended with {code}")
                    await asyncio.sleep(_RESTART_SECONDS)
                    process.restart()
                    self._ops.write(time.monotonic(), "restart", process.name, process.pid)
            await asyncio.sleep(0.02)

    # Breaking things

    def note(
        self,
        kind: str,
        target: Target,
        pid: int = 0,
        *,
        began: float | None = None,
        ended: float | None = None,
        detail: str = "",
    ) -> None:
        """Write a fault down; it began and ended now where nothing else is said."""
        now = time.monotonic()
        fault = Fault(kind, target, now if began is None else began, now if ended is None else ended, pid)
        self.faults.append(fault)
        self._ops.write(fault.began, kind, target, pid, fault.ended, detail)

    def kill(self, process: Supervised) -> None:
        """SIGKILL; the supervisor starts it again."""
        if process.alive:
            self._ended_by_us.add(process.pid)
            process.signal(signal.SIGKILL)
            process.popen.wait()
            self.note("kill", "ingress" if process is self.ingress else "worker", process.pid)

    async def retire(self, process: Supervised, grace_seconds: float) -> int:
        """SIGTERM, and SIGKILL after the grace, for good; its exit code."""
        began = time.monotonic()
        process.wanted = False
        process.signal(signal.SIGTERM)
        try:
            await until(lambda: not process.alive, grace_seconds, "still there")
        except AssertionError:
            process.signal(signal.SIGKILL)
        code = await asyncio.to_thread(process.popen.wait)
        self.note("stop", "worker", process.pid, began=began)
        return code

    async def freeze(self, process: Supervised, seconds: float) -> None:
        """SIGSTOP for so long."""
        began = time.monotonic()
        process.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        process.signal(signal.SIGCONT)
        self.note("freeze", "worker", process.pid, began=began)

    async def freeze_redis(self, seconds: float, *, thaw: bool = True) -> None:
        """SIGSTOP for so long, or until it is killed."""
        assert self.redis.pid is not None
        began = time.monotonic()
        os.kill(self.redis.pid, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        if thaw:
            os.kill(self.redis.pid, signal.SIGCONT)
            self.note("freeze", "store", began=began)

    async def kill_redis(
        self, *, down_seconds: float = 0.2, before_restart: Callable[[], object] | None = None
    ) -> None:
        """SIGKILL, and a new start from what is on disk."""
        began = time.monotonic()
        await asyncio.to_thread(self.redis.kill)
        if before_restart is not None:
            before_restart()
        await asyncio.sleep(down_seconds)
        await asyncio.to_thread(self.redis.start)
        self.note("kill", "store", began=began)

    async def every(self, least: float, most: float, until_: float, act: Callable[[], Awaitable[None] | None]) -> None:
        """Break something again and again, at random moments, until that time of the monotonic clock."""
        while (pause := self.random.uniform(least, most)) + time.monotonic() < until_:
            await asyncio.sleep(pause)
            acting = act()
            if acting is not None:
                await acting

    def kill_any_worker(self) -> None:
        """SIGKILL one that runs."""
        if running := [worker for worker in self.workers if worker.alive]:
            self.kill(self.random.choice(running))

    # Load

    async def send(
        self, event_type: str = "order:paid", *, event_id: str | None = None, seconds: float = 0.02,
        secret: str = SECRET, retries: Sequence[float] = LIKE_TRUTO, filler: str = "", **data: object,
    ) -> bool:  # fmt: skip
        """Deliver one event; whether it was acknowledged."""
        name = event_id or str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        if event_type in HANDLERS:
            self.wanted[name] = HANDLERS[event_type]
        return await self.sender.deliver(
            name, event_type, seconds=seconds, secret=secret, retries=retries, filler=filler, data=dict(data)
        )

    async def load(
        self, per_second: float, seconds: float, *, patience: float = 0.0, max_open: int = 400, forged: float = 0.01
    ) -> None:
        """Mixed traffic at a steady rate: mostly one handler, some with two, a few forged.

        Without *patience* (s) the sender gives up as Truto does.
        """
        retries = patiently(patience) if patience else LIKE_TRUTO
        began, started = time.monotonic(), 0
        async with asyncio.TaskGroup() as group:
            open_ones: set[asyncio.Task[bool]] = set()
            while (now := time.monotonic()) < began + seconds:
                while started < (now - began) * per_second and len(open_ones) < max_open:
                    task = group.create_task(self._send_any(retries, forged))
                    open_ones.add(task)
                    task.add_done_callback(open_ones.discard)
                    started += 1
                await asyncio.sleep(0.005)

    async def _send_any(self, retries: Sequence[float], forged: float) -> bool:
        kind = "order:split" if self.random.random() < 0.1 else "order:paid"
        work = self.random.uniform(0.005, 0.1)
        if self.random.random() < forged:
            return await self.send(kind, seconds=work, secret="not-the-secret-of-anybody", retries=())
        return await self.send(kind, seconds=work, retries=retries)

    # Afterwards

    async def total(self, name: str) -> int:
        """How often that has happened, as the store counts it."""
        return int(await self.client.hget("tw:totals", name) or 0)  # type: ignore[misc]  # redis-py types both its clients at once

    async def drained(self, seconds: float = 60.0) -> None:
        """Wait until nothing is queued or under way."""

        async def is_empty() -> bool:
            try:
                counts = [await self.client.zcard(f"tw:{name}") for name in ("queue", "held")]
            except RedisError:
                return False
            return counts == [0, 0]

        await until(is_empty, seconds, "the queue was not worked off")

    async def verdict(self, **demands: object) -> Verdict:
        """Gather the evidence and judge it."""
        attempts = read_attempts(self.folder / "attempts.jsonl")
        genuine = {attempt.id for attempt in attempts}
        states = await self.states(sorted(genuine))
        evidence = Evidence(
            attempts=attempts,
            runs=read_runs(self.folder / "runs.jsonl"),
            faults=[*self.faults, *self._stalls()],
            states=states,
            wanted=self.wanted,
            leftovers=await self._leftovers(states),
            leaked_lines=self._leaked_lines(),
        )
        found = judge(evidence, Demands(lease_seconds=self.setup.lease_seconds, **demands))  # type: ignore[arg-type]  # its own fields
        self._ops.write(time.monotonic(), "verdict", str(found))
        return found

    async def states(self, names: Sequence[str]) -> dict[str, State]:
        """What the store says about each of these events."""
        kept = await self._keys_in("dead", "parked")
        waiting = await self._keys_in("queue", "held")
        states: dict[str, State] = {}
        for start in range(0, len(names), 5000):
            keys = [event_key("truto", name) for name in names[start : start + 5000]]
            async with self.client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.exists(f"tw:done:{key}")
                    pipe.exists(f"tw:event:{key}")
                rows = await pipe.execute()
            for name, key, done, stored in zip(names[start:], keys, rows[::2], rows[1::2], strict=False):
                states[name] = _state(bool(done), bool(stored), key in waiting, key in kept)
        return states

    async def _keys_in(self, *names: str) -> set[str]:
        members = [member for name in names for member in await self.client.zrange(f"tw:{name}", 0, -1)]
        return {member.decode().partition("|")[0] for member in members}

    async def _leftovers(self, states: Mapping[str, State]) -> list[str]:
        """Keys of events that are over, or never were."""
        over = {event_key("truto", name) for name, state in states.items() if state in {"done", "missing"}}
        left: list[str] = []
        for prefix in ("event:", "body:", "raw:", "work:", "open:"):
            found = [key.decode() async for key in self.client.scan_iter(f"tw:{prefix}*", count=5000)]
            left += [key for key in found if key.removeprefix(f"tw:{prefix}").partition("|")[0] in over]
        return left

    def _stalls(self) -> list[Fault]:
        ahead = time.time() - time.monotonic()
        return [stall for log in self.folder.glob("worker-*.log") for stall in read_stalls(log, ahead)]

    def _leaked_lines(self) -> list[str]:
        forbidden = [word.encode() for word in (CANARY, SECRET, TOKEN)]
        found = []
        for path in sorted(self.folder.glob("*.log")):
            with path.open("rb") as log:
                found += [f"{path.name}: {line[:80]!r}" for line in log if any(word in line for word in forbidden)]
        return found


def _state(done: bool, stored: bool, waiting: bool, kept: bool) -> State:
    if kept:
        return "kept" if stored else "kept without payload"
    if waiting:
        return "waiting" if stored else "missing"
    return "done" if done else "missing"


@asynccontextmanager
async def rigged(setup: Setup, *, seed: int, keep: bool, on_kept: Callable[[Path], None]) -> AsyncIterator[Rig]:
    """A running rig. Its folder is kept, and handed to *on_kept*, when something fails or *keep* says so."""
    folder = Path(tempfile.mkdtemp(prefix="tw-faults-"))
    rig = Rig(folder, setup, seed)
    try:
        try:
            await rig.start()
            yield rig
        finally:
            await rig.close()
    except BaseException:
        on_kept(folder)
        raise
    if keep:
        on_kept(folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)


async def until(holds: Callable[[], bool | Awaitable[bool]], seconds: float, otherwise: str) -> None:
    """Wait until *holds*; an assertion error that says *otherwise* after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        answer = holds()
        if answer if isinstance(answer, bool) else await answer:
            return
        assert time.monotonic() < deadline, otherwise
        await asyncio.sleep(0.02)
