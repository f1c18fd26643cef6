"""A crossed limit is told as one, wherever in an expression it is crossed: who may allow more has to know."""

from __future__ import annotations

import pytest

from tests.unit.truto.expressions.evaluating import evaluate, failure
from truto.expressions import ExpressionError, Limits, compile_expression
from truto.expressions.builtins import builtin_functions
from truto.expressions.functions import truto_functions

SCOPE = {"a": [3, 1, 2], "o": {"x": 1, "y": 2}, "rows": [{"x": 1}, {"x": 2}]}

CROSSING = {
    "limit_size": "[1..1000000000]",
    "limit_time": "($loop := function($x) { $loop($x) }; $loop(1))",
    "limit_depth": "($deep := function($x) { 1 + $deep($x) }; $deep(1))",
    "limit_source": "$eval($pad('1', 5000, '+1'))",
}

PLACES = [
    "<> and true",
    "true and <>",
    "false or <>",
    "<> or true",
    "false or (true and <>)",
    "a[x = 1] or $count(a[<>]) > 0",
    "$not(true and <>)",
    "(true and <>) ? 1 : 2",
    "true ? <> : 1",
    "false ? 1 : <>",
    "<> ?: 1",
    "nothing ?: <>",
    "<> ?? 1",
    "nothing ?? <>",
    "$exists(<>)",
    "[1, <>]",
    "{'k': <>}",
    "{$string(<>): 1}",
    "a.(<>)",
    "a[<>]",
    "a^(<>)",
    "rows^($type(x), <>)",
    "rows{$string(x): <>}",
    "rows@$r.(<>)",
    "rows#$i[<>]",
    "**[<>]",
    "(<>; 1)",
    "($v := <>; 1)",
    "<> + 1",
    "1 - <>",
    "<> = 1",
    "1 != <>",
    "1 < <>",
    "<> & 'x'",
    "'x' & <>",
    "<> in a",
    "1 in <>",
    "[1..<>]",
    "-(<>)",
    "<> ~> $count",
    "a ~> $map(function($v) { <> })",
    "o ~> |$|{'x': <>}|",
    "o ~> |x[<>]|{}|",
    "o ~> |$|{}, <>|",
    "($f := $append(?, <>); $f(1))",
    "($f := function($x) { <> }; $g := $f ~> $count; $g(1))",
    "function($x) { true and <> }(1)",
    "$replace('abc', /b/, function($m) { <> })",
    "($f := function() { <> }; $eval('true and $f()'))",
]

CALLED_BACK = {
    "each": "$each(o, $cross)",
    "filter": "$filter(a, $cross)",
    "map": "$map(a, $cross)",
    "reduce": "$reduce(a, $cross)",
    "replace": "$replace('abc', /b/, $cross)",
    "sift": "$sift(o, $cross)",
    "single": "$single(a, $cross)",
    "sort": "$sort(a, $cross)",
}
FUNCTIONS = sorted({**builtin_functions(), **truto_functions()})
LIMITS = {code: Limits(seconds=0.02 if code == "limit_time" else 2.0) for code in CROSSING}
"""Little time where that is to be crossed, and more than the others take where it is not."""


@pytest.mark.parametrize("code", CROSSING)
@pytest.mark.parametrize("place", PLACES)
def test_a_limit_crossed_anywhere_in_an_expression_is_told_as_what_it_is(place: str, code: str) -> None:
    assert failure(place.replace("<>", CROSSING[code]), SCOPE, limits=LIMITS[code]).code == code


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_limit_crossed_in_an_argument_is_told_as_what_it_is(name: str) -> None:
    assert failure(f"true and ${name}({CROSSING['limit_size']})", SCOPE).code == "limit_size"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_that_calls_back_is_among_those_tried(name: str) -> None:
    """A new function that calls back has to get its line."""
    told = "$error('called back')"
    codes = set()
    for arguments in ("a, $f", "o, $f", "rows, $f", "rows, [$f]", "'abc', /b/, $f", "$f, a", "a, a, $f"):
        try:
            compile_expression(f"($f := function($x, $y) {{ {told} }}; ${name}({arguments}))").evaluate(SCOPE)
        except ExpressionError as error:
            codes.add(error.code)
    assert ("D3137" in codes and name != "error") is (name in CALLED_BACK)


@pytest.mark.parametrize("code", CROSSING)
@pytest.mark.parametrize("name", CALLED_BACK)
def test_a_limit_crossed_in_a_callback_is_told_as_what_it_is(name: str, code: str) -> None:
    text = f"($cross := function($x, $y) {{ {CROSSING[code]} }}; true and {CALLED_BACK[name]})"
    assert failure(text, SCOPE, limits=LIMITS[code]).code == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("true and $round(1, 1e9)", "function"),
        ("false or $base64decode({})", "function"),
        ("true and $sum('x' + 1)", "T2001"),
        ("true and $number('x')", "D3030"),
        ("true and $eval('/(?=x)/')", "regex"),
        ("true and $xmlToJs('<')", "function"),
    ],
    ids=str,
)
def test_what_fails_on_the_right_of_and_keeps_its_code(text: str, code: str) -> None:
    assert failure(text).code == code


def test_running_out_of_memory_or_stack_on_the_right_of_and_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    for error, code in ((MemoryError, "limit_size"), (RecursionError, "limit_depth")):

        def exhausted(*_: object, error: type[Exception] = error) -> None:
            raise error

        monkeypatch.setattr("truto.expressions.evaluator.Evaluator.evaluate_string_concat", exhausted)
        assert failure("true and 'a' & 'b'").code == code


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true and 1", True),
        ("1 and nothing", False),
        ("nothing and $error('not asked')", False),
        ("'x' or $error('not asked')", True),
        ("nothing or []", False),
        ("null or [0, 1]", True),
        ("(true and {'x': 1})[0]", True),
        ("a[$ > 1 and $ < 3]", 2),
        ("$and = nothing and `and`.or = 1", False),
    ],
    ids=str,
)
def test_and_and_or_give_booleans_and_ask_their_right_side_only_where_it_counts(text: str, value: object) -> None:
    assert evaluate(text, SCOPE) is value or evaluate(text, SCOPE) == value
