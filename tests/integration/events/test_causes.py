"""Dead letters are counted by cause where they come and go, without reading them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events import End, Store
from events.causes import Cause
from tests.conftest import MakeStore
from tests.integration.events.deliveries import accept, bury, claim_one, delivered

A_SECOND = timedelta(seconds=1)


async def counts(store: Store) -> dict[str, int]:
    return {cause.fingerprint: cause.count for cause in await store.causes.all()}


async def members_of(store: Store, fingerprint: str) -> list[str]:
    place, is_apart = await store.causes.place_of(fingerprint)
    assert is_apart
    return [member.decode() async for page in place.read(2, newest_first=False) for member, _ in page]


async def forget_causes(store: Store) -> None:
    """As a version without causes left it."""
    for key in await store.redis.keys("tw:cause*"):
        await store.redis.delete(key)


async def test_nothing_dead_has_no_causes(store: Store) -> None:
    assert await store.causes.all() == []


async def test_a_cause_tells_number_handlers_types_newest_error_and_times(store: Store) -> None:
    await bury(store, delivered("a", kind="x:1"), fingerprint="f", error="first")
    await bury(store, delivered("b", kind='y:"2'), fingerprint="f", error="second")
    await bury(store, delivered("c"), fingerprint="g", why="given up")
    f, g = await store.causes.all()
    assert (f.count, f.handlers, f.types, f.error, f.more) == (2, ["h"], ["x:1", 'y:"2'], "second", False)
    assert f.first < f.last < f.first + A_SECOND
    assert (g.fingerprint, g.count, g.error, g.first) == ("g", 1, "given up", g.last)


async def test_a_dead_letter_without_a_fingerprint_has_one_too(store: Store) -> None:
    await bury(store, delivered("a"))
    assert await counts(store) == {"none": 1}


async def test_the_pieces_of_one_event_count_by_their_handlers(store: Store) -> None:
    await accept(store)
    await store.queue.plan(await claim_one(store), ["one", "two"])
    for lease in (await store.queue.claim(2, "w")).leases:
        await store.queue.finish(lease, End("dead", lease.handler, note={"fingerprint": "f"}))
    (cause,) = await store.causes.all()
    assert (cause.count, cause.handlers, cause.types) == (2, ["one", "two"], ["ping"])
    await store.inspection.replay([f"{delivered().key}|one"])
    (cause,) = await store.causes.all()
    assert (cause.count, cause.handlers, cause.types) == (1, ["two"], ["ping"])


@pytest.mark.parametrize("away", ["replay", "discard"])
async def test_what_is_replayed_or_discarded_leaves_its_cause(store: Store, away: str) -> None:
    kept, gone = await bury(store, delivered("a"), delivered("b", kind="other:kind"), fingerprint="f")
    await bury(store, delivered("c"), fingerprint="g")
    if away == "replay":
        await store.inspection.replay([gone])
    else:
        await store.inspection.discard([gone], "why")
    assert await counts(store) == {"f": 1, "g": 1}
    assert await members_of(store, "f") == [kept]
    assert (await store.causes.all())[0].types in (["ping"], ["other:kind"])
    await store.inspection.discard([kept], "why")
    assert await counts(store) == {"g": 1}
    assert await store.redis.exists("tw:cause:f", "tw:cause_names:f") == 0


async def test_what_fails_again_is_back_with_its_new_cause(store: Store) -> None:
    (member,) = await bury(store, delivered("a"), fingerprint="f")
    await store.inspection.replay([member])
    await store.queue.finish(await claim_one(store), End("dead", "h", note={"fingerprint": "g"}))
    assert await counts(store) == {"g": 1}


async def test_an_event_that_succeeds_leaves_no_trace_among_causes(store: Store) -> None:
    await accept(store)
    await store.queue.finish(await claim_one(store), End("done", "h"))
    assert await store.redis.keys("tw:cause*") == []


async def test_beyond_a_thousand_causes_the_rest_are_others_and_stay_findable(store: Store) -> None:
    for start in range(0, 1010, 101):
        await accept(store, *(delivered(f"e-{number}") for number in range(start, start + 101)))
        leases = (await store.queue.claim(101, "w")).leases
        await store.queue.finish_all(
            [(lease, End("dead", "h", note={"fingerprint": f"f-{lease.event.id}"})) for lease in leases]
        )
    found = await store.causes.all()
    assert len(found) == 1001
    assert (found[0].fingerprint, found[0].count) == ("other-causes", 10)
    assert sum(cause.count for cause in found) == 1010
    known = {cause.fingerprint for cause in found}
    beyond = next(name for name in (f"f-e-{number}" for number in range(1010)) if name not in known)
    place, is_apart = await store.causes.place_of(beyond)
    assert (await place.count(), is_apart) == (10, False)
    members = [member.decode() async for page in place.read(100) for member, _ in page]
    await store.inspection.discard(members, "why")
    assert len(await store.causes.all()) == 1000


async def test_strangers_cannot_fill_the_memory_with_types(store: Store) -> None:
    await bury(store, *(delivered(f"e-{n}", kind=f"kind:{n}") for n in range(100)), fingerprint="f")
    more = await bury(store, *(delivered(f"m-{n}", kind=f"more:{n}") for n in range(20)), fingerprint="f")
    (cause,) = await store.causes.all()
    assert (cause.count, cause.more) == (120, True)
    assert len(cause.types) == 99
    await store.inspection.discard(more, "why")
    (cause,) = await store.causes.all()
    assert (cause.count, len(cause.types)) == (100, 99)


async def test_dead_letters_of_a_version_without_causes_are_indexed_once(store: Store) -> None:
    await bury(store, *(delivered(f"e-{number}") for number in range(100)), fingerprint="f")
    await bury(store, delivered("b"), fingerprint="g")
    before = await store.causes.all()
    await forget_causes(store)
    assert await store.causes.all() == before


async def test_what_comes_and_goes_while_they_are_indexed_is_counted_right(store: Store) -> None:
    for start in range(0, 2000, 100):
        await bury(store, *(delivered(f"e-{number}") for number in range(start, start + 100)), fingerprint="f")
    members = await members_of(store, "f")
    await forget_causes(store)
    assert await store.client.run("index_causes", [100]) == 0
    await store.inspection.discard(members[:50] + members[-50:], "why")
    await bury(store, *(delivered(f"late-{number}") for number in range(30)), fingerprint="f")
    assert await counts(store) == {"f": 1930}


async def test_what_a_version_without_causes_has_taken_out_does_not_count(store: Store) -> None:
    members = await bury(store, delivered("a"), delivered("b"), fingerprint="f")
    await store.redis.zrem("tw:dead", members[0])
    assert await counts(store) == {"f": 1}
    assert await members_of(store, "f") == members[1:]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from("bdri"), st.integers(0, 5), st.sampled_from(["f", "g", "other", ""]))))
async def test_whatever_happens_the_causes_are_those_of_the_dead_letters(
    make_store: MakeStore, steps: list[tuple[str, int, str]]
) -> None:
    store = make_store()
    await store.redis.flushdb()
    for number, (step, which, fingerprint) in enumerate(steps):
        dead = [kept.member for kept in await store.inspection.dead_letters()]
        chosen = dead[which : which + 1]
        if step == "b":
            await bury(store, delivered(f"{number}", kind=f"kind:{which}"), fingerprint=fingerprint)
        elif step == "d" and chosen:
            await store.inspection.discard(chosen, "why")
        elif step == "r" and chosen:
            await store.inspection.replay(chosen)
            await store.queue.finish(await claim_one(store), End("dead", "h", note={"fingerprint": fingerprint}))
        elif step == "i":
            await forget_causes(store)
    assert sorted(await store.causes.all(), key=_name) == await as_read(store)


async def as_read(store: Store) -> list[Cause]:
    """The causes of the dead letters, each of which is looked at."""
    grouped: dict[str, list[tuple[str, str, object]]] = {}
    found = [kept async for kept in store.inspection.each_kept("dead")]
    for kept in reversed(found):
        assert kept.event is not None
        name = kept.note.get("fingerprint") or "none"
        grouped.setdefault(name, []).append((str(kept.handler), kept.event.type, kept.since))
    return [
        Cause(
            name,
            len(rows),
            sorted({handler for handler, _, _ in rows}),
            sorted({kind for _, kind, _ in rows}),
            "unknown",
            rows[0][2],  # type: ignore[arg-type]
            rows[-1][2],  # type: ignore[arg-type]
            more=False,
        )
        for name, rows in sorted(grouped.items())
    ]


def _name(cause: Cause) -> str:
    return cause.fingerprint
