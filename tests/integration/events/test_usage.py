"""What each source takes of a store is counted exactly, bounded when asked, and never lets others pay for it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events import Acceptance, End, Lane, ParkedLimit, PendingLimit, Store, Verified
from events.embedded import EmbeddedRedis
from tests.conftest import MakeStore
from tests.integration.events.deliveries import delivered

UNHANDLED = End("parked", note={"why": "no_handler"})
_SOURCES = ("truto", "shop", "partner")
_COUNTED = re.compile(rb'^\d+\n\{"source":"([^"]*)","bytes":(\d+),')


async def pending(store: Store) -> dict[str, tuple[int, int]]:
    usages = (await store.inspection.overview()).sources
    return {source: (usage.events, usage.bytes) for source, usage in usages.items() if usage.events or usage.bytes}


async def recounted(store: Store) -> dict[str, tuple[int, int]]:
    """The same, by looking at every event that is there."""
    found: dict[str, tuple[int, int]] = {}
    for key in await store.redis.keys("tw:event:*"):
        stored = await store.redis.get(key)
        assert stored is not None
        counted = _COUNTED.match(stored)
        assert counted is not None
        source = counted[1].decode()
        events, size = found.get(source, (0, 0))
        found[source] = events + 1, size + int(counted[2])
    return found


async def parked_bytes(store: Store) -> dict[str, int]:
    """What the parked events count for that nobody handles."""
    found: dict[str, int] = {}
    for kept in await store.inspection.parked(1000):
        if kept.note.get("why") == "no_handler":
            stored = await store.redis.get(f"tw:event:{kept.member.partition('|')[0]}")
            counted = _COUNTED.match(stored or b"")
            assert counted is not None
            source = counted[1].decode()
            found[source] = found.get(source, 0) + int(counted[2])
    return found


_STEPS = st.one_of(
    st.tuples(st.just("accept"), st.integers(0, 30), st.sampled_from(_SOURCES)),
    st.tuples(
        st.sampled_from(
            ["done", "discarded", "retried", "released", "dead", "parked", "unhandled", "plan", "lose", "supersede"]
        ),
        st.integers(0, 3),
        st.sampled_from(_SOURCES),
    ),
    st.tuples(st.sampled_from(["replay", "unpark", "discard", "reconnect", "bound"]), st.just(0), st.just("")),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_STEPS, max_size=40))
def test_the_counts_are_those_of_a_recount_whatever_happened(
    redis_server: EmbeddedRedis, steps: list[tuple[str, int, str]]
) -> None:
    async def history() -> None:
        store = Store.connect(redis_server.url, lease_seconds=1, parked=ParkedLimit(events=3, bytes=4096))
        await store.redis.flushall()
        try:
            for step in steps:
                await _do(store, *step)
                assert await pending(store) == await recounted(store)
            usages = (await store.inspection.overview()).sources
            kept = {source: usage.parked_bytes for source, usage in usages.items() if usage.parked}
            assert kept == await parked_bytes(store)
        finally:
            await store.close()

    asyncio.run(history())


async def _do(store: Store, step: str, number: int, source: str) -> None:
    match step:
        case "accept":
            event = delivered(str(number), source=source, filler="x" * number)
            await store.accept([event, event._replace(id=f"{number}-form", raw=b"-" * number)])
        case "replay":
            await store.inspection.replay([kept.member for kept in await store.inspection.dead_letters()])
        case "unpark":
            await store.inspection.unpark([kept.member for kept in await store.inspection.parked()])
        case "discard":
            await store.inspection.discard(
                [kept.member for kept in await store.inspection.dead_letters()], "not needed"
            )
        case "reconnect":
            await store.queue.account_reconnected("a")
        case "bound":
            await store.inspection.bound_parked()
        case "lose":  # as a killed worker does: its leases end by themselves
            await store.queue.claim(number + 1, "lost")
            leased = await store.redis.zrange("tw:queue", 0, -1)
            if leased:
                await store.redis.zadd("tw:queue", dict.fromkeys(leased, 1))
        case _:
            await _work(store, step, number)


async def _work(store: Store, step: str, number: int) -> None:
    for lease in (await store.queue.claim(number + 1, "worker-1")).leases:
        if step == "plan" and lease.handler is None:
            await store.queue.plan(lease, ["a", "b"])
        elif step == "plan":
            await store.queue.finish(lease, End("done", lease.handler))
        elif step == "supersede":
            lane = Lane("h|k", window=60)
            await store.queue.gate(lease, lease.handler or "h", lane)
        elif step == "unhandled":
            await store.queue.finish(lease, UNHANDLED)
        elif step == "parked":
            await store.queue.finish(
                lease, End("parked", lease.handler, note={"why": "needs_reauth", "account_id": "a"})
            )
        else:
            await store.queue.finish(lease, End(step, lease.handler))  # type: ignore[arg-type]  # one of the kinds


async def park(store: Store, *events: Verified, end: End = UNHANDLED) -> None:
    for event in events:
        await store.accept([event])
        (lease,) = (await store.queue.claim(1, "worker-1")).leases
        await store.queue.finish(lease, end)


# -- limits ------------------------------------------------------------------------------------------------------------


async def test_a_source_that_has_as_many_events_as_it_may_gets_no_more_and_others_do(store: Store) -> None:
    limit = PendingLimit(events=2)
    for number in range(2):
        assert await store.accept([delivered(str(number), source="shop")], limit) == [Acceptance.ACCEPTED]
    assert await store.accept([delivered("more", source="shop")], limit) == [Acceptance.OVER_QUOTA]
    assert await store.accept([delivered("0", source="shop")], limit) == [Acceptance.DUPLICATE]
    assert await store.accept([delivered("1")]) == [Acceptance.ACCEPTED]
    assert await store.accept([delivered("1", source="partner")], limit) == [Acceptance.ACCEPTED]


async def test_a_source_goes_on_when_its_events_are_over(store: Store) -> None:
    limit = PendingLimit(events=1)
    await store.accept([delivered("a", source="shop")], limit)
    (lease,) = (await store.queue.claim(1, "worker-1")).leases
    await store.queue.finish(lease, End("done"))
    assert await store.accept([delivered("b", source="shop")], limit) == [Acceptance.ACCEPTED]


async def test_bytes_are_bounded_with_what_an_event_takes_besides_its_body(store: Store) -> None:
    event = delivered("a", source="shop")
    assert await store.accept([event], PendingLimit(bytes=event.size)) == [Acceptance.ACCEPTED]
    assert await store.accept([delivered("b", source="shop")], PendingLimit(bytes=event.size)) == [
        Acceptance.OVER_QUOTA
    ]


async def test_a_large_body_counts_with_all_its_bytes_and_leaves_nothing_behind_when_it_is_refused(
    store: Store,
) -> None:
    large = delivered("a", source="shop", filler="x" * 200_000)._replace(raw=b"-" * 100_000)
    limit = PendingLimit(bytes=large.size)
    assert await store.accept([large], limit) == [Acceptance.ACCEPTED]
    assert await store.accept([large._replace(id="b")], limit) == [Acceptance.OVER_QUOTA]
    assert await pending(store) == await recounted(store) == {"shop": (1, large.size)}
    assert await store.redis.keys("tw:offered:*") == []


async def test_a_delivery_of_several_events_is_taken_whole_or_not_at_all(store: Store) -> None:
    many = [delivered(str(number), source="shop") for number in range(5)]
    assert set(await store.accept(many, PendingLimit(events=2))) == {Acceptance.ACCEPTED}
    more = [delivered(f"m{number}", source="shop") for number in range(5)]
    assert set(await store.accept(more, PendingLimit(events=2))) == {Acceptance.OVER_QUOTA}


async def test_parked_events_are_bounded_where_the_source_says_so(store: Store) -> None:
    await park(store, delivered("a", source="shop"))
    assert await store.accept([delivered("b", source="shop")], PendingLimit(parked=1)) == [Acceptance.OVER_QUOTA]


async def test_what_was_accepted_before_there_were_counts_is_not_counted_off(store: Store) -> None:
    old = b'1700000000000\n{"source":"shop","type":"ping","id":"old","headers":{}}\n{}'
    key = Verified("shop", "ping", "old", b"{}").key
    await store.redis.set(f"tw:event:{key}", old)
    await store.redis.zadd("tw:queue", {key: 1})
    await store.accept([delivered("new", source="shop")])
    for lease in (await store.queue.claim(2, "worker-1")).leases:
        if lease.event.id == "old":
            await store.queue.finish(lease, End("done"))
    assert await pending(store) == {"shop": (1, delivered("new", source="shop").size)}


async def test_what_an_older_worker_did_not_count_off_is_put_right_once_nothing_is_left(store: Store) -> None:
    await store.accept([delivered("a", source="shop")])
    await store.redis.delete("tw:queue", f"tw:event:{delivered('a', source='shop').key}")
    await store.inspection.bound_parked()
    assert await pending(store) == {}


async def test_what_is_there_stays_counted(store: Store) -> None:
    await store.accept([delivered("a", source="shop")])
    await store.inspection.bound_parked()
    assert await pending(store) == await recounted(store) != {}


# -- parked work that nobody handles -----------------------------------------------------------------------------------


@pytest.fixture
def bounded(make_store: MakeStore, redis_server: EmbeddedRedis) -> Store:
    """A store that keeps three parked events of each source for a minute."""
    return make_store(parked=ParkedLimit(events=3, seconds=60))


async def ids(store: Store) -> list[str]:
    return [kept.event.id for kept in reversed(await store.inspection.parked()) if kept.event]


@pytest.mark.bad_input(208)
async def test_the_oldest_are_let_go_first_and_only_those_of_their_source(bounded: Store) -> None:
    await park(bounded, delivered("theirs", source="shop"))
    await park(bounded, *[delivered(str(number), kind="junk") for number in range(5)])
    assert await ids(bounded) == ["theirs", "2", "3", "4"]


async def test_bytes_bound_them_too(make_store: MakeStore) -> None:
    events = [delivered(str(number)) for number in range(3)]
    bounded = make_store(parked=ParkedLimit(events=100, bytes=2 * events[0].size))
    await park(bounded, *events)
    assert await ids(bounded) == ["1", "2"]


async def test_those_that_are_too_old_are_let_go(bounded: Store) -> None:
    await park(bounded, delivered("old"), delivered("new"))
    member = delivered("old").key
    for name in ("parked", "unhandled:truto"):
        await bounded.redis.zadd(f"tw:{name}", {member: 1})
    assert (await bounded.inspection.bound_parked())[0] == 1
    assert await ids(bounded) == ["new"]


async def test_what_was_let_go_is_counted_and_listed_by_source_and_type(bounded: Store) -> None:
    await park(bounded, *[delivered(str(number), kind="junk") for number in range(5)])
    (told,) = await bounded.inspection.let_go()
    assert (told.source, told.type, told.events) == ("truto", "junk", 2)
    assert told.first <= told.last
    view = await bounded.inspection.overview()
    assert (view.totals["let_go"], view.sources["truto"].let_go, view.sources["truto"].parked) == (2, 2, 3)
    assert (await bounded.inspection.history("truto", "0"))[-1].detail == {"why": "PARKED_MAX"}


async def test_a_sender_that_makes_types_up_does_not_fill_the_list(bounded: Store) -> None:
    rows = {f"shop/junk.{number}": b'{"count":1,"first":1,"last":1}' for number in range(1000)}
    await cast("Awaitable[int]", bounded.redis.hset("tw:let_go", mapping=rows))
    await park(bounded, *[delivered(str(number), kind=f"new.{number}") for number in range(5)])
    told = await bounded.inspection.let_go()
    assert (len(told), told[0].type, told[0].events) == (1001, "other types", 2)


@pytest.mark.parametrize(
    "end",
    [
        End("dead", note={"error": "no"}),
        End("parked", note={"why": "needs_reauth", "account_id": "a"}),
        End("parked", "h", note={"why": "handler_missing"}),
    ],
    ids=["dead", "needs-reauth", "handler-missing"],
)
async def test_nothing_else_that_is_kept_is_ever_let_go(make_store: MakeStore, end: End) -> None:
    bounded = make_store(parked=ParkedLimit(events=1, bytes=1, seconds=0.001))
    await park(bounded, *[delivered(str(number)) for number in range(5)], end=end)
    await bounded.inspection.bound_parked()
    view = await bounded.inspection.overview()
    assert (view.dead + view.parked, "let_go" in view.totals) == (5, False)


async def test_what_runs_again_is_bounded_no_more(bounded: Store) -> None:
    await park(bounded, delivered("a"))
    await bounded.inspection.unpark([delivered("a").key])
    usage = (await bounded.inspection.overview()).sources["truto"]
    assert (usage.events, usage.parked, usage.parked_bytes) == (1, 0, 0)


async def test_work_that_was_parked_before_there_was_an_index_is_found(bounded: Store) -> None:
    await park(bounded, *[delivered(str(number)) for number in range(3)])
    await bounded.redis.delete("tw:unhandled", "tw:unhandled:truto", "tw:usage")
    await bounded.inspection.index_parked(await bounded.inspection.parked())
    assert (await bounded.inspection.overview()).sources["truto"].parked == 3


MAX_COUNTED = 2**63 // 2**40


@pytest.mark.bad_input(307)
@pytest.mark.parametrize("source", ["truto", "partner"])
async def test_more_events_than_can_be_counted_are_taken_and_worked_off(store: Store, source: str) -> None:
    """A long outage of the workers leaves millions; the count gives way, and never a delivery."""
    await store.redis.hset("tw:usage", f"{source}|pending", str((MAX_COUNTED - 1) * 2**40))  # type: ignore[misc]  # typed for both
    events = [delivered(f"e-{number}", source=source) for number in range(3)]
    assert [await store.accept([one]) for one in events] == [[Acceptance.ACCEPTED]] * 3
    assert await store.accept([events[0]]) == [Acceptance.DUPLICATE]
    await asyncio.sleep(0.001)
    leases = (await store.queue.claim(10, "worker-1")).leases
    assert [await store.queue.finish(lease, End("done")) for lease in leases] == [True] * 3


async def test_below_that_the_limit_of_a_source_holds(store: Store) -> None:
    limit = PendingLimit(events=MAX_COUNTED - 1)
    await store.redis.hset("tw:usage", "partner|pending", str((MAX_COUNTED - 2) * 2**40))  # type: ignore[misc]  # typed for both
    answers = [await store.accept([delivered(f"e-{number}", source="partner")], limit) for number in range(2)]
    assert answers == [[Acceptance.ACCEPTED], [Acceptance.OVER_QUOTA]]
