"""What a test of a handler can make happen, and what it then sees."""

from __future__ import annotations

import asyncio
import time
import unittest
from typing import Any

import pytest

from events import Event
from truto import EVENT_TYPES
from worker import Context, DeadLetter, Discard, Retry
from worker.registry import Registry
from worker.testing import TrutoKit


@pytest.fixture
def truto() -> TrutoKit:
    return TrutoKit(registry=Registry())


class Noted:
    """A handler that notes its runs; *fails* says how many of them fail."""

    def __init__(self, fails: int = 0, error: BaseException | None = None) -> None:
        self.events: list[Event] = []
        self._fails, self._error = fails, error or ValueError("not yet")

    async def __call__(self, event: Event, ctx: Context) -> None:
        self.events.append(event)
        if len(self.events) <= self._fails:
            raise self._error


def add(truto: TrutoKit, noted: Noted, *patterns: str, **options: Any) -> Noted:
    @truto.on(*(patterns or ("record:created",)), **options)
    async def handle(event: Event, ctx: Context) -> None:
        await noted(event, ctx)

    return noted


def outcomes(truto: TrutoKit) -> list[str]:
    return [run.outcome for run in truto.runs]


async def test_a_delivered_event_reaches_its_handler(truto: TrutoKit) -> None:
    noted = add(truto, Noted())
    delivered = await truto.deliver("record:created", payload={"id": "7"})
    assert [event.id for event in noted.events] == [delivered.event_id]
    assert noted.events[0].payload["id"] == "7"
    truto.assert_outcome("done", "record:created")


@pytest.mark.parametrize("event_type", sorted(EVENT_TYPES))
async def test_every_event_of_the_catalogue_can_be_delivered(truto: TrutoKit, event_type: str) -> None:
    noted = add(truto, Noted(), event_type)
    await truto.deliver(event_type, account="acc-1")
    assert len(noted.events) == 1


async def test_the_account_and_tenant_that_are_named_are_those_of_the_event(truto: TrutoKit) -> None:
    noted = add(truto, Noted(), "integrated_account:active", "record:created")
    await truto.deliver("integrated_account:active", account="acc-1", tenant="acme-9")
    await truto.deliver("record:created", account="acc-1")
    assert [event.account_id for event in noted.events] == ["acc-1", "acc-1"]
    assert noted.events[0].tenant_id == "acme-9"


async def test_a_handler_reads_the_account_from_the_api(truto: TrutoKit) -> None:
    @truto.on("record:created")
    async def tell(event: Event, ctx: Context) -> None:
        account = await ctx.truto.integrated_accounts.get(event.account_id or "")
        await ctx.notify.tenant(account.tenant_id, "record.created", {"id": event.id})

    await truto.deliver("record:created", account="acc-1", tenant="acme-9")
    truto.assert_notified("acme-9", "record.created")
    truto.assert_called("GET", "/integrated-account/acc-1")


async def test_an_unwanted_event_is_parked(truto: TrutoKit) -> None:
    await truto.deliver("record:created")
    assert [kept.event.type for kept in truto.parked if kept.event] == ["record:created"]


async def test_the_same_event_twice_is_a_duplicate(truto: TrutoKit) -> None:
    noted = add(truto, Noted())
    assert (await truto.deliver("record:created", event_id="e-1")).answer["status"] == "accepted"
    assert (await truto.deliver("record:created", event_id="e-1")).answer["status"] == "duplicate"
    assert len(noted.events) == 1


async def test_a_duplicate_is_forgotten_after_a_week(truto: TrutoKit) -> None:
    noted = add(truto, Noted())
    await truto.deliver("record:created", event_id="e-1")
    await truto.advance(days=8)
    await truto.deliver("record:created", event_id="e-1")
    assert len(noted.events) == 2


async def test_an_event_of_another_sender_keeps_its_source(truto: TrutoKit) -> None:
    noted = add(truto, Noted(), "push", source="github")
    await truto.deliver("push", source="github", payload={"ref": "main"})
    assert noted.events[0].source == "github"


async def test_an_attempt_that_fails_is_repeated_when_time_passes(truto: TrutoKit) -> None:
    noted = add(truto, Noted(fails=2))
    await truto.deliver("record:created")
    assert outcomes(truto) == ["retried"]
    await truto.advance(hours=1)
    assert outcomes(truto) == ["retried", "retried", "done"]
    assert len(noted.events) == 3


async def test_a_retry_runs_at_its_moment_and_not_before(truto: TrutoKit) -> None:
    noted = add(truto, Noted(fails=1, error=Retry(after=600)))
    await truto.deliver("record:created")
    await truto.advance(minutes=9)
    assert len(noted.events) == 1
    await truto.advance(minutes=1)
    assert len(noted.events) == 2


async def test_an_event_whose_attempts_are_used_up_is_a_dead_letter_and_can_be_replayed(truto: TrutoKit) -> None:
    noted = add(truto, Noted(fails=3), max_attempts=3)
    delivered = await truto.deliver("record:created")
    await truto.advance(days=1)
    (dead,) = truto.dead_letters
    assert "ValueError: not yet" in dead.note["error"]
    assert await truto.replay(delivered.event_id) == 1
    assert truto.dead_letters == []
    assert len(noted.events) == 4


async def test_only_the_events_that_are_named_are_replayed(truto: TrutoKit) -> None:
    add(truto, Noted(fails=2, error=DeadLetter("no")))
    await truto.deliver("record:created", event_id="e-1")
    await truto.deliver("record:created", event_id="e-2")
    assert await truto.replay("e-2") == 1
    assert [kept.event.id for kept in truto.dead_letters if kept.event] == ["e-1"]


async def test_discarded_work_says_why(truto: TrutoKit) -> None:
    add(truto, Noted(fails=1, error=Discard("nothing to do")))
    await truto.deliver("record:created")
    assert (outcomes(truto), truto.runs[0].note["why"]) == (["discarded"], "nothing to do")


async def test_several_handlers_have_attempts_of_their_own(truto: TrutoKit) -> None:
    @truto.on("record:created")
    async def good(event: Event, ctx: Context) -> None: ...

    @truto.on("record:created", max_attempts=2)
    async def bad(event: Event, ctx: Context) -> None:
        raise ValueError("no")

    await truto.deliver("record:created")
    await truto.advance(days=1)
    truto.assert_outcome("done", handler="good")
    truto.assert_outcome("retried", handler="bad")
    truto.assert_outcome("dead", handler="bad")


async def test_a_step_that_was_kept_is_not_repeated(truto: TrutoKit) -> None:
    charged: list[str] = []

    @truto.on("record:created")
    async def charge(event: Event, ctx: Context) -> None:
        await ctx.step("charge", lambda: charged.append(event.id))
        if ctx.attempt == 1:
            raise ValueError("after the step")

    await truto.deliver("record:created")
    await truto.advance(hours=1)
    assert (len(charged), outcomes(truto)) == (1, ["retried", "done"])


async def test_a_worker_that_dies_in_a_step_runs_it_again_when_the_lease_has_ended(truto: TrutoKit) -> None:
    charged: list[str] = []

    @truto.on("record:created")
    async def charge(event: Event, ctx: Context) -> None:
        await ctx.step("charge", lambda: charged.append(event.id))

    truto.crash_worker(in_step="charge")
    await truto.deliver("record:created")
    assert outcomes(truto) == ["crashed"]
    await truto.advance(seconds=14)
    assert outcomes(truto) == ["crashed"]
    await truto.advance(seconds=2)
    assert (len(charged), outcomes(truto)) == (2, ["crashed", "done"])


async def test_a_handler_can_kill_its_worker_and_all_that_runs_there(truto: TrutoKit) -> None:
    @truto.on("record:created")
    async def slow(event: Event, ctx: Context) -> None:
        await asyncio.sleep(0 if ctx.attempt > 1 or truto.runs else 60)

    @truto.on("record:created")
    async def killer(event: Event, ctx: Context) -> None:
        await asyncio.sleep(0)  # the other one has begun then
        if not truto.runs:
            truto.crash_worker()

    await truto.deliver("record:created")
    assert outcomes(truto) == ["crashed", "crashed"]
    await truto.advance(minutes=1)
    assert sorted(outcomes(truto)) == ["crashed", "crashed", "done", "done"]


async def test_work_that_kills_its_worker_each_time_is_a_dead_letter(truto: TrutoKit) -> None:
    @truto.on("record:created")
    async def killer(event: Event, ctx: Context) -> None:
        truto.crash_worker()

    await truto.deliver("record:created")
    await truto.advance(days=1)
    assert outcomes(truto) == ["crashed", "crashed", "crashed", "dead"]


async def test_the_next_handler_dies_where_the_test_asks_for_it(truto: TrutoKit) -> None:
    noted = add(truto, Noted())
    truto.crash_worker()
    await truto.deliver("record:created")
    assert noted.events == []
    await truto.advance(minutes=1)
    assert len(noted.events) == 1


async def test_a_call_that_fails_is_repeated_by_the_client(truto: TrutoKit) -> None:
    @truto.on("record:created")
    async def look(event: Event, ctx: Context) -> None:
        await ctx.truto.ping()

    truto.api.fails(429, times=2, retry_after=5)
    before = truto.clock.now
    await truto.deliver("record:created")
    assert [call.status for call in truto.api.calls] == [429, 429, 200]
    assert truto.clock.now >= before + 10
    truto.assert_outcome("done")


async def test_a_call_that_goes_on_failing_is_an_attempt_that_failed(truto: TrutoKit) -> None:
    @truto.on("record:created")
    async def look(event: Event, ctx: Context) -> None:
        await ctx.truto.ping()

    truto.api.fails(500, times=20, path="/ping")
    await truto.deliver("record:created")
    truto.assert_outcome("retried")
    await truto.advance(days=1)
    truto.assert_outcome("done")


async def test_a_call_has_the_same_idempotency_key_in_each_attempt(truto: TrutoKit) -> None:
    @truto.on("record:created")
    async def create(event: Event, ctx: Context) -> None:
        await ctx.truto.link_tokens.create(tenant_id="acme-1")
        if ctx.attempt == 1:
            raise ValueError("after the call")

    await truto.deliver("record:created")
    await truto.advance(hours=1)
    keys = {call.idempotency_key for call in truto.api.calls if call.path == "/link-token"}
    assert len(truto.api.calls) == 2
    assert len(keys) == 1


async def test_a_message_that_is_sent_again_counts_once(truto: TrutoKit) -> None:
    @truto.on("record:created")
    async def tell(event: Event, ctx: Context) -> None:
        await ctx.notify.tenant("acme-1", "told", {})
        if ctx.attempt == 1:
            raise ValueError("after the message")

    await truto.deliver("record:created")
    await truto.advance(hours=1)
    assert len(truto.notifications) == 2
    truto.assert_notified("acme-1", "told", times=1)


async def test_debounced_events_run_once_when_it_is_quiet(truto: TrutoKit) -> None:
    noted = add(truto, Noted(), debounce=5)
    for number in range(3):
        await truto.deliver("record:created", account="acc-1", event_id=f"e-{number}")
        await truto.advance(seconds=2)
    assert noted.events == []
    await truto.advance(seconds=5)
    assert [event.id for event in noted.events] == ["e-2"]


async def test_a_rate_lets_so_many_start_in_its_time(truto: TrutoKit) -> None:
    noted = add(truto, Noted(), rate=(2, 60))
    for number in range(5):
        await truto.deliver("record:created", account="acc-1", event_id=f"e-{number}")
    assert len(noted.events) == 2
    await truto.advance(seconds=61)
    assert len(noted.events) == 4


async def test_ordered_events_wait_for_the_one_in_front(truto: TrutoKit) -> None:
    noted = add(truto, Noted(fails=1), ordered=True)
    await truto.deliver("record:created", account="acc-1", event_id="first")
    await truto.deliver("record:created", account="acc-1", event_id="second")
    assert [event.id for event in noted.events] == ["first"]
    await truto.advance(hours=1)
    assert [event.id for event in noted.events] == ["first", "first", "second"]


async def test_work_on_a_revoked_account_waits_until_it_is_connected_again(truto: TrutoKit) -> None:
    @truto.on("record:created")
    async def read(event: Event, ctx: Context) -> None:
        await ctx.truto.unified("crm", "contacts").get("1", integrated_account_id=event.account_id or "")

    truto.registry.ignore("integrated_account:*")
    truto.api.add(account="acc-1", status="needs_reauth")
    await truto.deliver("record:created", account="acc-1")
    truto.assert_outcome("parked")
    truto.api.add(account="acc-1", status="active")
    await truto.deliver("integrated_account:reactivated", account="acc-1")
    truto.assert_outcome("done", "record:created")


async def test_a_condition_decides_whether_a_handler_runs(truto: TrutoKit) -> None:
    noted = add(truto, Noted(), when="resource_type = 'crm/companies'")
    await truto.deliver("record:created")
    assert (noted.events, outcomes(truto)) == ([], ["discarded"])


async def test_a_refused_delivery_tells_the_answer(truto: TrutoKit) -> None:
    with pytest.raises(AssertionError, match=r"the ingress answered 400: .*event_name_malformed"):
        await truto.deliver("x" * 300)
    assert (await truto.deliver("x" * 300, expect=400)).answer["reason"] == "event_name_malformed"


async def test_an_assertion_that_fails_prints_what_did_happen(truto: TrutoKit) -> None:
    add(truto, Noted(fails=1))
    await truto.deliver("record:created", event_id="e-1")
    with pytest.raises(AssertionError) as failed:
        truto.assert_outcome("done", "record:created")
    assert "expected 1 x done record:created, found 0" in str(failed.value)
    assert "record:created e-1" in str(failed.value)
    assert "attempt 1 retried (ValueError: not yet)" in str(failed.value)


async def test_two_kits_share_nothing() -> None:
    first, second = TrutoKit(registry=Registry()), TrutoKit(registry=Registry())
    add(first, Noted())
    await first.deliver("record:created", event_id="e-1")
    assert (await second.deliver("record:created", event_id="e-1")).answer["status"] == "accepted"
    assert [run.outcome for run in second.runs] == ["parked"]


async def test_a_handler_added_for_one_test_is_gone_in_the_next() -> None:
    registry = Registry()
    add(TrutoKit(registry=registry), Noted())
    assert registry.names() == []


async def test_a_crash_a_wait_of_three_days_and_a_replay_are_the_same_each_time() -> None:
    async def story() -> str:
        truto = TrutoKit(registry=Registry())
        charged: list[int] = []

        @truto.on("record:created", max_attempts=2)
        async def charge(event: Event, ctx: Context) -> None:
            await ctx.step("charge", lambda: charged.append(ctx.attempt))
            if len(truto.runs) < 3:
                raise ValueError("the bank is closed")

        truto.crash_worker(in_step="charge")
        await truto.deliver("record:created", event_id="e-1")
        await truto.advance(days=3)
        assert len(truto.dead_letters) == 1
        await truto.replay()
        return f"{charged} {truto.told()}"

    assert len({await story() for _ in range(20)}) == 1


async def test_a_test_of_a_handler_takes_a_few_milliseconds(truto: TrutoKit) -> None:
    """20 ms on a quiet machine; what is asserted leaves room for a busy one."""
    add(truto, Noted())
    await truto.deliver("record:created")
    began = time.process_time()
    for number in range(20):
        one = TrutoKit(registry=truto.registry)
        await one.deliver("record:created", event_id=f"e-{number}")
        one.assert_outcome("done")
    assert (time.process_time() - began) / 20 < 0.03


def test_the_kit_works_without_pytest() -> None:
    async def run() -> list[str]:
        async with TrutoKit(registry=Registry()) as truto:
            add(truto, Noted())
            await truto.deliver("record:created")
            return outcomes(truto)

    assert asyncio.run(run()) == ["done"]


def test_the_kit_works_with_unittest() -> None:
    class Case(unittest.IsolatedAsyncioTestCase):
        async def test_it(self) -> None:
            async with TrutoKit(registry=Registry()) as truto:
                add(truto, Noted())
                await truto.deliver("record:created")
                truto.assert_outcome("done")

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


async def test_a_handler_hands_work_on_by_an_event_of_its_own(truto: TrutoKit) -> None:
    noted = add(truto, Noted(), "invoice:due")

    @truto.on("record:created")
    async def bill(event: Event, ctx: Context) -> None:
        await ctx.emit("invoice:due", {"amount": 7})

    await truto.deliver("record:created", tenant="acme")
    (event,) = noted.events
    assert (event.type, event.source, event.tenant_id) == ("invoice:due", "workflows", "acme")
    assert event.payload == {"amount": 7}


async def test_an_event_that_is_emitted_again_is_the_same_one(truto: TrutoKit) -> None:
    noted = add(truto, Noted(), "invoice:due")

    @truto.on("record:created")
    async def bill(event: Event, ctx: Context) -> None:
        for amount in (1, 2):
            await ctx.emit("invoice:due", {"amount": amount})
        if ctx.attempt == 1:
            raise ValueError("after both")

    await truto.deliver("record:created")
    await truto.advance(hours=1)
    assert sorted(event.payload["amount"] for event in noted.events) == [1, 2]


async def test_a_name_of_truto_s_cannot_be_emitted_as_truto_s(truto: TrutoKit) -> None:
    noted = add(truto, Noted(), "*", source="workflows")

    @truto.on("record:created", source="truto")
    async def pretend(event: Event, ctx: Context) -> None:
        await ctx.emit("integrated_account:active", {})

    await truto.deliver("record:created")
    assert [event.type for event in noted.events] == ["workflows/integrated_account:active"]


async def test_events_that_emit_each_other_end(truto: TrutoKit) -> None:
    @truto.on("ping:made", "record:created", max_attempts=1)
    async def again(event: Event, ctx: Context) -> None:
        await ctx.emit("ping:made", {})

    await truto.deliver("record:created")
    assert "without end" in truto.dead_letters[0].note["error"]
    assert len(truto.runs) == 9


@pytest.mark.parametrize(("event_type", "payload"), [("", {}), ("a\nb", {}), ("x" * 257, {}), ("a", {"b": object()})])
async def test_what_no_event_can_be_is_not_emitted(truto: TrutoKit, event_type: str, payload: dict[str, Any]) -> None:
    @truto.on("record:created", max_attempts=1)
    async def bill(event: Event, ctx: Context) -> None:
        await ctx.emit(event_type, payload)

    await truto.deliver("record:created")
    assert "ValueError" in truto.dead_letters[0].note["error"]


async def test_the_tenant_that_another_sender_names_is_not_handed_on(truto: TrutoKit) -> None:
    noted = add(truto, Noted(), "invoice:due")

    @truto.on("push", source="github")
    async def bill(event: Event, ctx: Context) -> None:
        await ctx.emit("invoice:due", {})

    await truto.deliver("push", source="github", payload={"tenant_id": "somebody-else"})
    assert noted.events[0].tenant_id is None
