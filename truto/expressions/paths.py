"""The steps of a path: looked up, filtered, sorted, joined and paired, each measured before it is made."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

from truto.expressions.library import Jsonata, Utils
from truto.expressions.limits import Meter
from truto.expressions.shortcut import plain_path
from truto.expressions.values import truthy


class PathEvaluator(Jsonata):  # type: ignore[misc] # the library has no types
    """The part of an evaluation that is about paths."""

    meter: Meter
    plain_paths: dict[Any, tuple[str, ...] | None]

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
            elif truthy(found):
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

    def __init__(self, running: PathEvaluator) -> None:
        self._running = running
        self._known: dict[tuple[int, int], Any] = {}

    def eval(self, expr: Any, input: Any, environment: Any) -> Any:  # noqa: A002
        self._running.meter.step()
        asked = id(expr), id(input)  # both live as long as the sorting does
        if asked not in self._known:
            self._known[asked] = self._running.eval(expr, input, environment)
        return self._known[asked]
