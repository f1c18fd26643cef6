"""A Redis that does not confirm: never reported as success, always by one error, and never with a payload in it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from events import NO_LANE, Acceptance, End, Store, StoreUnavailable
from events.embedded import EmbeddedRedis
from tests.integration.events.deliveries import DONE, accept, bury, claim_one, delivered, words
from tests.integration.events.lying_redis import lying_redis
from tests.servers import free_port

HIDDEN = delivered("hidden-id", payload={"ssn": "hidden-payload"})


@asynccontextmanager
async def store_at(url: str, *, answer_seconds: float = 5.0) -> AsyncIterator[Store]:
    store = Store.connect(url, answer_seconds=answer_seconds)
    try:
        yield store
    finally:
        await store.close()


METHODS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "ping": lambda store: store.ping(),
    "accept": lambda store: store.accept([HIDDEN]),
    "claim": lambda store: store.queue.claim(1, "w"),
    "listen": lambda store: anext(store.queue.subscribe("w")),
    "leave": lambda store: store.queue.unsubscribe("w"),
    "history": lambda store: store.inspection.history("truto", "1"),
    "dead_letters": lambda store: store.inspection.dead_letters(),
    "parked": lambda store: store.inspection.parked(),
    "stored": lambda store: store.inspection.stored("truto", "1"),
    "places": lambda store: store.inspection.places("truto", "1"),
    "recent": lambda store: store.inspection.recent(),
    "each_kept": lambda store: anext(store.inspection.each_kept("dead")),
    "find_faults": lambda store: store.find_faults(),
    "overview": lambda store: store.inspection.overview(),
    "replay": lambda store: store.inspection.replay(["m"]),
    "unpark": lambda store: store.inspection.unpark(["m"]),
    "discard": lambda store: store.inspection.discard(["m"], "why"),
    "open_enrolment": lambda store: store.notes.open_enrolment("s", 60),
    "enrol": lambda store: store.notes.enrol("s", {"webhook_secret": "hidden"}),
    "enrolments": lambda store: store.notes.enrolments(["s"]),
    "forget_source": lambda store: store.notes.forget_source("s"),
}


@pytest.mark.parametrize("method", METHODS)
async def test_every_method_says_that_nobody_listens(method: str) -> None:
    async with store_at(f"redis://user:hidden-password@127.0.0.1:{free_port()}/0") as store:
        with pytest.raises(StoreUnavailable) as caught:
            await METHODS[method](store)
    assert "hidden" not in "".join(traceback.format_exception(caught.value))


async def test_the_work_of_a_lease_says_so_too(own_redis: EmbeddedRedis) -> None:
    async with store_at(own_redis.url) as store:
        await accept(store)
        lease = await claim_one(store)
        own_redis.kill()
        for work in (
            store.queue.finish(lease, DONE),
            store.queue.renew([lease]),
            store.queue.plan(lease, ["a"]),
            store.bodies.raw(lease.event),
            store.queue.gate(lease, "h", NO_LANE),
            store.queue.steps(lease),
            store.queue.keep_step(lease, "h", "x", b"1"),
        ):
            with pytest.raises(StoreUnavailable):
                await work


async def test_a_killed_server_confirms_nothing_and_a_restarted_one_goes_on(own_redis: EmbeddedRedis) -> None:
    async with store_at(own_redis.url) as store:
        await accept(store)
        own_redis.kill()
        with pytest.raises(StoreUnavailable):
            await store.accept([HIDDEN])
        own_redis.start()
        assert await accept(store) == [Acceptance.DUPLICATE]
        assert (await claim_one(store)).event.id == "e-1"


async def test_a_frozen_server_is_given_up_in_time_and_used_again_when_it_thaws(own_redis: EmbeddedRedis) -> None:
    async with store_at(own_redis.url, answer_seconds=0.2) as store:
        await accept(store)
        assert own_redis.pid is not None
        os.kill(own_redis.pid, signal.SIGSTOP)
        started = time.perf_counter()
        try:
            outcomes = await asyncio.gather(
                *(store.accept([delivered(str(n))]) for n in range(50)), return_exceptions=True
            )
        finally:
            os.kill(own_redis.pid, signal.SIGCONT)
        assert time.perf_counter() - started < 1
        assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
        # What the frozen server had received by then counts: an unknown outcome may be either.
        assert await accept(store, delivered("later")) == [Acceptance.ACCEPTED]


@pytest.mark.parametrize("spoiled", [f"event:{HIDDEN.key}", "queue", "totals"], ids=["event", "queue", "totals"])
async def test_a_key_of_the_wrong_type_is_no_acceptance(store: Store, spoiled: str) -> None:
    await store.redis.lpush(f"tw:{spoiled}", "x")  # type: ignore[misc]  # redis-py types both its clients at once
    with pytest.raises(StoreUnavailable) as caught:
        await store.accept([HIDDEN])
    assert "hidden" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("spoiled", ["queue", "totals", "idle"])
async def test_what_a_failed_accept_left_behind_is_never_refused_and_yet_not_run(store: Store, spoiled: str) -> None:
    await store.redis.set(f"tw:{spoiled}", "x")
    with pytest.raises(StoreUnavailable):
        await accept(store)
    await store.redis.delete(f"tw:{spoiled}")
    await accept(store)
    assert (await claim_one(store)).event.id == "e-1"


async def test_a_full_redis_takes_nothing_in_but_lets_the_workers_empty_it(store: Store) -> None:
    await bury(store, delivered("dead"), delivered("old"))
    letters = [letter.member for letter in await store.inspection.dead_letters()]
    await accept(store, delivered("a"), delivered("b"), delivered("c"))
    await store.redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreUnavailable) as caught:
            await store.accept([HIDDEN])
        one, other, third = (await store.queue.claim(10, "worker-1")).leases
        assert await store.queue.renew([one, other]) == [True, True]
        assert await store.queue.plan(one, ["x", "y"])
        assert await store.queue.finish(other, DONE)
        assert await store.queue.finish(third, End("retried", handler="h"))
        assert await store.inspection.replay(letters[:1]) == 1
        assert await store.inspection.discard(letters[1:], "full") == 1
        assert (await store.inspection.overview()).dead == 0
    finally:
        await store.redis.config_set("maxmemory", "0")
    assert "hidden" not in "".join(traceback.format_exception(caught.value))
    assert await words(store, "hidden-id") == []
    assert await store.accept([HIDDEN]) == [Acceptance.ACCEPTED]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="hangs-up"),
        pytest.param(b"*0\r\n", id="no-answers"),
        pytest.param(b"*2\r\n:1\r\n:1\r\n", id="one-answer-too-many"),
        pytest.param(b"*1\r\n:7\r\n", id="unknown-number"),
        pytest.param(b"*1\r\n:-1\r\n", id="negative-number"),
        pytest.param(b"*1\r\n$1\r\n1\r\n", id="number-as-text"),
        pytest.param(b"*1\r\n$-1\r\n", id="nil-in-list"),
        pytest.param(b"*1\r\n*1\r\n:1\r\n", id="list-in-list"),
        pytest.param(b":1\r\n", id="number"),
        pytest.param(b"$1\r\n\x01\r\n", id="byte-one"),
        pytest.param(b"*1\r\n#t\r\n", id="true"),
        pytest.param(b"*1\r\n,1\r\n", id="float"),
        pytest.param(b"+OK\r\n", id="ok"),
        pytest.param(b"$-1\r\n", id="nil"),
        pytest.param(b"*-1\r\n", id="nil-list"),
        pytest.param(b"-OOM hidden-payload\r\n", id="out-of-memory"),
        pytest.param(b"-MISCONF hidden-payload\r\n", id="cannot-persist"),
        pytest.param(b"-READONLY hidden-payload\r\n", id="replica"),
        pytest.param(b"-LOADING hidden-payload\r\n", id="loading"),
        pytest.param(b"-NOAUTH hidden-payload\r\n", id="no-password"),
        pytest.param(b"-NOSCRIPT hidden-payload\r\n", id="no-script"),
        pytest.param(b"-ERR EVALSHA hidden-payload\r\n", id="error"),
        pytest.param(b"- hidden-payload\r\n", id="error-without-word"),
        pytest.param(b"!!hidden-payload\r\n", id="no-protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", id="http"),
    ],
)
async def test_an_answer_that_is_not_known_is_no_acceptance(answer: bytes) -> None:
    async with lying_redis(answer) as url, store_at(url, answer_seconds=0.5) as store:
        with pytest.raises(StoreUnavailable) as caught:
            await store.accept([HIDDEN])
    assert "hidden" not in "".join(traceback.format_exception(caught.value))


async def test_the_kind_of_a_refusal_is_told() -> None:
    async with lying_redis(b"-MISCONF Redis cannot persist\r\n") as url, store_at(url) as store:
        with pytest.raises(StoreUnavailable, match="MISCONF"):
            await store.accept([HIDDEN])


async def test_an_answer_for_too_few_ends_is_no_end(store: Store) -> None:
    await accept(store)
    lease = await claim_one(store)
    async with lying_redis(b"*0\r\n") as url, store_at(url) as liar:
        async with asyncio.timeout(1):
            with pytest.raises((StoreUnavailable, ValueError)):
                await liar.queue.finish(lease, DONE)


async def test_closing_twice_is_fine(store: Store) -> None:
    await store.ping()
    await store.close()
    await store.close()
