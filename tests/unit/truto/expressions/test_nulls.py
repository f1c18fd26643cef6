"""``null`` is a value of its own: no function and no operator takes it for undefined, nor loses it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.truto.expressions.evaluating import evaluate, failure
from truto.expressions import UNDEFINED

SCOPE: dict[str, Any] = {"a": {"b": None, "l": [1, None], "x": 1}, "n": None}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$count(null)", 1),
        ("$count(n)", 1),
        ("$count([null, null])", 2),
        ("$count(nope)", 0),
        ("null ~> $count", 1),
        ("$sort(null)", [None]),
        ("$reverse(null)", [None]),
        ("$single(null)", None),
        ("$zip(null)", [[None]]),
        ("$zip([1, 2], [null, 3])", [[1, None], [2, 3]]),
        ("$zip(1, nope)", []),
        ("$map(null, function($x) { $type($x) })", "null"),
        ("$filter([null, 1], function($x) { $x = null })", None),
        ("$reduce([null, 1], function($l, $r) { $r })", 1),
        ("$append(null, 1)", [None, 1]),
        ("$append(nope, null)", None),
        ("$exists(null)", True),
        ("$boolean(null)", False),
        ("$type(null)", "null"),
        ("$string(null)", "null"),
        ("null in [1, null]", True),
        ("null ?? 1", None),
        ("null ?: 1", 1),
        ("(function($x)<l:x> { $type($x) })(null)", "null"),
        ("(function($x)<a:n> { $count($x) })(null)", 1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_null_is_taken_as_a_value(text: str, expected: Any) -> None:
    value = evaluate(text, SCOPE)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    "name",
    ["sum", "max", "min", "average", "merge"],
)
def test_null_is_no_array_of_what_a_function_adds_up(name: str) -> None:
    assert failure(f"${name}(null)").code == "T0412"
    assert evaluate(f"${name}(nope)") is UNDEFINED


@pytest.mark.parametrize(
    "text",
    [
        "$abs(null)",
        "$clone(null)",
        "$contains(null, 'a')",
        "$each(null, $string)",
        "$floor(null)",
        "$length(null)",
        "$lookup({'a': 1}, null)",
        "$lowercase(null)",
        "$number(null)",
        "$pad(null, 2)",
        "$power(2, null)",
        "$round(null)",
        "$round(1.5, null)",
        "$sift(null, $boolean)",
        "$split('a', ',', null)",
        "$string(1, null)",
        "$substring('abc', null)",
        "$trim(null)",
        "null ~> |$|{'x': 1}|",
        "(function($x)<n:n> { $x })(null)",
        "(function($x)<s?:n> { $x })(null)",
    ],
)
def test_null_is_neither_text_nor_number_nor_object(text: str) -> None:
    assert failure(text).code == "T0410"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$ ~> |$|{'x': 1}|", {**SCOPE, "x": 1}),
        ("$ ~> |a|{'x': null}|", {**SCOPE, "a": {"b": None, "l": [1, None], "x": None}}),
        ("a ~> |$|{}, 'x'|", {"b": None, "l": [1, None]}),
        ("a ~> |$|{}, ['x', 'none']|", {"b": None, "l": [1, None]}),
        ("nope ~> |$|{'x': 1}|", UNDEFINED),
        ("a ~> |$|nope|", SCOPE["a"]),
        ("[{'k': null}, {'k': 2}] ~> |$|{'seen': true}|", [{"k": None, "seen": True}, {"k": 2, "seen": True}]),
        ("$map([{'k': null}], |$|{'x': 1}|)", {"k": None, "x": 1}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_transform_keeps_every_null(text: str, expected: Any) -> None:
    assert evaluate(text, SCOPE) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a ~> |$|5|", "T2011"),
        ("a.l ~> |$|{'x': 1}|", "function"),
        ("a ~> |$|{}, 5|", "T2012"),
        ("a ~> |$|null|", "T2011"),
        ("a.x ~> |$|{}|", "T0410"),
    ],
)
def test_a_transform_refuses_what_is_no_update(text: str, code: str) -> None:
    assert failure(text, SCOPE).code == code


def test_a_transform_leaves_what_it_was_given() -> None:
    assert evaluate("[a ~> |$|{'x': 2}|, a].x", SCOPE) == [2, 1]
