"""jsonata-python with bounds: the same evaluator, with every operation that can grow measured first.

Its own ``timeout`` and ``stack`` are not used. They count from the moment of compilation, skip every array element and
object member but the first, and leave single operations such as a range unbounded. An evaluation is a shallow copy of
the compiled expression with a meter of its own, so that one expression can serve many threads at once.
"""

from __future__ import annotations

import copy
import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from truto.expressions.glance import plain_path
from truto.expressions.grammar import install as install_grammar
from truto.expressions.grammar import repeats
from truto.expressions.library import NULL, Functions, JException, Jsonata, Utils
from truto.expressions.limits import Meter
from truto.expressions.patterns import Pattern, engine
from truto.expressions.text_form import stringify
from truto.expressions.transform import Transform

_UNSET = object()


class Evaluator(Jsonata):  # type: ignore[misc] # the library has no types
    """A compiled expression, and, once :meth:`started`, one evaluation of it."""

    meter: Meter
    plain_paths: dict[Any, tuple[str, ...] | None]
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
        """The value of one node; the library looks each one's kind up in a chain, and its thread's evaluation anew."""
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

    def evaluate_path(self, expr: Any, input: Any, environment: Any) -> Any:  # noqa: A002
        """A path; names of objects within objects are looked up, where the library makes two arrays for each."""
        names = self._plain_path(expr) if type(input) is dict else None
        found = input if names is None else _looked_up(input, names)
        return super().evaluate_path(expr, input, environment) if isinstance(found, list) or names is None else found

    def _plain_path(self, expr: Any) -> tuple[str, ...] | None:
        try:
            return self.plain_paths[expr]
        except KeyError:
            return self.plain_paths.setdefault(expr, plain_path(expr))

    def evaluate_binary(self, expr: Any, input: Any, environment: Any) -> Any:  # noqa: A002
        """``and`` and ``or``; the library puts an error of its own in the place of whatever stops their right side."""
        if expr.value not in ("and", "or"):
            return super().evaluate_binary(expr, input, environment)
        if self.boolize(self.eval(expr.lhs, input, environment)) is (expr.value == "or"):
            return expr.value == "or"
        return self.boolize(self.eval(expr.rhs, input, environment))

    def apply_inner(self, proc: Any, args: Any, input: Any, environment: Any) -> Any:  # noqa: A002
        """Refuse what is no function; the library prints it to standard output first."""
        if not self.is_function_like(proc):
            raise JException("T1006", -1)
        if isinstance(proc, Pattern):
            return _matched(proc, *args[:2]) if args and isinstance(args[0], str) else None
        return super().apply_inner(proc, args, input, environment)

    def evaluate_condition(self, expr: Any, input: Any, environment: Any) -> Any:  # noqa: A002
        """``a ? b : c``, and ``a ?: b`` and ``a ?? b``, of which the library evaluates the left side twice."""
        if not repeats(expr):
            return super().evaluate_condition(expr, input, environment)
        value = self.eval(expr.then, input, environment)
        holds = Jsonata.boolize(value) if expr.condition is expr.then else value is not None
        return value if holds else self.eval(expr._else, input, environment)  # noqa: SLF001

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
        """Arithmetic as in JavaScript, where the library cuts ``%`` to integers and fails on a division by zero."""
        for side, code in ((lhs, "T2001"), (rhs, "T2002")):
            if side is not None and not Utils.is_numeric(side):
                raise JException(code, -1)
        if lhs is None or rhs is None:
            return None
        if op in "/%" and rhs == 0:
            raise JException("D1001", -1)
        if op == "%":
            remainder = abs(lhs) % abs(rhs)
            return Utils.convert_number(-remainder if lhs < 0 else remainder)
        return super().evaluate_numeric_expression(lhs, rhs, op)

    def evaluate_step(self, expr: Any, input: Any, environment: Any, last_step: bool) -> Any:  # noqa: A002
        """One step of a path; the arrays that it joins are measured before, as the library does not."""
        if expr.type == "sort":
            return super().evaluate_step(expr, input, environment, last_step)
        found = []
        for item in input:
            result = self.eval(expr, item, environment)
            for stage in expr.stages or ():
                result = self.evaluate_filter(stage.expr, result, environment)
            if result is not None:
                found.append(result)
        if last_step and len(found) == 1 and isinstance(found[0], list) and not Utils.is_sequence(found[0]):
            return found[0]
        joined = Utils.create_sequence()
        for result in found:
            if isinstance(result, list) and not (isinstance(result, Utils.JList) and result.cons):
                self.meter.make_elements(len(result))
                joined.extend(result)
            else:
                joined.append(result)
        return joined

    def evaluate_tuple_step(self, expr: Any, input: Any, tuple_bindings: Any, environment: Any) -> Any:  # noqa: A002
        """One step of a join; what it pairs is measured for each binding before it is made, as the library does not."""
        if expr.type == "sort":
            return super().evaluate_tuple_step(expr, input, tuple_bindings, environment)
        joined = Utils.create_sequence()
        joined.tuple_stream = True
        for binding in [{"@": item} for item in input] if tuple_bindings is None else tuple_bindings:
            found = self.eval(expr, binding["@"], self.create_frame_from_tuple(environment, binding))
            items = found if isinstance(found, list) else () if found is None else (found,)
            self.meter.make_elements(len(items))
            self.meter.steps(len(items))
            streamed = getattr(found, "tuple_stream", False)
            for place, item in enumerate(items):
                joined.append({**binding, **(item if streamed else _bound(expr, binding["@"], place, item))})
        return joined if expr.stages is None else self.evaluate_stages(expr.stages, joined, environment)

    def evaluate_filter(self, predicate: Any, input: Any, environment: Any) -> Any:  # noqa: A002
        """``a[…]``; a fraction is rounded down, where the library rounds it towards zero."""
        items = input if isinstance(input, list) else () if input is None else (input,)
        streamed = getattr(input, "tuple_stream", False)
        kept = Utils.create_sequence()
        kept.tuple_stream = streamed
        if predicate.type == "number":
            place = _place(predicate.value, items)
            found = items[place] if 0 <= place < len(items) else None
            return found if isinstance(found, list) else _with(kept, found)
        if _is_fixed(predicate):
            places = sorted(_place(index, items) for index in self.eval(predicate, None, environment) or ())
            kept.extend(items[place] for place in places if 0 <= place < len(items))
            return kept
        for place, item in enumerate(items):
            context, frame = item, environment
            if streamed:
                context, frame = item["@"], self.create_frame_from_tuple(environment, item)
            found = self.eval(predicate, context, frame)
            indexes = None if isinstance(found, bool) else _indexes(found)
            if indexes is not None:
                kept.extend(item for index in indexes if _place(index, items) == place)
            elif Jsonata.boolize(found):
                kept.append(item)
        return kept

    def evaluate_sort_expression(self, expr: Any, input: Any, environment: Any) -> Any:  # noqa: A002
        """``^(…)``; a term is evaluated once for an element, where the library does so for each comparison."""
        if not isinstance(input, list) or len(input) < 2 or getattr(input, "tuple_stream", False):
            return super().evaluate_sort_expression(expr, input, environment)
        comparing = Jsonata.ComparatorWrapper(_Remembering(self), expr, environment, False)
        return sorted(input, key=functools.cmp_to_key(comparing.compare))

    def evaluate_wildcard(self, expr: Any, input: Any) -> Any:  # noqa: A002
        """``*``; the library copies the result once for each member that is an array."""
        del expr
        if isinstance(input, Utils.JList) and input.outer_wrapper and input:
            input = input[0]  # noqa: A001
        results = Utils.create_sequence()
        members = input.values() if isinstance(input, dict) else input if isinstance(input, list) else ()
        for member in members:
            self.meter.step()
            if isinstance(member, list):
                results.extend(self.flatten(member, None))
            else:
                results.append(member)
        return results

    def reduce_tuple_stream(self, tuple_stream: Any) -> Any:
        """Join the bindings of a group; the library copies what it has for each of them."""
        if not isinstance(tuple_stream, list) or len(tuple_stream) < 2:
            return super().reduce_tuple_stream(tuple_stream)
        result: dict[str, Any] = {}
        for each in tuple_stream:
            for name, value in each.items():
                self.meter.step()
                if value is not None:
                    joined = result.setdefault(name, Utils.create_sequence())
                    joined.extend(value if isinstance(value, list) else [value])
        return result


def _bound(expr: Any, scope: Any, place: int, item: Any) -> dict[str, Any]:
    """What a step of a join binds for one *item* that it found at *scope*."""
    bound = {"@": item} if expr.focus is None else {"@": scope, expr.focus: item}
    if expr.index is not None:
        bound[expr.index] = place
    if expr.ancestor is not None:
        bound[expr.ancestor.label] = scope
    return bound


def _indexes(found: Any) -> Any:
    """The numbers among which a place has to be, where a predicate gives numbers; else ``None``."""
    if Utils.is_numeric(found):
        return (found,)
    return found if Utils.is_array_of_numbers(found) else None


def _is_fixed(predicate: Any) -> bool:
    """Whether it is a list of written numbers and ranges, ``[[0..99]]``: the same for each item, so found once."""
    if predicate.type != "unary" or predicate.value != "[":
        return False
    return all(_is_number(one) or (one.value == ".." and _is_number(one.lhs, one.rhs)) for one in predicate.expressions)


def _is_number(*parts: Any) -> bool:
    return all(part.type == "number" for part in parts)


def _place(index: float, items: Sequence[Any]) -> int:
    """Where *index* points to; a negative one counts from the end."""
    whole = math.floor(index)
    return whole + len(items) if whole < 0 else whole


def _with(sequence: Any, item: Any) -> Any:
    if item is not None:
        sequence.append(item)
    return sequence


def _looked_up(found: Any, names: tuple[str, ...]) -> Any:
    """What is there under *names*, one in the other; a list, where one is on the way."""
    for name in names:
        if not isinstance(found, dict):
            return found if isinstance(found, list) else None
        found = found.get(name)
    return found


class _Remembering:
    """What a comparison asks of the evaluation: the values of its terms, which are the same each time."""

    def __init__(self, running: Evaluator) -> None:
        self._running = running
        self._known: dict[tuple[int, int], Any] = {}

    def eval(self, expr: Any, input: Any, environment: Any) -> Any:  # noqa: A002
        self._running.meter.step()
        asked = id(expr), id(input)  # both live as long as the sorting does
        if asked not in self._known:
            self._known[asked] = self._running.eval(expr, input, environment)
        return self._known[asked]


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
