"""Registering actions, and reading folders of workflows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import workflows
from tests.unit.worker.samples import an_event
from truto.workflows import BadWorkflow, Trigger
from worker import ConfigError
from worker.condition import trigger_of
from worker.registry import Handler, Registry
from workflows import Actions, StepContext, action, actions
from workflows.definitions import load_workflows, read_workflow_file, register_workflows
from workflows.services import Services

PLAIN = {"trigger_name": "a", "config": {"steps": [{"action": "sleep", "config": {"seconds": 1}}]}}


async def act(config: Mapping[str, Any], step: StepContext) -> None: ...


def test_the_public_names_are_those_of_the_registry() -> None:
    assert action == actions.action
    assert workflows.StepContext is StepContext


def test_an_action_has_a_name_of_its_own() -> None:
    own = Actions(actions)
    own.action("act")(act)
    assert own.get("act") is not None
    assert "act" not in actions.names()
    with pytest.raises(ConfigError, match="registered twice"):
        own.action("act")(act)
    with pytest.raises(ConfigError, match="registered twice"):
        own.action("sleep")(act)


def test_an_action_is_a_coroutine_function_of_two_arguments() -> None:
    def plain(config: object, step: object) -> None: ...

    async def short(config: object) -> None: ...

    with pytest.raises(ConfigError, match="async def"):
        Actions().action("a")(plain)  # type: ignore[type-var]
    with pytest.raises(ConfigError, match="two arguments"):
        Actions().action("a")(short)  # type: ignore[type-var]


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a folder"):
        load_workflows(tmp_path / "nowhere")


def test_only_files_of_workflows_are_read(tmp_path: Path) -> None:
    for name in ("one.json", ".hidden.json", "notes.md"):
        (tmp_path / name).write_text(json.dumps(PLAIN))
    (tmp_path / "below.yaml").mkdir()
    assert [file.name for file in load_workflows(tmp_path)] == ["one"]


def test_a_file_that_is_too_long_or_gone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "long.json").write_text(" " * 1_100_000)
    with pytest.raises(BadWorkflow, match="longer than"):
        read_workflow_file(tmp_path / "long.json")
    with pytest.raises(BadWorkflow, match="cannot be read: No such file"):
        read_workflow_file(tmp_path / "gone.json")


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"action": "run_sync_job", "config": {"sync_job_id": "x"}}, "config.steps.0.config.sync_job_id"),
        ({"action": "wait_for_event", "config": {"event": "a", "timeout": -1}}, "config.steps.0.config.timeout"),
        ({"action": "wait_for_event", "config": {"event": "{{a}}"}}, "config.steps.0.config"),
        ({"action": "http_request", "config": {"link": "x"}}, "config.steps.0.config.url"),
        ({"action": "emit_event", "config": {"type": "x", "other": 1}}, "config.steps.0.config.other"),
    ],
    ids=["id", "timeout", "unknown-event", "missing", "unknown-field"],
)
def test_a_config_whose_values_are_known_is_checked_when_it_is_read(
    tmp_path: Path, config: dict[str, Any], path: str
) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"trigger_name": "a", "steps": [config]}))
    with pytest.raises(BadWorkflow) as caught:
        read_workflow_file(tmp_path / "a.json")
    assert [fault.path for fault in caught.value.faults] == [path]


async def test_workflows_are_handlers_and_what_they_wait_for_is_handled(tmp_path: Path) -> None:
    wait = {"action": "wait_for_event", "config": {"event": "b:done"}}
    (tmp_path / "one.json").write_text(json.dumps({"trigger_name": "a", "steps": [wait, {"action": "sleep"}]}))
    registry = Registry()
    services = Services(registry)
    files = load_workflows(tmp_path)
    register_workflows(files, registry, services)
    assert registry.get("workflow:one") is not None
    waker = registry.get("workflows:wait_for_event")
    assert waker is not None
    assert waker.patterns == ("b:done",)
    with pytest.raises(ConfigError, match="registered twice"):
        register_workflows(files, registry, services)
    await services.aclose()
    await services.aclose()


def test_a_handler_that_is_added_needs_a_pattern() -> None:
    with pytest.raises(ConfigError, match="not a pattern"):
        Registry().add(Handler("x", act, ("a*b",)))  # type: ignore[arg-type]


def test_an_event_s_trigger_has_its_fields() -> None:
    found = trigger_of(an_event("order:paid", payload={"n": 1}))
    assert found == Trigger("event-1", "order:paid", {"n": 1})
