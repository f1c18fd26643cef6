"""Claims: in order, to one owner at a time, and back in the queue when their owner falls silent."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from events import End, Store, Verified
from events.embedded import EmbeddedRedis
from tests.conftest import MakeStore
from tests.integration.events.deliveries import DONE, accept, claim_nothing, claim_one, delivered, words

BRIEF = 0.05


async def test_events_start_in_the_order_in_which_they_came(store: Store) -> None:
    names = [f"e-{n}" for n in range(150)]
    await accept(store, *(delivered(name) for name in names[:100]))
    await accept(store, *(delivered(name) for name in names[100:]))
    await asyncio.sleep(0.002)
    claimed = (await store.queue.claim(1000, "worker-1")).leases
    assert [lease.event.id for lease in claimed] == names


async def test_a_claim_takes_at_most_what_it_asks_for(store: Store) -> None:
    await accept(store, *(delivered(str(n)) for n in range(5)))
    await asyncio.sleep(0.001)
    assert len((await store.queue.claim(2, "worker-1")).leases) == 2
    assert len((await store.queue.claim(10, "worker-2")).leases) == 3
    assert (await store.queue.claim(0, "worker-2")).leases == []


async def test_claims_of_one_moment_give_no_token_twice(make_store: MakeStore) -> None:
    stores = [make_store() for _ in range(10)]
    await accept(stores[0], *(delivered(str(n)) for n in range(100)))
    claims = await asyncio.gather(*(store.queue.claim(1, "worker-1") for store in stores for _ in range(10)))
    leases = [lease for claim in claims for lease in claim.leases]
    assert len({lease.token for lease in leases}) == len(leases) == 100


async def test_a_claim_that_leaves_work_behind_says_so(store: Store) -> None:
    await accept(store, *(delivered(str(n)) for n in range(3)))
    await asyncio.sleep(0.001)
    assert (await store.queue.claim(1, "worker-1")).next_due == 0


async def test_an_empty_queue_has_nothing_due(store: Store) -> None:
    assert await claim_nothing(store) is None


async def test_leased_work_is_due_when_its_lease_ends(make_store: MakeStore) -> None:
    store = make_store(lease_seconds=600)
    await accept(store)
    await claim_one(store)
    assert 500 < (await claim_nothing(store, "worker-2") or 0) <= 600


async def test_a_first_lease_has_no_handler_no_attempts_and_no_crashes(store: Store) -> None:
    await accept(store)
    lease = await claim_one(store)
    assert (lease.handler, lease.attempts, lease.crashes) == (None, 0, 0)
    assert datetime.now(UTC) - lease.event.received_at < timedelta(seconds=5)


async def test_an_expired_lease_passes_to_another_owner_and_counts_as_a_crash(make_store: MakeStore) -> None:
    store = make_store(lease_seconds=BRIEF)
    await accept(store)
    first = await claim_one(store, "worker-1")
    await claim_nothing(store, "worker-2")
    second = await claim_one(store, "worker-2")
    assert second.token != first.token
    assert (second.crashes, second.attempts) == (1, 0)
    assert (await claim_one(store, "worker-3")).crashes == 2


@pytest.mark.parametrize("kind", ["done", "discarded", "retried", "released", "dead", "parked"])
async def test_a_token_that_passed_to_another_owner_ends_nothing(make_store: MakeStore, kind: str) -> None:
    store = make_store(lease_seconds=BRIEF)
    await accept(store)
    stale = await claim_one(store, "worker-1")
    current = await claim_one(make_store(), "worker-2")
    before = await words(store)
    assert not await store.queue.finish(stale, End(kind))  # type: ignore[arg-type]  # one of its literals
    assert not await store.queue.plan(stale, ["a", "b"])
    assert await store.queue.renew([stale, current]) == [False, True]
    assert await words(store) == before
    assert await store.queue.finish(current, DONE)
    assert (await store.inspection.overview()).totals["stale"] == 1


async def test_an_ended_lease_cannot_end_again(store: Store) -> None:
    await accept(store)
    lease = await claim_one(store)
    first, second = await asyncio.gather(store.queue.finish(lease, DONE), store.queue.finish(lease, End("dead")))
    assert (first, second) == (True, False)
    assert await store.queue.renew([lease]) == [False]
    assert await store.inspection.dead_letters() == []


async def test_an_expired_lease_that_nobody_took_can_still_end(make_store: MakeStore) -> None:
    store = make_store(lease_seconds=0.01)
    await accept(store)
    lease = await claim_one(store)
    await asyncio.sleep(0.02)
    assert await store.queue.finish(lease, DONE)


async def test_a_renewed_lease_lasts_for_a_full_period_more(make_store: MakeStore) -> None:
    store = make_store(lease_seconds=600)
    await accept(store)
    lease = await claim_one(store)
    for _ in range(3):
        await store.redis.zadd("tw:queue", {lease.member: (await store.now() + 100) * 1000})
        assert await store.queue.renew([lease]) == [True]
        assert 500 < (await claim_nothing(store, "worker-2") or 0) <= 600


async def test_renewing_nothing_is_fine(store: Store) -> None:
    assert await store.queue.renew([]) == []


async def test_a_split_event_is_done_when_its_last_piece_is(store: Store) -> None:
    await accept(store)
    assert await store.queue.plan(await claim_one(store), ["a", "b", "c"])
    pieces = (await store.queue.claim(10, "worker-1")).leases
    assert sorted(lease.handler or "" for lease in pieces) == ["a", "b", "c"]
    assert {lease.event.id for lease in pieces} == {"e-1"}
    for piece in pieces[:2]:
        await store.queue.finish(piece, End("done", handler=piece.handler))
        assert await store.redis.exists(f"tw:event:{piece.event.key}")
    await store.queue.finish(pieces[2], DONE)
    assert not await store.redis.exists(f"tw:event:{pieces[2].event.key}", f"tw:open:{pieces[2].event.key}")


async def test_pieces_fail_and_die_each_for_itself(store: Store) -> None:
    await accept(store)
    await store.queue.plan(await claim_one(store), ["a", "b"])
    one, other = (await store.queue.claim(10, "worker-1")).leases
    await store.queue.finish(one, End("retried", handler=one.handler))
    await store.queue.finish(other, End("dead", handler=other.handler))
    again = await claim_one(store)
    assert (again.handler, again.attempts) == (one.handler, 1)
    await store.queue.finish(again, DONE)
    (letter,) = await store.inspection.dead_letters()
    assert letter.handler == other.handler
    assert letter.event is not None
    await store.inspection.replay([letter.member])
    await store.queue.finish(await claim_one(store), DONE)
    assert not await store.redis.exists(f"tw:event:{other.event.key}")


async def test_a_piece_is_not_split_again(store: Store) -> None:
    await accept(store)
    await store.queue.plan(await claim_one(store), ["a", "b"])
    for piece in (await store.queue.claim(10, "worker-1")).leases:
        assert not await store.queue.plan(piece, ["x", "y"])


@pytest.mark.parametrize("handlers", [[], ["a", "a"]], ids=["none", "one-twice"])
async def test_a_split_that_would_never_end_is_a_mistake_and_changes_nothing(store: Store, handlers: list[str]) -> None:
    await accept(store)
    lease = await claim_one(store)
    with pytest.raises(ValueError, match="at least one handler, and each is named once"):
        await store.queue.plan(lease, handlers)
    assert await store.queue.renew([lease]) == [True]


async def test_a_retry_uses_an_attempt_and_waits_for_its_delay(store: Store) -> None:
    await accept(store)
    first = await claim_one(store)
    await store.queue.finish(first, End("retried", handler="h", delay=600))
    assert 500 < (await claim_nothing(store) or 0) <= 600
    await store.redis.zadd("tw:queue", {first.member: 1})
    lease = await claim_one(store)
    assert (lease.handler, lease.attempts, lease.crashes) == ("h", 1, 0)
    await store.queue.finish(lease, End("retried", handler="h"))
    assert (await claim_one(store)).attempts == 2


async def test_released_work_uses_no_attempt_and_counts_as_no_crash(store: Store) -> None:
    await accept(store)
    await store.queue.finish(await claim_one(store), End("retried", handler="h"))
    await store.queue.finish(await claim_one(store), End("released", handler="h"))
    lease = await claim_one(store)
    assert (lease.attempts, lease.crashes) == (1, 0)


@pytest.mark.parametrize(
    "bad",
    [End("done", note={"x": object()}), End("retried", delay=float("nan")), End("retried", delay=float("inf"))],
    ids=["note-that-is-no-json", "delay-nan", "delay-infinite"],
)
async def test_an_end_that_cannot_be_written_harms_nobody_else(store: Store, bad: End) -> None:
    await accept(store, delivered("a"), delivered("b"))
    await asyncio.sleep(0.001)
    one, other = (await store.queue.claim(10, "worker-1")).leases
    results = await asyncio.gather(
        store.queue.finish(one, bad), store.queue.finish(other, DONE), return_exceptions=True
    )
    assert isinstance(results[0], (TypeError, ValueError, OverflowError))
    assert results[1] is True


@pytest.mark.redis_only
async def test_many_ends_at_once_share_a_round_trip(store: Store) -> None:
    await accept(store, *(delivered(str(n)) for n in range(50)))
    await asyncio.sleep(0.001)
    leases = (await store.queue.claim(50, "worker-1")).leases
    await store.queue.finish(leases[0], DONE)
    await store.redis.config_resetstat()
    assert all(await store.queue.finish_all([(lease, DONE) for lease in leases[1:]]))
    assert (await store.redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == 1


@pytest.mark.parametrize("stored", [None, b"", b"junk", b"1\n{}\nhidden"], ids=["gone", "empty", "junk", "other-shape"])
async def test_a_stored_event_that_cannot_be_read_becomes_a_dead_letter_with_its_bytes(
    store: Store, stored: bytes | None
) -> None:
    await accept(store, delivered("bad"), delivered("good"))
    key = f"tw:event:{delivered('bad').key}"
    await (store.redis.delete(key) if stored is None else store.redis.set(key, stored))
    await asyncio.sleep(0.001)
    assert [lease.event.id for lease in (await store.queue.claim(10, "worker-1")).leases] == ["good"]
    (letter,) = await store.inspection.dead_letters()
    assert letter.event is None
    assert letter.stored == (stored or b"")
    assert "reading a stored event" in letter.note["error"]
    assert "hidden" not in str(letter.note)


async def test_the_raw_body_of_a_multipart_delivery_is_kept_beside_its_event(store: Store) -> None:
    await accept(store, Verified("truto", "a", "1", b'{"event":"a"}', raw=b"--b\r\n\0\xff"))
    event = (await claim_one(store)).event
    assert event.raw == b'{"event":"a"}'
    assert await store.bodies.raw(event) == b"--b\r\n\0\xff"


async def test_the_raw_body_of_a_json_delivery_is_its_event(store: Store) -> None:
    await accept(store)
    event = (await claim_one(store)).event
    assert await store.bodies.raw(event) == event.raw == delivered().body


async def test_workers_with_odd_names_leave_a_readable_history(store: Store) -> None:
    await accept(store)
    await store.queue.plan(await claim_one(store, 'host "1"\\'), ['h"1', "h2"])
    pieces = (await store.queue.claim(10, 'host "1"\\')).leases
    assert len(pieces) == 2
    claims = [entry.detail for entry in await store.inspection.history("truto", "e-1") if entry.what == "claimed"]
    assert {claim["worker"] for claim in claims} == {'host "1"\\'}
    assert [claim.get("handler") for claim in claims[1:]] == [piece.handler for piece in pieces]


async def test_hundreds_that_run_do_not_hide_what_comes_after_them(store: Store) -> None:
    await accept(store, *(delivered(f"running-{number}") for number in range(500)))
    assert len((await store.queue.claim(500, "worker-1")).leases) == 500
    await accept(store, delivered("new"))
    assert (await claim_one(store, "worker-2")).event.id == "new"


@pytest.mark.parametrize("score", ["0", "-1", "-inf", "1"])
async def test_work_with_any_score_in_the_past_is_due(store: Store, score: str) -> None:
    event = delivered()
    await accept(store, event)
    await store.redis.zadd("tw:queue", {event.key: float(score)}, xx=True)
    assert (await claim_one(store)).event.id == event.id


@pytest.mark.redis_only
async def test_an_answer_that_lay_unread_until_its_leases_were_lost_brings_none(
    make_store: MakeStore, redis_server: EmbeddedRedis
) -> None:
    store = make_store(lease_seconds=0.3)
    await accept(store)

    async def claim_later() -> None:
        other = Store.connect(redis_server.url, lease_seconds=60)
        lease = await claim_one(other, "other")
        assert lease.crashes == 1
        await other.close()

    async with aclosing(store.queue.subscribe("frozen")) as messages:
        await anext(messages)  # whoever listens has its claims sent at once
        await store.queue.claim(0, "frozen")
        claiming = asyncio.create_task(store.queue.claim(1, "frozen"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with ThreadPoolExecutor() as elsewhere:  # and this thread stands still
            elsewhere.submit(asyncio.run, claim_later()).result()
        assert (await claiming).leases == []
