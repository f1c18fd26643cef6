"""A workflow as it is written: the body of ``POST /workflow`` (docs: POST /workflow; skill: workflows).

Accepted besides: ``name``, ``run_if`` and ``steps`` beside ``config`` instead of inside (skill: truto-jsonata usage),
and what the API adds to its answers. Keys of our own are ``source``, and ``timeout`` and ``retry`` of a step; Truto
knows none of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from truto.errors import BadWorkflow
from truto.faults import DefinitionFault

MAX_STEPS = 100
MAX_BYTES = 256 * 1024
"""The longest definition, as JSON."""

LONGEST_STEP_SECONDS = 3600.0

_LIFTED = ("run_if", "steps")
_OF_THE_API = ("created_at", "updated_at")
_PATTERN = re.compile(r"\*|[^*]+:\*|[^*]+")
_LONGEST_NAME = 256


def check_cron(expression: str) -> str:
    """*expression* itself, when it is five cron fields (UTC; skill: sync-jobs). Raises :class:`ValueError`."""
    if len(expression.split()) != 5:
        raise ValueError("must have five fields, such as `0 */6 * * *` (minute hour day month weekday, in UTC)")
    try:
        next(CronSim(expression, datetime.now(UTC)))
    except CronSimError as exc:
        raise ValueError(f"is not a cron expression: {exc}") from None
    except StopIteration:
        raise ValueError("is a cron expression that no moment fits") from None
    return expression


def _check_trigger(name: str) -> str:
    if not _PATTERN.fullmatch(name) or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise ValueError("must be an event's name, `entity:*` or `*`")
    return name


def _uuid_text(value: object) -> object:
    return str(value) if isinstance(value, UUID) else value


def _check_uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError("must be a UUID") from None


Uuid = Annotated[str, BeforeValidator(_uuid_text), AfterValidator(_check_uuid)]
Seconds = Annotated[float, Field(gt=0, le=LONGEST_STEP_SECONDS, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Retry(_Model):
    """How often a step is tried (our own key): ``attempts`` in all, at most ``base * 2**n`` s, or ``cap``, apart."""

    attempts: int = Field(ge=1, le=100)
    base: Seconds = 2.0
    cap: Seconds = 600.0


class Step(_Model):
    """One step. ``config`` is JSONata that gives an object, or an object whose texts hold ``{{placeholders}}``."""

    type: Literal["run"] = "run"
    action: str = Field(min_length=1, max_length=100)
    config: str | dict[str, Any] | None = None
    run_if: str | None = None
    cron_expression: Annotated[str, AfterValidator(check_cron)] | None = None
    timeout: Seconds | None = None
    retry: Retry | None = None


class Config(_Model):
    """What a workflow does. ``run_if`` is looked at before any step; the steps run one after the other."""

    run_if: str | None = None
    steps: tuple[Step, ...] = Field(default=(), max_length=MAX_STEPS, strict=False)


class Definition(_Model):
    """A whole workflow. ``source`` is our own key: only events of this source of the ingress start it."""

    trigger_name: Annotated[str, AfterValidator(_check_trigger)]
    config: Config
    id: Uuid | None = None
    environment_id: Uuid | None = None
    label: str | None = None
    source: str | None = None

    def document(self) -> dict[str, Any]:
        """The body of ``POST /workflow`` that says the same, our own keys included; without what was left out."""
        found = self.model_dump(mode="json", exclude_none=True)
        found["config"].setdefault("steps", [])
        return found


def read_definition(document: object) -> Definition:
    """The workflow that *document* (parsed JSON or YAML) describes. Raises :class:`BadWorkflow`."""
    if not isinstance(document, Mapping):
        raise BadWorkflow([DefinitionFault("", "must be an object with `trigger_name` and `config`")])
    try:
        size = len(orjson.dumps(document, option=orjson.OPT_PASSTHROUGH_DATETIME))
    except TypeError as exc:
        raise BadWorkflow([DefinitionFault("", f"is not JSON: {exc}; quote dates and keys that are no text")]) from None
    if size > MAX_BYTES:
        raise BadWorkflow([DefinitionFault("", f"is longer than {MAX_BYTES} bytes")])
    lifted = _lifted(document)
    try:
        return Definition.model_validate(lifted)
    except ValidationError as exc:
        faults = [_fault(dict(error)) for error in exc.errors(include_input=False, include_url=False)]
        raise BadWorkflow(dict.fromkeys(faults)) from None  # each branch of a union complains


def _lifted(document: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in document.items() if key not in _OF_THE_API}
    config = found.get("config", {} if any(key in found for key in _LIFTED) else None)
    if not isinstance(config, Mapping):
        if "config" not in found:
            raise BadWorkflow([DefinitionFault("config", "is missing")])
        raise BadWorkflow([DefinitionFault("config", "must be an object with `steps`")])
    if "actions" in config:
        reason = (
            "is the shape of one SDK sample, which Truto's schema does not know: write `steps`, each with `action` and "
            "`config`"
        )
        raise BadWorkflow([DefinitionFault("config.actions", reason)])
    for key in _LIFTED:
        if key in found:
            if key in config:
                raise BadWorkflow([DefinitionFault(key, f"is there twice: here and as config.{key}")])
            config = {**config, key: found.pop(key)}
    name = found.pop("name", None)
    if name is not None:
        found.setdefault("label", name)
    return {**found, "config": config}


_BRANCHES = re.compile(r"str|dict\[str,any\]|function-\w+\[.*\]")


def _fault(error: dict[str, Any]) -> DefinitionFault:
    path = ".".join(str(key) for key in error["loc"] if not _BRANCHES.fullmatch(str(key)))
    match error["type"]:
        case "extra_forbidden":
            reason = "is not known here"
        case "missing":
            reason = "is missing"
        case "literal_error":
            reason = "must be `run`, the only type there is"
        case "string_type" | "dict_type" if path.endswith(".config"):
            reason = "must be a JSONata text or an object"
        case _:
            reason = str(error["msg"]).removeprefix("Value error, ")
    return DefinitionFault(path, reason)
