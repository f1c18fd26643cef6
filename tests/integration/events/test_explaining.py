"""Why an event is where it is: one verdict for each case, from a store in which it has happened."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from events import End, Lane, ParkedLimit, Refused, Store, until_reconnected
from events.all_shards import AllShards
from events.explaining import explain_event
from tests.conftest import MakeStore
from tests.integration.events.deliveries import DONE, accept, bury, claim_one, delivered

Prepare = Callable[[Store], Awaitable[object]]
Cases = dict[str, Prepare]
CASES: Cases = {}


def case(prepare: Prepare) -> Prepare:
    CASES[prepare.__name__] = prepare
    return prepare


async def ended(store: Store, end: End) -> None:
    await accept(store)
    await store.queue.finish(await claim_one(store), end)


@case
async def waiting_for_worker(store: Store) -> None:
    await store.queue.claim(1, "w")
    await accept(store)


@case
async def no_worker(store: Store) -> None:
    await accept(store)


@case
async def running(store: Store) -> None:
    await accept(store)
    await claim_one(store)


@case
async def done(store: Store) -> None:
    await ended(store, End("done", "h"))


@case
async def done_after_retries(store: Store) -> None:
    await ended(store, End("retried", "h", 0.0, {"error": "KeyError", "attempt": 1}))
    await store.queue.finish(await claim_one(store), End("done", "h"))


@case
async def done_delivered_again(store: Store) -> None:
    await ended(store, End("done", "h"))
    await accept(store)


@case
async def discarded(store: Store) -> None:
    await ended(store, End("discarded", "h", note={"why": "a test account"}))


@case
async def condition_not_met(store: Store) -> None:
    await ended(store, End("discarded", "h", note={"why": "when: payload.n = 2 is false"}))


@case
async def ignored(store: Store) -> None:
    await ended(store, End("done", note={"why": "ignored"}))


@case
async def superseded(store: Store) -> None:
    await accept(store)
    lane = Lane("l", window=60.0)
    await store.queue.gate(await claim_one(store), "h", lane)
    await accept(store, delivered("e-2"))
    await store.queue.gate(await claim_one(store), "h", lane)


@case
async def debounce(store: Store) -> None:
    await accept(store)
    await store.queue.gate(await claim_one(store), "h", Lane("l", window=60.0))


@case
async def key_busy(store: Store) -> None:
    await accept(store, delivered("e-0"))
    lane = Lane("l", most=1)
    await store.queue.gate(await claim_one(store), "h", lane)
    await accept(store)
    await store.queue.gate(await claim_one(store), "h", lane)


@case
async def next_attempt(store: Store) -> None:
    await ended(store, End("retried", "h", 60.0, {"error": "KeyError: 'id'", "attempt": 1}))


@case
async def rate_limited(store: Store) -> None:
    await ended(store, End("released", "h", 60.0, {"why": "rate_limited"}))


@case
async def postponed(store: Store) -> None:
    await ended(store, End("released", "h", 60.0, {"why": "the export is not ready"}))


@case
async def awaits_event(store: Store) -> None:
    await ended(store, End("released", "h", 60.0, {"why": "waits for sync_job_run:completed"}))


@case
async def no_handler(store: Store) -> None:
    await ended(store, End("parked", note={"why": "no_handler"}))


@case
async def handler_missing(store: Store) -> None:
    await ended(store, End("parked", "h", note={"why": "handler_missing"}))


@case
async def needs_reauth(store: Store) -> None:
    await ended(store, until_reconnected("h", "account-1", "revoked"))


@case
async def attempts_used_up(store: Store) -> None:
    await bury(store, delivered(), error="KeyError: 'id'", fingerprint="ab12", attempts=10)


@case
async def given_up_by_handler(store: Store) -> None:
    await bury(store, delivered(), why="the customer is gone", error="DeadLetter", fingerprint="ab12", attempts=1)


@case
async def crashes_worker(store: Store) -> None:
    await bury(store, delivered(), error="the worker was lost 3 times while this ran", fingerprint="crash:h")


@case
async def replayed(store: Store) -> None:
    await store.inspection.replay(await bury(store, delivered()))


@case
async def unparked(store: Store) -> None:
    await ended(store, End("parked", note={"why": "no_handler"}))
    await store.inspection.unpark([delivered().key])


@case
async def several_pieces(store: Store) -> None:
    await accept(store)
    await store.queue.plan(await claim_one(store), ["a", "b"])
    for lease in (await store.queue.claim(2, "w")).leases:
        end = End("dead" if lease.handler == "a" else "retried", lease.handler, 60.0, {"error": "KeyError"})
        await store.queue.finish(lease, end)


@case
async def never_accepted(store: Store) -> None:
    await accept(store, delivered("another"))


@case
async def perhaps_refused(store: Store) -> None:
    await store.notes.note_refusals([Refused(datetime.now(UTC), "truto", 401, "signature_mismatch")])


@case
async def handled_long_ago(store: Store) -> None:
    await ended(store, DONE)
    await store.redis.delete(f"tw:history:{delivered().key}")


@case
async def known_elsewhere(store: Store) -> None:
    await accept(store, delivered("e-1", source="shop"))


SAYS = {
    "running": "worker-1",
    "discarded": "a test account",
    "condition_not_met": "payload.n = 2",
    "superseded": "superseded by e-2",
    "key_busy": "(l)",
    "next_attempt": "attempt 1: KeyError: 'id'",
    "needs_reauth": "account-1",
    "attempts_used_up": "10 attempts: KeyError: 'id'",
    "given_up_by_handler": "the customer is gone",
    "no_handler": "ping",
    "awaits_event": "sync_job_run:completed",
    "done_delivered_again": "1 more time",
    "done_after_retries": "1 failed attempt",
    "perhaps_refused": "signature_mismatch",
    "known_elsewhere": "--source shop --type ping",
    "several_pieces": "a: ",
}


@pytest.mark.parametrize("word", CASES)
async def test_the_verdict_is_what_has_happened(store: Store, word: str) -> None:
    await CASES[word](store)
    _, explanation = await explain_event(AllShards([store]), "truto", "e-1")
    assert explanation.verdict.word == word
    assert SAYS.get(word, "") in explanation.verdict.sentence


async def test_an_event_whose_worker_was_lost_runs_again(make_store: MakeStore) -> None:
    store = make_store(lease_seconds=0.05)
    await accept(store)
    await claim_one(store)
    for _ in range(500):
        _, explanation = await explain_event(AllShards([store]), "truto", "e-1")
        if explanation.verdict.word != "running":
            break
        await asyncio.sleep(0.01)
    assert explanation.verdict.word == "worker_lost"
    assert "1 time" in explanation.verdict.sentence


async def test_what_was_dropped_without_a_handler_says_which_limit(make_store: MakeStore) -> None:
    store = make_store(parked=ParkedLimit(events=1))
    for name in ("e-1", "e-2"):
        await accept(store, delivered(name))
        await store.queue.finish(await claim_one(store), End("parked", note={"why": "no_handler"}))
    _, explanation = await explain_event(AllShards([store]), "truto", "e-1")
    assert explanation.verdict.word == "dropped"
    assert "PARKED_MAX" in explanation.verdict.sentence


async def test_an_event_that_cannot_be_read_is_said_to_be_so(store: Store) -> None:
    await accept(store)
    await store.redis.set(f"tw:event:{delivered().key}", "spoiled")
    await store.queue.claim(1, "w")
    story, explanation = await explain_event(AllShards([store]), "truto", "e-1")
    assert story is not None
    assert explanation.verdict.word == "unreadable"


async def test_each_piece_that_is_not_over_has_its_own_verdict(store: Store) -> None:
    await several_pieces(store)
    _, explanation = await explain_event(AllShards([store]), "truto", "e-1")
    assert {handler: verdict.word for handler, verdict in explanation.pieces.items()} == {
        "a": "attempts_used_up",
        "b": "next_attempt",
    }
