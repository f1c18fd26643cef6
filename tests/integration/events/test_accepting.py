"""Taking events in: exactly once each, all of a delivery or none, and nothing that is not confirmed."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events import Acceptance, Store, Verified
from events.embedded import EmbeddedRedis
from events.naming import name_from
from tests.conftest import MakeStore
from tests.integration.events.deliveries import DONE, accept, bury, claim_nothing, claim_one, delivered, expiring_keys

ACCEPTED, DUPLICATE, CONFLICT = Acceptance.ACCEPTED, Acceptance.DUPLICATE, Acceptance.CONFLICT


async def test_a_new_event_is_accepted_and_a_second_delivery_is_a_duplicate(store: Store) -> None:
    assert await accept(store) == [ACCEPTED]
    assert await accept(store) == [DUPLICATE]


async def test_the_same_id_with_another_body_is_a_conflict_and_the_first_one_counts(store: Store) -> None:
    first = delivered(n=1)
    await accept(store, first)
    assert await accept(store, delivered(n=2)) == [CONFLICT]
    assert (await claim_one(store)).event.raw == first.body


async def test_a_body_that_ends_like_the_first_one_is_still_a_conflict(store: Store) -> None:
    await accept(store, Verified("truto", "a", "1", b'{"a":{"event":"a"}}'))
    assert await accept(store, Verified("truto", "a", "1", b'{"event":"a"}}')) == [CONFLICT]


async def test_the_same_id_from_another_source_is_another_event(store: Store) -> None:
    assert await accept(store, delivered(), delivered(source="github")) == [ACCEPTED, ACCEPTED]


async def test_a_delivery_of_several_events_is_answered_event_by_event(store: Store) -> None:
    await accept(store, delivered("b"))
    answers = await accept(store, delivered("a"), delivered("b"), delivered("b", n=1), delivered("c"), delivered("a"))
    assert answers == [ACCEPTED, DUPLICATE, CONFLICT, ACCEPTED, DUPLICATE]


async def test_a_delivery_without_events_changes_nothing(store: Store) -> None:
    assert await store.accept([]) == []
    assert await store.redis.dbsize() == 0


async def test_a_hundred_identical_deliveries_at_once_have_one_effect(store: Store) -> None:
    answers = await asyncio.gather(*(accept(store) for _ in range(100)))
    assert sorted(answers) == sorted([[ACCEPTED]] + [[DUPLICATE]] * 99)
    await claim_one(store)
    await claim_nothing(store)


async def test_concurrent_deliveries_get_their_own_answers(store: Store) -> None:
    await accept(store, *(delivered(str(n)) for n in range(0, 200, 2)))
    answers = await asyncio.gather(*(accept(store, delivered(str(n))) for n in range(200)))
    assert answers == [[ACCEPTED] if n % 2 else [DUPLICATE] for n in range(200)]


@pytest.mark.redis_only
async def test_concurrent_deliveries_share_round_trips(store: Store) -> None:
    await accept(store, delivered("first"))
    await store.redis.config_resetstat()
    await asyncio.gather(*(accept(store, delivered(str(n))) for n in range(100)))
    assert (await store.redis.info("commandstats"))["cmdstat_evalsha"]["calls"] <= 2


@pytest.mark.redis_only
@pytest.mark.parametrize(("body", "raw"), [(b"x" * 3_000_000, b""), (b"{}", b"x" * 3_000_000)], ids=["body", "raw"])
async def test_what_is_sent_at_once_is_bounded_in_bytes(store: Store, body: bytes, raw: bytes) -> None:
    await accept(store, delivered("first"))
    await store.redis.config_resetstat()
    large = [Verified("truto", "a", str(n), body, raw=raw) for n in range(4)]
    assert await asyncio.gather(*(accept(store, one) for one in large)) == [[ACCEPTED]] * 4
    assert (await store.redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == 4


async def test_an_event_is_a_duplicate_until_its_end_and_for_the_dedup_ttl_after(make_store: MakeStore) -> None:
    store = make_store(dedup_ttl=0.05)
    await accept(store)
    lease = await claim_one(store)
    assert await accept(store) == [DUPLICATE]
    await store.queue.finish(lease, DONE)
    assert await accept(store) == [DUPLICATE]
    await asyncio.sleep(0.06)
    assert await accept(store) == [ACCEPTED]


async def test_after_the_end_too_another_body_is_a_conflict(store: Store) -> None:
    await accept(store)
    await store.queue.finish(await claim_one(store), DONE)
    assert await accept(store) == [DUPLICATE]
    assert await accept(store, delivered(n=2)) == [CONFLICT]


async def test_a_dead_letter_guards_against_its_own_redelivery(store: Store) -> None:
    await bury(store, delivered())
    assert await accept(store) == [DUPLICATE]
    await claim_nothing(store)


async def test_nothing_that_is_pending_expires(store: Store) -> None:
    await accept(store, *(delivered(str(n)) for n in range(3)))
    multipart = Verified("truto", "ping", "form", b"{}", raw=b"--b")
    await accept(store, multipart)
    for lease in (await store.queue.claim(2, "worker-1")).leases:
        await store.queue.plan(lease, ["a", "b"])
    await bury(store, delivered("dead"))
    assert await expiring_keys(store) == set()


async def test_after_the_end_only_what_expires_is_left(store: Store) -> None:
    await accept(store, Verified("truto", "ping", "form", b"{}", raw=b"--b"))
    await store.queue.finish(await claim_one(store), DONE)
    assert await expiring_keys(store) == {"done", "history"}
    left = {key.decode().split(":")[1] for key in await store.redis.keys("*")}
    assert left == {"done", "history", "idle", "journal", "recent", "totals", "usage", "workers"}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    source=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    event_id=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300),
    kind=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300),
    headers=st.dictionaries(st.text("abc\n\"' |:", max_size=5), st.text('xyz\n\r\0"é', max_size=20), max_size=3),
    filler=st.binary(max_size=300),
    raw=st.binary(max_size=50),
)
def test_whatever_is_accepted_is_claimed_unchanged(
    redis_server: EmbeddedRedis,
    source: str,
    event_id: str,
    kind: str,
    headers: dict[str, str],
    filler: bytes,
    raw: bytes,
) -> None:
    body = b' {\n"hex" : "' + filler.hex().encode() + b'"}\n\r\n'
    # What looks like a name of Truto's is put under its source before an event is made.
    verified = Verified(source, name_from(source, kind), event_id, body, headers=headers, raw=raw)
    asyncio.run(_goes_in_and_comes_out(redis_server.url, verified))


async def _goes_in_and_comes_out(url: str, verified: Verified) -> None:
    store = Store.connect(url)
    try:
        await store.redis.flushall()
        assert await store.accept([verified]) == [ACCEPTED]
        event = (await claim_one(store)).event
        assert (event.source, event.id, event.type) == (verified.source, verified.id, verified.type)
        assert (event.headers, event.raw) == (verified.headers, verified.body)
        assert event.key == verified.key
        assert await store.bodies.raw(event) == (verified.raw or verified.body)
        received, *_ = await store.inspection.history(verified.source, verified.id)
        assert received.detail["id"] == verified.id
    finally:
        await store.close()
