"""Events with large bodies in a worker: whole for their handlers, and never more at once than there is room for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import LogCapture

from events import Event, Store, Verified
from events.embedded import EmbeddedRedis
from tests.integration.events.deliveries import expiring_keys
from tests.integration.worker.processes import Team
from tests.integration.worker.test_reauth import ACCOUNT, Provider, account_event, work
from tests.integration.worker.workshop import Holding, Recorder, delivered, ended, eventually, is_empty, story, working
from worker import Context
from worker.registry import Registry

SIZE = 200_000


def large(event_type: str = "order:paid", *, event_id: str | None = None, size: int = SIZE) -> Verified:
    return delivered(event_type, event_id=event_id, data={"filler": "x" * size})


class Crowd:
    """A handler that lets others come in, and notes how many of its large events it had at once."""

    def __init__(self) -> None:
        self.most = 0
        self.now = 0

    async def handle(self, event: Event, ctx: Context) -> None:
        if len(event.raw) < SIZE:
            return
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(20):
            await asyncio.sleep(0.001)
        self.now -= 1


async def test_a_handler_sees_a_large_event_whole(store: Store, registry: Registry) -> None:
    seen = []

    @registry.on("order:paid")
    async def see(event: Event, ctx: Context) -> None:
        seen.append((event.raw, event.payload["filler"], event.tenant_id, await ctx.raw()))

    event = delivered(data={"filler": "x" * SIZE, "tenant_id": "acme"})
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event)
    ((raw, filler, tenant, arrived),) = seen
    assert (raw, filler, arrived) == (event.body, "x" * SIZE, event.body)
    assert tenant == "acme"
    assert await expiring_keys(store) == {"done", "history"}
    assert await store.redis.keys("tw:body:*") == []


async def test_every_handler_of_a_large_event_sees_it_and_the_last_one_ends_it(
    store: Store, registry: Registry
) -> None:
    seen = []

    @registry.on("order:paid")
    async def pack(event: Event, ctx: Context) -> None:
        seen.append(event.raw)

    @registry.on("order:*")
    async def invoice(event: Event, ctx: Context) -> None:
        seen.append(event.raw)

    event = large()
    async with working(store, registry, max_bytes=SIZE):
        await store.accept([event])
        await ended(store, event)
        await eventually(lambda: is_empty(store))
    assert seen == [event.body] * 2
    assert await store.redis.keys("tw:body:*") == []


@pytest.mark.parametrize(("room", "most"), [(2 * SIZE + 10_000, 2), (SIZE, 1), (64 * 1024, 1)], ids=["2", "1", "alone"])
async def test_no_more_large_events_are_worked_on_at_once_than_there_is_room_for(
    store: Store, registry: Registry, room: int, most: int
) -> None:
    crowd = Crowd()
    registry.on("order:paid")(crowd.handle)
    events = [large() for _ in range(8)]
    await store.accept(events)
    async with working(store, registry, max_bytes=room):
        async with asyncio.timeout(8):
            for event in events:
                await ended(store, event)
    assert crowd.most == most


async def test_room_that_is_freed_is_used_at_once(store: Store, registry: Registry) -> None:
    """Not with the next poll: thirty events one after the other would take half a minute then."""
    crowd = Crowd()
    registry.on("order:paid")(crowd.handle)
    await store.accept([large() for _ in range(30)])
    async with working(store, registry, max_bytes=SIZE):
        await eventually(lambda: is_empty(store), seconds=15)
    assert crowd.most == 1


async def test_small_events_are_worked_on_while_large_ones_wait_for_room(
    store: Store, registry: Registry, recorder: Recorder
) -> None:
    holding = Holding()
    registry.on("order:large")(holding.handle)
    registry.on("order:paid")(recorder.handle)
    await store.accept([large("order:large") for _ in range(5)])
    before, after = delivered(), delivered()
    async with working(store, registry, max_bytes=SIZE):
        await store.accept([before])
        await ended(store, before)
        await store.accept([after])  # given to the worker that waits, with its acceptance
        await ended(store, after)
        assert len(holding.runs) == 1
        holding.may_end.set()
        await eventually(lambda: is_empty(store))
    assert len(holding.runs) == 5


async def test_a_failing_large_event_is_tried_again_whole_and_replayed_whole(store: Store, registry: Registry) -> None:
    works = False
    seen = []

    @registry.on("order:paid")
    async def fail(event: Event, ctx: Context) -> None:
        seen.append(event.raw)
        if not works:
            raise ValueError

    event = large()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "dead")
        works = True
        assert await store.inspection.replay([kept.member for kept in await store.inspection.dead_letters()]) == 1
        await ended(store, event)
    assert seen == [event.body] * 4


async def test_a_large_event_that_nobody_wants_is_parked_and_run_when_somebody_does(
    store: Store, recorder: Recorder
) -> None:
    event = large("order:new")
    async with working(store, Registry(), suggest=True):
        await store.accept([event])
        await ended(store, event, "parked")
    registry = Registry()
    registry.on("order:new")(recorder.handle)
    async with working(store, registry):
        await ended(store, event)
    assert recorder.runs == [event.id]


async def test_the_account_of_a_large_event_keeps_its_order(store: Store, registry: Registry) -> None:
    order: list[str] = []

    @registry.on("record:*", ordered=True)
    async def note(event: Event, ctx: Context) -> None:
        assert event.account_id == ACCOUNT
        order.append(event.id)

    sizes = [SIZE, 1, SIZE, 1, SIZE, 1]
    events = [
        delivered("record:updated", event_id=f"e-{n}", data={"integrated_account_id": ACCOUNT, "filler": "x" * size})
        for n, size in enumerate(sizes)
    ]
    await store.accept(events)
    async with working(store, registry, max_bytes=SIZE):
        await eventually(lambda: is_empty(store))
    assert order == [f"e-{n}" for n in range(6)]


async def test_a_large_event_reconnects_its_account(store: Store, registry: Registry) -> None:
    provider = Provider(registry)
    waiting = work()
    reconnected = account_event("active")
    body = reconnected.body[:-1] + b',"filler":"' + b"x" * SIZE + b'"}'
    async with working(store, registry):
        await store.accept([waiting])
        await ended(store, waiting, "parked")
        provider.works = True
        await store.accept([reconnected._replace(body=body)])
        await ended(store, waiting)
    assert provider.attempts == [1, 1]


async def test_a_large_event_whose_body_is_lost_becomes_a_dead_letter(
    store: Store, registry: Registry, recorder: Recorder, logs: LogCapture
) -> None:
    registry.on("*")(recorder.handle)
    event, other = large(), delivered()
    await store.accept([event, other])
    await store.redis.delete(f"tw:body:{event.key}")
    async with working(store, registry):
        await ended(store, event, "dead")
        await ended(store, other)
    assert recorder.runs == [other.id]
    (letter,) = await store.inspection.dead_letters()
    assert "body" in letter.note["error"]
    assert not [entry for entry in logs.entries if entry["event"] == "dispatch_failed"]


async def test_the_large_event_of_a_killed_worker_runs_again_whole(
    tmp_path: Path, redis_server: EmbeddedRedis, store: Store
) -> None:
    team = Team(
        tmp_path,
        redis_server.url,
        """
        @on("order:paid")
        async def hold(event: Event, ctx: Context) -> None:
            first = not (HERE / "said.txt").exists()
            say(str(len(event.payload["filler"])))
            if first:
                await asyncio.sleep(60)
        """,
    )
    event = large(size=3_000_000)
    await store.accept([event])
    with team.worker() as first:
        await eventually(lambda: len(team.said()) == 1, seconds=20)
        first.kill()
        with team.worker():
            await ended_within(store, event, seconds=20)
    assert team.said() == ["3000000"] * 2
    assert await store.redis.keys("tw:body:*") == []


async def ended_within(store: Store, event: Verified, seconds: float) -> None:
    async def is_done() -> bool:
        return "done" in await story(store, event)

    await eventually(is_done, seconds=seconds)
