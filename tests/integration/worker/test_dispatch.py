"""From an accepted event to its end, on a real store."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import LogCapture

import worker.loop
from events import Event, Store
from tests.conftest import MakeStore
from tests.integration.worker.workshop import (
    QUICK,
    Recorder,
    delivered,
    ended,
    eventually,
    is_empty,
    plain,
    story,
    working,
)
from truto import AsyncTruto, RateLimited
from worker import Backoff, Context, DeadLetter, Discard, Retry
from worker.cause import Describer
from worker.dispatch import Dispatcher
from worker.notify import Notifier
from worker.outcome import Policy
from worker.registry import Registry


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short fallback poll, so that tests of retries are done sooner."""
    monkeypatch.setattr(worker.loop, "_POLL_SECONDS", 0.05)


class RustPanicError(BaseException):
    """What extension modules raise when they panic is no Exception."""


async def test_a_handler_runs_once_for_an_event(store: Store, registry: Registry, recorder: Recorder) -> None:
    registry.on("order:paid")(recorder.handle)
    event = delivered()
    async with working(store, registry) as engine:
        await store.accept([event])
        await ended(store, event)
    assert recorder.runs == [event.id]
    assert await story(store, event) == ["received", "claimed", "done"]
    assert await is_empty(store)
    assert engine.jobs_complete == 1


async def test_a_handler_sees_the_event_that_was_delivered(store: Store, registry: Registry) -> None:
    seen: list[Any] = []

    @registry.on("integrated_account:*")
    async def handle(event: Event, ctx: Context) -> None:
        seen.append((event.id, event.type, event.source, event.tenant_id, dict(event.payload)["status"], event.raw))
        seen.append(await ctx.raw())

    event = delivered("integrated_account:active")
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event)
    assert seen == [(event.id, event.type, "truto", "acme-1", "active", event.body), event.body]


async def test_the_raw_body_of_a_multipart_delivery_is_there_for_the_handler(store: Store, registry: Registry) -> None:

    seen: list[bytes] = []

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        seen.append(await ctx.raw())

    event = delivered()._replace(raw=b"--boundary\r\n\x00\xff")
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event)
    assert seen == [b"--boundary\r\n\x00\xff"]


async def test_handlers_of_one_event_do_not_run_again_when_another_fails(
    store: Store, registry: Registry, recorder: Recorder
) -> None:
    failures: list[int] = []
    registry.on("order:*")(recorder.handle)

    @registry.on("*")
    async def fails_once(event: Event, ctx: Context) -> None:
        failures.append(ctx.attempt)
        if ctx.attempt == 1:
            raise ValueError("not yet")

    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await eventually(lambda: failures == [1, 2])
        await eventually(lambda: is_empty(store))
    assert recorder.runs == [event.id]
    assert (await story(store, event)).count("done") == 2


async def test_one_handlers_dead_letter_leaves_the_other_done_and_is_replayed_alone(
    store: Store, registry: Registry, recorder: Recorder
) -> None:
    mended = False
    registry.on("order:*")(recorder.handle)

    @registry.on("*")
    async def broken(event: Event, ctx: Context) -> None:
        if not mended:
            raise DeadLetter("broken")

    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "dead")
        await ended(store, event)
        mended = True
        (kept,) = await store.inspection.dead_letters()
        assert await store.inspection.replay([kept.member]) == 1
        await eventually(lambda: is_empty(store))
    assert recorder.runs == [event.id]


async def test_a_failure_is_tried_again_after_its_backoff(store: Store, registry: Registry) -> None:
    attempts: list[tuple[int, int]] = []

    @registry.on("*", max_attempts=5, backoff=Backoff(0.01, 0.02))
    async def handle(event: Event, ctx: Context) -> None:
        attempts.append((ctx.attempt, ctx.max_attempts))
        if ctx.attempt < 3:
            raise ValueError("not yet")

    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event)
    assert attempts == [(1, 5), (2, 5), (3, 5)]
    assert [word for word in await story(store, event) if word != "claimed"] == [
        "received",
        "retried",
        "retried",
        "done",
    ]


async def test_a_chosen_delay_is_kept(store: Store, registry: Registry) -> None:
    starts: list[float] = []

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        starts.append(asyncio.get_running_loop().time())
        if ctx.attempt == 1:
            raise Retry("later", after=0.4)

    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event)
    assert starts[1] - starts[0] >= 0.39


async def test_used_up_attempts_become_a_dead_letter_with_payload_and_cause(store: Store, registry: Registry) -> None:
    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        raise ValueError("no contact s3cret-token")

    event = delivered()
    async with working(store, registry, describer=Describer.masking(["s3cret-token"])) as engine:
        await store.accept([event])
        await ended(store, event, "dead")
        await eventually(lambda: engine.jobs_failed == 1)
    (kept,) = await store.inspection.dead_letters()
    assert kept.event is not None
    assert kept.event.raw == event.body
    assert kept.note["error"] == "ValueError: no contact [secret]"
    assert kept.note["attempts"] == 3
    assert kept.note["traceback"][-1].endswith("in handle")
    assert engine.jobs_retried == 2


@pytest.mark.parametrize(
    ("outcome", "word"),
    [(Discard("nothing to do"), "discarded"), (DeadLetter("hopeless"), "dead")],
    ids=["discard", "dead"],
)
async def test_a_handler_may_end_its_event_at_once(
    store: Store, registry: Registry, outcome: Exception, word: str
) -> None:
    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        raise outcome

    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, word)
    history = await store.inspection.history("truto", event.id)
    assert [entry.what for entry in history] == ["received", "claimed", word]
    assert history[-1].detail["why"] == str(outcome)


async def test_an_attempt_that_takes_too_long_is_a_failure(store: Store, registry: Registry) -> None:
    @registry.on("*", timeout=0.05, max_attempts=1)
    async def handle(event: Event, ctx: Context) -> None:
        await asyncio.sleep(30)

    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "dead")
    (kept,) = await store.inspection.dead_letters()
    assert kept.note["error"] == "TimeoutError: the attempt took longer than 0.05 s"


async def test_the_cause_of_a_timeout_says_where_the_handler_hung(store: Store, registry: Registry) -> None:
    async def hang_here() -> None:
        await asyncio.sleep(30)

    @registry.on("*", timeout=0.05, max_attempts=1)
    async def handle(event: Event, ctx: Context) -> None:
        await hang_here()

    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "dead")
    (kept,) = await store.inspection.dead_letters()
    assert any(place.endswith("in hang_here") for place in kept.note["traceback"])


async def test_a_handlers_own_timeout_keeps_its_own_words(store: Store, registry: Registry) -> None:
    @registry.on("*", max_attempts=1)
    async def handle(event: Event, ctx: Context) -> None:
        raise TimeoutError("the CRM was slow")

    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "dead")
    assert (await store.inspection.dead_letters())[0].note["error"] == "TimeoutError: the CRM was slow"


async def leak_cancellation() -> None:
    inner = asyncio.ensure_future(asyncio.sleep(30))
    inner.cancel()
    await inner


async def exit_process() -> None:
    raise SystemExit(1)


async def fall_for_ever() -> None:
    await fall_for_ever()


async def panic() -> None:
    raise RustPanicError("index out of bounds")


async def speak_in_surrogates() -> None:
    raise ValueError("\ud800")


async def wait_for_ever() -> None:
    raise Retry("later", after=1e308)


STRANGE = [leak_cancellation, exit_process, fall_for_ever, panic, speak_in_surrogates]


@pytest.mark.parametrize("strange", STRANGE, ids=lambda function: function.__name__)
async def test_whatever_a_handler_raises_is_its_failure_and_not_the_workers(
    make_store: MakeStore, registry: Registry, recorder: Recorder, strange: Any
) -> None:
    store = make_store()

    @registry.on("strange:*", max_attempts=2)
    async def handle(event: Event, ctx: Context) -> None:
        await strange()

    registry.on("order:*")(recorder.handle)
    event, after = delivered("strange:one"), delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "dead")
        await store.accept([after])
        await ended(store, after)
    (kept,) = await store.inspection.dead_letters()
    assert kept.note["attempts"] == 2


@pytest.mark.parametrize("strange", [speak_in_surrogates, wait_for_ever], ids=lambda function: function.__name__)
async def test_a_strange_end_does_not_spoil_the_ends_of_its_neighbours(
    store: Store, registry: Registry, recorder: Recorder, strange: Any
) -> None:
    barrier = asyncio.Barrier(5)

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        recorder.runs.append(event.id)
        await barrier.wait()  # all end in the same moment, and so in one round trip
        if event.type == "strange:one":
            await strange()

    strange_one, *neighbours = [delivered("strange:one"), *(delivered() for _ in range(4))]
    async with working(store, registry):
        await store.accept([strange_one, *neighbours])
        for event in neighbours:
            await ended(store, event)
        await ended(store, strange_one, "retried")
    assert sorted(recorder.runs[:5]) == sorted(event.id for event in [strange_one, *neighbours])


async def test_a_rate_limit_uses_up_no_attempt(store: Store, registry: Registry) -> None:
    attempts: list[int] = []

    @registry.on("*", max_attempts=1)
    async def handle(event: Event, ctx: Context) -> None:
        attempts.append(ctx.attempt)
        if len(attempts) == 1:
            raise RateLimited(status=429, message="slow down", method="GET", path="/x", retry_after=0)

    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event)
    assert attempts == [1, 1]


async def test_an_event_that_nobody_wants_is_parked_with_its_payload(store: Store, registry: Registry) -> None:
    event = delivered("invoice:written")
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event, "parked")
    (kept,) = await store.inspection.parked()
    assert kept.note == {"why": "no_handler"}
    assert kept.event is not None
    assert kept.event.raw == event.body


@pytest.mark.parametrize("suggest", [True, False])
async def test_a_handler_is_suggested_only_when_asked_for(
    store: Store, registry: Registry, capsys: pytest.CaptureFixture[str], *, suggest: bool
) -> None:
    event = delivered("invoice:written")
    async with working(store, registry, suggest=suggest):
        await store.accept([event])
        await ended(store, event, "parked")
    assert ('@on("invoice:written")' in capsys.readouterr().out.replace("'", '"')) is suggest


async def test_a_parked_event_runs_when_a_worker_starts_that_knows_it(
    store: Store, registry: Registry, recorder: Recorder
) -> None:
    event, other = delivered(), delivered("invoice:written")
    async with working(store, Registry()):
        await store.accept([event, other])
        await ended(store, event, "parked")
        await ended(store, other, "parked")
    registry.on("order:paid")(recorder.handle)
    async with working(store, registry):
        await ended(store, event)
    assert recorder.runs == [event.id]
    assert [kept.event.id for kept in await store.inspection.parked() if kept.event] == [other.id]


async def test_what_an_old_version_parks_during_a_rolling_deploy_runs_in_the_new_one(
    store: Store, registry: Registry, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.engine._SWEEP_SECONDS", 0.05)
    event = delivered()
    async with working(store, registry):  # it has swept, and then somebody parks what it comes to know
        await store.accept([event])
        await ended(store, event, "parked")
        registry.on("order:paid")(recorder.handle)
        await ended(store, event)
    assert recorder.runs == [event.id]


async def test_a_parked_event_is_done_when_a_worker_starts_that_ignores_it(store: Store, registry: Registry) -> None:
    event = delivered()
    async with working(store, Registry()):
        await store.accept([event])
        await ended(store, event, "parked")
    registry.ignore("order:*")
    async with working(store, registry):
        await ended(store, event)


async def test_work_of_a_handler_that_is_gone_waits_until_it_is_back(
    store: Store, registry: Registry, recorder: Recorder
) -> None:
    @registry.on("*")
    async def other(event: Event, ctx: Context) -> None:
        pass

    registry.on("order:*", backoff=Backoff(0.01, 0.01))(recorder.handle)
    event = delivered()
    await store.accept([event])
    # The version of the code that splits the event knows both, the next one knows neither.
    (lease,) = (await store.queue.claim(1, "first")).leases
    assert await store.queue.plan(lease, [handler.name for handler in registry.matching(lease.event)])
    async with working(store, Registry()):
        await eventually(lambda: _parked(store, 2))
    assert {kept.note["why"] for kept in await store.inspection.parked()} == {"handler_missing"}
    async with working(store, registry):
        await eventually(lambda: is_empty(store))
    assert recorder.runs == [event.id]


async def _parked(store: Store, count: int) -> bool:
    return len(await store.inspection.parked()) == count


async def test_an_ignored_event_is_done_without_a_handler(store: Store, registry: Registry) -> None:
    registry.ignore("order:paid")
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event)
    assert (await store.inspection.history("truto", event.id))[-1].detail == {"why": "ignored"}
    assert await is_empty(store)


async def test_one_line_tells_the_story_of_an_attempt(store: Store, registry: Registry, logs: LogCapture) -> None:
    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        ctx.log.info("step_taken", step=1)
        if ctx.attempt == 1:
            raise ValueError("not yet")

    event = delivered(data={"secret_field": "s3cret-value"})
    async with working(store, registry):
        await store.accept([event])
        await ended(store, event)
    first, second = [entry for entry in logs.entries if entry["event"] == "event_handled"]
    assert (first["outcome"], first["attempt"], first["log_level"]) == ("retried", 1, "warning")
    assert first["error"] == "ValueError: not yet"
    assert (second["outcome"], second["attempt"], second["log_level"]) == ("done", 2, "info")
    assert second["event_id"] == event.id
    assert second["event_type"] == "order:paid"
    assert second["handler"].endswith("handle")
    assert [entry["attempt"] for entry in logs.entries if entry["event"] == "step_taken"] == [1, 2]
    assert "s3cret-value" not in str(logs.entries)


async def test_the_workers_limits_hold_for_handlers_that_name_none(store: Store, registry: Registry) -> None:
    limits: list[int] = []

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        limits.append(ctx.max_attempts)
        raise ValueError("x")

    event = delivered()
    async with working(store, registry, policy=Policy(max_attempts=1, timeout=1, backoff=QUICK.backoff)):
        await store.accept([event])
        await ended(store, event, "dead")
    assert limits == [1]


@pytest.mark.parametrize("end_of_all", [KeyboardInterrupt, GeneratorExit])
async def test_the_end_of_the_process_is_no_failure_of_a_handler(
    store: Store, registry: Registry, end_of_all: type[BaseException]
) -> None:
    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        raise end_of_all

    await store.accept([delivered()])
    (lease,) = (await store.queue.claim(1, "me")).leases
    truto = AsyncTruto(token="t", transport=plain())
    with pytest.raises(end_of_all):
        await Dispatcher(store, registry, truto, Notifier(transport=plain())).dispatch(lease)
