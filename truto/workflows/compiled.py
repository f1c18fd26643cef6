"""A definition with its expressions compiled, and what they decide. Pure: no I/O, no clock but JSONata's own.

An evaluation may take long (:class:`truto.expressions.Limits`), so a server calls these methods in a thread.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from truto.errors import BadWorkflow, EvaluationFailed, PlaceholderError
from truto.expressions import UNDEFINED, Expression, ExpressionError, Inputs, Limits, compile_expression, truthy
from truto.expressions.tracing import TraceEntry, trace_entry, why_false
from truto.faults import DefinitionFault
from truto.placeholders import NO_VALUE, Template, compile_template
from truto.workflows.definition import Definition, Step, read_definition
from truto.workflows.scope import Scope

LIMITS = Limits(output_bytes=128 * 1024, max_output_bytes=128 * 1024)

QUICK = Limits(
    seconds=0.005,
    max_seconds=0.005,
    input_elements=5_000,
    input_characters=500_000,
    elements=20_000,
    elements_per_value=0,
    elements_per_character=0,
    text_characters=500_000,
    text_per_character=0,
    regex_characters=50_000,
    max_regex_characters=50_000,
    output_bytes=128 * 1024,
    max_output_bytes=128 * 1024,
)
"""What may be evaluated without a thread, since it holds up a loop for some milliseconds at most."""

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z0-9_.-]+)")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a ``run_if`` says: whether to go on; the trace says why not."""

    holds: bool
    trace: tuple[TraceEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A step that can be run with *config*, or is to be skipped."""

    skipped: bool
    config: Mapping[str, Any] = field(repr=False)
    trace: tuple[TraceEntry, ...]


@dataclass(frozen=True, slots=True)
class Formula:
    """One compiled JSONata text at its place in a definition."""

    at: str
    inputs: Inputs
    _expression: Expression

    @classmethod
    def compile(cls, source: str, at: str) -> Formula:
        """The formula of *source*. Raises :class:`ExpressionError` when it is not valid."""
        expression = compile_expression(source, limits=LIMITS)
        return cls(at, expression.inputs(), expression)

    def within(self, limits: Limits) -> Formula:
        """The same with other limits."""
        return dataclasses.replace(self, _expression=self._expression.within(limits))

    def evaluate(self, scope: Scope) -> tuple[Any, TraceEntry]:
        """Its value and its trace. Raises :class:`EvaluationFailed`."""
        root, variables = scope.for_inputs(self.inputs)
        try:
            value = self._expression.evaluate(root, variables)
        except ExpressionError as exc:
            entry = trace_entry(self.at, scope.root, self.inputs.paths, UNDEFINED)
            raise EvaluationFailed(f"{exc} [{exc.code}]", at=self.at, entry=entry, code=exc.code) from None
        return value, trace_entry(self.at, scope.root, self.inputs.paths, value)

    def holds(self, scope: Scope) -> Verdict:
        """Its value cast to a boolean: undefined, ``null``, ``""``, 0, ``[]`` and ``{}`` are false."""
        value, entry = self.evaluate(scope)
        if truthy(value):
            return Verdict(True, (entry,))
        return Verdict(False, ({**entry, "why": why_false(entry)},))


_ALWAYS = Verdict(True)


@dataclass(frozen=True, slots=True)
class CompiledStep:
    """A step, ready to be evaluated."""

    at: str
    definition: Step
    run_if: Formula | None
    config: Formula | Template | None

    @property
    def is_stable(self) -> bool:
        """Whether the same scope always gives the same config: nothing asks for the time or for random numbers."""
        return not isinstance(self.config, Formula) or self.config.inputs.stable

    def within(self, limits: Limits) -> CompiledStep:
        """The same with other limits for its expressions."""
        config = self.config.within(limits) if isinstance(self.config, Formula) else self.config
        return dataclasses.replace(self, run_if=self.run_if and self.run_if.within(limits), config=config)

    def prepare(self, scope: Scope) -> Prepared:
        """Decide ``run_if``, then evaluate ``config``. Raises :class:`EvaluationFailed`."""
        verdict = self.run_if.holds(scope) if self.run_if else _ALWAYS
        if not verdict.holds:
            return Prepared(True, {}, verdict.trace)
        config, trace = self._configure(scope)
        return Prepared(False, config, (*verdict.trace, *trace))

    def _configure(self, scope: Scope) -> tuple[Mapping[str, Any], tuple[TraceEntry, ...]]:
        match self.config:
            case None:
                return {}, ()
            case Formula() as formula:
                value, entry = formula.evaluate(scope)
                at = formula.at
            case Template() as template:
                at = f"{self.at}.config"
                text = orjson.dumps(self.definition.config).decode()
                paths = tuple(tuple(found.split(".")) for found in _PLACEHOLDER.findall(text))
                try:
                    value = template.render(scope.root)
                except PlaceholderError as exc:
                    raise EvaluationFailed(str(exc), at=at, entry=trace_entry(at, scope.root, paths, None)) from None
                entry = trace_entry(at, scope.root, paths, UNDEFINED if value is NO_VALUE else value)
        if not isinstance(value, Mapping):
            raise EvaluationFailed(f"must give an object, not {_kind(value)}", at=at, entry=entry)
        return value, (entry,)


@dataclass(frozen=True, slots=True)
class CompiledWorkflow:
    """A workflow, ready to be evaluated. ``digest`` names this very definition."""

    definition: Definition
    digest: str
    run_if: Formula | None
    steps: tuple[CompiledStep, ...]

    def within(self, limits: Limits) -> CompiledWorkflow:
        """The same with other limits for its expressions."""
        steps = tuple(step.within(limits) for step in self.steps)
        return dataclasses.replace(self, run_if=self.run_if and self.run_if.within(limits), steps=steps)

    def decide(self, scope: Scope) -> Verdict:
        """What ``config.run_if`` says. Raises :class:`EvaluationFailed`: a run must not be skipped by mistake."""
        return self.run_if.holds(scope) if self.run_if else _ALWAYS


def compile_workflow(
    document: object, *, actions: Collection[str] | None = None, cron_actions: Collection[str] = ("run_sync_job",)
) -> CompiledWorkflow:
    """Check *document* and compile what is in it. Raises :class:`BadWorkflow` with every fault.

    *actions* are those that exist (``None``: not asked), *cron_actions* those that heed a ``cron_expression``.
    """
    definition = document if isinstance(document, Definition) else read_definition(document)
    faults: list[DefinitionFault] = []
    run_if = _formula(definition.config.run_if, "config.run_if", faults)
    steps = []
    for number, step in enumerate(definition.config.steps):
        at = f"config.steps.{number}"
        if actions is not None and step.action not in actions:
            known = ", ".join(sorted(actions))
            faults.append(DefinitionFault(f"{at}.action", f"{step.action!r} is not an action; known are {known}"))
        if step.cron_expression is not None and step.action not in cron_actions:
            faults.append(DefinitionFault(f"{at}.cron_expression", f"has no meaning for the action {step.action!r}"))
        config = _config(step, f"{at}.config", faults)
        steps.append(CompiledStep(at, step, _formula(step.run_if, f"{at}.run_if", faults), config))
    if faults:
        raise BadWorkflow(faults)
    return CompiledWorkflow(definition, digest_of(definition), run_if, tuple(steps))


def digest_of(definition: Definition) -> str:
    """A name for this definition: 32 hex characters, the same however it was written."""
    canonical = orjson.dumps(definition.document(), option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(canonical, digest_size=16).hexdigest()


def _formula(source: str | None, at: str, faults: list[DefinitionFault]) -> Formula | None:
    if source is None:
        return None
    try:
        return Formula.compile(source, at)
    except ExpressionError as exc:
        faults.append(DefinitionFault(at, f"is not valid JSONata: {exc}"))
        return None


def _config(step: Step, at: str, faults: list[DefinitionFault]) -> Formula | Template | None:
    if step.config is None or isinstance(step.config, str):
        return _formula(step.config, at, faults)
    try:
        return compile_template(step.config)
    except PlaceholderError as exc:
        faults.append(DefinitionFault(at, str(exc)))
        return None


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list():
            return "an array"
        case _:
            return "nothing (undefined)"
