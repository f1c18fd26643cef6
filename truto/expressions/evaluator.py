"""jsonata-python with bounds: the same evaluator, with every operation that can grow measured first.

Its own ``timeout`` and ``stack`` are not used. They count from the moment of compilation, skip every array element and
object member but the first, and leave single operations such as a range unbounded. An evaluation is a shallow copy of
the compiled expression with a meter of its own, so that one expression can serve many threads at once.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from truto.expressions.grammar import install as install_grammar
from truto.expressions.grammar import repeats
from truto.expressions.library import NULL, Functions, JException, Jsonata, Utils
from truto.expressions.limits import Meter
from truto.expressions.paths import PathEvaluator
from truto.expressions.patterns import Pattern, engine
from truto.expressions.text_form import stringify
from truto.expressions.transform import Transform
from truto.expressions.values import truthy

_UNSET = object()


class Evaluator(PathEvaluator):
    """A compiled expression, and, once :meth:`started`, one evaluation of it."""

    input: Any

    def __init__(self, source: str, functions: Any) -> None:
        with current_kept():
            install_grammar()
            super().__init__(source, engine)
        if self.errors:
            raise self.errors[0]
        self.environment = functions
        self.set_validate_input(False)  # the input was copied and checked on its way in

    @contextmanager
    def started(self, meter: Meter) -> Iterator[Evaluator]:
        """One evaluation, installed as the current one of this thread, where the library looks for it."""
        running = copy.copy(self)
        running.meter = meter
        install_grammar()
        running.plain_paths = {}
        running.parser = Jsonata.get_parser()  # one for each thread: partial application parses
        with current_kept():
            Jsonata.CURRENT.jsonata = running
            yield running

    def run(self, scope: Any, bindings: Mapping[str, Any]) -> Any:
        """Evaluate against a *scope* and *bindings* that are in internal form already."""
        frame = self.create_frame(self.environment)
        frame.bind("$", scope)
        for name, value in bindings.items():
            frame.bind(name, value)
        self.timestamp = int(time.time() * 1000)
        if isinstance(scope, list):
            scope = Utils.create_sequence(scope)
            scope.outer_wrapper = True
        return self.eval(self.ast, scope, frame)

    def eval(self, expr: Any, input: Any, environment: Any) -> Any:  # noqa: A002 (the library's name)
        """The value of one node. The library tests kinds in a chain, and looks up the thread's evaluation."""
        leaf = _LEAVES.get(expr.type)
        if leaf is not None and expr.predicate is None and expr.group is None:
            self.meter.step()
            result = leaf(self, expr, input, environment)
        else:
            result = self._branch(expr, input, environment)
        if isinstance(result, list):
            if Utils.is_sequence(result):
                result = _unwrapped(result, expr)
            self.meter.measure(result)
        elif isinstance(result, dict):
            self.meter.measure(result)
        return result

    def _branch(self, expr: Any, input: Any, environment: Any) -> Any:  # noqa: A002
        outer = self.input, self.environment
        self.input, self.environment = input, environment  # where functions look for what is current
        self.meter.enter()
        kind = expr.type
        evaluate = _LEAVES.get(kind) or _BRANCHES.get(kind)
        result = None if evaluate is None else evaluate(self, expr, input, environment)
        for stage in expr.predicate or ():
            result = self.evaluate_filter(stage.expr, result, environment)
        if expr.group is not None and kind != "path":
            result = self.evaluate_group_expression(expr.group, result, environment)
        # What raises ends the evaluation, so that nothing has to be put back then.
        self.meter.leave()
        self.input, self.environment = outer
        return result

    def evaluate_binary(self, expr: Any, input: Any, environment: Any) -> Any:  # noqa: A002
        """``and`` and ``or``; the library puts an error of its own in the place of whatever stops their right side."""
        if expr.value not in ("and", "or"):
            return super().evaluate_binary(expr, input, environment)
        if truthy(self.eval(expr.lhs, input, environment)) is (expr.value == "or"):
            return expr.value == "or"
        return truthy(self.eval(expr.rhs, input, environment))

    def apply_inner(self, proc: Any, args: Any, input: Any, environment: Any) -> Any:  # noqa: A002
        """Refuse a value that is not a function; the library would print it to standard output first."""
        if not self.is_function_like(proc):
            raise JException("T1006", -1)
        if isinstance(proc, Pattern):
            return _matched(proc, *args[:2]) if args and isinstance(args[0], str) else None
        return super().apply_inner(proc, args, input, environment)

    def evaluate_condition(self, expr: Any, input: Any, environment: Any) -> Any:  # noqa: A002
        """``a ? b : c``, and ``a ?: b`` and ``a ?? b``, of which the library evaluates the left side twice."""
        other = expr._else  # noqa: SLF001
        if repeats(expr):
            value = self.eval(expr.then, input, environment)
            holds = truthy(value) if expr.condition is expr.then else value is not None
            return value if holds else self.eval(other, input, environment)
        if truthy(self.eval(expr.condition, input, environment)):
            return self.eval(expr.then, input, environment)
        return None if other is None else self.eval(other, input, environment)

    def evaluate_transform_expression(self, expr: Any, input: Any, environment: Any) -> Any:  # noqa: A002
        """``|pattern|update|``; the library's loses every ``null``."""
        del input
        return Transform(self, expr, environment)

    def evaluate_includes_expression(self, lhs: Any, rhs: Any) -> bool:
        """``a in b``: objects and arrays are in an array that holds themselves; 1 is not ``true``."""
        if lhs is None or rhs is None:
            return False
        items = rhs if isinstance(rhs, list) else [rhs]
        if isinstance(lhs, str) or lhs is NULL:
            return lhs in items
        if isinstance(lhs, bool | int | float):
            kinds = (bool,) if isinstance(lhs, bool) else (int, float)
            return any(item == lhs for item in items if type(item) in kinds)
        return any(item is lhs for item in items)

    def evaluate_range_expression(self, lhs: Any, rhs: Any) -> Any:
        """``[1..9]``, measured before it is made."""
        for bound, code in ((lhs, "T2003"), (rhs, "T2004")):
            if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int)):
                raise JException(code, -1)
        if lhs is None or rhs is None or lhs > rhs:
            return None
        self.meter.make_elements(rhs - lhs + 1)
        return Utils.create_sequence_from_iter(range(lhs, rhs + 1))

    def evaluate_string_concat(self, lhs: Any, rhs: Any) -> str:
        """``a & b``, measured before it is made."""
        left, right = ("" if side is None else stringify(side, self.meter) for side in (lhs, rhs))
        self.meter.make_text(len(left) + len(right))
        return left + right

    def evaluate_numeric_expression(self, lhs: Any, rhs: Any, op: str) -> Any:
        """Arithmetic as in JavaScript, where the library cuts ``%`` to integers and fails beyond the finite numbers."""
        for side, code in ((lhs, "T2001"), (rhs, "T2002")):
            if side is not None and not Utils.is_numeric(side):
                raise JException(code, -1)
        if lhs is None or rhs is None:
            return None
        if op in "/%" and rhs == 0:
            return math.nan if op == "%" or lhs == 0 else math.copysign(math.inf, lhs) * math.copysign(1, rhs)
        if op == "%":
            remainder = abs(lhs) % abs(rhs)
            return Utils.convert_number(-remainder if lhs < 0 else remainder)
        try:
            return super().evaluate_numeric_expression(lhs, rhs, op)
        except JException as error:
            if error.error != "D1001":
                raise
            return -math.inf if (lhs < 0) != (op in "*/" and rhs < 0) else math.inf


def _unwrapped(sequence: Any, expr: Any) -> Any:
    """A sequence of one is its element, and one of none is undefined."""
    if sequence.tuple_stream:
        return sequence
    if expr.keep_array:
        sequence.keep_singleton = True
    if not sequence:
        return None
    return sequence if len(sequence) > 1 or sequence.keep_singleton else sequence[0]


_Evaluation = Callable[[Evaluator, Any, Any, Any], Any]

_LEAVES: dict[str, _Evaluation] = {
    "name": lambda running, expr, scope, environment: Functions.lookup(scope, expr.value),
    "variable": Evaluator.evaluate_variable,
    "string": lambda running, expr, scope, environment: expr.value,
    "number": lambda running, expr, scope, environment: expr.value,
    "value": lambda running, expr, scope, environment: running.evaluate_literal(expr),
    "regex": lambda running, expr, scope, environment: expr.value,
}

_BRANCHES: dict[str, _Evaluation] = {
    "path": Evaluator.evaluate_path,
    "binary": Evaluator.evaluate_binary,
    "unary": Evaluator.evaluate_unary,
    "wildcard": lambda running, expr, scope, environment: running.evaluate_wildcard(expr, scope),
    "descendant": lambda running, expr, scope, environment: running.evaluate_descendants(expr, scope),
    "parent": lambda running, expr, scope, environment: environment.lookup(expr.slot.label),
    "condition": Evaluator.evaluate_condition,
    "block": Evaluator.evaluate_block,
    "bind": Evaluator.evaluate_bind_expression,
    "function": lambda running, expr, scope, environment: running.evaluate_function(
        expr, scope, environment, Utils.NONE
    ),
    "lambda": Evaluator.evaluate_lambda,
    "partial": Evaluator.evaluate_partial_application,
    "apply": Evaluator.evaluate_apply_expression,
    "transform": Evaluator.evaluate_transform_expression,
}


@contextmanager
def current_kept() -> Iterator[None]:
    """Put back the thread's current evaluation, which creating or starting another one replaces."""
    before = getattr(Jsonata.CURRENT, "jsonata", _UNSET)
    try:
        yield
    finally:
        if before is _UNSET:
            Jsonata.CURRENT.__dict__.pop("jsonata", None)
        else:
            Jsonata.CURRENT.jsonata = before


def current() -> Evaluator:
    """The evaluation that is running in this thread."""
    running = Jsonata.CURRENT.jsonata
    assert isinstance(running, Evaluator)
    return running


def arity(function: Any) -> int:
    """How many arguments JavaScript counts of a function value."""
    if isinstance(function, Pattern):
        return 2
    if isinstance(function, Jsonata.JFunctionCallable):
        return int(getattr(function, "arity", 1))
    return len(function.arguments)


def call(function: Any, *arguments: Any) -> Any:
    """Call a function value with as many of *arguments* as it takes, at least the first."""
    running = current()
    return running.apply(function, list(arguments[: max(1, arity(function))]), None, running.environment)


def _matched(pattern: Pattern, text: str, start: Any = 0) -> Any:
    """A regular expression called as a function: its first match at or behind *start*, which can give the next."""
    offset = int(start) if isinstance(start, int | float) and 0 < start <= len(text) else 0
    matches = pattern.finditer(text[offset:])

    def following() -> Any:
        found = next(matches, None)
        if found is None:
            return None
        groups = [NULL if group is None else group for group in found.groups()]
        place = {"start": found.start() + offset, "end": found.end() + offset}
        return {"match": found.group(), **place, "groups": groups, "next": Jsonata.JLambda(following)}

    return following()
