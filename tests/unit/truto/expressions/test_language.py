"""The language itself: scopes, results, errors, truth, and the points that bite."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.truto.expressions.evaluating import PATIENT, evaluate, failure
from truto.expressions import UNDEFINED, ExpressionError, Undefined, compile_expression, truthy

SCOPE: dict[str, Any] = {
    "body": {"x": 1, "list": [{"id": 1, "ok": True}, {"id": 2}], "nil": None, "one": [7]},
    "headers": {"x-signature": "abc"},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("body.x", 1),
        ("$.body.x", 1),
        ("$$.body.x", 1),
        ("headers.`x-signature`", "abc"),
        ("nope", UNDEFINED),
        ("nope = 'x'", False),
        ("nope != 'x'", False),
        ("nope = nope", False),
        ("$boolean(nope)", UNDEFINED),
        ("body.list[ok != false].id", 1),
        ("body.x = 1 ? 'yes'", "yes"),
        ("body.x = 2 ? 'yes'", UNDEFINED),
        ("{'a': body.x = 2 ? 'yes', 'b': 1}", {"b": 1}),
        ("$substringAfter('abc', 'z')", "abc"),
        ("$substringAfter(nope, 'z')", UNDEFINED),
        ("body.one", [7]),
        ("body.list[id=1].id", 1),
        ("body.list[id=1].id[]", [1]),
        ("( $a := 1; $b := 2; $a + $b )", 3),
        ("body.nil", None),
        ("body.nil = null", True),
        ("[null, body.nil]", [None, None]),
        ("[nope, 1]", [1]),
        ("body.list.id", [1, 2]),
        ("body.list^(>id).id", [2, 1]),
        ("body.list{$string(id): $count($)}", {"1": 1, "2": 1}),
        ("body.list@$v.$v.id", [1, 2]),
        ("body.list#$i.{'i': $i}", [{"i": 0}, {"i": 1}]),
        ("body.list@$v.{'all': $v.id}", [{"all": 1}, {"all": 2}]),
        ("body.list@$v.$$.body.list{'all': $v.id}", {"all": [1, 1, 2, 2]}),
        ("$map(body.list, function($v, $i) { $v.id * $i })", [0, 2]),
        ("$reduce([1..4], function($a, $b) { $a + $b })", 10),
        ("body.list.id ~> $sum", 3),
        ("($uppercase ~> $lowercase)('aB')", "ab"),
        ("($join2 := $wrap(?, '<', '>'); $join2('a'))", "<a>"),
        ("($first3 := $substring(?, 0, 3); $first3('abcdef'))", "abc"),
        ("[1, 2].($ * 2)", [2, 4]),
        ("[[1, 2], [3]]", [[1, 2], [3]]),
        ("-5 % 3", -2),
        ("5.5 % 2", 1.5),
        ("nope % 2", UNDEFINED),
        ("7 / 2", 3.5),
        ("[5..3]", []),
        ("[nope..3]", []),
        ("'a' & 1 & null & nope & true & {'b': 1.0}", 'a1nulltrue{"b":1}'),
        ("body.*", [1, {"id": 1, "ok": True}, {"id": 2}, None, 7]),
        ("$count(**)", 12),
        ("/b+/('abba').match", "bb"),
        ("$x", UNDEFINED),
        ("-5 ?: 99", -5),
        ("-5 ?? 99", -5),
        ("(body.list.id)[-1] ?: 42", 2),
        ("(body.list.id)[-9] ?: 42", 42),
        ("[[1, 2], [3]][0] ?: 9", [1, 2]),
        ("[[1, 2], [3]][0] ?? 9", [1, 2]),
        ("nope ?? -1", -1),
        ("0 ?: nope ?: 'last'", "last"),
        ("body.list{$string(id): ok} ?: 1", {"1": True}),
        ("($f := function($n) { (($n = 0 ? 7 : 0) ?: $f($n - 1)) }; $f(3))", 7),
        ("(body.list.id)[-0.5]", 2),
        ("(body.list.id)[1.9]", 2),
        (r"'\ud83d\ude00'", "\U0001f600"),
        (r"$length('\ud83d\ude00x')", 2),
        (r"{'\uD83D\uDE00': 1}", {"\U0001f600": 1}),
        (r"'\ud83d\ude00'" + " = '\U0001f600'", True),
        ("1 in [true]", False),
        ("true in [true]", True),
        ("1 in [1.0]", True),
        ("'1' in [1]", False),
        ("body.list[0] in body.list", True),
        ("{'id': 2} in body.list", False),
        ("[1] in [[1]]", False),
        ("1 in [1, 2]", True),
        ("($f := function($n) { $n <= 1 ? 1 : $n * $f($n - 1) }; $f(10))", 3628800),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_expression_gives(text: str, expected: Any) -> None:
    value = evaluate(text, SCOPE)
    assert value == expected
    assert type(value) is type(expected)


def test_a_transform_changes_a_copy() -> None:
    before = json.dumps(SCOPE)
    assert evaluate("body ~> |list|{'seen': true}, ['ok']|", SCOPE)["list"] == [
        {"id": 1, "seen": True},
        {"id": 2, "seen": True},
    ]
    assert json.dumps(SCOPE) == before


def test_an_array_as_the_scope_is_one_input() -> None:
    assert evaluate("$count($)", [1, 2, 3]) == 3
    assert evaluate("*", [[1], 2]) == [1, 2]
    assert evaluate("$string($)", [1]) == "[1]"


@pytest.mark.parametrize("scope", ["text", 5, None, True, [1, [2]]], ids=repr)
def test_any_json_may_be_the_scope(scope: Any) -> None:
    assert compile_expression("$").evaluate(scope) == scope


def test_bindings_are_variables() -> None:
    assert evaluate("$event.id & $header.h", event={"id": "e"}, header={"h": None}) == "enull"


def test_a_result_shares_nothing_with_the_scope() -> None:
    scope = {"a": {"b": [1]}}
    value = evaluate("a", scope)
    value["b"].append(2)
    assert scope == {"a": {"b": [1]}}
    assert type(value) is dict
    assert type(value["b"]) is list


def test_an_expression_may_be_evaluated_again_later() -> None:
    expression = compile_expression("( $n := $n + x; $n )")
    assert [expression.evaluate({"x": x}, {"n": 1}) for x in (1, 2, 1)] == [2, 3, 2]


def test_one_expression_serves_several_threads_at_once() -> None:
    expression = compile_expression("$sum($map([1..50], function($i) { $i * n })) + $eval('n')", limits=PATIENT)
    wrong: list[Any] = []

    def work(n: int) -> None:
        for _ in range(10):
            value = expression.evaluate({"n": n})
            if value != 1275 * n + n:
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "code", "position"),
    [
        ("(a", "S0203", 2),
        ("a ] b", "S0201", 3),
        ("'abc", "S0101", 4),
        ("", "S0207", 0),
        ("a ? b :", "S0207", 7),
        ("/* never closed", "syntax", None),
        ("a[/(/]", "S0302", 6),
        ("a[/(?=x)/]", "regex", None),
        (r"a[/(x)\1/]", "regex", None),
        ("(" * 5000 + "1" + ")" * 5000, "limit_depth", None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_bad_syntax_is_refused_with_its_position(text: str, code: str, position: int | None) -> None:
    with pytest.raises(ExpressionError) as raised:
        compile_expression(text)
    assert (raised.value.code, raised.value.position) == (code, position)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("'a' + 1", "T2001"),
        ("'a' - 1", "T2001"),
        ("1 - 'a'", "T2002"),
        ("1 / 0 + 1", "D1001"),
        ("$string(1 / 0)", "D3001"),
        ("1 < 'a'", "T2009"),
        ("$nope()", "T1006"),
        ("(5)()", "T1006"),
        ("['a'..3]", "T2003"),
        ("[1..true]", "T2004"),
        ("{1: 2}", "T1003"),
        ("$error('because')", "D3137"),
        ("$assert(false, 'because')", "D3141"),
        ("$eval('(')", "S0203"),
    ],
    ids=str,
)
def test_a_failing_evaluation_names_jsonatas_code(text: str, code: str) -> None:
    assert failure(text).code == code


def test_an_error_quotes_what_its_author_wrote_and_nothing_else() -> None:
    assert "because" in str(failure("$error('because')"))
    scope = {"secret": "hunter2"}
    for text in (
        "secret < 1",
        "secret + 1",
        "{'a': 1, secret: 2, secret: 3}",
        "$base64decode(secret & '!')",
        "$toMillis(secret)",
    ):
        error = failure(text, scope)
        assert "hunter2" not in repr(error) + str(error.__cause__)


@pytest.mark.parametrize(
    "text",
    [
        "$sum",
        "function($x) { $x }",
        "{'f': $sum}",
        "{'f': /a/}",
        "$base64ToBlob('AA')",
        "$dependencyGraph([])",
    ],
    ids=str,
)
def test_a_result_that_is_not_json_is_an_error(text: str) -> None:
    assert failure(text).code == "result"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("$toNumber('x')", None), ("{'n': $toNumber('x')}", {"n": None}), ("[$toNumber('Infinity')]", [None])],
)
def test_what_is_no_number_is_null_in_the_result(text: str, expected: Any) -> None:
    assert evaluate(text) == expected


def test_the_left_side_of_many_defaults_is_read_once() -> None:
    depth = 40
    assert evaluate("(" * depth + "a" + " ?: b)" * depth, {"a": 1}) == 1


def test_a_result_with_half_a_character_is_an_error() -> None:
    assert failure(r"'\ud800'").code == "result"


@pytest.mark.parametrize("number", [1e300 * 1e300, float("nan")], ids=repr)
def test_an_input_number_that_is_not_json_is_refused(number: float) -> None:
    assert failure("a", {"a": number}).code == "input"


@pytest.mark.parametrize("value", [b"bytes", {1: 2}, {1, 2}, object()], ids=lambda value: type(value).__name__)
def test_an_input_that_is_not_json_is_refused(value: Any) -> None:
    assert failure("a", {"a": value}).code == "input"


def test_an_integer_beyond_64_bits_becomes_a_double() -> None:
    assert evaluate("$power(10, 300)") == 1e300


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (UNDEFINED, False),
        (None, False),
        ("", False),
        (0, False),
        (0.0, False),
        (float("nan"), False),
        ([], False),
        ({}, False),
        ([0, [""]], False),
        (False, False),
        (object(), False),
        ("false", True),
        (-1, True),
        ([0, 1], True),
        ({"a": None}, True),
        (True, True),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_truth_is_jsonatas_cast_to_boolean(value: object, expected: bool) -> None:
    assert truthy(value) is expected


@settings(deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=2), st.lists, max_leaves=6))
def test_truth_agrees_with_the_language(value: Any) -> None:
    assert truthy(value) is (evaluate("$boolean(v)", {"v": value}) is True)


def test_undefined_is_one_false_value() -> None:
    assert Undefined() is UNDEFINED
    assert (bool(UNDEFINED), repr(UNDEFINED)) == (False, "UNDEFINED")


def test_an_expression_shows_its_beginning() -> None:
    assert repr(compile_expression("a.b")) == "Expression('a.b')"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(JSON)
def test_any_json_passes_through_unchanged(value: Any) -> None:
    assert compile_expression("v").evaluate({"v": value}) == value


@settings(deadline=None)
@given(st.text(alphabet="ab$.()[]{}'1+&,:?=<~>|/*^@#%`! ", max_size=20))
def test_any_source_evaluates_or_raises_our_own_error(text: str) -> None:
    try:
        value = evaluate(text, {"a": [1, {"b": "x"}], "b": None})
    except ExpressionError:
        return
    assert value is UNDEFINED or isinstance(value, str | int | float | list | Mapping | None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a[-1.2]", 3),
        ("a[(-1.2)]", 3),
        ("a[(-0.5)]", 4),
        ("a[(1.7)]", 2),
        ("a[$$.i]", 3),
        ("a[[0.5, -0.5]]", [1, 4]),
        ("(a)[(-1.2)]", 3),
        ("a[[1..2]]", [2, 3]),
        ("a[[-1, 0, 0.9, 7, -9]]", [1, 1, 4]),
        ("a[[3..1]] ?: 'none'", "none"),
        ("a[[]] ?: 'none'", "none"),
        ("a[[[0..1], 3]]", [1, 2, 3, 4]),
        ("a[[0..$$.i2]]", [1, 2, 3]),
        ("a@$v[[1..2]].$v", [2, 3]),
        ("a[(-9.5)] ?: 'none'", "none"),
        ("a[$ > 1.5 and $ < 3.5]", [2, 3]),
        ("a[0]", 1),
        ("a[-1]", 4),
    ],
    ids=str,
)
def test_an_index_is_rounded_down_however_it_is_written(text: str, value: object) -> None:
    assert evaluate(text, {"a": [1, 2, 3, 4], "i": -1.2, "i2": 2}) == value


def test_a_null_is_kept_by_an_index_and_by_a_condition() -> None:
    assert evaluate("[a[1], a[$ = null]]", {"a": [1, None]}) == [None, None]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("loans@$l.$$.books@$b[$l.isbn = $b.isbn].{$b.t: $l.by}", [{"A": 1}, {"B": 2}]),
        ("loans@$l.$$.books@$b[$l.isbn = $b.isbn][1].$b.t", "B"),
        ("loans#$i.{'i': $i, 'by': by}", [{"i": 0, "by": 1}, {"i": 1, "by": 2}]),
        ("books.t.{'t': $, 'isbn': %.isbn}", [{"t": "A", "isbn": 7}, {"t": "B", "isbn": 8}]),
    ],
    ids=["on a condition", "by its place", "positions", "parents"],
)
def test_joins_bind_what_they_pair(text: str, value: object) -> None:
    loans, books = [{"isbn": 7, "by": 1}, {"isbn": 8, "by": 2}], [{"isbn": 7, "t": "A"}, {"isbn": 8, "t": "B"}]
    assert evaluate(text, {"loans": loans, "books": books}) == value
