"""``/workflow`` and ``/workflow-run`` (docs: POST /workflow; skill: workflows)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox import fields
from sandbox.answers import invalid, missing
from sandbox.collection import Collection
from sandbox.errors import Refusal
from sandbox.fields import Field
from sandbox.state import State, new_id
from truto.workflows import TRUTO_TRIGGERS, BadWorkflow, compile_workflow, truto_refusals


class Workflows(Collection):
    """Workflows are checked, kept, and run by :mod:`sandbox.workflow_runs`.

    A trigger that Truto does not support answers 404, an unknown action 400 (skill: workflows).
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
        if values["trigger_name"] not in TRUTO_TRIGGERS:
            raise missing("Trigger")
        # A stored row has its times; only a new one brings an id of its own choice.
        if "created_at" not in values and self._table.get(values["id"]):
            raise invalid("id", "is taken")
        if failures := failures_of(values):
            raise Refusal(400, "Validation failed", failures=failures)

    def completed(self, values: dict[str, Any]) -> dict[str, Any]:
        """An id where the caller chose none (docs: POST /workflow)."""
        return {**values, "id": values["id"] or new_id()}


class WorkflowRuns(Collection):
    """Made by Truto only, so there is no POST (skill: workflows)."""

    path = "/workflow-run"
    label = "Workflow run"
    verbs = frozenset({"delete"})

    def __init__(self, state: State) -> None:
        super().__init__(state.workflow_runs)


def failures_of(values: Mapping[str, Any]) -> list[dict[str, str]]:
    """What is wrong with a workflow, and what in it Truto could not run: each with its path."""
    try:
        compiled = compile_workflow({key: values[key] for key in ("trigger_name", "config")})
    except BadWorkflow as exc:
        return [{"path": fault.path, "message": fault.reason} for fault in exc.faults]
    return [{"path": fault.path, "message": fault.reason} for fault in truto_refusals(compiled.definition)]
