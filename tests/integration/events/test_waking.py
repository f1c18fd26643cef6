"""Workers that wait are told of work at once, one for each piece of news, and get new events without a claim."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import pytest
from redis import Redis

from events import Acceptance, End, Lease, Store, StoreUnavailable
from events.embedded import EmbeddedRedis
from events.lanes import OrderedPattern
from tests.conftest import MakeStore
from tests.integration.events.cutting_proxy import cutting_proxy
from tests.integration.events.deliveries import DONE, accept, bury, claim_nothing, claim_one, delivered, words

MAX_PUSHED_BYTES = 64 * 1024

Told = asyncio.Queue[Lease | None]


@asynccontextmanager
async def listening(store: Store, owner: str) -> AsyncIterator[Told]:
    """A worker that can be told, and what it is told."""
    told: Told = asyncio.Queue()

    async def listen() -> None:
        async with aclosing(store.queue.subscribe(owner)) as messages:
            async for message in messages:
                await told.put(message)

    task = asyncio.create_task(listen())
    try:
        assert await asyncio.wait_for(told.get(), 5) is None
        yield told
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def waiting(store: Store, owner: str = "idle", slots: int = 10) -> AsyncIterator[Told]:
    """The same, after a claim that left so many slots free."""
    async with listening(store, owner) as told:
        assert (await store.queue.claim(slots, owner)).leases == []
        yield told


@asynccontextmanager
async def reading(store: Store, owner: str) -> AsyncIterator[AsyncGenerator[Lease | None, None]]:
    """The same, but what it is told lies unread until it is asked for."""
    async with aclosing(store.queue.subscribe(owner)) as messages:
        assert await anext(messages) is None
        await claim_nothing(store, owner)
        yield messages


async def _accepted(store: Store) -> None:
    await accept(store, delivered("new"))


async def _replayed(store: Store) -> None:
    await store.inspection.replay([letter.member for letter in await store.inspection.dead_letters()])


async def _unparked(store: Store) -> None:
    await store.inspection.unpark([kept.member async for kept in store.inspection.each_kept("parked")])


@pytest.mark.parametrize("news", [_accepted, _replayed, _unparked])
async def test_a_worker_that_waits_is_told_at_once(
    make_store: MakeStore, news: Callable[[Store], Awaitable[None]]
) -> None:
    store = make_store()
    await bury(store, delivered("dead"))
    await accept(store, delivered("odd"))
    await store.queue.finish(await claim_one(store), End("parked"))
    async with waiting(make_store()) as told:
        await news(store)
        await asyncio.wait_for(told.get(), 5)


@pytest.mark.parametrize("end", [End("released"), End("retried", handler="h")], ids=lambda end: end.kind)
async def test_work_that_comes_back_is_told(make_store: MakeStore, end: End) -> None:
    store = make_store()
    await accept(store)
    lease = await claim_one(store)
    async with waiting(make_store()) as told:
        await store.queue.finish(lease, end)
        assert await asyncio.wait_for(told.get(), 5) is None


async def test_work_that_is_split_is_told(make_store: MakeStore) -> None:
    store = make_store()
    await accept(store)
    lease = await claim_one(store)
    async with waiting(make_store()) as told:
        await store.queue.plan(lease, ["a", "b"])
        assert await asyncio.wait_for(told.get(), 5) is None


async def test_a_claim_that_leaves_work_behind_tells_the_next(make_store: MakeStore) -> None:
    store = make_store()
    await accept(store, delivered("x"), delivered("y"))
    async with listening(make_store(), "idle") as told:
        await store.redis.zadd("tw:idle", {"idle 15000": 1})
        await asyncio.sleep(0.002)
        await store.queue.claim(1, "busy")
        assert await asyncio.wait_for(told.get(), 5) is None


async def test_one_worker_is_told_for_each(make_store: MakeStore) -> None:
    async with waiting(make_store(), "a") as a, waiting(make_store(), "b") as b:
        await accept(make_store())
        await asyncio.sleep(0.1)
        assert a.qsize() + b.qsize() == 1


async def test_a_worker_is_given_no_more_than_it_wanted(make_store: MakeStore) -> None:
    store = make_store()
    async with waiting(make_store(), slots=3) as told:
        for name in "abcde":
            await accept(store, delivered(name))
        given = [await asyncio.wait_for(told.get(), 5) for _ in range(3)]
        await asyncio.sleep(0.1)
        assert told.empty()
    assert [lease.event.id for lease in given if lease] == ["a", "b", "c"]
    assert [lease.event.id for lease in (await store.queue.claim(10, "other")).leases] == ["d", "e"]


async def test_no_two_leases_have_one_token(make_store: MakeStore) -> None:
    async with waiting(make_store(), slots=20) as told:
        await accept(make_store(), *(delivered(str(number)) for number in range(20)))
        leases = [await asyncio.wait_for(told.get(), 5) for _ in range(20)]
    assert len({lease.token for lease in leases if lease}) == 20


async def test_a_worker_is_woken_once_before_it_claims(make_store: MakeStore) -> None:
    store = make_store()
    store.queue.keep_order(lambda: [OrderedPattern("h", None, "ping")])
    async with waiting(store) as told:
        await accept(store, delivered("a"))
        await accept(store, delivered("b"))
        await asyncio.sleep(0.1)
        assert told.qsize() == 1


async def test_a_new_event_is_leased_to_the_worker_that_waits(make_store: MakeStore) -> None:
    store = make_store()
    async with waiting(make_store()) as told:
        assert await accept(store, delivered("e-1", payload={"n": 1})) == [Acceptance.ACCEPTED]
        lease = await asyncio.wait_for(told.get(), 5)
    assert lease is not None
    assert (lease.event.id, lease.event.payload) == ("e-1", {"n": 1})
    assert (lease.handler, lease.attempts, lease.crashes, lease.lane) == (None, 0, 0, None)
    assert await words(store) == ["received", "claimed"]
    assert (await store.inspection.history("truto", "e-1"))[1].detail == {"worker": "idle"}
    await claim_nothing(store)
    assert await store.queue.renew([lease]) == [True]
    assert await store.queue.finish(lease, DONE)
    assert await accept(store, delivered("e-1", payload={"n": 1})) == [Acceptance.DUPLICATE]


async def test_a_lease_that_its_worker_never_heard_of_runs_out_as_any_other(make_store: MakeStore) -> None:
    store = make_store(lease_seconds=0.2)
    async with waiting(store):
        await accept(store)
    lease = await claim_one(store, "other")
    assert lease.crashes == 1


async def test_the_events_of_one_delivery_are_shared_out_and_the_rest_is_due(make_store: MakeStore) -> None:
    store = make_store()
    async with waiting(make_store(), "a", 1) as a, waiting(make_store(), "b", 1) as b:
        await accept(store, *(delivered(name) for name in "xyz"))
        told = [await asyncio.wait_for(queue.get(), 5) for queue in (a, b)]
        assert sorted(lease.event.id for lease in told if lease) == ["x", "y"]
        assert (await claim_one(store)).event.id == "z"


async def test_the_worker_with_the_most_free_slots_is_told_first(make_store: MakeStore) -> None:
    async with waiting(make_store(), "few", 2) as few, waiting(make_store(), "a-lot", 20) as many:
        await accept(make_store())
        await asyncio.wait_for(many.get(), 5)
        assert few.empty()


@pytest.mark.parametrize(("free", "wanted"), [(4, {b"idle 15000": 3.0}), (1, {}), (0, {})])
async def test_a_worker_that_claims_ahead_is_told_of_no_more_than_it_could_begin(
    store: Store, free: int, wanted: dict[bytes, float]
) -> None:
    await accept(store, delivered("due"))
    assert len((await store.queue.claim(10, "idle", free=free)).leases) == 1
    assert dict(await store.redis.zrange("tw:idle", 0, -1, withscores=True)) == wanted


async def test_a_worker_that_took_all_it_could_is_not_told(make_store: MakeStore) -> None:
    store = make_store()
    async with waiting(store, slots=1) as told:
        await accept(store, delivered("a"))
        await told.get()
        await accept(store, delivered("b"))
        assert len((await store.queue.claim(1, "idle")).leases) == 1
        await accept(store, delivered("c"))
        await asyncio.sleep(0.05)
        assert told.empty()
        assert (await claim_one(store, "other")).event.id == "c"


async def test_a_worker_with_ordered_handlers_is_told_and_claims(make_store: MakeStore) -> None:
    store = make_store()
    store.queue.keep_order(lambda: [OrderedPattern("h", None, "ping")])
    async with waiting(store) as told:
        await accept(store)
        assert await asyncio.wait_for(told.get(), 5) is None
        assert (await claim_one(store)).event.id == "e-1"


async def test_a_large_event_is_told_and_claimed(make_store: MakeStore) -> None:
    store = make_store()
    async with waiting(store) as told:
        await accept(store, delivered(payload="x" * MAX_PUSHED_BYTES))
        assert await asyncio.wait_for(told.get(), 5) is None
        assert (await claim_one(store)).event.id == "e-1"


async def test_an_event_is_due_at_once_when_nobody_hears_of_it(store: Store) -> None:
    await claim_nothing(store, "gone")
    await accept(store)
    assert (await claim_one(store, "other")).crashes == 0


async def test_a_worker_that_went_away_does_not_keep_the_next_from_hearing(make_store: MakeStore) -> None:
    store = make_store()
    await store.queue.claim(20, "gone")
    async with waiting(make_store(), "there") as told:
        await accept(store)
        assert await asyncio.wait_for(told.get(), 5) is not None


async def test_a_lease_that_lay_unread_until_it_was_lost_is_not_given(make_store: MakeStore) -> None:
    store = make_store(lease_seconds=0.2)
    async with reading(store, "frozen") as messages:
        await accept(store)
        other = await claim_one(store, "other")
        await store.queue.unsubscribe("frozen")
        assert [lease async for lease in messages] == []
    assert await store.queue.renew([other]) == [True]


async def test_a_lease_that_lay_unread_for_half_its_time_is_renewed_first(make_store: MakeStore) -> None:
    store = make_store(lease_seconds=1)
    async with reading(store, "slow") as messages:
        await accept(store)
        await asyncio.sleep(0.7)
        assert await anext(messages) is not None
        await asyncio.sleep(0.5)
        assert (await store.queue.claim(10, "other")).leases == []


async def test_who_leaves_hears_what_it_was_told_before_and_then_the_end(make_store: MakeStore) -> None:
    store = make_store()
    async with reading(store, "leaving") as messages:
        await accept(store, delivered("before"))
        await store.queue.unsubscribe("leaving")
        await accept(store, delivered("after"))
        assert [lease.event.id async for lease in messages if lease] == ["before"]
    assert (await claim_one(store)).event.id == "after"


@pytest.mark.parametrize("end", [lambda store: store.queue.unsubscribe("leaving"), Store.close], ids=["leave", "close"])
async def test_a_claim_that_is_under_way_when_its_worker_goes_has_its_answer_for_itself(
    make_store: MakeStore, end: Callable[[Store], Awaitable[None]]
) -> None:
    store = make_store()
    async with listening(store, "leaving"):
        await accept(make_store(), delivered("waited-for"))
        await store.redis.client_pause(200)
        claiming = asyncio.create_task(store.queue.claim(1, "leaving"))
        await asyncio.sleep(0.05)
        await end(store)
        assert [lease.event.id for lease in (await claiming).leases] == ["waited-for"]
        assert await accept(store, delivered("next")) == [Acceptance.ACCEPTED]


async def test_a_listener_learns_that_its_connection_is_gone(redis_server: EmbeddedRedis) -> None:
    async with cutting_proxy(redis_server.url.removeprefix("unix://")) as proxy:
        store = Store.connect(proxy.url)
        try:
            async with aclosing(store.queue.subscribe("w")) as messages:
                assert await anext(messages) is None
                proxy.reset_all()
                with pytest.raises(StoreUnavailable):
                    await anext(messages)
        finally:
            await store.close()


async def test_silence_is_no_failure(redis_server: EmbeddedRedis) -> None:
    store = Store.connect(redis_server.url, answer_seconds=0.1)
    try:
        async with listening(store, "w") as told:
            await asyncio.sleep(0.5)
            await store.redis.publish("tw:worker:w", b"")
            assert await asyncio.wait_for(told.get(), 5) is None
    finally:
        await store.close()


async def test_what_came_while_the_process_was_held_up_is_heard(redis_server: EmbeddedRedis) -> None:
    patient = Store.connect(redis_server.url, answer_seconds=0.2)
    try:
        async with aclosing(patient.queue.subscribe("w")) as messages:
            assert await anext(messages) is None
            hearing = asyncio.ensure_future(anext(messages))
            await asyncio.sleep(0.1)
            with Redis.from_url(redis_server.url) as somebody:  # blocks, and so does the rest: as a handler may
                somebody.publish("tw:worker:w", b"")
            time.sleep(0.6)  # noqa: ASYNC251
            assert await hearing is None
    finally:
        await patient.close()


@pytest.mark.parametrize("message", [b"x", b"a\nb\nc", b"\n\n", b"\xff\nb\nc"])
async def test_a_message_that_says_nothing_is_only_a_reason_to_look(store: Store, message: bytes) -> None:
    async with listening(store, "w") as told:
        await store.redis.publish("tw:worker:w", message)
        assert await asyncio.wait_for(told.get(), 5) is None


@pytest.mark.redis_only
async def test_a_redis_user_who_may_not_publish_has_events_accepted_and_due(
    store: Store, redis_server: EmbeddedRedis
) -> None:
    rights = ["~*", "+@all", "resetchannels"]
    await store.redis.execute_command("ACL", "SETUSER", "quiet", "on", ">word", *rights)  # type: ignore[no-untyped-call]
    quiet = Store.connect(f"{redis_server.url}?username=quiet&password=word")
    try:
        await claim_nothing(quiet, "idle")
        assert await accept(quiet) == [Acceptance.ACCEPTED]
        assert (await claim_one(quiet)).event.id == "e-1"
        with pytest.raises(StoreUnavailable):
            await anext(quiet.queue.subscribe("idle"))
    finally:
        await quiet.close()
        await store.redis.acl_deluser("quiet")
