"""The expressions of a ``webhook`` block. Imported only for sources that have some: it brings JSONata with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ingress.verification.context import DeliveryContext
from ingress.verification.outcome import Unusable
from truto.expressions import (
    UNDEFINED,
    UNTOLD,
    Expression,
    ExpressionError,
    Limits,
    Output,
    Reach,
    compile_expression,
)

CONTEXT_MARKS = frozenset({"headers", "raw_body"})
"""An object whose source writes one of these is a context."""

_IN_THE_HEAD = frozenset({"headers", "method", "path", "query", "url", "context", "environment_variables", "env"})

LIMITS = Limits(text_characters=8_000_000)
"""A delivery's: tighter than usual, since strangers choose the input. Any body that is let in has to fit."""


_ROOT = re.compile(r"\$\$\s*\.\s*([\w.`-]+)|\$lookup\(\s*\$\$\s*,\s*['\"](\w+)['\"]")


def _from_root(source: str) -> Iterator[tuple[str, ...]]:
    for path, name in _ROOT.findall(source):
        yield tuple(part.strip("`") for part in (path or name).split("."))


class Step:
    """One compiled expression over a delivery's context. Raises :class:`ValueError` when it is not valid."""

    def __init__(self, source: str) -> None:
        try:
            self._expression: Expression = compile_expression(source, limits=LIMITS)
        except ExpressionError as exc:
            raise ValueError(str(exc)) from None

    def paths(self) -> set[tuple[str, ...]]:
        """The paths it reads of a context, as far as its text tells; told anew each time."""
        return {*self._expression.inputs().paths, *_from_root(self._expression.source)}

    def reach(self, members: Iterable[tuple[str, ...]]) -> Reach:
        """How it may read *members* of the context, given as paths."""
        return self._expression.reach(members)

    def output(self) -> Output:
        """Whether it gives a context, told from its source alone, or events."""
        return self._expression.output(CONTEXT_MARKS)

    @property
    def reads_body(self) -> bool:
        """Whether its value may depend on the body."""
        inputs = self._expression.inputs()
        return inputs.whole or not inputs.roots <= _IN_THE_HEAD

    def needs_evaluation(self, context: DeliveryContext) -> bool:
        """Whether JSONata has to be asked for the value; else a glance at *context* tells it."""
        return self._expression.glance(context) is UNTOLD

    def evaluate(self, context: DeliveryContext) -> Any:
        """The value of the expression, ``None`` for ``null`` and undefined alike.

        ``$header`` and ``$headers`` are the headers, ``$event`` and ``$body`` the body, as some of Truto's samples
        write them (skill: admin-commands). Raises :class:`Unusable`.
        """
        told = self._expression.glance(context)
        if told is not UNTOLD:
            return None if told is UNDEFINED else told
        scope = context.plain()
        headers, body = scope["headers"], scope.get("body")
        try:
            value = self._expression.evaluate(
                scope, {"header": headers, "headers": headers, "event": body, "body": body, "query": scope["query"]}
            )
        except ExpressionError as exc:
            raise Unusable("expression_failed", f"{exc.code}: {exc}") from None
        return None if value is UNDEFINED else value
