"""Steps: done once for an event and a handler, through retries, kills, dead letters and outages."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from structlog.testing import LogCapture

from events import End, Event, Lease, Store, StoreUnavailable
from events.embedded import EmbeddedRedis
from events.queue import Queue
from tests.conftest import MakeStore
from tests.integration.worker.processes import Team
from tests.integration.worker.workshop import (
    TENANT_SECRET,
    Receiver,
    delivered,
    ended,
    eventually,
    is_empty,
    plain,
    story,
    with_queue,
    working,
)
from tests.servers import serve
from truto import AsyncTruto
from worker import Backoff, Context, LeaseLost
from worker.notify import Notifier, TenantEndpoint
from worker.registry import Registry

SOON = Backoff(0.001, 0.001)


async def step_keys(store: Store) -> list[bytes]:
    return await store.redis.keys("tw:steps:*")  # type: ignore[no-any-return]  # the client says Any


async def test_a_step_that_is_done_is_not_repeated_and_gives_its_result_again(store: Store, registry: Registry) -> None:
    calls: list[str] = []
    results: list[Any] = []

    def fetch(name: str, *, size: int) -> dict[str, Any]:
        calls.append(name)
        return {"name": name, "size": size, "at": [1.5, None]}

    async def send() -> str:
        calls.append("send")
        return "sent"

    @registry.on("*", backoff=SOON)
    async def handle(event: Event, ctx: Context) -> None:
        results.append(await ctx.step("fetch", fetch, "thing", size=3))
        if ctx.attempt == 1:
            raise ValueError("between the steps")
        results.append(await ctx.step("send", send))
        if ctx.attempt == 2:
            raise ValueError("after the steps")

    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event)
    assert calls == ["thing", "send"]
    fetched = {"name": "thing", "size": 3, "at": [1.5, None]}
    assert results == [fetched, fetched, "sent", fetched, "sent"]
    assert (await story(store, event)).count("step") == 2
    assert await step_keys(store) == []


async def test_a_step_that_fails_is_tried_again(store: Store, registry: Registry) -> None:
    calls: list[int] = []

    @registry.on("*", backoff=SOON)
    async def handle(event: Event, ctx: Context) -> None:
        def flaky() -> None:
            calls.append(ctx.attempt)
            if ctx.attempt < 3:
                raise ConnectionError("lost")

        await ctx.step("flaky", flaky)

    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event)
    assert calls == [1, 2, 3]


async def test_each_handler_and_each_event_has_steps_of_its_own(store: Store, registry: Registry) -> None:
    calls: list[str] = []

    @registry.on("*")
    async def first(event: Event, ctx: Context) -> None:
        await ctx.step("x", calls.append, f"first {event.id}")

    @registry.on("*")
    async def second(event: Event, ctx: Context) -> None:
        await ctx.step("x", calls.append, f"second {event.id}")

    one, two = delivered(), delivered()
    async with working(store, registry):
        await store.accept([one, two])
        await eventually(lambda: len(calls) == 4)
        await eventually(lambda: is_empty(store))
    assert set(calls) == {f"{name} {event.id}" for name in ("first", "second") for event in (one, two)}
    assert await step_keys(store) == []


async def test_steps_may_run_side_by_side(store: Store, registry: Registry) -> None:
    calls: list[str] = []

    async def slow(name: str) -> str:
        calls.append(name)
        await asyncio.sleep(0.01)
        return name

    @registry.on("*", backoff=SOON)
    async def handle(event: Event, ctx: Context) -> None:
        assert await asyncio.gather(*(ctx.step(name, slow, name) for name in "abc")) == ["a", "b", "c"]
        if ctx.attempt == 1:
            raise ValueError("again")

    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event)
    assert calls == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["", "x" * 101, "a\nb", None, 7], ids=repr)
async def test_a_name_that_cannot_be_kept_makes_a_dead_letter(store: Store, registry: Registry, name: Any) -> None:
    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        await ctx.step(name, lambda: None)

    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "dead")
    assert "a step's name" in (await store.inspection.dead_letters())[0].note["error"]


async def test_a_name_that_is_used_twice_makes_a_dead_letter(store: Store, registry: Registry) -> None:
    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        await ctx.step("x", lambda: 1)
        await ctx.step("x", lambda: 2)

    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "dead")
    assert "'x' is used twice" in (await store.inspection.dead_letters())[0].note["error"]


async def test_a_result_that_cannot_be_kept_makes_a_dead_letter_at_once(store: Store, registry: Registry) -> None:
    calls: list[int] = []

    @registry.on("*", backoff=SOON)
    async def handle(event: Event, ctx: Context) -> None:
        def make() -> object:
            calls.append(ctx.attempt)
            return object()

        await ctx.step("make", make)

    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "dead")
    assert calls == [1]
    assert await step_keys(store) == []


@pytest.mark.parametrize(("afresh", "calls"), [(False, 1), (True, 2)], ids=["replay", "afresh"])
async def test_a_replay_does_not_repeat_what_is_done_unless_told(
    store: Store, registry: Registry, afresh: bool, calls: int
) -> None:
    done: list[None] = []
    broken = True

    @registry.on("*", max_attempts=1)
    async def handle(event: Event, ctx: Context) -> None:
        await ctx.step("pay", lambda: done.append(None))
        if broken:
            raise ValueError("not yet")

    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "dead")
        assert len(await step_keys(store)) == 1
        broken = False
        (letter,) = await store.inspection.dead_letters()
        await store.inspection.replay([letter.member], afresh=afresh)
        await ended(store, event)
    assert len(done) == calls
    assert await step_keys(store) == []


async def test_the_steps_of_a_discarded_dead_letter_are_gone(store: Store, registry: Registry) -> None:
    @registry.on("*", max_attempts=1)
    async def handle(event: Event, ctx: Context) -> None:
        await ctx.step("x", lambda: 1)
        raise ValueError("no")

    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "dead")
    await store.inspection.discard([event.key], "not needed")
    assert await step_keys(store) == []


@pytest.mark.parametrize("when", ["before", "during"])
async def test_a_lost_lease_stops_the_handler_and_keeps_nothing(
    short: Store, registry: Registry, logs: LogCapture, when: str
) -> None:
    raised: list[BaseException] = []
    took: list[Lease] = []

    async def take_away() -> None:
        await short.redis.zadd("tw:queue", {event.key: 1}, xx=True)  # as if the lease had run out
        took.extend((await short.queue.claim(1, "elsewhere")).leases)

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        if when == "before":
            await take_away()
        try:
            await ctx.step("x", take_away)
        except LeaseLost as exc:
            raised.append(exc)
            raise

    event = delivered()
    async with working(short, registry, concurrency=1):
        await short.accept([event])
        await eventually(lambda: bool(raised))
        await eventually(lambda: any(entry["event"] == "lease_lost" for entry in logs.entries))
        assert await short.queue.renew(took[:1]) == [True]
    assert len(took) == 1
    assert await step_keys(short) == []


class Flaky(Queue):
    """A queue that does not confirm the first *failures* times that steps are read or kept."""

    failures = 2

    async def steps(self, lease: Lease) -> dict[str, bytes] | None:
        self._fail()
        return await super().steps(lease)

    async def keep_step(self, lease: Lease, handler: str, name: str, result: bytes) -> bool:
        self._fail()
        return await super().keep_step(lease, handler, name, result)

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("Redis did not confirm")


async def test_an_outage_repeats_no_step_and_uses_up_no_attempt(make_store: MakeStore, registry: Registry) -> None:
    calls: list[int] = []
    store = make_store()
    flaky = with_queue(store, Flaky)

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        await ctx.step("first", lambda: calls.append(ctx.attempt))
        flaky.failures = 1
        await ctx.step("second", lambda: calls.append(ctx.attempt))

    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event)
    assert calls == [1, 1]


async def test_work_with_steps_stays_with_its_handler_in_a_version_that_has_more(make_store: MakeStore) -> None:
    store = make_store(lease_seconds=0.05)
    event = delivered()
    await store.accept([event])
    await asyncio.sleep(0.002)
    (lease,) = (await store.queue.claim(1, "killed")).leases
    assert await store.queue.keep_step(lease, "team.first", "x", b"1")
    await asyncio.sleep(0.06)
    (again,) = (await store.queue.claim(1, "other")).leases
    assert again.handler == "team.first"
    assert await store.queue.steps(again) == {"x": b"1"}
    assert await store.queue.steps(lease) is None
    assert not await store.queue.keep_step(lease, "team.first", "y", b"1")
    assert await store.queue.finish(again, End("done"))


class Truto:
    """Takes any call and keeps its key."""

    def __init__(self) -> None:
        self.keys: list[str | None] = []

    async def call(self, request: Request) -> Response:
        self.keys.append(request.headers.get("idempotency-key"))
        return JSONResponse({"id": "1"})

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self.call, methods=["POST"])])


async def test_calls_have_the_same_keys_and_ids_whatever_steps_were_skipped(
    store: Store, registry: Registry, receiver: Receiver
) -> None:
    truto = Truto()

    @registry.on("*", backoff=SOON)
    async def handle(event: Event, ctx: Context) -> None:
        async def create() -> None:
            await ctx.truto.request("POST", "/x", json={})
            await ctx.notify.tenant("acme", "created", {})

        async def change() -> None:
            await ctx.truto.request("POST", "/y", json={})
            await ctx.notify.tenant("acme", "changed", {})
            if ctx.attempt == 1:
                raise ValueError("after it was told")

        await ctx.step("create", create)
        await ctx.step("change", change)
        await ctx.truto.request("POST", "/z", json={})
        await ctx.notify.tenant("acme", "done", {})
        if ctx.attempt == 2:
            raise ValueError("again")

    event = delivered()
    notifier = Notifier(TenantEndpoint(receiver.url, TENANT_SECRET), transport=plain())
    async with (
        serve(truto.app) as url,
        working(store, registry, truto=AsyncTruto(token="t", base_url=url, transport=plain()), notifier=notifier),
    ):
        await store.accept([event])
        await ended(store, event)
    for names in (truto.keys, receiver.ids):
        create, change, change_again, last, last_again = names
        assert change == change_again
        assert last == last_again
        assert len({create, change, last}) == 3


async def test_a_worker_killed_between_steps_repeats_none_that_is_done(
    make_store: MakeStore, redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    store = make_store(lease_seconds=1)
    team = Team(
        tmp_path,
        redis_server.url,
        """
        @on("order:paid")
        async def pay(event: Event, ctx: Context) -> None:
            await ctx.step("first", say, "first")
            if team_said("second") == 0:
                await ctx.step("second", say, "second")
                os.kill(os.getpid(), 9)
            await ctx.step("second", say, "second")
            await ctx.step("third", say, "third")

        def team_said(word: str) -> int:
            return (HERE / "said.txt").read_text().split().count(word)
        """,
    )
    event = delivered()
    await store.accept([event])
    with team.worker() as first:
        await eventually(lambda: first.poll() is not None, seconds=15)
        assert first.returncode == -9
    with team.worker():
        await eventually(lambda: is_empty(store), seconds=25)
    assert team.said() == ["first", "second", "third"]
