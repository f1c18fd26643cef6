"""Definitions: what is taken, what is lifted, and what is refused with its place."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truto.documents import read_document, write_document
from truto.errors import NotADocument
from truto.workflows import (
    BadWorkflow,
    WorkflowFailed,
    compile_workflow,
    digest_of,
    patterns_of,
    read_definition,
    sync_job_cron_trigger,
    sync_job_run,
    truto_refusals,
)

MULTIPLYING = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
)
JOB = "51b79ace-a7b4-4077-93ba-8048a06ece2b"
STEP = {"type": "run", "action": "run_sync_job", "config": "{}"}
PLAIN = {"trigger_name": "integrated_account:active", "config": {"run_if": "true", "steps": [STEP]}}


def test_the_request_of_the_documents_is_taken_as_it_is() -> None:
    document = {
        "id": "4a4de828-f4c9-4bea-8ef4-2d705aec43bc",
        "environment_id": "05daecaf-4365-42e8-8370-8127de5dd717",
        "trigger_name": "integrated_account:connected",
        "config": {},
    }
    assert read_definition(document).document() == {**document, "config": {"steps": []}}


def test_steps_and_condition_beside_the_config_are_lifted_into_it() -> None:
    lifted = {
        "name": "First sync", "trigger_name": "integrated_account:active", "run_if": "true", "steps": [STEP]
    }  # fmt: skip
    assert read_definition(lifted).document() == {**PLAIN, "label": "First sync"}


def test_what_the_api_adds_to_its_answers_is_left_out() -> None:
    answered = {**PLAIN, "created_at": "2024-09-01 10:00:00", "updated_at": "2024-09-01 10:00:00"}
    assert read_definition(answered) == read_definition(PLAIN)


@pytest.mark.parametrize(
    ("change", "path", "reason"),
    [
        ({"config": {"actions": []}}, "config.actions", "SDK sample"),
        ({"config": []}, "config", "must be an object"),
        ({"run_if": "x"}, "run_if", "there twice"),
        ({"trigger_name": 3}, "trigger_name", "string"),
        ({"trigger_name": "a*b"}, "trigger_name", "entity:*"),
        ({"trigger_name": ""}, "trigger_name", "entity:*"),
        ({"id": "four"}, "id", "UUID"),
        ({"other": 1}, "other", "not known here"),
        ({"config": {"steps": {}}}, "config.steps", "tuple"),
        ({"config": {"steps": ["?"]}}, "config.steps.0", "dictionary"),
        ({"config": {"steps": [{**STEP, "type": "walk"}]}}, "config.steps.0.type", "must be `run`"),
        ({"config": {"steps": [{"type": "run"}]}}, "config.steps.0.action", "is missing"),
        ({"config": {"steps": [{**STEP, "config": 3}]}}, "config.steps.0.config", "JSONata text or an object"),
        ({"config": {"steps": [{**STEP, "timeout": 0}]}}, "config.steps.0.timeout", "greater than 0"),
        ({"config": {"steps": [{**STEP, "retry": 3}]}}, "config.steps.0.retry", "dictionary"),
        ({"config": {"steps": [{**STEP, "retry": {"attempts": 0}}]}}, "config.steps.0.retry.attempts", "greater"),
        ({"config": {"steps": [{**STEP, "cron_expression": "* *"}]}}, "config.steps.0.cron_expression", "five"),
        (
            {"config": {"steps": [{**STEP, "cron_expression": "61 * * * *"}]}},
            "config.steps.0.cron_expression",
            "minute",
        ),
        ({"config": {"steps": [{**STEP, "cron_expression": "0 0 30 2 *"}]}}, "config.steps.0.cron_expression", "day"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_fault_is_named_by_its_place(change: dict[str, Any], path: str, reason: str) -> None:
    with pytest.raises(BadWorkflow) as caught:
        read_definition({**PLAIN, **change})
    (fault,) = caught.value.faults
    assert fault.path == path
    assert reason in fault.reason


@pytest.mark.parametrize(
    "document",
    [None, [], "x", 3, {}, {"trigger_name": "a"}, {"a": object()}],
    ids=["null", "array", "text", "number", "empty", "no-config", "object"],
)
def test_what_is_no_workflow_is_refused(document: object) -> None:
    with pytest.raises(BadWorkflow):
        read_definition(document)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["trigger_name", "config", "steps", "action", "run_if", "retry", "type", "id"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_any_json_is_read_or_refused_as_a_bad_workflow(document: Any) -> None:
    with contextlib.suppress(BadWorkflow):
        compile_workflow(document)


def test_all_faults_of_the_expressions_are_named_at_once() -> None:
    document = {
        "trigger_name": "a",
        "config": {
            "run_if": "(",
            "steps": [
                {**STEP, "run_if": ")", "config": "{"},
                {"action": "nope", "config": {"a": "{{a b}}"}, "cron_expression": "0 0 * * *"},
            ],
        },
    }
    with pytest.raises(BadWorkflow) as caught:
        compile_workflow(document, actions={"run_sync_job"})
    assert sorted(fault.path for fault in caught.value.faults) == [
        "config.run_if",
        "config.steps.0.config",
        "config.steps.0.run_if",
        "config.steps.1.action",
        "config.steps.1.config",
        "config.steps.1.cron_expression",
    ]


def test_a_digest_is_that_of_the_meaning() -> None:
    lifted = {"trigger_name": PLAIN["trigger_name"], "steps": [STEP], "run_if": "true"}
    assert digest_of(read_definition(PLAIN)) == digest_of(read_definition(lifted))
    assert digest_of(read_definition({**PLAIN, "trigger_name": "b"})) != digest_of(read_definition(PLAIN))


def test_truto_can_run_what_its_documents_show() -> None:
    assert truto_refusals(read_definition(PLAIN)) == []


def test_what_only_we_can_run_is_named() -> None:
    document = {
        "trigger_name": "order:*",
        "source": "shop",
        "config": {"steps": [{"action": "sleep", "timeout": 1, "retry": {"attempts": 2}}]},
    }
    assert [fault.path for fault in truto_refusals(read_definition(document))] == [
        "trigger_name",
        "source",
        "config.steps.0.action",
        "config.steps.0.timeout",
        "config.steps.0.retry",
    ]


@pytest.mark.parametrize(
    ("trigger", "patterns"),
    [
        ("integrated_account:connected", ("integrated_account:connected", "integrated_account:active")),
        ("integrated_account:active", ("integrated_account:active",)),
        ("order:*", ("order:*",)),
    ],
)
def test_the_name_of_the_sample_means_the_event_that_there_is(trigger: str, patterns: tuple[str, ...]) -> None:
    assert patterns_of(read_definition({**PLAIN, "trigger_name": trigger})) == patterns


def test_a_sync_job_run_has_the_fields_that_were_given() -> None:
    config = {"sync_job_id": JOB, "integrated_account_id": JOB.upper(), "args": {"a": 1}, "webhook_id": None}
    assert sync_job_run(config) == {
        "status": "created",
        "sync_job_id": JOB,
        "integrated_account_id": JOB.upper(),
        "args": {"a": 1},
    }
    assert sync_job_cron_trigger({"sync_job_id": JOB}, "0 */6 * * *") == {
        "sync_job_id": JOB,
        "cron_expression": "0 */6 * * *",
    }


@pytest.mark.parametrize(
    ("config", "at"),
    [
        ({}, "config.sync_job_id"),
        ({"sync_job_id": "zendesk"}, "config.sync_job_id"),
        ({"sync_job_id": 7}, "config.sync_job_id"),
        ({"sync_job_id": f"{{{JOB}}}"}, "config.sync_job_id"),
        ({"sync_job_id": JOB, "integrated_account_id": "A"}, "config.integrated_account_id"),
        ({"sync_job_id": JOB, "webhook_id": "A"}, "config.webhook_id"),
        ({"sync_job_id": JOB, "args": "x"}, "config.args"),
        ({"sync_job_id": JOB, "webhook_id": JOB, "daemon_group_key": "g"}, "config.daemon_group_key"),
        ({"sync_job_id": JOB, "sync_jobid": "x"}, "config"),
    ],
    ids=str,
)
def test_a_sync_job_that_cannot_be_meant_is_refused(config: dict[str, Any], at: str) -> None:
    with pytest.raises(WorkflowFailed) as caught:
        sync_job_run(config)
    assert caught.value.at == at


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\na: 2", "there twice"),
        ("1: 2", "is not text"),
        ("a: [", "line 1"),
        ("a: !!python/object:os.system x", "constructor"),
        (MULTIPLYING, "more than"),
    ],
    ids=["doubled", "number", "unfinished", "code", "aliases-that-multiply"],
)  # fmt: skip
def test_a_document_that_is_none_is_refused(text: str, reason: str) -> None:
    with pytest.raises(NotADocument, match=reason):
        read_document(text)


def test_what_is_written_is_read_again() -> None:
    assert read_document(write_document(PLAIN)) == PLAIN
    assert read_document('{"a": [1, null, "x"]}') == {"a": [1, None, "x"]}
