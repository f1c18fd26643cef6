"""The expressions of a ``webhook`` block. Imported only for sources that have some: it brings JSONata with it."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from ingress.errors import Unusable
from ingress.verification.complexity import MAX_PARTS
from ingress.verification.context import DeliveryContext
from truto.expressions import (
    UNDECIDED,
    UNDEFINED,
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

LIMITS = Limits(text_characters=8_000_000, max_seconds=20.0, objects=MAX_PARTS)
"""A delivery's: tighter than usual, since strangers choose the input. Any body that is let in has to fit.

What takes longer would be answered too late: a request has 45 s. As many objects as a body may have parts fit into a
pod of 256 MiB; a body may hold five times as many numbers.
"""

UNPROVEN_SECONDS = 2.0
"""CPU time of one evaluation before the sender is proven, however large its input.

To read the largest body, and to take a signature out of a header, takes about one. What looks at each of a million
values takes more: in proportion to the body, one delivery of a stranger would keep every other source waiting for 20 s.
"""


_ROOT = re.compile(r"\$\$\s*\.\s*([\w.`-]+)|\$lookup\(\s*\$\$\s*,\s*['\"](\w+)['\"]")


def _from_root(source: str) -> Iterator[tuple[str, ...]]:
    for path, name in _ROOT.findall(source):
        yield tuple(part.strip("`") for part in (path or name).split("."))


# Thousands of sources may be of one preset: they share its expressions, and what is told of them.
_remembered = functools.lru_cache(maxsize=256)
_inputs = _remembered(Expression.inputs)
_reach = _remembered(Expression.reach)


@_remembered
def _compiled(source: str, limits: Limits) -> Expression:
    return compile_expression(source, limits=limits)


class Step:
    """One compiled expression over a delivery's context. Raises :class:`ValueError` when it is not valid."""

    def __init__(self, source: str) -> None:
        try:
            self._expression: Expression = _compiled(source, LIMITS)
        except ExpressionError as exc:
            raise ValueError(str(exc)) from None
        self._unproven = self._expression.within(replace(LIMITS, max_seconds=UNPROVEN_SECONDS))

    def paths(self) -> set[tuple[str, ...]]:
        """The paths it reads of a context, as far as its text tells; told anew each time."""
        return {*_inputs(self._expression).paths, *_from_root(self._expression.source)}

    def reach(self, members: Iterable[tuple[str, ...]]) -> Reach:
        """How it may read *members* of the context, given as paths."""
        return _reach(self._expression, frozenset(members))

    def output(self) -> Output:
        """Whether it gives a context, told from its source alone, or events."""
        return self._expression.output(CONTEXT_MARKS)

    @property
    def reads_body(self) -> bool:
        """Whether its value may depend on the body."""
        inputs = _inputs(self._expression)
        return inputs.whole or not inputs.roots <= _IN_THE_HEAD

    def needs_evaluation(self, context: DeliveryContext) -> bool:
        """Whether the value for *context* needs an evaluation by JSONata."""
        return self._expression.shortcut(context) is UNDECIDED

    def evaluate(self, context: DeliveryContext, *, proven: bool) -> Any:
        """The value of the expression, ``None`` for ``null`` and undefined alike.

        Without a *proven* sender, the time for it does not grow beyond :data:`UNPROVEN_SECONDS`.

        ``$header`` and ``$headers`` are the headers, ``$event`` and ``$body`` the body, as some of Truto's samples
        write them (skill: admin-commands). Raises :class:`Unusable`.
        """
        told = self._expression.shortcut(context)
        if told is not UNDECIDED:
            return None if told is UNDEFINED else told
        scope = context.plain()
        headers, body = scope["headers"], scope.get("body")
        try:
            value = (self._expression if proven else self._unproven).evaluate(
                scope, {"header": headers, "headers": headers, "event": body, "body": body, "query": scope["query"]}
            )
        except ExpressionError as exc:
            raise Unusable("expression_failed", f"{exc.code}: {exc}") from None
        return None if value is UNDEFINED else value
