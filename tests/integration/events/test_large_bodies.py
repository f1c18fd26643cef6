"""Large bodies: stored past the scripts, claimed by their size, read when they are needed, and never left over."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events import Acceptance, CorruptEvent, End, Lease, Store, StoreUnavailable, Verified
from events.embedded import EmbeddedRedis
from events.event import MAX_INLINE_BYTES
from events.lanes import OrderedPattern
from tests.conftest import MakeStore
from tests.integration.events.cutting_proxy import cutting_proxy
from tests.integration.events.deliveries import DONE, accept, bury, claim_one, delivered, expiring_keys
from tests.integration.worker.workshop import eventually

ACCEPTED, DUPLICATE, CONFLICT = Acceptance.ACCEPTED, Acceptance.DUPLICATE, Acceptance.CONFLICT
SIZE = 100_000
ROUGHLY = SIZE + 1000


def large(event_id: str = "e-1", *, letter: str = "x", size: int = SIZE) -> Verified:
    return delivered(event_id, filler=letter * size)


def as_before(verified: Verified) -> bytes:
    """What the version before this one stored, of any size."""
    return b"1700000000000\n" + verified.meta + b"\n" + verified.body


async def put_as_before(store: Store, *events: Verified) -> None:
    for number, verified in enumerate(events):
        await store.redis.set(f"tw:event:{verified.key}", as_before(verified))
        await store.redis.zadd("tw:queue", {verified.key: 1_700_000_000_000 + number})


async def keys_of(store: Store, word: str) -> int:
    return len(await store.redis.keys(f"tw:{word}:*"))


async def has_no_offer(store: Store) -> bool:
    return await keys_of(store, "offered") == 0


async def claimed(store: Store, *, held: int = 0, most: int = 3 * ROUGHLY) -> list[Lease]:
    return (await store.queue.claim(10, "worker-1", held_bytes=held, max_bytes=most)).leases


def ids(leases: list[Lease]) -> list[str]:
    return [lease.event.id for lease in leases]


async def test_a_large_body_is_stored_beside_its_event(store: Store) -> None:
    assert await accept(store, large()) == [ACCEPTED]
    assert await store.redis.get(f"tw:body:{large().key}") == large().body
    assert await store.redis.strlen(f"tw:event:{large().key}") < 1000
    assert await expiring_keys(store) == set()


async def test_a_large_body_comes_not_with_the_claim_but_when_it_is_asked_for(store: Store) -> None:
    await accept(store, large())
    lease = await claim_one(store)
    assert not lease.event.has_body
    assert lease.body_bytes == len(large().body)
    with pytest.raises(LookupError, match="whole"):
        lease.event.payload.get("filler")
    event = await store.bodies.whole(lease.event)
    assert (event.raw, event.payload["filler"]) == (large().body, "x" * SIZE)
    assert (event.id, event.type, event.source, event.headers) == ("e-1", "ping", "truto", {"user-agent": "truto"})


async def test_a_small_body_comes_with_its_claim_and_counts_nothing(store: Store) -> None:
    await accept(store)
    lease = await claim_one(store)
    assert (lease.event.has_body, lease.body_bytes) == (True, 0)
    assert await store.bodies.whole(lease.event) is lease.event


@pytest.mark.redis_only
async def test_no_size_of_a_small_event_is_asked_for(store: Store) -> None:
    await store.redis.config_resetstat()
    await accept(store, *(delivered(str(number)) for number in range(20)))
    for lease in (await store.queue.claim(50, "worker-1")).leases:
        await store.queue.finish(lease, DONE)
    commands = await store.redis.info("commandstats")
    assert "cmdstat_zrangebyscore" in commands
    assert {"cmdstat_strlen", "cmdstat_getrange"}.isdisjoint(commands)


async def test_the_own_body_of_a_large_form_is_kept_too(store: Store) -> None:
    form = Verified("truto", "ping", "form", b'{"event":"ping"}', raw=b"-" * SIZE)
    await accept(store, form)
    lease = await claim_one(store)
    assert lease.body_bytes == len(form.body) + SIZE
    event = await store.bodies.whole(lease.event)
    assert (event.raw, await store.bodies.raw(event)) == (form.body, form.raw)
    await store.queue.finish(lease, DONE)
    assert await keys_of(store, "raw") == 0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.sampled_from([MAX_INLINE_BYTES, 1024 * 1024, 2 * 1024 * 1024]),
    beside=st.integers(-60, 60),
    end=st.sampled_from([b"", b"\n", b" \r\n\n"]),
    raw=st.sampled_from([b"", b"--b\r\n\0\xff", b"\n" * (MAX_INLINE_BYTES + 1)]),
)
def test_bodies_of_any_size_come_out_as_they_went_in(
    redis_server: EmbeddedRedis, size: int, beside: int, end: bytes, raw: bytes
) -> None:
    body = b'{"filler":"%s"}' % (b"x" * (size + beside - 13 - len(end))) + end
    assert len(body) == size + beside

    async def go_in_and_come_out() -> None:
        store = Store.connect(redis_server.url)
        try:
            await store.redis.flushall()
            verified = Verified("truto", "ping", "e-1", body, raw=raw)
            assert await store.accept([verified]) == [ACCEPTED]
            assert await store.accept([verified]) == [DUPLICATE]
            lease = await claim_one(store)
            event = await store.bodies.whole(lease.event)
            assert (event.raw, await store.bodies.raw(event)) == (body, raw or body)
            assert await store.queue.finish(lease, DONE)
            assert await expiring_keys(store) == {"done", "history"}
        finally:
            await store.close()

    asyncio.run(go_in_and_come_out())


@pytest.mark.bad_input(212)
@pytest.mark.parametrize(
    ("second", "answer"),
    [
        pytest.param(large(), DUPLICATE, id="same"),
        pytest.param(large(letter="y"), CONFLICT, id="other-of-the-same-length"),
        pytest.param(large(size=SIZE + 1), CONFLICT, id="longer"),
        pytest.param(delivered(filler="x"), CONFLICT, id="small"),
    ],
)
async def test_a_repetition_of_a_large_event_leaves_nothing_and_changes_nothing(
    store: Store, second: Verified, answer: Acceptance
) -> None:
    await accept(store, large())
    assert await accept(store, second) == [answer]
    assert await keys_of(store, "offered") == 0
    assert (await store.bodies.whole((await claim_one(store)).event)).raw == large().body


async def test_a_large_repetition_of_a_small_event_is_a_conflict(store: Store) -> None:
    await accept(store, delivered())
    assert await accept(store, large()) == [CONFLICT]
    assert (await claim_one(store)).event.raw == delivered().body
    assert await keys_of(store, "body") + await keys_of(store, "offered") == 0


async def test_a_large_repetition_after_the_end_leaves_nothing(store: Store) -> None:
    await accept(store, large())
    await store.queue.finish(await claim_one(store), DONE)
    assert await accept(store, large()) == [DUPLICATE]
    assert await keys_of(store, "body") + await keys_of(store, "offered") == 0


async def test_of_large_repetitions_at_once_one_is_accepted(store: Store) -> None:
    answers = await asyncio.gather(*(accept(store, large()) for _ in range(20)))
    assert sorted(answers) == [[ACCEPTED]] + [[DUPLICATE]] * 19
    assert (await keys_of(store, "body"), await keys_of(store, "offered")) == (1, 0)


async def test_a_delivery_of_large_and_small_events_is_taken_whole_and_in_order(store: Store) -> None:
    events = [large("a"), delivered("b"), large("c")]
    assert await accept(store, *events) == [ACCEPTED] * 3
    leases = (await store.queue.claim(10, "worker-1")).leases
    assert [(await store.bodies.whole(lease.event)).raw for lease in leases] == [event.body for event in events]


async def test_an_event_whose_large_body_is_gone_by_then_is_not_accepted_nor_what_came_with_it(store: Store) -> None:
    gone = Verified("truto", "ping", "gone", b"", raw=b"expired")
    with pytest.raises(StoreUnavailable, match="OFFERGONE"):
        await store.accept([delivered("beside"), gone])
    assert await store.redis.keys("*") == []


@pytest.mark.redis_only
async def test_a_large_body_whose_ingress_dies_before_the_accept_expires(redis_server: EmbeddedRedis) -> None:
    async with cutting_proxy(redis_server.url) as proxy:
        measured, other = Store.connect(proxy.url), Store.connect(redis_server.url)
        await other.redis.flushall()
        await measured.accept([large("loads-the-script")])
        proxy.heal()
        await measured.accept([large("measured")])
        proxy.cut("asking", proxy.passed["asking"] - 10)
        with pytest.raises(StoreUnavailable):
            await measured.accept([large("orphaned")])
        (orphan,) = await other.redis.keys("tw:offered:*")
        assert 0 < await other.redis.pttl(orphan) <= 15_000
        assert await other.inspection.stored("truto", "orphaned") is None
        assert await other.accept([large("orphaned")]) == [ACCEPTED]
        for store in (measured, other):
            await store.close()


@pytest.mark.redis_only
async def test_what_was_offered_in_vain_is_gone_after_a_while(redis_server: EmbeddedRedis, store: Store) -> None:
    hasty = Store.connect(redis_server.url, answer_seconds=0.1)
    await store.redis.set("tw:queue", "spoiled")
    with pytest.raises(StoreUnavailable):
        await hasty.accept([large()])
    await hasty.close()
    assert await keys_of(store, "offered") == 1
    await eventually(lambda: has_no_offer(store))
    assert await keys_of(store, "body") == 0


@pytest.mark.redis_only
async def test_a_full_redis_takes_no_large_body_in(store: Store) -> None:
    await store.redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreUnavailable):
            await accept(store, large())
    finally:
        await store.redis.config_set("maxmemory", "0")
    assert await store.redis.keys("*") == []
    assert await accept(store, large()) == [ACCEPTED]


@pytest.mark.bad_input(210)
async def test_a_claim_takes_as_many_large_bodies_as_fit(store: Store) -> None:
    await accept(store, *(large(str(number)) for number in range(5)))
    first = await claimed(store)
    assert ids(first) == ["0", "1", "2"]
    assert await claimed(store, held=sum(lease.body_bytes for lease in first)) == []
    await store.queue.finish(first[0], DONE)
    assert ids(await claimed(store, held=2 * ROUGHLY)) == ["3"]


async def test_what_has_to_wait_for_room_is_left_to_other_workers(store: Store) -> None:
    await accept(store, *(large(str(number)) for number in range(5)))
    assert ids(await claimed(store)) == ["0", "1", "2"]
    assert ids((await store.queue.claim(10, "worker-2", max_bytes=3 * ROUGHLY)).leases) == ["3", "4"]


async def test_small_events_pass_large_ones_that_wait_for_room(store: Store) -> None:
    await accept(store, *(large(str(number)) for number in range(12)), delivered("small"))
    assert ids(await claimed(store, held=3 * ROUGHLY)) == ["small"]


async def test_a_large_event_that_waits_is_passed_by_no_smaller_one_that_would_fit(store: Store) -> None:
    await accept(store, large("a", size=3 * SIZE), large("b"))
    assert await claimed(store, held=2 * ROUGHLY) == []
    assert ids(await claimed(store)) == ["a"]


@pytest.mark.bad_input(211)
async def test_an_event_larger_than_the_bound_comes_alone_when_nothing_is_held(store: Store) -> None:
    await accept(store, large("a"), large("b"))
    assert await claimed(store, held=1, most=10) == []
    assert ids(await claimed(store, most=10)) == ["a"]
    assert ids(await claimed(store, most=10)) == ["b"]


async def test_a_worker_without_room_is_not_told_to_claim_again_at_once(store: Store) -> None:
    await accept(store, large())
    claim = await store.queue.claim(10, "worker-1", held_bytes=ROUGHLY, max_bytes=ROUGHLY)
    assert (claim.leases, claim.next_due) == ([], None)


async def test_suspect_work_waits_for_room_like_other_work_and_lets_small_events_pass(make_store: MakeStore) -> None:
    store = make_store(lease_seconds=0.05)
    await accept(store, large())
    await claim_one(store)
    await accept(store, delivered("small"))
    await asyncio.sleep(0.06)
    claim = await store.queue.claim(10, "worker-1", suspect=1, held_bytes=3 * ROUGHLY, max_bytes=3 * ROUGHLY)
    assert ids(claim.leases) == ["small"]
    claim = await store.queue.claim(10, "worker-1", suspect=1, max_bytes=3 * ROUGHLY)
    assert [(lease.event.id, lease.crashes) for lease in claim.leases] == [("e-1", 1)]


async def test_with_ordered_handlers_nothing_passes_an_event_that_waits_for_room(store: Store) -> None:
    store.queue.keep_order(lambda: [OrderedPattern("h", None, "ping")])
    await accept(store, large("a"), delivered("b"))
    assert await claimed(store, held=3 * ROUGHLY) == []
    assert ids(await claimed(store)) == ["a", "b"]


async def test_no_worker_that_waits_is_given_a_large_event_but_it_is_told_to_look(store: Store) -> None:
    messages = store.queue.subscribe("worker-1")
    assert await anext(messages) is None
    await store.queue.claim(10, "worker-1")
    await accept(store, large())
    assert await anext(messages) is None
    await messages.aclose()


async def test_the_pieces_of_a_split_event_have_its_body_until_the_last_one_ends(store: Store) -> None:
    await accept(store, large())
    await store.queue.plan(await claim_one(store), ["a", "b"])
    first, second = (await store.queue.claim(10, "worker-1")).leases
    await store.queue.finish(first, DONE)
    assert (await store.bodies.whole(second.event)).raw == large().body
    await store.queue.finish(second, DONE)
    assert await keys_of(store, "body") == 0


async def test_a_large_dead_letter_is_listed_without_its_body_and_replayed_with_it(store: Store) -> None:
    members = await bury(store, large())
    (letter,) = await store.inspection.dead_letters()
    assert letter.event is not None
    assert (letter.event.id, letter.event.has_body, letter.stored) == ("e-1", False, b"")
    assert await store.inspection.replay(members) == 1
    assert (await store.bodies.whole((await claim_one(store)).event)).raw == large().body


async def test_a_large_dead_letter_that_is_given_up_leaves_nothing(store: Store) -> None:
    await store.inspection.discard(await bury(store, large()), "why")
    assert await keys_of(store, "body") + await keys_of(store, "event") == 0


async def test_a_large_event_is_looked_at_whole(store: Store) -> None:
    await accept(store, large())
    found = await store.inspection.stored("truto", "e-1")
    assert found is not None
    assert found.raw == large().body
    assert [entry.what for entry in await store.inspection.history("truto", "e-1")] == ["received"]


async def test_the_released_claim_of_a_large_event_loses_nothing(store: Store) -> None:
    await accept(store, large())
    await store.queue.finish(await claim_one(store), End("released"))
    assert (await store.bodies.whole((await claim_one(store)).event)).raw == large().body


@pytest.mark.parametrize("left", [None, b"", b"{", b"[]"], ids=["gone", "empty", "cut-off", "no-object"])
async def test_a_body_that_cannot_be_read_is_reported_as_such(store: Store, left: bytes | None) -> None:
    await accept(store, large())
    key = f"tw:body:{large().key}"
    await (store.redis.delete(key) if left is None else store.redis.set(key, left))
    lease = await claim_one(store)
    with pytest.raises(CorruptEvent) as caught:
        await store.bodies.whole(lease.event)
    assert "xxx" not in str(caught.value)


async def test_large_events_of_the_version_before_are_claimed_by_size_and_read(store: Store) -> None:
    events = [large(str(number)) for number in range(5)]
    await put_as_before(store, *events)
    leases = await claimed(store)
    assert [(lease.event.id, lease.event.has_body) for lease in leases] == [("0", False), ("1", False), ("2", False)]
    assert [(await store.bodies.whole(lease.event)).raw for lease in leases] == [event.body for event in events[:3]]
    for lease in leases:
        await store.queue.finish(lease, DONE)
    assert await keys_of(store, "event") == 2


async def test_a_repetition_of_a_large_event_of_the_version_before_is_known(store: Store) -> None:
    await put_as_before(store, large())
    assert await accept(store, large()) == [DUPLICATE]
    assert await accept(store, large(letter="y")) == [CONFLICT]
    assert await keys_of(store, "offered") == 0


async def test_large_dead_letters_of_the_version_before_are_listed_without_bodies(store: Store) -> None:
    await put_as_before(store, large(size=300_000))
    await store.queue.finish(await claim_one(store), End("dead", handler="h"))
    (letter,) = await store.inspection.dead_letters()
    assert letter.event is not None
    assert (letter.event.id, letter.event.has_body) == ("e-1", False)
    assert (await store.bodies.whole(letter.event)).raw == large(size=300_000).body
