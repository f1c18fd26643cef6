"""The API client against plain httpx, and its memory while it walks a long list.

Both run under uvloop, as everything does that the CLI starts. They are measured twice: against the sandbox, which is
what the target names, and against a few lines on a raw protocol, because the sandbox may be what is slow. Either server
has a process and a core of its own. Rates are medians of rounds in which ours and httpx take turns.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, cast

import httpx
import orjson
import uvloop

from benchmarks.layout import LOAD_CORE, ROOT, TESTED_CORE, peak_rss_bytes, pin, process, rss_bytes
from cli.processes import free_port
from truto import AsyncTruto

CONCURRENCY = 50
PAGE_SIZE = 1000
TOKEN = "sandbox-token"

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
    sandbox: Calls
    walk: Walk


def measure(*, rounds: int, calls: int, records: int) -> Figures:
    """Run either server and the client, each on its core."""
    port = free_port()
    with process("-m", "benchmarks.client", "serve", str(port), environment={}, core=LOAD_CORE):
        raw = _seen("calls", port, rounds, calls)
        walk = _seen("walk", port, records)
    port = free_port()
    command = ("-m", "cli", "sandbox", "--port", str(port), "--no-rate-limits")
    with process(*command, environment={"TRUTO_API_TOKEN": TOKEN}, core=LOAD_CORE):
        sandbox = _seen("calls", port, rounds, calls)
    return Figures(Calls("raw protocol", **raw), Calls("truto-worker sandbox", **sandbox), Walk(**walk))


def _seen(role: str, *numbers: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.client", role, *map(str, numbers)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=lambda: pin(0, TESTED_CORE),
    )
    found = orjson.loads(done.stdout)
    assert isinstance(found, dict)
    return found


async def _measure_calls(port: int, rounds: int, calls: int) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}"
    async with AsyncTruto(token=TOKEN, base_url=url) as ours, httpx.AsyncClient(trust_env=False) as plain:
        await _until_served(plain, url)
        account = await anext(aiter(ours.integrated_accounts.list()))
        headers = {"authorization": f"Bearer {TOKEN}"}

        async def by_ours() -> object:
            return await ours.integrated_accounts.get(account.id)

        async def by_httpx() -> object:
            return (await plain.get(f"{url}/integrated-account/{account.id}", headers=headers)).json()

        return await _compare(by_ours, by_httpx, rounds, calls)


async def _measure_walk(port: int, records: int) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}"
    async with AsyncTruto(token=TOKEN, base_url=url) as ours, httpx.AsyncClient(trust_env=False) as plain:
        await _until_served(plain, url)
        await ours.integrated_accounts.get("1")
        return (await _walk(ours, records))._asdict()


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
) -> dict[str, Any]:
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
    return {
        "ours_per_second": ours_rate,
        "httpx_per_second": plain_rate,
        "ratio": ratio,
        "ours_cpu_microseconds": ours_cost,
        "httpx_cpu_microseconds": plain_cost,
    }


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
    if "until" in query:
        body = _page(int(query["until"]), int(query.get("next_cursor", 0)))
    else:
        body = _LIST if target.partition("?")[0] == "/integrated-account" else _ONE
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _page(records: int, start: int) -> bytes:
    end = min(start + PAGE_SIZE, records)
    rows = [{**_ACCOUNT, "id": str(number)} for number in range(start, end)]
    return orjson.dumps({"result": rows, "next_cursor": str(end) if end < records else None})


_ONE = orjson.dumps(_ACCOUNT)
_LIST = orjson.dumps({"result": [_ACCOUNT], "next_cursor": None})


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", port)
    await server.serve_forever()


async def _print(found: Awaitable[dict[str, Any]]) -> None:
    sys.stdout.buffer.write(orjson.dumps(await found))


if __name__ == "__main__":
    role, *given = sys.argv[1:]
    numbers = tuple(map(int, given))
    if role == "serve":
        uvloop.run(_serve(*numbers))
    else:
        uvloop.run(_print(_measure_walk(*numbers) if role == "walk" else _measure_calls(*numbers)))
