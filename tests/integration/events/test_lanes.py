"""Work that shares a key: who may run, who waits out of the queue, and that nobody is left waiting for ever."""

from __future__ import annotations

import asyncio
import time

import pytest

from events import NO_LANE, End, Lane, Lease, OrderedPattern, Store
from tests.conftest import MakeStore
from tests.integration.events.deliveries import DONE, accept, claim_nothing, claim_one, delivered, words
from tests.integration.worker.workshop import eventually

BRIEF = 0.2  # disks may take tens of milliseconds for what an answer waits for
ONE = Lane("h|k", most=1)
ORDERED = Lane("h|k", most=1, ordered=True)


@pytest.fixture
def brief(make_store: MakeStore) -> Store:
    return make_store(lease_seconds=BRIEF)


@pytest.fixture
def ordered(make_store: MakeStore) -> Store:
    """A store of a worker with one ordered handler, for pings."""
    return ordering(make_store())


def ordering(store: Store, *patterns: OrderedPattern) -> Store:
    store.queue.keep_order(lambda: patterns or (OrderedPattern("h", None, "ping"),))
    return store


async def claim_all(store: Store) -> list[Lease]:
    await asyncio.sleep(0.002)
    return (await store.queue.claim(100, "worker-1")).leases


async def leased(store: Store, *names: str) -> list[Lease]:
    """One lease for each of so many new events, in their order."""
    await accept(store, *(delivered(name) for name in names))
    leases = await claim_all(store)
    assert [lease.event.id for lease in leases] == list(names)
    return leases


async def gate_all(store: Store, leases: list[Lease], lane: Lane) -> list[bool]:
    return [await store.queue.gate(lease, "h", lane) for lease in leases]


async def is_clean(store: Store) -> bool:
    """Whether no trace of a lane is left."""
    names = [key.decode().split(":")[1] for key in await store.redis.keys("*")]
    return not {"lane", "holding", "waiting", "held", "unrouted", "blocked", "steps"} & set(names)


async def test_no_more_than_the_limit_run_and_the_rest_waits_out_of_the_queue(store: Store) -> None:
    leases = await leased(store, "a", "b", "c", "d")
    assert await gate_all(store, leases, Lane("h|k", most=2)) == [True, True, False, False]
    overview = await store.inspection.overview()
    assert (overview.ready, overview.waiting, overview.held) == (0, 2, 2)
    assert await words(store, "c") == ["received", "claimed", "held"]
    assert list((await store.inspection.places("truto", "c")).values()) == ["held"]
    assert await store.queue.renew(leases) == [True, True, False, False]


async def test_different_keys_do_not_wait_for_each_other(store: Store) -> None:
    first, second = await leased(store, "a", "b")
    assert await store.queue.gate(first, "h", ONE)
    assert await store.queue.gate(second, "h", Lane("h|other", most=1))


@pytest.mark.parametrize("kind", ["done", "discarded", "dead", "parked", "retried", "released"])
async def test_every_end_of_the_first_brings_the_next_one_back(store: Store, kind: str) -> None:
    first, *rest = leases = await leased(store, "a", "b", "c")
    await gate_all(store, leases, ONE)
    assert await store.queue.finish(first, End(kind, "h", delay=60))  # type: ignore[arg-type]  # one of its literals
    following = await claim_one(store)
    assert (following.event.id, following.handler, following.lane) == ("b", "h", ONE.name)
    assert (following.attempts, following.crashes) == (0, 0)
    assert (await store.inspection.overview()).held == 1
    assert not await store.queue.finish(rest[0], DONE)


@pytest.mark.parametrize("kind", ["retried", "released"])
async def test_in_an_ordered_lane_one_that_runs_again_holds_the_rest_back(store: Store, kind: str) -> None:
    first, second = leases = await leased(store, "a", "b")
    assert await gate_all(store, leases, ORDERED) == [True, False]
    await store.queue.finish(first, End(kind, "h"))  # type: ignore[arg-type]  # one of its literals
    again = await claim_one(store)
    assert (again.event.id, again.lane) == ("a", ORDERED.name)
    await store.queue.finish(again, DONE)
    assert (await claim_one(store)).event.id == second.event.id


async def test_nothing_is_left_of_a_lane_when_its_work_is_over(store: Store) -> None:
    for lane in (ONE, ORDERED, Lane("h|k", starts=5, period=0.05), Lane("h|k", window=0.01)):
        leases = await leased(store, lane.name + str(lane.limits))
        while leases:
            for lease in leases:
                if await store.queue.gate(lease, "h", lane):
                    await store.queue.finish(lease, DONE)
            await asyncio.sleep(0.02)
            leases = await claim_all(store)
        assert await is_clean(store)


async def test_a_killed_holder_keeps_its_slot_and_the_next_one_follows_it(brief: Store) -> None:
    leases = await leased(brief, "a", "b")
    assert await gate_all(brief, leases, ONE) == [True, False]
    again = await claim_one(brief)
    assert (again.event.id, again.lane, again.crashes) == ("a", ONE.name, 1)
    assert await brief.queue.gate(again, "h", ONE)
    await brief.queue.finish(again, DONE)
    assert (await claim_one(brief)).event.id == "b"


async def test_a_holder_that_is_given_up_before_its_handler_is_looked_at_frees_its_slot(brief: Store) -> None:
    leases = await leased(brief, "a", "b")
    await gate_all(brief, leases, ONE)
    for _ in range(2):
        assert (await claim_one(brief)).event.id == "a"
    poison = await claim_one(brief)
    assert poison.crashes == 3
    await brief.queue.finish(poison, End("dead"))
    assert (await claim_one(brief)).event.id == "b"


async def test_a_holder_whose_event_is_corrupt_frees_its_slot(brief: Store) -> None:
    first, *_ = leases = await leased(brief, "a", "b")
    await gate_all(brief, leases, ONE)
    await brief.redis.set(f"tw:event:{first.event.key}", b"nonsense")
    assert (await claim_one(brief)).event.id == "b"
    assert len(await brief.inspection.dead_letters()) == 1


async def test_one_that_was_let_in_and_whose_worker_is_killed_comes_back(brief: Store) -> None:
    first, *_ = leases = await leased(brief, "a", "b")
    await gate_all(brief, leases, ONE)
    await brief.queue.finish(first, DONE)
    assert (await claim_one(brief)).event.id == "b"
    again = await claim_one(brief)  # its first claimer never said anything
    assert (again.event.id, again.lane, again.crashes) == ("b", ONE.name, 1)


async def test_waiting_hides_no_crashes_from_before(brief: Store) -> None:
    first, second = await leased(brief, "a", "b")
    assert await brief.queue.gate(first, "h", ONE)
    leases = [lease for _ in range(2) for lease in [await claim_one_of(brief, second)]]
    assert leases[-1].crashes == 2
    assert not await brief.queue.gate(leases[-1], "h", ONE)
    await brief.queue.finish(await claim_one(brief), DONE)
    assert (await claim_one(brief)).crashes == 2


async def claim_one_of(store: Store, wanted: Lease) -> Lease:
    """The next lease of this work; that of others is renewed by nobody."""
    while True:
        for lease in await claim_all(store):
            if lease.member == wanted.member:
                return lease


async def test_a_lost_lease_changes_nothing_at_the_gate(brief: Store) -> None:
    await accept(brief)
    stale = await claim_one(brief)
    current = await claim_one(brief)
    assert not await brief.queue.gate(stale, "h", ONE)
    assert await brief.queue.gate(current, "h", ONE)
    assert not await brief.queue.gate(stale, "h", ONE)


async def test_those_who_wait_come_in_the_order_of_acceptance_within_one_batch_too(store: Store) -> None:
    names = [str(n) for n in range(40)]
    leases = await leased(store, *names)
    for lease in reversed(leases):
        await store.queue.gate(lease, "h", ONE)
    (running,) = [lease for lease in leases if (await store.queue.renew([lease]))[0]]
    order = []
    while True:
        order.append(running.event.id)
        await store.queue.finish(running, DONE)
        if not (await store.inspection.overview()).held and not (await store.inspection.overview()).ready:
            break
        running = await claim_one(store)
    assert order == ["39", *names[:-1]]


async def test_an_ordered_lane_waits_for_an_older_piece_that_was_claimed_but_has_no_lane_yet(ordered: Store) -> None:
    older, newer = await leased(ordered, "older", "newer")
    assert not await ordered.queue.gate(newer, "h", ORDERED)
    await claim_nothing(ordered)
    assert await ordered.queue.gate(older, "h", ORDERED)
    await claim_nothing(ordered)
    await ordered.queue.finish(older, DONE)
    assert (await claim_one(ordered)).event.id == "newer"


async def test_an_older_piece_of_another_key_or_of_none_holds_nobody_back_for_longer(ordered: Store) -> None:
    for number, lane in enumerate([Lane("h|other", most=1, ordered=True), NO_LANE]):
        older, newer = await leased(ordered, f"older-{number}", f"newer-{number}")
        assert not await ordered.queue.gate(newer, "h", ORDERED)
        assert await ordered.queue.gate(older, "h", lane)
        following = await claim_one(ordered)
        assert following.event.id == newer.event.id
        await ordered.queue.finish_all([(older, DONE), (following, DONE)])
    assert await is_clean(ordered)


@pytest.mark.parametrize("kind", ["done", "discarded", "dead", "parked", "retried"])
async def test_an_older_piece_that_ends_before_it_has_a_lane_lets_the_newer_run(ordered: Store, kind: str) -> None:
    older, newer = await leased(ordered, "older", "newer")
    assert not await ordered.queue.gate(newer, "h", ORDERED)
    await ordered.queue.finish(older, End(kind, delay=60))  # type: ignore[arg-type]  # one of its literals
    assert (await claim_one(ordered)).event.id == "newer"


async def test_an_older_piece_that_is_released_before_it_has_a_lane_still_comes_first(ordered: Store) -> None:
    older, newer = await leased(ordered, "older", "newer")
    assert not await ordered.queue.gate(newer, "h", ORDERED)
    await ordered.queue.finish(older, End("released"))
    again = await claim_one(ordered)
    assert again.event.id == "older"
    assert await ordered.queue.gate(again, "h", ORDERED)


async def test_an_older_piece_whose_worker_is_killed_before_the_gate_still_comes_first(make_store: MakeStore) -> None:
    brief, store = ordering(make_store(lease_seconds=BRIEF)), ordering(make_store())
    await accept(store, delivered("older"))
    await claim_one(brief)
    await accept(store, delivered("newer"))
    newer = await claim_one(store)
    assert newer.event.id == "newer"
    assert not await store.queue.gate(newer, "h", ORDERED)
    again = await claim_one(store)
    assert again.event.id == "older"
    assert await store.queue.gate(again, "h", ORDERED)
    await store.queue.finish(again, DONE)
    assert (await claim_one(store)).event.id == "newer"


async def test_an_unrouted_piece_that_has_vanished_holds_nobody_back(ordered: Store) -> None:
    older, newer = await leased(ordered, "older", "newer")
    await ordered.redis.zrem("tw:queue", older.member)
    assert await ordered.queue.gate(newer, "h", ORDERED)


async def test_the_pieces_of_a_split_event_keep_its_place_in_the_order(ordered: Store) -> None:
    older, newer = await leased(ordered, "older", "newer")
    assert await ordered.queue.plan(older, ["other", "h"], ["h"])
    assert not await ordered.queue.gate(newer, "h", ORDERED)
    pieces = {lease.handler: lease for lease in await claim_all(ordered)}
    assert set(pieces) == {"h", "other"}
    assert await ordered.queue.gate(pieces["h"], "h", ORDERED)
    await ordered.queue.finish_all([(piece, DONE) for piece in pieces.values()])
    assert (await claim_one(ordered)).event.id == "newer"


async def test_a_split_into_work_without_an_order_lets_the_newer_run(ordered: Store) -> None:
    older, newer = await leased(ordered, "older", "newer")
    assert not await ordered.queue.gate(newer, "h", ORDERED)
    await ordered.queue.plan(older, ["x", "y"])
    assert "newer" in [lease.event.id for lease in await claim_all(ordered)]


@pytest.mark.parametrize(
    ("pattern", "is_watched"),
    [
        (OrderedPattern("h", None, "ping"), True),
        (OrderedPattern("h", "truto", "*"), True),
        (OrderedPattern("h", None, "order:*"), False),
        (OrderedPattern("h", "github", "ping"), False),
        (OrderedPattern("h", None, "pin"), False),
    ],
    ids=str,
)
async def test_only_what_an_ordered_handler_may_want_is_watched(
    store: Store, pattern: OrderedPattern, is_watched: bool
) -> None:
    await leased(ordering(store, pattern), "a")
    assert await store.redis.zcard("tw:unrouted") == int(is_watched)


async def test_work_of_a_known_handler_is_watched_by_the_handlers_name(ordered: Store) -> None:
    first, second = await leased(ordered, "a", "b")
    await ordered.queue.finish_all([(first, End("dead", "h")), (second, End("dead", "other"))])
    await ordered.inspection.replay([first.member, second.member])
    await claim_all(ordered)
    assert await ordered.redis.zrange("tw:unrouted", 0, -1) == [first.member.encode()]


async def test_what_cannot_be_read_becomes_a_dead_letter_where_order_is_kept_too(ordered: Store) -> None:
    await accept(ordered, delivered("a"), delivered("b"), delivered("c"))
    for name, stored in (("a", b"1\n{]\n{}"), ("b", b'1\n{"type":1}\n{}')):
        await ordered.redis.set(f"tw:event:{delivered(name).key}", stored)
    assert (await claim_one(ordered)).event.id == "c"
    assert len(await ordered.inspection.dead_letters()) == 2


async def test_work_that_changes_its_lane_leaves_the_old_one(brief: Store) -> None:
    leases = await leased(brief, "a", "b")
    await gate_all(brief, leases, ONE)
    again = await claim_one(brief)
    assert await brief.queue.gate(again, "h", Lane("h|new", most=1))
    assert (await claim_one(brief)).event.id == "b"


async def test_of_a_window_only_the_latest_runs_and_the_others_say_why(store: Store) -> None:
    lane = Lane("h|k", window=0.6)
    leases = await leased(store, "a", "b", "c")
    assert await gate_all(store, [leases[1], leases[0], leases[2]], lane) == [False] * 3
    assert 0 < (await claim_nothing(store) or 0) <= 0.6
    latest = await claim_one(store)
    assert latest.event.id == "c"
    assert (latest.attempts, latest.crashes) == (0, 0)
    assert await store.queue.gate(latest, "h", lane)
    await store.queue.finish(latest, DONE)
    for name, by in (("a", "b"), ("b", "c")):
        end = (await store.inspection.history("truto", name))[-1]
        assert (end.what, end.detail) == ("discarded", {"handler": "h", "why": f"superseded by {by}"})
    assert (await store.inspection.overview()).totals == {"accepted": 3, "discarded": 2, "done": 1}
    assert await is_clean(store)


async def test_a_later_event_starts_the_window_anew(store: Store) -> None:
    lane = Lane("h|k", window=0.5)
    (first,) = await leased(store, "a")
    await store.queue.gate(first, "h", lane)
    await asyncio.sleep(0.25)
    (second,) = await leased(store, "b")
    began = time.monotonic()
    await store.queue.gate(second, "h", lane)
    assert (await claim_one(store)).event.id == "b"
    assert time.monotonic() - began > 0.49


async def test_a_latest_piece_that_is_leased_already_can_still_be_superseded(store: Store) -> None:
    lane = Lane("h|k", window=0.03)
    (first,) = await leased(store, "a")
    await store.queue.gate(first, "h", lane)
    leased_again = await claim_one(store)
    (second,) = await leased(store, "b")
    await store.queue.gate(second, "h", lane)
    assert not await store.queue.gate(leased_again, "h", lane)
    assert not await store.queue.finish(leased_again, DONE)
    assert (await claim_one(store)).event.id == "b"


async def test_what_has_run_is_not_superseded_when_it_runs_again(store: Store) -> None:
    lane = Lane("h|k", window=0.02)
    (first,) = await leased(store, "a")
    await store.queue.gate(first, "h", lane)
    running = await claim_one(store)
    assert await store.queue.gate(running, "h", lane)
    (second,) = await leased(store, "b")
    assert not await store.queue.gate(second, "h", lane)
    await store.queue.finish(running, End("retried", "h"))
    again = await claim_one(store)
    assert again.event.id == "a"
    assert await store.queue.gate(again, "h", lane)


@pytest.mark.parametrize("kind", ["dead", "parked", "released"])
async def test_a_latest_piece_that_ends_before_its_time_leaves_nothing_behind(store: Store, kind: str) -> None:
    lane = Lane("h|k", window=0.01)
    (first,) = await leased(store, "a")
    await store.queue.gate(first, "h", lane)
    await store.queue.finish(await claim_one(store), End(kind, "h", delay=60))  # type: ignore[arg-type]  # a literal
    assert await is_clean(store)


async def test_no_more_pieces_start_in_a_period_than_the_rate_allows_and_none_loses_an_attempt(store: Store) -> None:
    lane = Lane("h|k", starts=2, period=0.5)
    waiting = await leased(store, *(str(n) for n in range(7)))
    starts: list[tuple[float, float]] = []  # each lies between its two: a slow machine makes no two of them look closer
    while len(starts) < 7:
        for lease in waiting:
            assert (lease.attempts, lease.crashes) == (0, 0)
            asked = time.monotonic()
            if await store.queue.gate(lease, "h", lane):
                starts.append((asked, time.monotonic()))
                await store.queue.finish(lease, DONE)
        waiting = await claim_all(store)
    assert all(later - earlier > 0.49 for (earlier, _), (_, later) in zip(starts, starts[2:], strict=False))
    assert starts[-1][1] - starts[0][0] < 3
    await eventually(lambda: is_clean(store))


@pytest.mark.parametrize("kind", ["dead", "parked", "released"])
async def test_a_piece_that_ends_before_the_time_of_its_start_makes_room_for_the_next(store: Store, kind: str) -> None:
    lane = Lane("h|k", starts=1, period=0.3)
    first, *_ = leases = await leased(store, "a", "b", "c")
    assert await gate_all(store, leases, lane) == [True, False, False]
    await store.queue.finish(first, DONE)
    await store.queue.finish(await claim_one(store), End(kind, "h", delay=60))  # type: ignore[arg-type]  # a literal
    following = await claim_one(store)
    assert following.event.id == "c"
    assert await store.queue.gate(following, "h", lane)


async def test_a_piece_whose_worker_is_killed_at_the_time_of_its_start_comes_back(brief: Store) -> None:
    lane = Lane("h|k", starts=1, period=0.02)
    first, *_ = leases = await leased(brief, "a", "b", "c")
    await gate_all(brief, leases, lane)
    await brief.queue.finish(first, DONE)
    assert (await claim_one(brief)).event.id == "b"
    again = await claim_one(brief)
    assert (again.event.id, again.crashes) == ("b", 1)
    assert await brief.queue.gate(again, "h", lane)
    assert (await claim_one(brief)).event.id == "c"


async def test_a_run_that_comes_back_too_soon_for_the_rate_waits_in_its_slot(brief: Store) -> None:
    lane = Lane("h|k", most=1, starts=1, period=0.6)
    leases = await leased(brief, "a", "b")
    await gate_all(brief, leases, lane)
    again = await claim_one(brief)
    assert not await brief.queue.gate(again, "h", lane)
    assert 0 < (await claim_nothing(brief) or 0) <= 0.6
    again = await claim_one(brief)
    assert (again.event.id, again.crashes) == ("a", 1)
    assert await brief.queue.gate(again, "h", lane)


async def test_work_that_waits_is_given_back_by_a_version_with_other_limits(store: Store) -> None:
    first, *_ = leases = await leased(store, "a", "b", "c")
    await gate_all(store, leases, Lane("h|k", most=1, starts=1, period=60))
    (later,) = await leased(store, "d")
    assert not await store.queue.gate(later, "h", Lane("h|k", most=3))
    await store.queue.finish(first, DONE)
    assert {lease.event.id for lease in await claim_all(store)} == {"b", "c", "d"}


@pytest.mark.redis_only
async def test_the_commands_for_an_event_do_not_grow_with_the_number_that_wait(store: Store) -> None:
    assert await _commands_per_event(store, 600) < 1.1 * await _commands_per_event(store, 60)


async def _commands_per_event(store: Store, count: int) -> float:
    await store.accept([delivered(f"{count}-{n}") for n in range(count)])
    store.queue.keep_order(lambda: (OrderedPattern("h", None, "*"),))
    before, done = await _commands(store), 0
    while done < count:
        for lease in (await store.queue.claim(20, "worker-1")).leases:
            if lease.lane or await store.queue.gate(lease, "h", ORDERED):
                done += await store.queue.finish(lease, DONE)
    return (await _commands(store) - before) / count


async def _commands(store: Store) -> int:
    return int(sum(entry["calls"] for entry in (await store.redis.info("commandstats")).values()))
