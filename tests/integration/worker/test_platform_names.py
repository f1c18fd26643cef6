"""What works on Truto's events works on Truto's alone, also where an older version let others bear their names."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import cast

import pytest

from events import Event, Spool, Store, Verified
from events.event import read_stored
from tests.integration.worker.workflow_shop import Shop, flow, say
from tests.integration.worker.workshop import Recorder, delivered, ended, eventually, story, working
from truto.errors import NeedsReauth
from worker import Context
from worker.registry import Registry

ACCOUNT = "79a39d69-e27e-49cb-b9a9-79f5eea7aa26"


@pytest.fixture
async def shop(registry: Registry) -> AsyncIterator[Shop]:
    found = Shop(registry)
    yield found
    await found.services.aclose()


def forged(name: str, **data: object) -> Verified:
    """As a version that did not look at names accepted it from a partner."""
    return delivered(name, source="partner", data={"id": ACCOUNT, "status": "active", **data})


async def parked_for(store: Store, event: Verified) -> str:
    await ended(store, event, "parked")
    return str((await store.inspection.history(event.source, event.id))[-1].detail["why"])


@pytest.mark.parametrize("pattern", ["integrated_account:deleted", "integrated_account:*"])
async def test_a_handler_of_trutos_events_does_not_get_those_of_another_source(
    store: Store, registry: Registry, pattern: str
) -> None:
    recorder = Recorder()
    registry.on(pattern)(recorder.handle)
    theirs, ours = forged("integrated_account:deleted"), delivered("integrated_account:deleted")
    await store.accept([theirs, ours])
    async with working(store, registry):
        await ended(store, ours)
        assert await parked_for(store, theirs) == "no_handler"
    assert recorder.runs == [ours.id]


async def test_a_handler_for_the_name_under_its_source_gets_it(store: Store, registry: Registry) -> None:
    recorder = Recorder()
    registry.on("partner/record:*")(recorder.handle)
    event = forged("record:created")
    await store.accept([event])
    async with working(store, registry):
        await ended(store, event)
    assert recorder.runs == [event.id]


async def test_no_other_source_makes_parked_work_run_again(store: Store, registry: Registry) -> None:
    calls: list[str] = []

    @registry.on("order:paid")
    async def call(event: Event, ctx: Context) -> None:
        calls.append(event.id)
        if len(calls) == 1:
            raise NeedsReauth(
                status=401, message="", method="GET", path="/", remote=True, integrated_account_id=ACCOUNT
            )

    registry.ignore("integrated_account:*")
    work = delivered("order:paid", data={"integrated_account_id": ACCOUNT})
    theirs, ours = forged("integrated_account:active"), delivered("integrated_account:active", data={"id": ACCOUNT})
    await store.accept([work])
    async with working(store, registry):
        await ended(store, work, "parked")
        await store.accept([theirs])
        await ended(store, theirs, "parked")
        assert "unparked" not in await story(store, work)
        await store.accept([ours])
        await ended(store, work)


async def test_no_other_source_starts_a_workflow(store: Store, registry: Registry, shop: Shop) -> None:
    shop.register(flow(say("a"), trigger="integrated_account:active"))
    theirs, ours = forged("integrated_account:active"), delivered("integrated_account:active")
    await store.accept([theirs, ours])
    async with working(store, registry):
        await ended(store, ours)
        assert await parked_for(store, theirs) == "no_handler"
    assert "claimed" in await story(store, theirs)


async def test_no_other_source_wakes_a_run_that_waits(store: Store, registry: Registry, shop: Shop) -> None:
    waits = {"action": "wait_for_event", "config": {"event": "sync_job_run:completed"}}
    shop.register(flow(waits, say("a"), trigger="order:paid"))
    order, theirs, ours = delivered(), forged("sync_job_run:completed"), delivered("sync_job_run:completed")
    await store.accept([order])
    async with working(store, registry):
        await ended(store, order, "released")
        await store.accept([theirs])
        assert await parked_for(store, theirs) == "no_handler"
        assert "done" not in await story(store, order)
        await store.accept([ours])
        await ended(store, order)


async def test_work_whose_handler_was_chosen_before_is_not_given_to_it_any_more(
    store: Store, registry: Registry
) -> None:
    """As a forged event lies in an older store: its handler was chosen, and failed once."""
    recorder = Recorder()
    registry.on("integrated_account:deleted")(recorder.handle)
    name = registry.matching(read_back(delivered("integrated_account:deleted")))[0].name
    event = forged("integrated_account:deleted")
    await store.accept([event])
    await cast("Awaitable[int]", store.redis.hset(f"tw:work:{event.key}", mapping={"handler": name, "attempts": 1}))
    async with working(store, registry):
        assert await parked_for(store, event) == "no_handler"
        assert await store.inspection.unpark([event.key]) == 1
        await eventually(lambda: _is_parked(store, event))
    assert recorder.runs == []


async def _is_parked(store: Store, event: Verified) -> bool:
    return (await story(store, event)).count("parked") == 2


def read_back(verified: Verified) -> Event:
    return read_stored(b"%d\n%s\n%s" % (time.time() * 1000, verified.meta, verified.body))


async def test_trust_survives_the_spool_and_distrust_does_too(store: Store, registry: Registry, tmp_path: Path) -> None:
    recorder = Recorder()
    registry.on("record:created")(recorder.handle)
    spool = Spool.open(tmp_path)
    ours = delivered("record:created", source="truto-eu")._replace(platform=True)
    theirs = forged("record:created")
    await spool.append([ours])
    await spool.append([theirs])
    deliveries = await spool.read_oldest()
    assert [event.platform for delivery in deliveries for event in delivery] == [True, False]
    for delivery in deliveries:
        await store.accept(delivery)
    async with working(store, registry):
        await ended(store, ours)
        assert await parked_for(store, theirs) == "no_handler"
    await spool.close()
    assert recorder.runs == [ours.id]


async def test_a_workflow_cannot_emit_an_event_of_truto(store: Store, registry: Registry, shop: Shop) -> None:
    recorder = Recorder()
    registry.on("integrated_account:deleted")(recorder.handle)
    emit = {"action": "emit_event", "config": {"type": "{{payload.name}}"}}
    shop.register(flow(emit, trigger="order:paid"))
    order = delivered(data={"name": "integrated_account:deleted"})
    await store.accept([order])
    async with working(store, registry):
        await ended(store, order)

        async def emitted_is_parked() -> bool:
            return [kept.event.type for kept in await store.inspection.parked() if kept.event] == [
                "workflows/integrated_account:deleted"
            ]

        await eventually(emitted_is_parked)
    assert recorder.runs == []
