"""What these tests call: compile and evaluate in one go."""

from __future__ import annotations

from typing import Any

import pytest

from truto.expressions import ExpressionError, Limits, compile_expression

# What these tests ask is what an expression gives; a slow machine may take its time, tests of bounds name their own.
PATIENT = Limits(seconds=2)


def evaluate(text: str, scope: Any = None, *, limits: Limits = PATIENT, **bindings: Any) -> Any:
    return compile_expression(text, limits=limits).evaluate({} if scope is None else scope, bindings)


def failure(text: str, scope: Any = None, *, limits: Limits = PATIENT, **bindings: Any) -> ExpressionError:
    with pytest.raises(ExpressionError) as raised:
        evaluate(text, scope, limits=limits, **bindings)
    return raised.value
