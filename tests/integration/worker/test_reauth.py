"""Work whose account has to be connected again waits for that, and then runs by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from events import Event, Store, Verified
from tests.integration.worker.workflow_shop import Shop, flow, run_ends, say
from tests.integration.worker.workshop import delivered, ended, eventually, is_empty, story, working
from truto.errors import NeedsReauth
from worker import Context
from worker.registry import Registry
from workflows import StepContext

ACCOUNT = "79a39d69-e27e-49cb-b9a9-79f5eea7aa26"
OTHER = "0b0d2b54-9a0c-4c6e-9d0a-3a1c1e7d9a11"


def revoked(account_id: str | None = ACCOUNT) -> NeedsReauth:
    return NeedsReauth(
        status=401,
        message="Unauthorized",
        method="GET",
        path="/unified/crm/contacts",
        remote=True,
        integrated_account_id=account_id,
    )


def work(**data: Any) -> Verified:
    return delivered("record:updated", data={"integrated_account_id": ACCOUNT, "id": "1"} | data)


def account_event(name: str, account_id: str = ACCOUNT, status: str = "active") -> Verified:
    return delivered(f"integrated_account:{name}", data={"id": account_id, "status": status})


class Provider:
    """A provider behind an account: *works* says whether it lets us in. A handler of records calls it."""

    def __init__(self, registry: Registry, *, named: str | None = ACCOUNT) -> None:
        self.works = False
        self.attempts: list[int] = []

        @registry.on("record:*")
        async def read(event: Event, ctx: Context) -> None:
            self.attempts.append(ctx.attempt)
            if not self.works:
                raise revoked(named)

        registry.ignore("integrated_account:*")


async def test_the_work_of_an_account_that_has_to_be_connected_again_waits_and_keeps_its_payload(
    store: Store, registry: Registry
) -> None:
    Provider(registry)
    event = work()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "parked")
    (kept,) = await store.inspection.parked()
    assert kept.event is not None
    assert kept.event.raw == event.body
    assert (kept.attempts, kept.note["why"], kept.note["account_id"]) == (0, "needs_reauth", ACCOUNT)


@pytest.mark.parametrize("name", ["active", "reactivated", "updated"])
async def test_it_runs_by_itself_with_its_attempts_when_the_account_works_again(
    store: Store, registry: Registry, name: str
) -> None:
    provider = Provider(registry)
    event = work()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "parked")
        provider.works = True
        await store.accept([account_event(name)])
        await ended(store, event)
        await eventually(lambda: is_empty(store))
    assert await story(store, event) == ["received", "claimed", "parked", "unparked", "claimed", "done"]
    assert provider.attempts == [1, 1]


@pytest.mark.parametrize(
    "other",
    [
        account_event("updated", status="needs_reauth"),
        account_event("created", status="connecting"),
        account_event("authentication_error", status="needs_reauth"),
        account_event("active", OTHER),
    ],
    ids=["updated", "created", "authentication-error", "another-account"],
)
async def test_nothing_else_wakes_it(store: Store, registry: Registry, other: Verified) -> None:
    provider = Provider(registry)
    event = work()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "parked")
        await store.accept([other])
        await ended(store, other)
        await asyncio.sleep(0.1)
    assert provider.attempts == [1]
    assert len(await store.inspection.parked()) == 1


async def test_an_account_that_is_connected_while_its_work_fails_is_not_missed(
    store: Store, registry: Registry
) -> None:
    attempts: list[int] = []
    failing, connected = asyncio.Event(), asyncio.Event()

    @registry.on("record:*")
    async def read(event: Event, ctx: Context) -> None:
        attempts.append(ctx.attempt)
        if len(attempts) == 1:
            failing.set()
            await connected.wait()
            raise revoked()

    registry.ignore("integrated_account:*")
    event, again = work(), account_event("active")
    async with working(store, registry):
        await store.accept([event])
        await failing.wait()
        await store.accept([again])
        await ended(store, again)
        connected.set()
        await ended(store, event)
    assert await story(store, event) == ["received", "claimed", "released", "claimed", "done"]
    assert attempts == [1, 1]


async def test_who_is_refused_again_after_that_waits_again(store: Store, registry: Registry) -> None:
    provider = Provider(registry)
    event = work()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "parked")
        await store.accept([account_event("active")])
        # A third time where both fall into one millisecond: then it counts as refused before the account was connected.
        await eventually(lambda: len(provider.attempts) >= 2)
        await eventually(lambda: _is_parked(store))
        provider.works = True
        await store.accept([account_event("active")])
        await ended(store, event)


async def _is_parked(store: Store) -> bool:
    return (await store.inspection.overview()).parked == 1


async def test_where_the_error_names_no_account_that_of_the_event_counts(store: Store, registry: Registry) -> None:
    Provider(registry, named=None)
    event = work()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "parked")
    (kept,) = await store.inspection.parked()
    assert kept.note["account_id"] == ACCOUNT


async def test_where_no_account_is_known_it_is_a_failed_attempt(store: Store, registry: Registry) -> None:
    provider = Provider(registry, named=None)
    event = delivered("record:updated", data={"id": "1"})
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "dead")
    assert provider.attempts == [1, 2, 3]


async def test_all_work_of_the_account_comes_back_and_nothing_is_left_behind(store: Store, registry: Registry) -> None:
    provider = Provider(registry)
    events = [work(id=str(number)) for number in range(30)]
    async with working(store, registry):
        await store.accept(events)
        for event in events:
            await ended(store, event, "parked")
        by_hand = (await store.inspection.parked())[0].member
        provider.works = True
        await store.inspection.unpark([by_hand])
        await store.accept([account_event("active")])
        for event in events:
            await ended(store, event)
    assert await store.redis.keys("tw:reconnect:*") == []
    (reconnected,) = await store.redis.keys("tw:reconnected:*")
    assert await store.redis.pttl(reconnected) > 0


async def test_a_run_of_a_workflow_waits_in_its_step_and_goes_on_there(store: Store, registry: Registry) -> None:
    shop = Shop(registry)
    works = False

    async def call(config: Mapping[str, Any], step: StepContext) -> str:
        if not works:
            raise revoked()
        return "called"

    shop.actions.action("call")(call)
    step = {"action": "call", "config": {}, "retry": {"attempts": 1}}
    shop.register(flow(say("once"), step, trigger="record:updated"))
    registry.ignore("integrated_account:*")
    event = work()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "parked")
        works = True
        await store.accept([account_event("active")])
        await run_ends(store, event, "completed")
    await shop.services.aclose()
    assert shop.log == ["once"]


async def test_reconnects_of_many_accounts_share_round_trips(store: Store) -> None:
    await store.queue.account_reconnected(ACCOUNT)  # loads the script
    await store.redis.config_resetstat()
    moved = await asyncio.gather(*(store.queue.account_reconnected(f"account-{number}") for number in range(100)))
    assert moved == [0] * 100
    assert (await store.redis.info("commandstats"))["cmdstat_evalsha"]["calls"] <= 2


async def test_each_reconnect_in_a_shared_round_trip_counts_its_own_work(store: Store, registry: Registry) -> None:
    @registry.on("record:updated")
    async def handle(event: Event, ctx: Context) -> None:
        raise revoked(event.account_id)

    events = [work(integrated_account_id=account) for account in (ACCOUNT, OTHER)]
    async with working(store, registry):
        await store.accept(events)
        for event in events:
            await ended(store, event, "parked")
    accounts = (OTHER, "unknown", ACCOUNT)
    assert await asyncio.gather(*map(store.queue.account_reconnected, accounts)) == [1, 0, 1]
