"""Definitions and inputs that mean harm: failed runs with a cause, within bounds, and other events go on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from events import ConfigError, Event, Store
from tests.integration.worker.workflow_shop import Shop, flow, run_ends, say
from tests.integration.worker.workshop import delivered, ended, story, working
from truto.workflows import BadWorkflow, compile_workflow
from worker.context import Context
from worker.registry import Registry

HOSTILE = {
    "endless-recursion": "($f := function($n){ $f($n + 1) }; $f(0))",
    "endless-tail-recursion": "($f := function($n){ $n < 0 ? 1 : $f($n + 1) }; $f(0))",
    "redos": "$match('" + "a" * 5_000 + "!', /^(a+)+$/)[0].match = 'x' or $error('linear')",
    "a-range-of-ten-million": "[1..10000000]",
    "text-that-doubles": "($f := function($t, $n){ $n = 0 ? $t : $f($t & $t, $n - 1) }; $f('0123456789', 40))",
    "nested-eval": "$eval('$eval(\"' & $pad('', 5000, '1') & '\")')",
    "quadratic-map": "$count($map([1..3000], function($i){ $map([1..3000], function($j){ $i * $j }) }))",
    "a-function": "function($x){ $x }",
    "deep": "($f := function($v, $n){ $n = 0 ? $v : $f([$v, $v], $n - 1) }; $f(1, 60))",
}


@pytest.fixture
async def shop(registry: Registry) -> AsyncIterator[Shop]:
    found = Shop(registry)
    yield found
    await found.services.aclose()


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("place", ["run_if", "config"])
async def test_a_hostile_expression_fails_its_run_with_a_cause_and_nothing_else(
    store: Store, registry: Registry, shop: Shop, source: str, place: str
) -> None:
    step = {"action": "say", "config": source}
    shop.register(flow(say("never"), run_if=source) if place == "run_if" else flow(step))
    others: list[str] = []

    @registry.on("order:other")
    async def handle(event: Event, ctx: Context) -> None:
        others.append(event.id)

    hostile, other = delivered(), delivered("order:other")
    async with working(store, registry):
        await store.accept([hostile, other])
        run = await run_ends(store, hostile, "failed")
        await ended(store, other)
    assert shop.log == []
    assert len(others) == 1
    assert run.error is not None
    assert run.error.startswith(("config.run_if: ", "config.steps.0.config: "))
    assert len(run.error) <= 500
    assert run.result is not None
    assert run.result["trace"][-1]["error"]
    assert await story(store, hostile) == ["received", "claimed", "dead"]


async def test_other_events_do_not_wait_for_hostile_expressions(store: Store, registry: Registry, shop: Shop) -> None:
    shop.register(flow(say("never"), run_if=HOSTILE["endless-tail-recursion"]))
    order: list[str] = []

    @registry.on("order:other")
    async def handle(event: Event, ctx: Context) -> None:
        order.append(event.type)

    hostile, others = [delivered() for _ in range(4)], [delivered("order:other") for _ in range(20)]
    async with working(store, registry):
        await store.accept([*hostile, *others])
        for event in others:
            await ended(store, event)
        # Two are evaluated at once, so the last of them were not even looked at.
        assert (await store.inspection.overview()).dead < len(hostile)
        for event in hostile:
            await run_ends(store, event, "failed")
    assert len(order) == len(others)


@pytest.mark.parametrize(
    "document",
    [
        flow(run_if="1 + " * 300_000 + "1"),
        flow(run_if="1 + " * 30_000 + "1"),
        flow(run_if="(" * 60_000),
        flow(*[say("x")] * 101),
        flow({"action": "say", "config": {"a": [[[[["x"]]]]] * 60_000}}),
    ],
    ids=["a-megabyte", "longer-than-64k", "parentheses", "too-many-steps", "a-large-config"],
)
def test_a_definition_beyond_all_measure_is_refused_when_it_is_read(document: dict[str, Any]) -> None:
    with pytest.raises(BadWorkflow) as caught:
        compile_workflow(document)
    assert len(str(caught.value)) < 500


def test_a_config_nested_beyond_measure_is_refused() -> None:
    nested: Any = "x"
    for _ in range(80):
        nested = [nested]
    with pytest.raises(BadWorkflow, match="nested deeper"):
        compile_workflow(flow({"action": "say", "config": {"a": nested}}))


async def test_an_input_beyond_measure_fails_the_run(store: Store, registry: Registry, shop: Shop) -> None:
    shop.register(flow(say("never"), run_if="$count(payload.items) > 0"))
    nested: list[object] = []
    for _ in range(220):
        nested = [nested]
    event = delivered(data={"items": nested})
    async with working(store, registry):
        await store.accept([event])
        run = await run_ends(store, event, "failed")
    assert "the input is nested deeper than 200 levels" in (run.error or "")


async def test_a_condition_of_a_handler_decides_whether_it_runs(store: Store, registry: Registry) -> None:
    ran = []

    @registry.on("order:*", when="payload.n > 5 and $event.event_type = 'order:paid'")
    async def handle(event: Event, ctx: Context) -> None:
        ran.append(event.payload["n"])

    wanted, unwanted, broken = (delivered(data={"n": n}) for n in (7, 3, "text"))
    async with working(store, registry):
        await store.accept([wanted, unwanted, broken])
        await ended(store, wanted)
        await ended(store, unwanted, "discarded")
        await ended(store, broken, "dead")
    assert ran == [7]
    history = await store.inspection.history("truto", unwanted.id)
    assert "when: it gave false; payload.n is 3" in history[-1].detail["why"]


def test_a_condition_that_is_not_valid_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="is not valid JSONata"):
        Registry().on("a", when="(")
