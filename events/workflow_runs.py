"""Runs of workflows in the store: their definitions, what they have done, and what they wait for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from itertools import chain
from typing import Any, cast

import orjson

from events.batching import GroupCommit
from events.client import StoreClient, confirmed
from events.queue import Lease, Retention
from events.runs import Arrivals, Begun, Run, RunStatus, Waiting, read_run

_PAGE = 100
_MAX_ARRIVALS = 256
_ARRIVAL_MS = 3_600_000


class WorkflowRuns:
    """What a worker with workflows needs of a store."""

    def __init__(self, client: StoreClient, retention: Retention) -> None:
        self._client = client
        self._retention = retention
        self._beginning = GroupCommit(self._begin_runs)
        self._ending = GroupCommit(self._end_runs)

    async def keep_workflow(self, digest: str, document: bytes) -> None:
        """Keep a definition, so that runs can go on with it when there is a newer one. A second call does nothing."""
        async with confirmed():
            await cast("Awaitable[int]", self._client.redis.hsetnx(self._client.key("workflows"), digest, document))  # type: ignore[arg-type]  # redis-py sends bytes as well

    async def workflow(self, digest: str) -> bytes | None:
        """The definition of that digest; ``None`` when it was never kept."""
        async with confirmed():
            return await cast("Awaitable[bytes | None]", self._client.redis.hget(self._client.key("workflows"), digest))

    async def begin_run(self, lease: Lease, handler: str, run: str, digest: str, head: bytes) -> Begun | None:
        """Begin *run* under the definition *digest*, or go on with it; ``None`` when the lease was lost.

        What has completed, or was skipped, stays so: its status says it. Concurrent calls share one round trip.
        """
        return await self._beginning.submit((lease.member, lease.token, handler, run, digest, head))

    async def _begin_runs(self, runs: Sequence[tuple[str | bytes, ...]]) -> list[Begun | None]:
        answers = await self._client.run("begin_run", list(chain.from_iterable(runs)))
        return [None if answer is None else _begun(answer) for answer in answers]

    async def end_run(self, lease: Lease, run: str, status: RunStatus, result: bytes, error: str = "") -> bool:
        """Say how *run* ended; with ``running``, only why an attempt failed. False when the lease was lost.

        Concurrent calls share one round trip.
        """
        return await self._ending.submit((lease.member, lease.token, run, status, result, error))

    async def _end_runs(self, runs: Sequence[tuple[str | bytes, ...]]) -> list[bool]:
        answers = await self._client.run("end_run", [self._retention.history_ms, *chain.from_iterable(runs)])
        return [bool(kept) for kept in answers]

    async def get(self, run_id: str) -> Run | None:
        """A run of a workflow; ``None`` when it is not known, or its history has expired."""
        found = await self._read_runs([run_id])
        return found[0] if found else None

    async def find(
        self, most: int = 20, *, where: Callable[[Run], bool] = lambda _: True, page: int = _PAGE
    ) -> list[Run]:
        """Up to *most* runs for which *where* holds: those that have not ended first, each newest first."""
        found: list[Run] = []
        for index in ("runs:open", "runs:ended"):
            start = 0
            while len(found) < most:
                async with confirmed():
                    ids = await self._client.redis.zrange(self._client.key(index), start, start + page - 1, desc=True)
                if not ids:
                    break
                found += [run for run in await self._read_runs([name.decode() for name in ids]) if where(run)]
                start += page
        return found[:most]

    async def _read_runs(self, ids: Sequence[str]) -> list[Run]:
        async with confirmed(), self._client.redis.pipeline(transaction=False) as pipe:
            for run_id in ids:
                pipe.hgetall(self._client.key(f"run:{run_id}"))
            rows = await pipe.execute()
            members = [orjson.loads(row[b"head"])["member"] if row else "" for row in rows]
            for member in members:
                pipe.hgetall(self._client.key(f"steps:{member}"))
                pipe.zscore(self._client.key("queue"), member)
                pipe.exists(self._client.key(f"work:{member}"))
                pipe.zscore(self._client.key("dead"), member)
            states = await pipe.execute()
        kept = zip(ids, rows, *(states[offset::4] for offset in range(4)), strict=True)
        return [
            read_run(run_id, row, steps, due_ms=due, dead=dead is not None or not work)
            for run_id, row, steps, due, work, dead in kept
            if row
        ]

    async def await_event(
        self,
        lease: Lease,
        *,
        bucket: str,
        entry: bytes,
        seconds: float,
        event_type: str,
        seen: int,
        note: Mapping[str, Any],
    ) -> bool | None:
        """End *lease* and let its run wait in *bucket*, at most *seconds*; ``None`` when the lease was lost.

        False, and nothing has changed, when more events of *event_type* have come than the *seen* ones: look at
        :meth:`arrivals` again.
        """
        place = (lease.member, lease.token, bucket, entry)
        answer = await self._client.run(
            "await_event", [*place, round(seconds * 1000), event_type, seen, orjson.dumps(note)]
        )
        return None if answer == 0 else bool(answer == 1)

    async def stop_awaiting(self, lease: Lease, bucket: str, name: str) -> tuple[bool, bytes | None]:
        """The leased run waits no more: whether the lease was held, and the event that came for it, if one did."""
        held, *event = await self._client.run("stop_awaiting", [lease.member, lease.token, bucket, name])
        return bool(held), event[0] if event else None

    async def remember_arrival(self, event_type: str, event: bytes) -> None:
        """Remember an event for runs that begin to wait for its type a moment later; ``b""`` only counts it."""
        await self._client.run("remember_arrival", [event_type, event, _MAX_ARRIVALS, _ARRIVAL_MS])

    async def arrivals(self, event_type: str) -> Arrivals:
        """How many events of this type have come, the last of them, and the time."""
        async with confirmed(), self._client.redis.pipeline(transaction=True) as pipe:
            pipe.get(self._client.key(f"arrivals:{event_type}"))
            pipe.lrange(self._client.key(f"arrived:{event_type}"), 0, -1)
            pipe.time()
            count, events, (seconds, micro) = await pipe.execute()
        return Arrivals(int(count or 0), events, seconds + micro / 1e6)

    async def each_waiting(self, bucket: str, page: int = _PAGE) -> AsyncIterator[list[Waiting]]:
        """The runs that wait in *bucket*, about *page* at a time. A run may come twice; every run that stays comes."""
        cursor = 0
        while True:
            async with confirmed():
                cursor, found = await cast(
                    "Awaitable[tuple[int, dict[bytes, bytes]]]",
                    self._client.redis.hscan(self._client.key(f"waits:{bucket}"), cursor, count=page),
                )
            if found:
                yield [Waiting(member.decode(), entry) for member, entry in found.items()]
            if not cursor:
                return

    async def wake_runs(self, bucket: str, event: bytes, runs: Sequence[tuple[Waiting, str]]) -> int:
        """Give *event* to *runs*, each with the name to keep it under, and make them due; how many still waited."""
        args = [part for waiting, name in runs for part in (waiting.member, waiting.entry, name)]
        return int(await self._client.run("wake_runs", [bucket, event, *args]))


def _begun(answer: Sequence[Any]) -> Begun:
    status, digest, attempt, *pairs = answer
    steps = {name.decode(): result for name, result in zip(pairs[::2], pairs[1::2], strict=True)}
    return Begun(status.decode(), digest.decode(), attempt, steps)
