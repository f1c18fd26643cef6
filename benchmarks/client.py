"""The API client against plain httpx, and its memory while it walks a long list.

The server is a few lines on raw asyncio, in a process and on a core of its own: with the sandbox, which is Starlette,
that would be what is measured. Rates are medians of rounds in which ours and httpx take turns.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, cast

import httpx
import orjson

from benchmarks.layout import LOAD_CORE, ROOT, TESTED_CORE, peak_rss_bytes, pin, process, rss_bytes
from cli.processes import free_port
from truto import AsyncTruto

CONCURRENCY = 50
PAGE_SIZE = 1000
SERVER = "raw asyncio, own process and core"

_ACCOUNT = {"id": "79a39d69-e27e-49cb-b9a9-79f5eea7aa26", "tenant_id": "acme-1", "status": "active"}


class Calls(NamedTuple):
    """Small GETs per second and CPU time (us) of one, with 50 at once."""

    server: str
    ours_per_second: float
    httpx_per_second: float
    ratio: float
    ours_cpu_microseconds: float
    httpx_cpu_microseconds: float


class Walk(NamedTuple):
    """One walk through a list, and what the process's memory grew by at the most."""

    records: int
    records_per_second: float
    growth_megabytes: float


class Figures(NamedTuple):
    """What one process saw."""

    calls: Calls
    walk: Walk


def measure(*, rounds: int, calls: int, records: int) -> Figures:
    """Run server and client, each on its core."""
    port = free_port()
    arguments = ("-m", "benchmarks.client", "measure", str(port), str(rounds), str(calls), str(records))
    with process("-m", "benchmarks.client", "serve", str(port), environment={}, core=LOAD_CORE):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
            preexec_fn=lambda: pin(0, TESTED_CORE),
        )
    seen = orjson.loads(done.stdout)
    return Figures(Calls(**seen["calls"]), Walk(**seen["walk"]))


async def _measure(port: int, rounds: int, calls: int, records: int) -> None:
    url = f"http://127.0.0.1:{port}"
    async with AsyncTruto(token="t", base_url=url) as ours, httpx.AsyncClient(trust_env=False) as plain:
        await _until_served(plain, url)
        await ours.integrated_accounts.get("1")
        walk = await _walk(ours, records)  # first, while little has been freed that it could use

        async def by_ours() -> object:
            return await ours.integrated_accounts.get("1")

        async def by_httpx() -> object:
            return (await plain.get(f"{url}/integrated-account/1", headers={"authorization": "Bearer t"})).json()

        found = await _compare(by_ours, by_httpx, rounds, calls)
    sys.stdout.buffer.write(orjson.dumps({"calls": found._asdict(), "walk": walk._asdict()}))


async def _until_served(plain: httpx.AsyncClient, url: str) -> None:
    for _ in range(500):
        try:
            await plain.get(f"{url}/ping")
        except httpx.ConnectError:
            await asyncio.sleep(0.02)
        else:
            return
    raise RuntimeError("the server does not answer")


async def _compare(
    ours: Callable[[], Awaitable[object]], plain: Callable[[], Awaitable[object]], rounds: int, calls: int
) -> Calls:
    rates: dict[str, list[float]] = {"ours": [], "plain": []}
    costs: dict[str, list[float]] = {"ours": [], "plain": []}
    for number in range(rounds + 1):
        for name, call in (("ours", ours), ("plain", plain)):
            rate, cost = await _round(call, calls if number else CONCURRENCY)
            if number:  # the first round opens the connections
                rates[name].append(rate)
                costs[name].append(cost)
    ratio = statistics.median(a / b for a, b in zip(rates["ours"], rates["plain"], strict=True))
    median = statistics.median
    (ours_rate, plain_rate), (ours_cost, plain_cost) = map(median, rates.values()), map(median, costs.values())
    return Calls(SERVER, ours_rate, plain_rate, ratio, ours_cost, plain_cost)


async def _round(call: Callable[[], Awaitable[object]], calls: int) -> tuple[float, float]:
    numbers = iter(range(calls))

    async def caller() -> None:
        for _ in numbers:
            await call()

    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(CONCURRENCY)))
    return calls / (time.perf_counter() - began), (time.process_time() - used) / calls * 1e6


async def _walk(ours: AsyncTruto, records: int) -> Walk:
    before = rss_bytes(os.getpid())
    began = time.perf_counter()
    seen = 0
    async for _ in ours.integrated_accounts.list(limit=PAGE_SIZE, until=records):
        seen += 1
    seconds = time.perf_counter() - began
    return Walk(seen, seen / seconds, (peak_rss_bytes(os.getpid()) - before) / 1024**2)


class _Server(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            self._transport.write(_answer(head.split(b" ", 2)[1].decode()))


def _answer(target: str) -> bytes:
    query = httpx.QueryParams(target.partition("?")[2])
    body = _page(int(query["until"]), int(query.get("next_cursor", 0))) if "until" in query else _ONE
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _page(records: int, start: int) -> bytes:
    end = min(start + PAGE_SIZE, records)
    rows = [{**_ACCOUNT, "id": str(number)} for number in range(start, end)]
    return orjson.dumps({"result": rows, "next_cursor": str(end) if end < records else None})


_ONE = orjson.dumps(_ACCOUNT)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    role, *numbers = sys.argv[1:]
    asyncio.run(_serve(int(numbers[0])) if role == "serve" else _measure(*map(int, numbers)))
