"""Dead letters and parked work wait, with payload and cause, until a person acts; and the story can be asked for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from events import Acceptance, CorruptEvent, End, Store
from tests.conftest import MakeStore
from tests.integration.events.deliveries import (
    DONE,
    accept,
    bury,
    claim_nothing,
    claim_one,
    delivered,
    expiring_keys,
    words,
)


async def test_a_dead_letter_keeps_event_handler_attempts_and_cause(store: Store) -> None:
    await accept(store, delivered(payload={"n": 1}))
    await store.queue.finish(await claim_one(store), End("retried", handler="h"))
    await store.queue.finish(await claim_one(store), End("dead", handler="h", note={"error": "KeyError"}))
    (letter,) = await store.inspection.dead_letters()
    assert letter.event is not None
    assert letter.event.payload == {"n": 1}
    assert (letter.handler, letter.attempts) == ("h", 1)
    assert letter.note == {"handler": "h", "error": "KeyError"}
    assert datetime.now(UTC) - letter.since < timedelta(seconds=5)
    assert letter.stored == b""
    await claim_nothing(store)


async def test_dead_letters_come_newest_first_and_as_many_as_asked_for(store: Store) -> None:
    for name in "abc":
        await bury(store, delivered(name))
        await asyncio.sleep(0.002)
    assert [letter.event.id for letter in await store.inspection.dead_letters() if letter.event] == ["c", "b", "a"]
    assert len(await store.inspection.dead_letters(2)) == 2
    assert await store.inspection.dead_letters(0) == []


async def test_a_replay_runs_a_dead_letter_with_all_its_attempts_anew(store: Store) -> None:
    await accept(store)
    await store.queue.finish(await claim_one(store), End("retried", handler="h"))
    await store.queue.finish(await claim_one(store), End("dead", handler="h"))
    (letter,) = await store.inspection.dead_letters()
    assert await store.inspection.replay([letter.member, letter.member, "unknown"]) == 1
    lease = await claim_one(store)
    assert (lease.handler, lease.attempts, lease.crashes) == ("h", 0, 0)
    assert await store.inspection.dead_letters() == []
    assert await store.inspection.replay([letter.member]) == 0


async def test_a_replay_passes_the_duplicate_guard_and_then_sets_it(store: Store) -> None:
    (member,) = await bury(store, delivered())
    assert await accept(store) == [Acceptance.DUPLICATE]
    await store.inspection.replay([member])
    await store.queue.finish(await claim_one(store), DONE)
    assert await accept(store) == [Acceptance.DUPLICATE]
    await claim_nothing(store)


async def test_a_discarded_dead_letter_is_gone_but_its_reason_is_known(store: Store) -> None:
    (member,) = await bury(store, delivered())
    assert await store.inspection.discard([member, "unknown"], "a test account") == 1
    assert await store.inspection.discard([member], "again") == 0
    assert await store.inspection.dead_letters() == []
    last = (await store.inspection.history("truto", "e-1"))[-1]
    assert (last.what, last.detail) == ("discarded", {"why": "a test account"})
    assert await accept(store) == [Acceptance.DUPLICATE]
    assert await expiring_keys(store) == {"done", "history"}


async def test_discarding_one_piece_leaves_the_others(store: Store) -> None:
    await accept(store)
    await store.queue.plan(await claim_one(store), ["a", "b"])
    one, other = (await store.queue.claim(10, "worker-1")).leases
    await store.queue.finish(one, End("dead", handler=one.handler))
    await store.inspection.discard([one.member], "known")
    assert await store.redis.exists(f"tw:event:{other.event.key}")
    await store.queue.finish(other, DONE)
    assert not await store.redis.exists(f"tw:event:{other.event.key}")


async def test_parked_work_waits_until_it_is_unparked(store: Store) -> None:
    await accept(store)
    await store.queue.finish(await claim_one(store), End("parked", handler="h", note={"account": "a-1"}))
    await claim_nothing(store)
    (kept,) = await store.inspection.parked()
    assert kept.note == {"handler": "h", "account": "a-1"}
    assert await store.inspection.replay([kept.member]) == 0
    assert await store.inspection.discard([kept.member], "not dead") == 0
    assert await store.inspection.unpark([kept.member]) == 1
    assert (await claim_one(store)).handler == "h"
    assert await store.inspection.parked() == []


async def test_nothing_that_is_kept_expires(store: Store) -> None:
    await bury(store, delivered("a"))
    await accept(store, delivered("b"))
    await store.queue.finish(await claim_one(store), End("parked"))
    assert await expiring_keys(store) == set()


async def test_the_history_tells_what_happened_in_order(store: Store) -> None:
    await accept(store)
    await store.queue.finish(await claim_one(store), End("retried", handler="h", delay=0.01, note={"error": "OSError"}))
    await accept(store)
    await store.queue.finish(await claim_one(store, "worker-2"), End("done", handler="h"))
    history = await store.inspection.history("truto", "e-1")
    size = delivered().size
    assert [(entry.what, entry.detail) for entry in history] == [
        (
            "received",
            {"source": "truto", "bytes": size, "type": "ping", "id": "e-1", "headers": {"user-agent": "truto"}},
        ),
        ("claimed", {"worker": "worker-1"}),
        ("retried", {"handler": "h", "error": "OSError"}),
        ("duplicate", {}),
        ("claimed", {"worker": "worker-2", "handler": "h"}),
        ("done", {"handler": "h"}),
    ]
    assert [entry.at for entry in history] == sorted(entry.at for entry in history)
    assert all(datetime.now(UTC) - entry.at < timedelta(seconds=5) for entry in history)


async def test_an_event_that_waits_has_a_history_of_one(store: Store) -> None:
    await accept(store)
    (received,) = await store.inspection.history("truto", "e-1")
    assert received.what == "received"
    assert received.detail["type"] == "ping"


async def test_an_unknown_event_has_no_history(store: Store) -> None:
    assert await store.inspection.history("truto", "never") == []


async def test_the_history_of_a_waiting_event_that_is_damaged_says_so(store: Store) -> None:
    await accept(store)
    await store.redis.set(f"tw:event:{delivered().key}", b"damaged")
    with pytest.raises(CorruptEvent):
        await store.inspection.history("truto", "e-1")


async def test_a_history_expires_after_the_end(make_store: MakeStore) -> None:
    store = make_store(history_ttl=0.05)
    await accept(store)
    await store.queue.finish(await claim_one(store), DONE)
    assert (await words(store))[-1] == "done"
    await asyncio.sleep(0.06)
    assert await words(store) == []


async def test_a_history_holds_its_beginning_and_its_end_and_no_more_than_500_entries(store: Store) -> None:
    await accept(store)
    lease = await claim_one(store)
    for _ in range(6):
        await accept(store, *(delivered() for _ in range(100)))
    await store.queue.finish(lease, DONE)
    told = await words(store)
    assert len(told) == 500
    assert told[:2] == ["received", "claimed"]
    assert told[-1] == "done"


async def test_the_overview_counts_what_is_where(make_store: MakeStore) -> None:
    store = make_store()
    await bury(store, delivered("dead"))
    await accept(store, *(delivered(str(n)) for n in range(4)))
    await asyncio.sleep(0.02)
    leases = (await store.queue.claim(2, "worker-2")).leases
    await store.queue.finish(leases[0], End("parked"))
    await accept(store, delivered("dead"))
    overview = await store.inspection.overview()
    assert (overview.ready, overview.waiting, overview.dead, overview.parked, overview.workers) == (2, 1, 1, 1, 2)
    assert 0.015 < overview.oldest_ready_seconds < 5
    assert overview.totals == {"accepted": 5, "dead": 1, "parked": 1, "duplicate": 1}


async def test_the_overview_of_an_empty_store_is_zero(store: Store) -> None:
    overview = await store.inspection.overview()
    assert (overview.ready, overview.oldest_ready_seconds, overview.waiting, overview.workers) == (0, 0.0, 0, 0)
    assert overview.totals == {}


async def test_every_end_is_counted(store: Store) -> None:
    await accept(store, *(delivered(str(n)) for n in range(4)))
    await asyncio.sleep(0.001)
    leases = (await store.queue.claim(10, "worker-1")).leases
    for lease, kind in zip(leases, ("done", "discarded", "dead", "parked"), strict=True):
        await store.queue.finish(lease, End(kind))  # type: ignore[arg-type]  # one of its literals
    await store.inspection.replay([leases[2].member])
    await store.inspection.unpark([leases[3].member])
    assert (await store.inspection.overview()).totals == {
        "accepted": 4,
        "done": 1,
        "discarded": 1,
        "dead": 1,
        "parked": 1,
        "replayed": 1,
        "unparked": 1,
    }
