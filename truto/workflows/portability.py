"""What Truto can run of a workflow, and what only we can."""

from __future__ import annotations

from truto.faults import DefinitionFault
from truto.workflows.definition import Definition
from truto.workflows.sync_jobs import RUN_SYNC_JOB

ACTIVE = "integrated_account:active"
CONNECTED = "integrated_account:connected"
"""The name in the sample of ``POST /workflow`` (docs); it is in no list of events, and means :data:`ACTIVE`."""

TRUTO_TRIGGERS = frozenset({ACTIVE, CONNECTED})

_OUR_STEP_KEYS = ("timeout", "retry")


def truto_refusals(definition: Definition) -> list[DefinitionFault]:
    """Why Truto cannot run *definition*, each with its place; empty when it can (docs: workflows; skill: workflows)."""
    faults = []
    if definition.trigger_name not in TRUTO_TRIGGERS:
        faults.append(DefinitionFault("trigger_name", f"Truto starts workflows on {ACTIVE} only"))
    if definition.source is not None:
        faults.append(DefinitionFault("source", "is a key of truto-worker, which Truto does not know"))
    for number, step in enumerate(definition.config.steps):
        at = f"config.steps.{number}"
        if step.action != RUN_SYNC_JOB:
            faults.append(DefinitionFault(f"{at}.action", f"Truto knows {RUN_SYNC_JOB} only"))
        faults += [
            DefinitionFault(f"{at}.{key}", "is a key of truto-worker, which Truto does not know")
            for key in _OUR_STEP_KEYS
            if getattr(step, key) is not None
        ]
    return faults


def patterns_of(definition: Definition) -> tuple[str, ...]:
    """The event types that start it: its trigger, and :data:`ACTIVE` for :data:`CONNECTED`."""
    name = definition.trigger_name
    return (name, ACTIVE) if name == CONNECTED else (name,)
