"""How the slots of one worker are divided between stores, without running anything."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import Lease
from tests.unit.worker.samples import an_event
from worker.pool import Pool, SharedSlots


async def never(_: Lease) -> None:
    raise AssertionError("nothing runs here")


def pool_of(capacity: int, shards: int) -> tuple[Pool, list[SharedSlots]]:
    pool = Pool(capacity, shards)
    return pool, [pool.slots(never, {}) for _ in range(shards)]


def take(slots: SharedSlots, count: int) -> None:
    """Take so many slots more."""
    for _ in range(count):
        number = len(slots.leases)
        slots.hold(Lease(f"m-{number}", f"{id(slots)}-{number}", an_event(), None, 0, 0))


def test_the_only_busy_store_has_all_but_a_few_slots() -> None:
    _, (busy, idle) = pool_of(50, 2)
    assert busy.capacity == 44
    take(busy, 44)
    assert busy.is_full
    assert idle.capacity == 6


def test_a_store_that_gets_work_has_its_equal_share_in_the_end() -> None:
    _, (busy, late) = pool_of(48, 2)
    take(busy, busy.capacity)
    for _ in range(48):
        take(late, max(0, late.capacity - late.running))
        while busy.running > busy.capacity:
            busy.give_up(next(iter(busy.leases.values())))
    assert (busy.running, late.running) == (24, 24)


@pytest.mark.parametrize("capacity", [1, 2, 3, 7])
def test_each_store_has_a_slot_however_few_there_are(capacity: int) -> None:
    _, members = pool_of(capacity, 3)
    for member in members:
        take(member, max(0, member.capacity - member.running))
    assert all(member.running for member in members)


@given(
    capacity=st.integers(1, 200),
    shards=st.integers(1, 16),
    steps=st.lists(st.tuples(st.integers(0, 15), st.integers(0, 60), st.booleans()), max_size=60),
)
def test_no_more_run_than_there_are_slots_and_nobody_is_kept_out(
    capacity: int, shards: int, steps: Sequence[tuple[int, int, bool]]
) -> None:
    pool, members = pool_of(capacity, shards)
    for which, count, ends in steps:
        member = members[which % shards]
        if ends:
            for lease in list(member.leases.values())[:count]:
                member.give_up(lease)
        else:
            take(member, min(count, max(0, member.capacity - member.running)))
        assert sum(each.running for each in members) <= pool.capacity == max(capacity, shards)
        assert all(each.running or each.capacity >= 1 for each in members)


def test_while_one_runs_a_suspect_nobody_else_begins_anything() -> None:
    _, (one, other) = pool_of(10, 2)
    one.begin_alone()
    assert (one.capacity > 0, other.capacity) == (True, 0)
    other.begin_alone()  # its turn comes
    one.end_alone()
    assert (one.capacity, other.capacity > 0) == (0, True)
    other.end_alone()
    assert min(one.capacity, other.capacity) > 0


async def test_a_slot_that_one_frees_wakes_the_others() -> None:
    _, (one, other) = pool_of(10, 2)
    waiting = asyncio.ensure_future(other.freed.wait())
    await asyncio.sleep(0)
    one.freed.set()
    assert await asyncio.wait_for(waiting, 1)
