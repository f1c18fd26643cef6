"""What the expressions of a workflow see.

Truto's documents show two root styles, bare names (docs: POST /workflow) and ``event.payload`` paths (skill:
workflows); both work here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from truto.expressions import Inputs


@dataclass(frozen=True, slots=True)
class Trigger:
    """The event that started a run. ``created_at`` is the sender's text."""

    id: str
    type: str
    payload: Mapping[str, Any] = field(repr=False)
    environment_id: str | None = None
    webhook_id: str | None = None
    created_at: str | None = None

    @property
    def account_id(self) -> Any:
        """``payload.id`` of account events; of others ``payload.integrated_account_id``, else that in ``args``."""
        if self.type.startswith("integrated_account:"):
            return self.payload.get("id")
        args = self.payload.get("args")
        nested = args.get("integrated_account_id") if isinstance(args, Mapping) else None
        return self.payload.get("integrated_account_id") or nested

    def document(self) -> dict[str, Any]:
        """The event as expressions see it, under both of Truto's names for its type."""
        return {
            "id": self.id,
            "event": self.type,
            "event_type": self.type,
            "payload": self.payload,
            "environment_id": self.environment_id,
            "webhook_id": self.webhook_id,
            "created_at": self.created_at,
        }


@dataclass(frozen=True, slots=True)
class Scope:
    """Root and variables of an evaluation: ``$event`` is the event, ``$previous`` the last result there is."""

    root: Mapping[str, Any] = field(repr=False)
    variables: Mapping[str, Any] = field(repr=False)

    def for_inputs(self, inputs: Inputs) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Root and variables, the root as far as it can be read: copying it in is most of what a condition costs."""
        if inputs.whole:
            return self.root, self.variables
        return {name: self.root[name] for name in inputs.roots if name in self.root}, self.variables


def scope_of(
    trigger: Trigger, steps: Sequence[Mapping[str, Any]] = (), *, extra: Mapping[str, Any] | None = None
) -> Scope:
    """The scope of *trigger* after *steps*, each ``{type, action, success, skipped?, result, error?}``.

    *extra* are further variables. What an event does not have is left out, so that it is undefined.
    """
    payload, event = trigger.payload, trigger.document()
    found = {
        "environment_id": trigger.environment_id or payload.get("environment_id"),
        "tenant_id": payload.get("tenant_id"),
        "integrated_account_id": trigger.account_id,
        "integration": payload.get("integration"),
        "environment_integration": payload.get("environment_integration"),
        "integrated_account": payload if trigger.type.startswith("integrated_account:") else None,
        "context": payload.get("context"),
    }
    root = {name: value for name, value in found.items() if value is not None}
    root |= {"event": event, "payload": payload, "steps": list(steps)}
    ran = [step.get("result") for step in steps if not step.get("skipped")]
    return Scope(root, {"event": event, "previous": ran[-1] if ran else None, **(extra or {})})
