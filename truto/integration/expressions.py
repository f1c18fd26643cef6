"""The JSONata of a definition: compiled once, evaluated within bounds and away from the loop, and told of."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from typing import Any

from truto.errors import ExpressionError, IntegrationFailed
from truto.expressions import UNDEFINED, Expression, Inputs, Limits, compile_expression, truthy
from truto.expressions.tracing import TraceEntry, trace_entry

LIMITS = Limits(seconds=1.0)
"""More time than a workflow has: what is read here are whole pages of records."""

Tell = Callable[[TraceEntry], None]
"""Takes what happened: an expression that was evaluated, a request, an answer, a note."""


@functools.lru_cache(maxsize=1000)
def compiled(source: str) -> tuple[Expression, Inputs]:
    """The expression with what it reads. Raises :class:`ExpressionError`."""
    expression = compile_expression(source, limits=LIMITS)
    return expression, expression.inputs()


async def evaluate(source: str, at: str, scope: Mapping[str, Any], tell: Tell) -> Any:
    """The value of *source*, which stands at *at*; ``None`` for undefined. Raises :class:`IntegrationFailed`."""
    try:
        expression, inputs = compiled(source)
        seen = scope if inputs.whole else {name: scope[name] for name in inputs.roots if name in scope}
        bound = {"previous": scope["previous"]} if "previous" in scope else {}
        value = await asyncio.to_thread(expression.evaluate, seen, bound)
    except ExpressionError as exc:
        raise IntegrationFailed(f"the expression failed: {exc} [{exc.code}]", at=at) from None
    tell({"expression": trace_entry(at, scope, inputs.paths, value)})
    return None if value is UNDEFINED else value


__all__ = ["LIMITS", "Tell", "compiled", "evaluate", "truthy"]
