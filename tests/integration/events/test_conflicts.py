"""What comes again under a known name, and is not what came first: never kept in silence, and never run."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import orjson
import pytest

from events import Acceptance, Store, Verified
from events.identity import event_key
from tests.conftest import MakeStore
from tests.integration.events.deliveries import DONE, accept, bury, claim_nothing, claim_one, delivered, words

ACCEPTED, DUPLICATE, CONFLICT = Acceptance.ACCEPTED, Acceptance.DUPLICATE, Acceptance.CONFLICT

LARGE = "x" * 200_000


@pytest.mark.bad_input(234)
async def test_a_conflict_is_told_in_the_history_of_a_handled_event(store: Store) -> None:
    await accept(store)
    await store.queue.finish(await claim_one(store), DONE)
    await accept(store, delivered(n=2))
    assert await words(store) == ["received", "claimed", "done", "conflict"]
    conflict = (await store.inspection.history("truto", "e-1"))[-1].detail
    assert (conflict["type"], conflict["digest"]) == ("ping", delivered(n=2).digest)


@pytest.mark.bad_input(305)
async def test_conflicts_leave_no_headers_in_the_history(store: Store) -> None:
    """A partner sends as many as it likes."""
    await accept(store)
    odd = 'a,"headers":{'
    headers = {"user-agent": "u" * 1000, "x-request-id": '"headers":{}'}
    await accept(store, delivered(n=2)._replace(headers=headers, type=odd))
    conflict = (await store.inspection.history("truto", "e-1"))[-1].detail
    assert (conflict["type"], "headers" in conflict) == (odd, False)


async def test_a_conflict_before_the_first_claim_is_told_as_well_and_the_beginning_once(store: Store) -> None:
    await accept(store)
    await accept(store, delivered(n=2))
    assert await words(store) == ["received", "conflict"]
    await store.queue.finish(await claim_one(store), DONE)
    assert await words(store) == ["received", "conflict", "claimed", "done"]


async def test_the_history_of_an_event_with_a_conflict_expires_like_any_other(store: Store) -> None:
    await accept(store)
    await accept(store, delivered(n=2))
    await store.queue.finish(await claim_one(store), DONE)
    assert await store.redis.pttl(f"tw:history:{delivered().key}") > 0


async def test_conflicts_are_counted_apart_from_duplicates(store: Store) -> None:
    await accept(store)
    await accept(store)
    await accept(store, delivered(n=2))
    totals = (await store.inspection.overview()).totals
    assert (totals["duplicate"], totals["conflict"]) == (1, 1)


async def test_the_list_of_what_ended_last_still_says_how(store: Store) -> None:
    await accept(store)
    await store.queue.finish(await claim_one(store), DONE)
    await accept(store, delivered(n=2))
    assert [ended.outcome for ended in await store.inspection.recent()] == ["done"]


async def test_another_type_under_one_name_is_a_conflict_with_an_equal_body(store: Store) -> None:
    """A source that bears Truto's names may read the type from a header."""
    first = Verified("partner", "a", "1", b"{}", platform=True)
    await accept(store, first)
    assert await accept(store, first._replace(type="b")) == [CONFLICT]
    await store.queue.finish(await claim_one(store), DONE)
    assert await accept(store, first._replace(type="b"), first) == [CONFLICT, DUPLICATE]


async def test_a_dead_letter_and_its_discarding_keep_telling(store: Store) -> None:
    (member,) = await bury(store, delivered())
    assert await accept(store, delivered(n=2)) == [CONFLICT]
    await store.inspection.discard([member], "no need")
    assert await accept(store, delivered(), delivered(n=2)) == [DUPLICATE, CONFLICT]


async def test_the_last_of_several_handlers_leaves_what_tells_a_conflict(store: Store) -> None:
    await accept(store)
    assert await store.queue.plan(await claim_one(store), ["a", "b"])
    for lease in (await store.queue.claim(2, "w")).leases:
        await store.queue.finish(lease, DONE)
    assert await accept(store, delivered(), delivered(n=2)) == [DUPLICATE, CONFLICT]


async def test_large_bodies_are_told_apart_after_the_end(store: Store) -> None:
    first, other = delivered(filler=LARGE), delivered(filler=LARGE + "y")
    await accept(store, first)
    await store.queue.finish(await claim_one(store), DONE)
    assert await accept(store, first, other) == [DUPLICATE, CONFLICT]


async def test_what_the_guard_keeps_goes_with_it(make_store: MakeStore) -> None:
    store = make_store(dedup_ttl=0.05)
    await accept(store)
    await store.queue.finish(await claim_one(store), DONE)
    while await store.redis.exists(f"tw:done:{delivered().key}"):
        pass
    assert await accept(store, delivered(n=2)) == [ACCEPTED]


@pytest.mark.redis_only
async def test_the_guard_of_a_handled_event_takes_redis_no_more_than_a_number(store: Store) -> None:
    await accept(store)
    await store.queue.finish(await claim_one(store), DONE)
    guard = await store.redis.get(f"tw:done:{delivered().key}")
    assert guard == b"%d" % int(guard)  # which Redis can store as a number; whether a script may, differs by version
    assert -(2**63) <= int(guard) < 2**63


# -- one name for each source, type and identity -----------------------------------------------------------------------


async def test_one_id_under_two_types_is_two_events(store: Store) -> None:
    created, updated = (delivered("42", source="shop", kind=kind) for kind in ("order.created", "order.updated"))
    assert await accept(store, created, updated) == [ACCEPTED, ACCEPTED]
    assert await accept(store, created, updated) == [DUPLICATE, DUPLICATE]


async def test_trutos_own_ids_and_those_of_workflows_are_known_without_their_type() -> None:
    for source in ("truto", "workflows"):
        assert delivered(source=source).key == event_key(source, "e-1")
    assert Verified("partner", "a", "e-1", b"{}", platform=True).key == event_key("partner", "e-1")


async def test_an_event_is_found_by_its_id_and_by_its_type_where_several_have_it(store: Store) -> None:
    await accept(store, *(delivered("42", source="shop", kind=kind) for kind in ("b", "a")))
    assert await store.inspection.types_of("shop", "42") == ["a", "b"]
    for kind in ("a", "b"):
        stored = await store.inspection.stored("shop", "42", kind)
        assert stored is not None
        assert stored.type == kind
    first = await store.inspection.stored("shop", "42")
    assert first is not None
    assert first.type == "a"


async def test_an_ended_event_is_found_by_its_id(store: Store) -> None:
    await accept(store, delivered("42", source="shop"))
    await store.queue.finish(await claim_one(store), DONE)
    assert [entry.what for entry in await store.inspection.history("shop", "42")] == ["received", "claimed", "done"]


async def test_what_is_claimed_has_the_name_under_which_it_lies(store: Store) -> None:
    for verified in (delivered("1", source="shop"), delivered("2", source="shop", filler=LARGE), delivered("3")):
        await accept(store, verified)
        lease = await claim_one(store)
        assert lease.member == lease.event.key == verified.key
        assert (await store.bodies.whole(lease.event)).key == verified.key
        await store.queue.finish(lease, DONE)


# -- what the version before has left ----------------------------------------------------------------------------------


async def accepted_before(store: Store, verified: Verified) -> str:
    """*verified* as the version before has stored it: without the type in its name, and without a digest."""
    key = event_key(verified.source, verified.id)
    meta = {"source": verified.source, "type": verified.type, "id": verified.id, "headers": {}}
    await store.redis.set(f"tw:event:{key}", b"1700000000000\n%s\n%s" % (orjson.dumps(meta), verified.body))
    await store.redis.zadd("tw:queue", {key: 1})
    return key


async def test_an_event_of_the_version_before_is_handled_under_its_name(store: Store) -> None:
    key = await accepted_before(store, delivered("42", source="shop"))
    lease = await claim_one(store)
    assert lease.member == lease.event.key == key
    assert await store.queue.finish(lease, DONE)
    assert [entry.what for entry in await store.inspection.history("shop", "42")] == ["received", "claimed", "done"]
    await claim_nothing(store)


async def test_an_event_of_the_version_before_is_split_between_its_handlers(store: Store) -> None:
    key = await accepted_before(store, delivered("42", source="shop"))
    assert await store.queue.plan(await claim_one(store), ["a", "b"])
    assert {lease.member for lease in (await store.queue.claim(2, "w")).leases} == {f"{key}|a", f"{key}|b"}


async def test_an_event_of_trutos_is_a_duplicate_across_the_upgrade(store: Store) -> None:
    await accepted_before(store, delivered())
    assert await accept(store) == [DUPLICATE]
    assert await accept(store, delivered(n=2)) == [CONFLICT]


async def test_an_event_of_another_source_is_a_duplicate_across_the_upgrade_under_its_type_alone(store: Store) -> None:
    await accepted_before(store, delivered("42", source="shop", kind="paid"))
    assert await accept(store, delivered("42", source="shop", kind="paid")) == [DUPLICATE]
    assert await accept(store, delivered("42", source="shop", kind="paid", n=2)) == [CONFLICT]
    assert await accept(store, delivered("42", source="shop", kind="sent")) == [ACCEPTED]


@pytest.mark.parametrize("kind", ["ping", 'say "a"'])
async def test_where_no_type_of_the_version_before_is_known_the_event_runs(store: Store, kind: str) -> None:
    await store.redis.set(f"tw:done:{event_key('shop', '42')}", 1)
    assert await accept(store, delivered("42", source="shop", kind=kind)) == [ACCEPTED]


@pytest.mark.parametrize("n", [None, 2])
async def test_the_guard_of_the_version_before_knows_the_event_and_not_its_body(store: Store, n: int | None) -> None:
    await store.redis.set(f"tw:done:{delivered().key}", 1)
    assert await accept(store, delivered(n=n) if n else delivered()) == [DUPLICATE]


async def test_an_event_keeps_its_name_when_it_is_copied(store: Store) -> None:
    await accept(store, delivered("42", source="shop"))
    event = (await claim_one(store)).event
    assert replace(event, payload={}).key == event.key


async def test_the_digest_stays_out_of_what_handlers_see(store: Store) -> None:
    await accept(store, delivered("42", source="shop"))
    event = (await claim_one(store)).event
    stored = cast("bytes", await store.redis.get(f"tw:event:{event.key}"))
    assert b'"digest":' in stored
    assert b"digest" not in event.raw
    assert "digest" not in (await store.inspection.history("shop", "42"))[0].detail
