"""All dead letters in pages, what ended last, and where the pieces of an event are."""

from __future__ import annotations

import pytest

from events import CorruptEvent, End, Store
from tests.integration.events.deliveries import DONE, accept, bury, claim_one, delivered


@pytest.mark.parametrize("page", [1, 2, 3, 100])
async def test_all_dead_letters_are_read_once_newest_first_whatever_the_page(store: Store, page: int) -> None:
    """Those of one batch have the very same time."""
    for names in ("abc", "d", "efghi"):
        await accept(store, *(delivered(name) for name in names))
        await store.queue.finish_all([(lease, End("dead")) for lease in (await store.queue.claim(10, "w")).leases])
    found = [kept.event.id async for kept in store.inspection.each_kept("dead", page) if kept.event]
    assert sorted(found) == list("abcdefghi")
    assert [set(found[:5]), set(found[5:6]), set(found[6:])] == [set("efghi"), {"d"}, set("abc")]


async def test_what_is_taken_out_or_comes_in_meanwhile_moves_nothing(store: Store) -> None:
    for name in "abcdef":
        await bury(store, delivered(name))
    found = []
    async for kept in store.inspection.each_kept("dead", 2):
        assert kept.event is not None
        found.append(kept.event.id)
        await store.inspection.replay([kept.member])
        await store.queue.finish(await claim_one(store), End("dead"))
    assert found == list("fedcba")


async def test_nothing_kept_is_nothing_read(store: Store) -> None:
    assert [kept async for kept in store.inspection.each_kept("parked")] == []


async def test_parked_work_is_read_too(store: Store) -> None:
    await accept(store)
    await store.queue.finish(await claim_one(store), End("parked", note={"why": "no_handler"}))
    assert [kept.note["why"] async for kept in store.inspection.each_kept("parked")] == ["no_handler"]


async def test_what_ended_last_comes_first_with_its_end_and_not_its_duplicates(store: Store) -> None:
    for name, end in (("a", DONE), ("b", End("discarded", note={"why": "no need"}))):
        await accept(store, delivered(name))
        await store.queue.finish(await claim_one(store), end)
    await accept(store, delivered("b"))
    second, first = await store.inspection.recent()
    assert (second.source, second.type, second.id, second.outcome) == ("truto", "ping", "b", "discarded")
    assert second.detail == {"why": "no need"}
    assert (first.id, first.outcome) == ("a", "done")
    assert len(await store.inspection.recent(1)) == 1
    assert await store.inspection.recent(0) == []


async def test_an_end_of_which_only_duplicates_are_left_is_told_as_such(store: Store) -> None:
    await accept(store)
    await store.queue.finish(await claim_one(store), DONE)
    for _ in range(12):
        await accept(store)
    assert [ended.outcome for ended in await store.inspection.recent()] == ["duplicate"]


async def test_an_event_whose_history_has_expired_is_left_out(store: Store) -> None:
    await accept(store)
    await store.queue.finish(await claim_one(store), DONE)
    await store.redis.delete(f"tw:history:{delivered().key}")
    assert await store.inspection.recent() == []


async def test_an_event_is_stored_until_it_is_over(store: Store) -> None:
    assert await store.inspection.stored("truto", "e-1") is None
    await accept(store, delivered(payload={"n": 1}))
    found = await store.inspection.stored("truto", "e-1")
    assert found is not None
    assert found.payload == {"n": 1}
    await store.queue.finish(await claim_one(store), DONE)
    assert await store.inspection.stored("truto", "e-1") is None


async def test_a_stored_event_that_cannot_be_read_is_named_so(store: Store) -> None:
    await store.redis.set(f"tw:event:{delivered().key}", "spoiled")
    with pytest.raises(CorruptEvent):
        await store.inspection.stored("truto", "e-1")


async def test_the_pieces_of_an_event_are_found_where_they_are(store: Store) -> None:
    key = delivered().key
    assert await store.inspection.places("truto", "e-1") == {}
    await accept(store)
    assert await store.inspection.places("truto", "e-1") == {key: "queue"}
    await store.queue.plan(await claim_one(store), ["a", "b", "c"])
    leases = {lease.handler: lease for lease in (await store.queue.claim(3, "w")).leases}
    await store.queue.finish(leases["a"], End("dead", "a"))
    await store.queue.finish(leases["b"], End("parked", "b"))
    assert await store.inspection.places("truto", "e-1") == {
        f"{key}|a": "dead",
        f"{key}|b": "parked",
        f"{key}|c": "queue",
    }


async def test_each_worker_is_counted_for_itself(store: Store) -> None:
    for owner in ("worker-1", "worker-2", "worker-1"):
        await store.queue.claim(1, owner)
    assert (await store.inspection.overview()).workers == 2
