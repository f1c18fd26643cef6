"""Events are found by account, tenant, type, source, state, outcome, handler and time, a bounded page at a time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest

from events import End, Store
from events.journal import HOUR_MS, Wanted
from events.searching import Page, Query
from tests.conftest import MakeStore
from tests.integration.events.deliveries import DONE, accept, bury, claim_one, delivered


async def ids(store: Store, query: Query, size: int = 100) -> list[str]:
    """The ids of all that fits, page by page."""
    found, page = [], Page([], None, None)
    while True:
        page = await store.search.page(query, size, page.cursor)
        found += [str(story.beginning["id"]) for story in page.found]
        if page.cursor is None:
            return found


async def fill(store: Store) -> None:
    """Two accounts, two tenants, three types, two sources; in four states."""
    await accept(
        store, delivered("done", kind="record:created", payload={"integrated_account_id": "a", "tenant_id": "t"})
    )
    await store.queue.finish(await claim_one(store), End("done", "one"))
    await accept(
        store, delivered("gone", kind="record:updated", payload={"integrated_account_id": "b", "tenant_id": "t"})
    )
    await store.queue.finish(await claim_one(store), End("discarded", "two", note={"why": "no need"}))
    await bury(
        store, delivered("dead", kind="record:updated", payload={"integrated_account_id": "a", "tenant_id": "u"})
    )
    await accept(store, delivered("parked", kind="order", source="shop", tenant_id="u"))
    await store.queue.finish(await claim_one(store), End("parked", note={"why": "no_handler"}))
    await accept(store, delivered("retried", kind="integrated_account:active", payload={"id": "a"}))
    await store.queue.finish(await claim_one(store), End("retried", "one", 60, {"error": "KeyError"}))
    await accept(store, delivered("waiting", kind="order", source="shop"))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(), ["waiting", "retried", "parked", "dead", "gone", "done"]),
        (Query(Wanted(account="a")), ["retried", "dead", "done"]),
        (Query(Wanted(account="a", tenant="t")), ["done"]),
        (Query(Wanted(account="nobody")), []),
        (Query(Wanted(tenant="u")), ["parked", "dead"]),
        (Query(Wanted(type="record:updated")), ["dead", "gone"]),
        (Query(Wanted(type="record:*")), ["dead", "gone", "done"]),
        (Query(Wanted(type="order")), ["waiting", "parked"]),
        (Query(Wanted(type="ord*")), []),
        (Query(Wanted(source="shop")), ["waiting", "parked"]),
        (Query(Wanted(source="shop", tenant="u")), ["parked"]),
        (Query(state="over"), ["gone", "done"]),
        (Query(state="pending"), ["waiting", "retried", "parked", "dead"]),
        (Query(state="dead"), ["dead"]),
        (Query(state="parked"), ["parked"]),
        (Query(state="waiting"), ["waiting", "retried"]),
        (Query(outcome="retried"), ["retried"]),
        (Query(outcome="discarded"), ["gone"]),
        (Query(handler="one"), ["retried", "done"]),
        (Query(Wanted(account="a"), state="over", handler="one"), ["done"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [1, 100])
async def test_exactly_what_fits_is_found_newest_first(
    store: Store, query: Query, expected: list[str], size: int
) -> None:
    await fill(store)
    assert await ids(store, query, size) == expected


async def test_an_event_that_runs_is_found_as_running(store: Store) -> None:
    await accept(store)
    await claim_one(store)
    assert await ids(store, Query(state="running")) == ["e-1"]


async def test_the_pieces_of_an_event_count_by_the_one_that_needs_most(store: Store) -> None:
    await accept(store)
    await store.queue.plan(await claim_one(store), ["a", "b"])
    first, second = (await store.queue.claim(2, "w")).leases
    await store.queue.finish(first, End("dead", first.handler))
    await store.queue.finish(second, End("done", second.handler))
    assert await ids(store, Query(state="dead")) == ["e-1"]
    (story,) = (await store.search.page(Query(), 10)).found
    assert story.handlers == {"a", "b"}


async def test_a_batch_is_searched_whole_and_pages_never_repeat_or_skip(store: Store) -> None:
    """Its events are one element of the journal."""
    names = [f"e-{number}" for number in range(250)]
    await accept(store, *(delivered(name) for name in names[:100]))
    await accept(store, *(delivered(name) for name in names[100:249]))
    await accept(store, delivered(names[249]))
    for size in (1, 7, 100, 1000):
        assert await ids(store, Query(), size) == names[::-1]


async def test_what_comes_after_a_page_does_not_move_the_next_one(store: Store) -> None:
    await accept(store, delivered("a"))
    await accept(store, delivered("b"))
    first = await store.search.page(Query(), 1)
    await accept(store, delivered("c"))
    assert first.cursor is not None
    second = await store.search.page(Query(), 1, first.cursor)
    assert [str(story.beginning["id"]) for story in (*first.found, *second.found)] == ["b", "a"]


async def test_times_bound_a_search(store: Store) -> None:
    await accept(store, delivered("a"))
    await asyncio.sleep(0.01)
    await accept(store, delivered("b"))
    (b, a) = (await store.search.page(Query(), 2)).found
    assert a.received_at is not None
    assert b.received_at is not None
    between = a.received_at + (b.received_at - a.received_at) / 2
    assert await ids(store, Query(since=between)) == ["b"]
    assert await ids(store, Query(until=between)) == ["a"]
    assert await ids(store, Query(until=a.received_at - timedelta(hours=30))) == []
    assert await ids(store, Query(since=b.received_at + timedelta(hours=1))) == []


async def test_earlier_hours_are_searched_too(store: Store) -> None:
    await accept(store, delivered("early"))
    hour = int(await store.now() * 1000) // HOUR_MS
    await store.redis.rename(f"tw:journal:{hour}", f"tw:journal:{hour - 50}")
    await accept(store, delivered("late"))
    assert await ids(store, Query()) == ["late", "early"]
    assert await ids(store, Query(), 1) == ["late", "early"]


async def test_duplicates_are_no_events_of_their_own(store: Store) -> None:
    await accept(store)
    await accept(store)
    assert await ids(store, Query()) == ["e-1"]


async def test_an_event_whose_history_has_expired_is_left_out(store: Store) -> None:
    await accept(store)
    await store.queue.finish(await claim_one(store), DONE)
    await store.redis.delete(f"tw:history:{delivered().key}")
    assert await ids(store, Query()) == []


async def test_the_journal_takes_32_bytes_an_event_and_expires(make_store: MakeStore) -> None:
    store = make_store(search_ttl=7200)
    await accept(store, *(delivered(f"e-{number}") for number in range(100)))
    await accept(store, delivered("one"))
    (key,) = await store.redis.keys("tw:journal:*")
    assert [len(element) for element in await cast("Any", store.redis.lrange(key, 0, -1))] == [3200, 32]
    assert 7200 < await store.redis.ttl(key) <= 10_800


async def test_without_a_search_ttl_nothing_is_written(make_store: MakeStore) -> None:
    store = make_store(search_ttl=0)
    await accept(store)
    assert await store.redis.keys("tw:journal:*") == []
    assert await ids(store, Query()) == []


@pytest.mark.parametrize("cursor", ["", "x", "1.2", "1.-2.3", "1.2.3.4", f"{10**30}.0.0", "\u0661.\u0661.\u0661x"])
async def test_what_is_no_cursor_is_refused(store: Store, cursor: str) -> None:
    if cursor:
        with pytest.raises(ValueError, match="what a search has given"):
            await store.search.page(Query(), 1, cursor)


async def test_a_page_looks_at_a_bounded_number_of_events(store: Store) -> None:
    for start in range(0, 700, 100):
        await accept(store, *(delivered(f"e-{number}") for number in range(start, start + 100)))
    page = await store.search.page(Query(state="dead"), 10)
    assert page.found == []
    assert page.cursor is not None
    assert (await store.search.page(Query(state="dead"), 10, page.cursor)).cursor is None


async def test_new_events_are_followed_from_where_one_stands(store: Store) -> None:
    await accept(store, delivered("before"))
    position = await store.search.end()
    await accept(store, delivered("a"), delivered("b", source="shop"))
    await accept(store, delivered("c"))
    keys, position = await store.search.newer(Wanted(source="truto"), position)
    assert [story.beginning["id"] for story in await store.search.read(keys)] == ["a", "c"]
    assert (await store.search.newer(Wanted(), position))[0] == []


async def test_a_large_event_is_found_by_its_account_too(store: Store) -> None:
    payload = {"integrated_account_id": "a", "text": "x" * 100_000}
    await accept(store, delivered("large", kind="record:created", payload=payload))
    assert await ids(store, Query(Wanted(account="a"))) == ["large"]
