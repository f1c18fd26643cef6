"""The configs that actions take, checked before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from truto.workflows import Step, WorkflowFailed


class ActionConfig(BaseModel):
    """Base of the configs that the actions here take: unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


ConfigT = TypeVar("ConfigT", bound=ActionConfig)


def read_config(kind: type[ConfigT], config: Mapping[str, Any], at: str) -> ConfigT:
    """*config* as a *kind*. Raises :class:`WorkflowFailed` naming the first fault by its place."""
    try:
        return kind.model_validate(dict(config))
    except ValidationError as exc:
        error = exc.errors(include_input=False, include_url=False)[0]
        path = ".".join([at, *map(str, error["loc"])])
        match error["type"]:
            case "extra_forbidden":
                reason = f"is not known here; known are {', '.join(sorted(kind.model_fields))}"
            case "missing":
                reason = "is missing"
            case _:
                reason = str(error["msg"]).removeprefix("Value error, ")
        raise WorkflowFailed(reason, at=path) from None


def checked_by(kind: type[ActionConfig]) -> Callable[[Step, str], None]:
    """A check of configs that hold neither JSONata nor placeholders, whose values are known before anything runs."""

    def check(step: Step, at: str) -> None:
        if isinstance(step.config, dict) and "{{" not in repr(step.config):
            read_config(kind, step.config, at)

    return check
