"""Compile an expression once, evaluate it often."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from truto.errors import ExpressionError
from truto.expressions.builtins import builtin_functions
from truto.expressions.evaluator import Evaluator
from truto.expressions.functions import truto_functions
from truto.expressions.inputs import Inputs, read_inputs
from truto.expressions.library import JException, Jsonata, deep_stack
from truto.expressions.limits import Limits, Meter
from truto.expressions.outputs import Output, read_output
from truto.expressions.reach import Reach, read_reach
from truto.expressions.shortcut import UNDECIDED, compile_shortcut
from truto.expressions.values import to_internal, to_json

_LONGEST_MESSAGE = 300
_CODE = re.compile(r"[A-Z]\d{4}")


def _all_functions() -> Any:
    frame = Jsonata.Frame(None)
    for name, function in {**builtin_functions(), **truto_functions()}.items():
        frame.bind(name, function)
    return frame


_FUNCTIONS = _all_functions()


class Expression:
    """A compiled expression; it may be evaluated any number of times, and from several threads at once."""

    __slots__ = ("_compiled", "_shortcut", "limits", "source")

    def __init__(self, source: str, compiled: Evaluator, limits: Limits) -> None:
        self.source = source
        self.limits = limits
        self._compiled = compiled
        self._shortcut = compile_shortcut(compiled.ast)

    def __repr__(self) -> str:
        return f"Expression({self.source[:60]!r})"

    def shortcut(self, scope: Mapping[str, Any]) -> Any:
        """What :meth:`evaluate` would give, where that is a constant behind conditions that plainly do not hold.

        Costs a few lookups in *scope*. :data:`UNDECIDED` where the expression has to be evaluated.
        """
        return UNDECIDED if self._shortcut is None else self._shortcut(scope)

    def within(self, limits: Limits) -> Expression:
        """The same expression with other limits for its evaluations."""
        return Expression(self.source, self._compiled, limits)

    def inputs(self) -> Inputs:
        """What it reads of its scope; told from the source, so ask once and keep the answer."""
        return read_inputs(self._compiled.ast)

    def output(self, marks: frozenset[str]) -> Output:
        """Whether it gives its scope with other members; see :func:`~truto.expressions.outputs.read_output`."""
        with deep_stack(), _translated():
            return read_output(self._compiled.ast, marks)

    def reach(self, members: Iterable[tuple[str, ...]]) -> Reach:
        """How it may read *members* of its scope, given as paths; in doubt, it may."""
        return read_reach(self._compiled.ast, members)

    def evaluate(self, scope: Any, bindings: Mapping[str, Any] | None = None) -> Any:
        """The value of the expression as plain JSON in fresh lists and dicts, or :data:`UNDEFINED`.

        *scope* is plain JSON and becomes the root, so that ``body.x``, ``$.body.x`` and ``$$.body.x`` mean the same;
        *bindings* are variables by their names without the dollar sign. Neither is changed. ``null`` is ``None``.

        Raises :class:`ExpressionError` when the evaluation fails, crosses one of :attr:`limits`, when an input is not
        plain JSON, and when the result is not: a function, binary data. NaN is ``None``, as in JavaScript's JSON.
        """
        meter = Meter(self.limits)
        with deep_stack(), _translated(), self._compiled.started(meter) as running:
            names = bindings or {}
            inputs = to_internal([scope, *names.values()], meter)
            meter.start_clock()
            result = running.run(inputs[0], dict(zip(names, inputs[1:], strict=True)))
            return to_json(result, meter.limits, meter)


def compile_expression(text: str, *, limits: Limits | None = None) -> Expression:
    """Compile *text*; *limits* hold for every evaluation.

    Raises :class:`ExpressionError` with the position of what is wrong, or for a source that is too long. Unknown
    functions show only when they are called, as in JSONata.
    """
    limits = limits or Limits()
    if len(text) > limits.source_characters:
        raise ExpressionError(f"longer than {limits.source_characters} characters", code="limit_source")
    with deep_stack(), _translated(compiling=True):
        return Expression(text, Evaluator(text, _FUNCTIONS), limits)


@contextmanager
def _translated(*, compiling: bool = False) -> Iterator[None]:
    """Turn whatever the library raises into our error, without the values it puts into its messages."""
    try:
        yield
    except ExpressionError:
        raise
    except JException as error:
        if not _CODE.fullmatch(error.error):  # some of the library's errors have a sentence for a code
            raise ExpressionError(error.error, code="syntax" if compiling else "function") from None
        message = str(error) if compiling or error.error in ("D3137", "D3141") else _template(error.error)
        position = error.location if error.location is not None and error.location >= 0 else None
        raise ExpressionError(message[:_LONGEST_MESSAGE], code=error.error, position=position) from None
    except RecursionError:
        raise ExpressionError("nested too deeply", code="limit_depth") from None
    except MemoryError:
        raise ExpressionError("needs too much memory", code="limit_size") from None
    except Exception as error:  # noqa: BLE001 (the library lets Python's own errors through)
        if compiling:
            # The tokenizer reads past the end of some unfinished sources.
            raise ExpressionError("the expression is not complete or not valid", code="syntax") from None
        raise ExpressionError(f"{type(error).__name__} while evaluating", code="internal") from None


def _template(code: str) -> str:
    template = JException.error_codes.get(code, "evaluation failed")
    return re.sub(r"\{\{+\w+\}+\}", "…", template)
