"""The ingress in the memory that its deployment gives it, under what strangers send, while Truto delivers."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest

from ingress.verification.head import FORM
from tests.faults.rig import ROOT
from tests.faults.sender import SECRET
from tests.servers import free_port, quick_redis
from tests.unit.ingress.sources.senders import SENDERS
from truto import sign

_LIMIT_BYTES = 256 * 1024 * 1024
_CGROUPS = Path("/sys/fs/cgroup/memory")
_PER_SECOND = 100
_QUIET_SECONDS = 5.0
_CONNECTIONS = 10

FORM_SOURCES = {sender.preset: sender.given() for sender in SENDERS if FORM in sender.source().media_types}


@dataclass
class Figures:
    """What became of the deliveries: seconds until each answer, and the answers that were no acceptance."""

    seconds: list[float] = field(default_factory=list)
    refused: list[bytes] = field(default_factory=list)

    @property
    def p99(self) -> float:
        return sorted(self.seconds)[int(len(self.seconds) * 0.99)] if self.seconds else math.inf

    def __str__(self) -> str:
        if not self.seconds:
            return "none accepted"
        ordered = sorted(self.seconds)
        middle, most = ordered[len(ordered) // 2] * 1000, ordered[-1] * 1000
        return f"{len(ordered)} accepted, p50 {middle:.1f} ms, p99 {self.p99 * 1000:.1f} ms, slowest {most:.1f} ms"


class Sender:
    """Signed deliveries at a fixed rate over a few connections that stay, as a proxy's do."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.figures = Figures()
        self._idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self._number = 0

    async def connect(self) -> None:
        for _ in range(_CONNECTIONS):
            self._idle.put_nowait(await asyncio.open_connection("127.0.0.1", self.port))

    def close(self) -> None:
        while not self._idle.empty():
            self._idle.get_nowait()[1].close()

    async def deliver_while(self, going_on: Callable[[], bool]) -> None:
        begun, sent = time.perf_counter(), 0
        under_way = set()
        while going_on():
            await asyncio.sleep(max(0.0, begun + sent / _PER_SECOND - time.perf_counter()))
            under_way.add(asyncio.create_task(self._deliver()))
            sent += 1
        await asyncio.gather(*under_way)

    async def _deliver(self) -> None:
        self._number += 1
        body = orjson.dumps({"id": f"e-{self._number}", "event": "ping", "filler": "x" * 1000})
        head = (
            f"POST /webhooks/truto HTTP/1.1\r\nHost: edge.test\r\nContent-Type: application/json\r\n"
            f"X-Truto-Signature: {sign(body, SECRET)}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        begun = time.perf_counter()
        reader, writer = await self._idle.get()
        answered = b""
        try:
            writer.write(head.encode() + body)
            answered = await asyncio.wait_for(reader.readuntil(b"}]}"), 10)
        except asyncio.IncompleteReadError as exc:
            answered = exc.partial
        except (OSError, TimeoutError) as exc:
            answered = repr(exc).encode()
        if answered.startswith(b"HTTP/1.1 200"):
            self.figures.seconds.append(time.perf_counter() - begun)
        else:
            self.figures.refused.append(answered[:200] or b"no answer")
        self._idle.put_nowait((reader, writer))


@contextmanager
def memory_limit() -> Iterator[str]:
    """What gives a shell 256 MiB: a cgroup where one can be made, else three times as much address space."""
    group = _CGROUPS / f"strangers-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(_LIMIT_BYTES))
    except OSError:
        yield f"ulimit -v {3 * _LIMIT_BYTES // 1024}"
        return
    try:
        yield f"echo $$ > {group}/cgroup.procs"
    finally:
        with suppress(OSError):
            group.rmdir()


@contextmanager
def limited_ingress(folder: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    port = free_port()
    with quick_redis() as redis, memory_limit() as limited:
        environment = {
            **os.environ,
            "REDIS_URL": redis.url,
            "TRUTO_WEBHOOK_SECRET": SECRET,
            "PORT": str(port),
            "STORE_CHECK": "off",
            "SOURCES_FILE": str(folder / "sources.yaml"),
            "PUBLIC_URL": "https://you.example",
        }
        (folder / "sources.yaml").write_bytes(orjson.dumps(FORM_SOURCES))
        with (folder / "ingress.log").open("wb") as log:
            process = subprocess.Popen(
                ["sh", "-c", f'{limited} && exec "$0" -m cli ingress', sys.executable],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield port, process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def until_up(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


def memory(process: subprocess.Popen[bytes]) -> int:
    """The most it has had so far, in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


@contextmanager
def strangers(port: int, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Strangers at work. They have machines of their own: here they take what processor the others leave."""
    command = ["nice", "-n", "15", sys.executable, "-m", "tests.faults.strangers", str(port), *arguments]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


FLOODS = {
    "2,000 bodies of 10 MB": (("bodies", "2000"),),
    "10,000 idle connections": (("idle", "10000"),),
    "200 forms of 5 MB for each source that takes forms": tuple(("forms", "200", name) for name in FORM_SOURCES),
}


@pytest.mark.long
@pytest.mark.parametrize("flood", FLOODS)
async def test_strangers_neither_kill_the_ingress_nor_keep_signed_deliveries_out(
    flood: str, tmp_path: Path, record: Callable[[str], None]
) -> None:
    with limited_ingress(tmp_path) as (port, process):
        await until_up(port)
        sender = Sender(port)
        await sender.connect()
        quiet_until = time.monotonic() + _QUIET_SECONDS
        await sender.deliver_while(lambda: time.monotonic() < quiet_until)
        quiet, sender.figures = sender.figures, Figures()
        for arguments in FLOODS[flood]:
            with strangers(port, *arguments) as under_way:
                await sender.deliver_while(lambda: under_way.poll() is None)
        sender.close()
        record(f"{flood}: {sender.figures} (before: {quiet}); most memory {memory(process)} MB")
        assert process.poll() is None, (tmp_path / "ingress.log").read_text()[-2000:]
        assert sender.figures.refused == []
