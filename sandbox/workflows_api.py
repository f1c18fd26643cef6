"""``/workflow`` and ``/workflow-run`` (docs: POST /workflow; skill: workflows)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox import fields
from sandbox.answers import Refusal, invalid, missing
from sandbox.collection import Collection
from sandbox.fields import Field
from sandbox.state import State, new_id
from truto.catalogue import EVENT_TYPES

# The sample of POST /workflow uses this name, which is in no list of events.
_TRIGGERS = EVENT_TYPES | {"integrated_account:connected"}


class Workflows(Collection):
    """Workflows are kept and checked, not run: the worker has its own engine for them.

    An unknown trigger answers 404, an unknown action 400 (skill: workflows).
    """

    path = "/workflow"
    label = "Workflow"
    writable: Mapping[str, Field] = {
        "id": fields.text(),
        "label": fields.text(),
        "trigger_name": fields.text(required=True),
        "config": fields.mapping(required=True),
    }
    updatable: Mapping[str, Field] = {name: field for name, field in writable.items() if name != "id"}

    def __init__(self, state: State) -> None:
        super().__init__(state.workflows)

    def check(self, values: Mapping[str, Any]) -> None:
        """The trigger exists, the id is free, every step is one that Truto knows."""
        if values["trigger_name"] not in _TRIGGERS:
            raise missing("Trigger")
        # A stored row has its times; only a new one brings an id of its own choice.
        if "created_at" not in values and self._table.get(values["id"]):
            raise invalid("id", "is taken")
        if failures := step_failures(values["config"].get("steps")):
            raise Refusal(400, "Validation failed", failures=failures)

    def completed(self, values: dict[str, Any]) -> dict[str, Any]:
        """An id where the caller chose none (docs: POST /workflow)."""
        return {**values, "id": values["id"] or new_id()}


class WorkflowRuns(Collection):
    """Made by Truto only, so there is no POST (skill: workflows), and here there are none."""

    path = "/workflow-run"
    label = "Workflow run"
    verbs = frozenset({"delete"})

    def __init__(self, state: State) -> None:
        super().__init__(state.workflow_runs)


def step_failures(steps: object) -> list[dict[str, str]]:
    """What is wrong with ``config.steps``: ``run`` is the only type, ``run_sync_job`` the only action."""
    if not isinstance(steps, list):
        return [{"path": "config.steps", "message": "must be an array"}]
    failures = []
    for number, step in enumerate(steps):
        found = step if isinstance(step, dict) else {}
        for key, only in (("type", "run"), ("action", "run_sync_job")):
            if found.get(key) != only:
                failures.append({"path": f"config.steps.{number}.{key}", "message": f"must be {only}"})
    return failures
