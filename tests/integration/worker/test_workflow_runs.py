"""Runs of workflows: conditions, steps, failures, retries, and the record that is left."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import Any, cast

import pytest

from events import Store
from tests.conftest import MakeStore
from tests.integration.worker.workflow_shop import Shop, flow, results, run_ends, run_of, say
from tests.integration.worker.workshop import QUICK, delivered, ended, eventually, is_empty, story, working
from worker.registry import Registry


@pytest.fixture
async def shop(registry: Registry) -> AsyncIterator[Shop]:
    found = Shop(registry)
    yield found
    await found.services.aclose()


async def test_steps_run_one_after_the_other_and_see_what_the_earlier_ones_returned(
    store: Store, registry: Registry, shop: Shop
) -> None:
    second = '{"word": $previous.said & "-" & steps[0].result.said & "-" & event.payload.n & "-" & payload.n}'
    shop.register(flow(say("one"), {"action": "say", "config": second}, say("{{steps.-1.result.said}}!")))
    event = delivered(data={"n": 7})
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "completed")
        await ended(store, event)
    assert shop.log == ["one", "one-one-7-7", "one-one-7-7!"]
    assert results(run) == [{"said": "one"}, {"said": "one-one-7-7"}, {"said": "one-one-7-7!"}]
    assert run.result is not None
    assert run.result["success"] is True
    assert [step["action"] for step in run.result["steps"]] == ["say"] * 3
    assert all(step["milliseconds"] >= 0 and step["attempts"] == 1 for step in run.result["steps"])
    assert run.finished_at is not None
    assert run.finished_at >= run.started_at
    assert run.attempts == 1
    assert await is_empty(store)


async def test_a_condition_that_does_not_hold_skips_the_run_and_says_why(
    store: Store, registry: Registry, shop: Shop
) -> None:
    shop.register(flow(say("never"), run_if="integration.name = 'calcom' and tenant_id = nope.nothing"))
    event = delivered(data={"integration": {"name": "zendesk"}, "tenant_id": "acme-1"})
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "skipped")
        await ended(store, event)
    assert shop.log == []
    assert run.result is not None
    (entry,) = run.result["trace"]
    assert entry["at"] == "config.run_if"
    assert entry["inputs"] == {"integration.name": "zendesk", "tenant_id": "acme-1"}
    assert entry["missing"] == ["nope.nothing"]
    assert entry["value"] is False
    assert 'integration.name is "zendesk"' in entry["why"]
    assert "nope.nothing is missing" in entry["why"]


async def test_a_condition_that_takes_longer_on_its_right_side_is_given_the_time(
    store: Store, registry: Registry, shop: Shop
) -> None:
    condition = "integration.name = 'calcom' and $count(payload.items[x = '7']) > 0"
    shop.register(flow(say("a", run_if=condition), run_if=condition))
    items = [{"x": str(number % 10)} for number in range(1_000)]
    event = delivered(data={"integration": {"name": "calcom"}, "items": items})
    async with working(store, registry):
        await store.accept([event])
        await run_ends(store, event, "completed")
    assert shop.log == ["a"]


async def test_a_step_whose_condition_does_not_hold_is_skipped_and_the_rest_runs(
    store: Store, registry: Registry, shop: Shop
) -> None:
    shop.register(flow(say("a"), say("b", run_if="$previous.said = 'x'"), say("c", run_if="steps[1].skipped")))
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "completed")
    assert shop.log == ["a", "c"]
    assert run.result is not None
    assert [step.get("skipped", False) for step in run.result["steps"]] == [False, True, False]
    assert "why" in run.result["trace"][1] or "why" in run.result["trace"][2]


async def test_a_workflow_without_steps_completes_or_is_skipped(store: Store, registry: Registry, shop: Shop) -> None:
    shop.register(yes=flow(), no=flow(run_if="false"))
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await run_ends(store, event, "completed", "yes")
        await run_ends(store, event, "skipped", "no")


@pytest.mark.parametrize(
    ("document", "cause"),
    [
        (flow(say("a"), run_if="payload.n + 'x'"), "config.run_if"),
        (flow({"action": "say", "config": "[1, 2]"}), "config.steps.0.config: must give an object, not an array"),
        (flow({"action": "say", "config": "nope.nothing"}), "not nothing (undefined)"),
        (flow({"action": "say", "config": "$sum"}), "config.steps.0.config"),
        (flow(say("a"), {"action": "nope"}), "'nope' is not an action of this worker"),
        (flow({"action": "give_up"}), "it is of no use"),
        (flow({"action": "run_sync_job", "config": {"sync_job_id": "calcom"}}), "sync_job_id: must be a UUID"),
        (flow({"action": "run_handler", "config": {"handler": "nowhere.nothing"}}), "there is no handler"),
        (flow({"action": "sleep", "config": {"seconds": "{{payload.n}}"}}), "config.steps.0.config.seconds"),
        (flow({"action": "call_truto", "config": {"unified": "crm/contacts"}}), "integrated_account_id: is missing"),
        (flow({"action": "say", "config": {"result": "{{environment_id:nope}}"}}), "Unsupported type"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
async def test_what_would_fail_again_fails_at_once_with_its_cause(
    store: Store, registry: Registry, shop: Shop, document: dict[str, Any], cause: str
) -> None:
    shop.register(document)
    event = delivered(data={"n": 1, "a": "b"})
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "failed")
        await ended(store, event, "dead")
    assert cause in (run.error or "")
    assert run.result is not None
    assert run.result["success"] is False
    assert run.attempts == 1
    (letter,) = await store.inspection.dead_letters()
    assert letter.handler == "workflow:flow"


async def test_a_failure_that_may_pass_uses_the_attempts_of_the_event_and_repeats_no_step(
    store: Store, registry: Registry, shop: Shop
) -> None:
    shop.register(flow(say("a"), {"action": "fail", "config": {"times": 2}}, say("b")))
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "completed")
    assert shop.log == ["a", "fail", "fail", "fail", "b"]
    assert run.attempts == 3
    assert run.result is not None
    assert run.result["steps"][1]["attempts"] == 3
    assert run.error is None


async def test_a_run_fails_with_its_last_attempt_and_goes_on_when_it_is_replayed(
    store: Store, registry: Registry, shop: Shop
) -> None:
    shop.register(flow(say("a"), {"action": "fail", "config": {"times": 3, "why": "no luck"}}, say("b")))
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "failed")
        assert run.error == "ValueError: no luck"
        assert run.result is not None
        assert [step["success"] for step in run.result["steps"]] == [True, False]
        await ended(store, event, "dead")
        (letter,) = await store.inspection.dead_letters()
        await store.inspection.replay([letter.member])
        run = await run_ends(store, event, "completed")
    assert shop.log == ["a", "fail", "fail", "fail", "fail", "b"]
    assert run.error is None


async def test_a_step_with_a_retry_of_its_own_uses_up_no_attempt_of_the_event(
    store: Store, registry: Registry, shop: Shop
) -> None:
    retry = {"attempts": 6, "base": 0.001, "cap": 0.002}
    shop.register(flow(say("a"), {"action": "fail", "config": {"times": 5}, "retry": retry}))
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "completed")
    assert shop.log == ["a"] + ["fail"] * 6
    assert "retried" not in await story(store, event)
    assert run.result is not None
    assert run.result["steps"][1]["attempts"] == 6


async def test_a_step_whose_own_attempts_are_used_up_fails_the_run(
    store: Store, registry: Registry, shop: Shop
) -> None:
    retry = {"attempts": 2, "base": 0.001}
    shop.register(flow({"action": "fail", "retry": retry}, say("never")))
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "failed")
    assert shop.log == ["fail", "fail"]
    assert "failed 2 times; last error: ValueError: broken" in (run.error or "")


async def test_a_step_that_takes_longer_than_its_timeout_fails(store: Store, registry: Registry, shop: Shop) -> None:
    @shop.actions.action("hang")
    async def hang(config: object, step: object) -> None:
        import asyncio

        await asyncio.sleep(60)

    shop.register(flow({"action": "hang", "timeout": 0.01, "retry": {"attempts": 1}}))
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "failed")
    assert "took longer than 0.01 s" in (run.error or "")


async def test_a_step_that_discards_is_done(store: Store, registry: Registry, shop: Shop) -> None:
    shop.register(flow({"action": "discard"}, say("b")))
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "completed")
    assert run.result is not None
    assert run.result["steps"][0]["why"] == "nobody needs it"
    assert shop.log == ["b"]


async def test_a_config_that_asks_for_random_numbers_is_the_same_in_every_attempt(
    store: Store, registry: Registry, shop: Shop
) -> None:
    seen = []

    @shop.actions.action("note")
    async def note(config: Any, step: object) -> None:
        seen.append(config["id"])
        if len(seen) < 3:
            raise ValueError("again")

    shop.register(flow({"action": "note", "config": '{"id": $uuid()}'}))
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await run_ends(store, event, "completed")
    assert len(seen) == 3
    assert len(set(seen)) == 1


async def test_a_result_that_is_no_json_fails_the_run(store: Store, registry: Registry, shop: Shop) -> None:
    @shop.actions.action("odd")
    async def odd(config: object, step: object) -> Any:
        return {1, 2}

    shop.register(flow({"action": "odd"}))
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "failed")
    assert "must return plain JSON" in (run.error or "")
    assert "not set" in (run.error or "")


async def test_a_run_goes_on_with_the_definition_that_it_began_with(
    make_store: MakeStore, registry: Registry, shop: Shop
) -> None:
    store = make_store()
    shop.register(flow(say("old one"), {"action": "fail", "config": {"times": 1}}, say("old two")))
    event, newer = delivered(), delivered()
    changed = Registry()
    other = Shop(changed)
    other.failures = 1
    other.register(flow(say("new one"), say("new two"), say("new three")))
    slow = QUICK.__class__(max_attempts=3, timeout=5, backoff=QUICK.backoff.__class__(5, 5))
    async with working(store, registry, policy=slow):
        await store.accept([event])
        await eventually(lambda: shop.log == ["old one", "fail"])
    await store.redis.zadd("tw:queue", dict.fromkeys(await store.redis.zrange("tw:queue", 0, -1), 0))
    async with working(store, changed):
        await run_ends(store, event, "completed")
        await store.accept([newer])
        await run_ends(store, newer, "completed")
    assert other.log == ["fail", "old two", "new one", "new two", "new three"]
    await other.services.aclose()


async def test_several_workflows_and_a_handler_run_for_one_event_each_on_its_own(
    store: Store, registry: Registry, shop: Shop
) -> None:
    handled = []

    @registry.on("order:*")
    async def handle(event: Any, ctx: Any) -> None:
        handled.append(event.id)

    shop.register(one=flow(say("a")), two=flow({"action": "give_up"}), three=flow(say("b"), trigger="order:*"))
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        await run_ends(store, event, "completed", "one")
        await run_ends(store, event, "failed", "two")
        await run_ends(store, event, "completed", "three")
        await eventually(lambda: handled == [event.id])
    assert sorted(shop.log) == ["a", "b"]


async def test_a_workflow_of_one_source_leaves_the_events_of_others_alone(
    store: Store, registry: Registry, shop: Shop
) -> None:
    shop.register({**flow(say("a")), "source": "github"})
    theirs, ours = delivered(), delivered(source="github")
    async with working(store, registry):
        await store.accept([theirs, ours])
        await run_ends(store, ours, "completed")
        await ended(store, theirs, "parked")
    assert shop.log == ["a"]


async def test_runs_are_listed_newest_first_and_expire_after_the_history(
    make_store: MakeStore, registry: Registry, shop: Shop
) -> None:
    store = make_store(history_ttl=100)
    shop.register(one=flow(say("a")), two=flow({"action": "give_up"}))
    first, second = delivered(), delivered()
    async with working(store, registry):
        for event in (first, second):
            await store.accept([event])
            await run_ends(store, event, "completed", "one")
            await run_ends(store, event, "failed", "two")
    listed = await store.runs.find(10)
    assert [run.head["event_id"] for run in listed] == [second.id, second.id, first.id, first.id]
    assert [run.head["event_id"] for run in await store.runs.find(10, where=lambda run: run.status == "failed")] == [
        second.id,
        first.id,
    ]
    assert len(await store.runs.find(1)) == 1
    assert len(await store.runs.find(3, page=1)) == 3
    ttl = await store.redis.pttl(f"tw:run:{listed[0].id}")
    assert 0 < ttl <= 100_000


async def test_a_run_whose_worker_is_lost_again_and_again_has_failed(
    store: Store, registry: Registry, shop: Shop
) -> None:
    shop.register(flow(say("a")))
    event = delivered()
    await store.accept([event])
    (lease,) = (await store.queue.claim(1, "w")).leases
    await store.runs.begin_run(lease, "workflow:flow", "run-1", "digest", b'{"member":"%s"}' % lease.member.encode())
    run = await store.runs.get("run-1")
    assert run is not None
    assert run.status == "created"
    await cast("Awaitable[int]", store.redis.hset(f"tw:work:{lease.member}", "claims", "3"))
    await store.redis.zadd("tw:queue", {lease.member: 0})
    async with working(store, registry):
        await ended(store, event, "dead")
    run = await store.runs.get("run-1")
    assert run is not None
    assert run.status == "failed"
    assert "its worker was lost" in (run.error or "")


async def test_the_record_of_a_run_is_bounded(store: Store, registry: Registry, shop: Shop) -> None:
    big = {"action": "say", "config": {"times": 120_000}}
    shop.register(flow(*[big] * 12))
    event = delivered()
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "completed")
    assert run.result is not None
    assert len(run.result["steps"]) == 12
    assert run.result["steps"][0]["result_left_out"] is True


async def test_run_of_nothing_is_none(store: Store) -> None:
    assert await store.runs.get("nope") is None
    with pytest.raises(AssertionError):
        await run_of(store, delivered())
