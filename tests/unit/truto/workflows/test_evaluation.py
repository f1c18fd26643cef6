"""What expressions see, and what is told of them."""

from __future__ import annotations

from typing import Any

import pytest

from truto.expressions import compile_expression
from truto.expressions.limits import Limits
from truto.workflows import QUICK, EvaluationFailed, Trigger, compile_workflow, scope_of

ACCOUNT: dict[str, Any] = {
    "id": "A",
    "tenant_id": "acme-1",
    "integration": {"name": "calcom"},
    "environment_integration": {"id": "E"},
    "context": {"plan_type": "pro", "api_key": "hidden"},
}
TRIGGER = Trigger("e-1", "integrated_account:active", ACCOUNT, "env", "hook", "2024-09-01T10:00:00+00:00")
STEPS = [
    {"type": "run", "action": "a", "success": True, "result": {"n": 1}},
    {"type": "run", "action": "b", "success": True, "skipped": True, "result": None},
]


def gives(source: str, steps: list[dict[str, Any]] = STEPS, trigger: Trigger = TRIGGER) -> Any:
    document = {"trigger_name": "*", "steps": [{"action": "x", "config": '{"v": ' + source + "}"}]}
    return compile_workflow(document).steps[0].prepare(scope_of(trigger, steps)).config.get("v")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("integration.name", "calcom"),
        ("event.payload.integration.name", "calcom"),
        ("$event.payload.id", "A"),
        ("payload.id", "A"),
        ("$.payload.id", "A"),
        ("$$.integrated_account_id", "A"),
        ("integrated_account.tenant_id", "acme-1"),
        ("tenant_id", "acme-1"),
        ("environment_id", "env"),
        ("environment_integration.id", "E"),
        ("context.plan_type", "pro"),
        ("event.event & '=' & event.event_type", "integrated_account:active=integrated_account:active"),
        ("event.webhook_id & event.created_at", "hook2024-09-01T10:00:00+00:00"),
        ("steps[0].result.n", 1),
        ("$previous.n", 1),
        ("steps[1].skipped", True),
        ("nope.nothing", None),
        ("$eval('integration.name')", "calcom"),
        ("$keys($)", None),
    ],
)
def test_both_styles_of_names_are_there(source: str, expected: object) -> None:
    found = gives(source)
    if source == "$keys($)":
        assert {"event", "payload", "steps", "integration"} <= set(found)
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("kind", "payload", "expected"),
    [
        ("integrated_account:active", {"id": "A", "integrated_account_id": "B"}, "A"),
        ("sync_job_run:completed", {"id": "R", "integrated_account_id": "B"}, "B"),
        ("sync_job_run:completed", {"args": {"integrated_account_id": "C"}}, "C"),
        ("record:created", {"args": "x"}, None),
    ],
)
def test_the_account_is_found_where_its_family_carries_it(kind: str, payload: dict[str, Any], expected: object) -> None:
    assert Trigger("1", kind, payload).account_id == expected


def test_a_trace_names_inputs_masks_secrets_and_shortens() -> None:
    document = {
        "trigger_name": "*",
        "config": {
            "run_if": "integration.name = 'x' and context.api_key = 'y' and a.b and payload and payload.long = ''"
        },
    }
    trigger = Trigger("1", "x", {**ACCOUNT, "long": "x" * 500})
    (entry,) = compile_workflow(document).decide(scope_of(trigger)).trace
    assert entry["inputs"]["integration.name"] == "calcom"
    assert entry["inputs"]["context.api_key"] == "[secret]"
    assert entry["inputs"]["payload"] == "an object with 6 keys"
    assert len(entry["inputs"]["payload.long"]) == 100
    assert entry["missing"] == ["a.b"]
    assert "a.b is missing" in entry["why"]


def test_a_trace_of_a_config_masks_what_looks_like_a_secret() -> None:
    config = {"token": "abc", "nested": [{"password": "x", "n": "{{tenant_id}}"}]}
    step = compile_workflow({"trigger_name": "*", "steps": [{"action": "x", "config": config}]}).steps[0]
    (entry,) = step.prepare(scope_of(TRIGGER)).trace
    assert entry["value"] == {"token": "[secret]", "nested": [{"password": "[secret]", "n": "acme-1"}]}
    assert entry["inputs"] == {"tenant_id": "acme-1"}


def test_the_trace_of_a_large_value_says_only_its_size() -> None:
    step = compile_workflow({"trigger_name": "*", "steps": [{"action": "x", "config": '{"a": [1..2000]}'}]}).steps[0]
    (entry,) = step.prepare(scope_of(TRIGGER)).trace
    assert entry["value"] == {"a": "an array of 2000"}


@pytest.mark.parametrize("value", ["nope.nothing", "null", "''", "0", "[]", "{}", "false", "[0, '']"])
def test_what_is_not_true_is_false(value: str) -> None:
    assert not compile_workflow({"trigger_name": "*", "config": {"run_if": value}}).decide(scope_of(TRIGGER)).holds


@pytest.mark.parametrize("value", ["1", "'x'", "[1]", "{'a': 0}", "true", "context"])
def test_what_is_something_is_true(value: str) -> None:
    assert compile_workflow({"trigger_name": "*", "config": {"run_if": value}}).decide(scope_of(TRIGGER)).holds


def test_an_expression_that_needs_more_says_so_under_tight_limits_only() -> None:
    compiled = compile_workflow({"trigger_name": "*", "config": {"run_if": "$count([1..30000]) > 5"}})
    with pytest.raises(EvaluationFailed) as caught:
        compiled.within(QUICK).decide(scope_of(TRIGGER))
    assert caught.value.needs_more
    assert compiled.within(Limits(seconds=10)).decide(scope_of(TRIGGER)).holds


@pytest.mark.parametrize(
    "run_if",
    [
        "integration.name = 'calcom' and $count(payload.items[x = '7']) > 0",
        "integration.name = 'other' or $count(payload.items[x = '7']) > 0",
        "integration.name = 'calcom' ? $exists(payload.items[x = '7']) : false",
    ],
    ids=["and", "or", "condition"],
)
def test_a_condition_over_many_items_needs_more_than_a_quick_look_and_holds(run_if: str) -> None:
    trigger = Trigger("1", "x", {**ACCOUNT, "items": [{"x": str(number % 10)} for number in range(20_000)]})
    compiled = compile_workflow({"trigger_name": "*", "config": {"run_if": run_if}})
    with pytest.raises(EvaluationFailed) as caught:
        compiled.within(QUICK).decide(scope_of(trigger))
    assert caught.value.needs_more
    assert compiled.decide(scope_of(trigger)).holds


def test_an_expression_that_is_wrong_does_not_need_more() -> None:
    compiled = compile_workflow({"trigger_name": "*", "steps": [{"action": "x", "config": "tenant_id + 1"}]})
    with pytest.raises(EvaluationFailed) as caught:
        compiled.within(QUICK).steps[0].prepare(scope_of(TRIGGER))
    assert not caught.value.needs_more
    assert caught.value.entry["inputs"] == {"tenant_id": "acme-1"}
    assert caught.value.entry["error"]


@pytest.mark.parametrize(
    ("source", "paths", "whole", "stable"),
    [
        ("integration.name = 'calcom'", (("integration", "name"),), False, True),
        ("a[b = 1].c", (("a",), ("b",)), False, True),
        ("$.x", (), True, True),
        ("**.x", (), True, True),
        ("{'a': $now()}", (), False, False),
        ("$map(xs, function($v){ $v.a & $uuid() })", (("xs",),), False, False),
        ("$eval(a)", (("a",),), True, False),
    ],
)
def test_what_an_expression_reads_is_told_from_its_tree(
    source: str, paths: tuple[tuple[str, ...], ...], whole: bool, stable: bool
) -> None:
    assert compile_expression(source).inputs() == (paths, whole, stable)
