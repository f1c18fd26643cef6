"""Each function and operator of JSONata once, as its documentation (docs.jsonata.org) says: with the value it gives."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.truto.expressions.evaluating import evaluate, failure
from truto.expressions import UNDEFINED
from truto.expressions.library import Jsonata

SCOPE: dict[str, Any] = {
    "n": [1, 3, 2],
    "t": "Hello World",
    "rows": [{"id": 1, "k": "a", "in": {"v": 7}}, {"id": 2, "k": "b", "in": {"v": 8}}],
    "one": {"a": 1, "b": [2, 3]},
}

FUNCTIONS: dict[str, tuple[str, Any]] = {
    "abs": ("$abs(-5)", 5),
    "append": ("$append([1, 2], [3])", [1, 2, 3]),
    "assert": ("$assert(1 = 1, 'never')", UNDEFINED),
    "average": ("$average([5, 15, 1])", 7),
    "base64decode": ("$base64decode('bXlzdHJpbmc=')", "mystring"),
    "base64encode": ("$base64encode('mystring')", "bXlzdHJpbmc="),
    "boolean": (
        "[$boolean('x'), $boolean(''), $boolean([0]), $boolean([0, 1]), $boolean({})]",
        [True, False, False, True, False],
    ),
    "ceil": ("[$ceil(5), $ceil(5.2), $ceil(-5.8)]", [5, 6, -5]),
    "clone": ("$clone({'a': [1]})", {"a": [1]}),
    "contains": ("[$contains('abracadabra', 'bra'), $contains('abracadabra', /A.*r/i)]", [True, True]),
    "count": ("[$count([1, 2, 3]), $count(5), $count(nope)]", [3, 1, 0]),
    "decodeUrl": ("$decodeUrl('https://e.x/?q=%D1%88')", "https://e.x/?q=ш"),
    "decodeUrlComponent": ("$decodeUrlComponent('%3Fx%3Dtest')", "?x=test"),
    "distinct": ("$distinct([1, 2, 3, 3, 4, 3, 5])", [1, 2, 3, 4, 5]),
    "each": ("$each(one, function($v, $k) { $k & ':' & $string($v) })", ["a:1", "b:[2,3]"]),
    "encodeUrl": ("$encodeUrl('https://e.x/?q=ш')", "https://e.x/?q=%D1%88"),
    "encodeUrlComponent": ("$encodeUrlComponent('?x=test')", "%3Fx%3Dtest"),
    "eval": ("[$eval('[1, $string(2), 3]'), $eval('id', rows[1])]", [1, "2", 3, 2]),
    "exists": ("[$exists(n), $exists(nope), $exists(null)]", [True, False, True]),
    "filter": ("$filter(n, function($v, $i, $a) { $v > $average($a) or $i = 0 })", [1, 3]),
    "floor": ("[$floor(5.2), $floor(-5.2)]", [5, -6]),
    "formatBase": ("[$formatBase(100, 2), $formatBase(2555, 16)]", ["1100100", "9fb"]),
    "formatInteger": (
        "[$formatInteger(2789, 'w'), $formatInteger(1999, 'I')]",
        ["two thousand, seven hundred and eighty-nine", "MCMXCIX"],
    ),
    "formatNumber": ("[$formatNumber(12345.6, '#,###.00'), $formatNumber(0.14, '01%')]", ["12,345.60", "14%"]),
    "fromMillis": ("$fromMillis(1510067557121)", "2017-11-07T15:12:37.121Z"),
    "join": ("$join(['a', 'b', 'c'], '-')", "a-b-c"),
    "keys": ("$keys(one)", ["a", "b"]),
    "length": ("$length(t)", 11),
    "lookup": ("$lookup(one, 'a')", 1),
    "lowercase": ("$lowercase(t)", "hello world"),
    "map": ("$map(n, function($v, $i) { $v * 10 + $i })", [10, 31, 22]),
    "match": ("$match('ababbabbcc', /a(b+)/)[1]", {"match": "abb", "index": 2, "groups": ["bb"]}),
    "max": ("$max(n)", 3),
    "merge": ("$merge([{'a': 1}, {'b': 2}, {'a': 3}])", {"a": 3, "b": 2}),
    "min": ("$min(n)", 1),
    "not": ("[$not(true), $not(0)]", [False, True]),
    "number": ("[$number('5'), $number('0b11'), $number(true)]", [5, 3, 1]),
    "pad": ("[$pad('foo', 5), $pad('foo', -5, '#'), $pad('foo', 8, '-+')]", ["foo  ", "##foo", "foo-+-+-"]),
    "parseInteger": (
        "[$parseInteger('one hundred and six', 'w'), $parseInteger('12,345,678', '#,##0')]",
        [106, 12345678],
    ),
    "power": ("[$power(2, 8), $power(2, -2)]", [256, 0.25]),
    "reduce": ("$reduce(n, function($a, $v) { $a & $v }, '')", "132"),
    "replace": (
        "[$replace('John', 'J', 'R'), $replace('265USD', /([0-9]+)USD/, '$$$1'), $replace('aaa', 'a', 'b', 2)]",
        ["Rohn", "$265", "bba"],
    ),
    "reverse": ("$reverse(n)", [2, 3, 1]),
    "round": (
        "[$round(123.456), $round(123.456, 2), $round(125, -1), $round(11.5), $round(12.5)]",
        [123, 123.46, 120, 12, 12],
    ),
    "shuffle": ("$sort($shuffle(n))", [1, 2, 3]),
    "sift": ("$sift(one, function($v) { $v = 1 })", {"a": 1}),
    "single": ("$single(n, function($v) { $v > 2 })", 3),
    "sort": ("$sort(n, function($l, $r) { $l < $r })", [3, 2, 1]),
    "split": (
        "[$split('so many words', ' '), $split('a, b', /[, ]+/), $split('a-b-c', '-', 2)]",
        ["so", "many", "words", "a", "b", "a", "b"],
    ),
    "spread": ("$spread(one)", [{"a": 1}, {"b": [2, 3]}]),
    "sqrt": ("$sqrt(4)", 2),
    "string": ("[$string(5), $string([1, 2])]", ["5", "[1,2]"]),
    "substring": ("[$substring(t, 3, 5), $substring(t, -4), $substring(t, -4, 2)]", ["lo Wo", "orld", "or"]),
    "substringAfter": ("[$substringAfter(t, ' '), $substringAfter(t, 'x')]", ["World", "Hello World"]),
    "substringBefore": ("[$substringBefore(t, ' '), $substringBefore(t, 'x')]", ["Hello", "Hello World"]),
    "sum": ("$sum([5, 1, 3.5])", 9.5),
    "toMillis": ("$toMillis('2017-11-07T15:07:54.972Z')", 1510067274972),
    "trim": ("$trim('   Hello    \n World ')", "Hello World"),
    "type": ("[null, 1, 'x', {}, $sum, true].$type($)", ["null", "number", "string", "object", "function", "boolean"]),
    "uppercase": ("$uppercase(t)", "HELLO WORLD"),
    "zip": ("$zip([1, 2, 3], [4, 5])", [[1, 4], [2, 5]]),
}

CHANGES = {"millis": "$millis() = $millis()", "now": "$now() = $now()", "random": "$random() >= 0 and $random() < 1"}
"""What gives another value each time, and what holds of it within one evaluation."""

RAISES = {"error": ("$error('told so')", "D3137"), "assert": ("$assert(1 = 2, 'told so')", "D3141")}

OPERATORS: list[tuple[str, Any]] = [
    ("one.b", [2, 3]),
    ("rows.in.v", [7, 8]),
    ("n[0]", 1),
    ("n[-1]", 2),
    ("n[[0..1]]", [1, 3]),
    ("rows[k = 'b'].id", 2),
    ("one.a[]", [1]),
    ("one.*", [1, 2, 3]),
    ("**.v", [7, 8]),
    ("rows.in.(%.k)", ["a", "b"]),
    ("rows#$i.{'at': $i, 'id': id}", [{"at": 0, "id": 1}, {"at": 1, "id": 2}]),
    ("rows@$r.$r.in.{'v': v, 'k': $r.k}", [{"v": 7, "k": "a"}, {"v": 8, "k": "b"}]),
    ("n^($)", [1, 2, 3]),
    ("rows^(>id).k", ["b", "a"]),
    ("rows{k: id}", {"a": 1, "b": 2}),
    ("rows.{k: id}", [{"a": 1}, {"b": 2}]),
    ("$$.t", "Hello World"),
    ("5 + 2", 7),
    ("5 - 2", 3),
    ("-(5)", -5),
    ("5 * 2", 10),
    ("5 / 2", 2.5),
    ("5 % 2", 1),
    ("1 + 2 * 3 - -4", 11),
    ("'a' & 1 & true & nope", "a1true"),
    ("1 = 1", True),
    ("'1' = 1", False),
    ("[1, {'a': 2}] = [1, {'a': 2}]", True),
    ("1 != 2", True),
    ("1 < 2 and 2 <= 2 and 3 > 2 and 3 >= 3 and 'a' < 'b'", True),
    ("3 in n", True),
    ("'x' in n", False),
    ("true and false or true", True),
    ("[1..3, 7]", [1, 2, 3, 7]),
    ("[3..1]", []),
    ("n[0] > 0 ? 'yes' : 'no'", "yes"),
    ("nope ? 'yes'", UNDEFINED),
    ("nope ?: 'default'", "default"),
    ("0 ?? 'default'", 0),
    ("nope ?? 'default'", "default"),
    ("($x := 5; $y := $x * 2; $x + $y)", 15),
    ("t ~> $uppercase() ~> $substringBefore(' ')", "HELLO"),
    ("($f := $uppercase ~> $trim; $f(' a '))", "A"),
    ("($add := function($a, $b) { $a + $b }; $inc := $add(1, ?); $inc(2))", 3),
    ("(λ($x) { $x <= 1 ? 1 : $x * 2 })(4)", 8),
    ("($f := function($n) { $n <= 1 ? 1 : $n * $f($n - 1) }; $f(5))", 120),
    ("one ~> |$|{'c': 4}, 'b'|", {"a": 1, "c": 4}),
    ("/* a comment */ 1", 1),
    ("`t`", "Hello World"),
    ("'a\\u00e9\\n'", "aé\n"),
    ("$contains(t, /WORLD/i)", True),
]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_gives_what_its_documentation_says(name: str) -> None:
    text, value = FUNCTIONS[name]
    assert evaluate(text, SCOPE) == value or (value is UNDEFINED and evaluate(text, SCOPE) is UNDEFINED)


@pytest.mark.parametrize(("text", "value"), OPERATORS, ids=[text for text, _ in OPERATORS])
def test_an_operator_gives_what_its_documentation_says(text: str, value: Any) -> None:
    assert evaluate(text, SCOPE) == value or (value is UNDEFINED and evaluate(text, SCOPE) is UNDEFINED)


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_holds_still_within_one_evaluation(name: str) -> None:
    assert evaluate(CHANGES[name]) is True


@pytest.mark.parametrize("name", RAISES)
def test_what_is_there_to_fail_fails_with_its_own_words(name: str) -> None:
    text, code = RAISES[name]
    assert (failure(text).code, "told so" in str(failure(text))) == (code, True)


def test_no_function_of_the_library_is_left_out() -> None:
    documented = {*FUNCTIONS, *CHANGES, *RAISES}
    assert {name for name in Jsonata.static_frame.bindings if not name.startswith("_")} <= documented
