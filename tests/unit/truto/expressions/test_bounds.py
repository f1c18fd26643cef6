"""No expression and no input takes more than its limits, whichever operation it abuses."""

from __future__ import annotations

import gc
import time
import tracemalloc
from typing import Any

import pytest

from tests.unit.truto.expressions.evaluating import evaluate, failure
from truto.expressions import ExpressionError, Limits, compile_expression
from truto.expressions.limits import Meter

LETTERS = "x" * 400_000
NUMBERS = list(range(20_000))
QUICK = Limits(seconds=0.05)

HOSTILE: list[tuple[str, str, Any]] = [
    ("limit_size", "[1..10000000]", {}),
    ("limit_size", "$pad('x', 2e9)", {}),
    ("limit_size", "$pad('x', -2e9, 'ab')", {}),
    ("limit_size", "($f := function($s, $n) { $n = 0 ? $s : $f($s & $s, $n - 1) }; $f('xxxxxxxx', 60))", {}),
    ("limit_size", "$split(s & s, '')", {"s": LETTERS}),
    ("limit_size", "$join([1..1000], s)", {"s": LETTERS}),
    ("limit_size", "$replace(s, 'x', $substring(s, 0, 1000))", {"s": LETTERS}),
    ("limit_size", "[1..1000].($$.n)", {"n": NUMBERS}),
    ("limit_size", "$reduce(n, $append)", {"n": NUMBERS}),
    ("limit_size", "$string($map([1..100], function() { $$.s }))", {"s": LETTERS}),
    ("limit_size", "$reduce([1..40], function($a, $i) { [[$a], [$a]] }, 0)", {}),
    ("limit_size", "$reduce([1..40], function($a, $i) { {'a': $a, 'b': $a} }, 0)", {}),
    ("limit_size", "$reduce([1..40], function($a, $i) { $map([1, 2], function() { [[$a]] }) }, 0)", {}),
    ("limit_size", "$wrap(s, s) & $wrap(s, s) & $reduce([1..20], function($a, $i) { $a & $a }, s)", {"s": LETTERS}),
    ("limit_size", "$decodeUrl($pad('%41', 3000000, '%41'))", {}),
    ("limit_size", "$match($pad('x', 1500000, 'x'), /x/)", {}),
    ("limit_time", "($f := function($x) { $f($x) }; $f(1))", {}),
    ("limit_time", "n[$$.n[$$.n[1]]]", {"n": NUMBERS}),
    ("limit_time", "[1, n[$$.n[$$.n[1]]]]", {"n": NUMBERS}),
    ("limit_time", "$map(n, $string)", {"n": NUMBERS}),
    ("limit_time", "$sort(n, function($a, $b) { $a < $b })", {"n": NUMBERS}),
    ("limit_time", "n^(>$)", {"n": NUMBERS}),
    ("limit_time", "n{'k': $}", {"n": NUMBERS}),
    ("limit_time", "n@$a.$$.n@$b.{'a': $a}", {"n": NUMBERS}),
    ("limit_time", "$match(s, /x/)", {"s": LETTERS}),
    ("limit_time", "$replace(s, /x/, 'yyyyyyyyyy')", {"s": LETTERS}),
    ("limit_time", "$split(s, /x/)", {"s": LETTERS}),
    ("limit_time", "$recursiveCharacterTextSplitter(s, {'chunkSize': 100000, 'chunkOverlap': 99999})", {"s": LETTERS}),
    ("limit_time", "$mostSimilar(s, n.$string())", {"s": LETTERS, "n": NUMBERS[:500]}),
    ("limit_time", "$jsonToCsv($map([1..200], function($i) { {'k' & $i: 1} }))", {}),
    ("limit_depth", "($f := function($x) { 1 + $f($x) }; $f(1))", {}),
    ("limit_depth", "$eval('$eval(\"$sum([1])\")') & ($g := function($n) { [$g($n)] }; $g(0))", {}),
    ("limit_depth", "$convertHtmlToMarkdown(h)", {"h": "<b>" * 10_000}),
    ("limit_source", "$eval($pad('1', 5000, '+1'))", {}),
    ("function", "$formatInteger(1e12, 'I')", {}),
    ("function", "$formatNumber(1, $pad('0', 300, '0'))", {}),
    ("function", "$parseInteger($pad('9', 4000, '9'), '0')", {}),
    ("function", "$toMillis($pad('1', 900, '1'), '[Y][M][D][d][H]')", {}),
    ("function", "$round(1, 1e9)", {}),
    ("function", "$convertMarkdownToHtml($pad('[', 60000, '['))", {}),
    ("function", "$parseQuery($pad('a', 200000, '&a'))", {}),
    ("function", "$stringifyQuery({'a': [1..30000]})", {}),
    ("function", "$xmlToJs($pad('', 700, '<a>'))", {}),
    ("function", "$dtFromIso('2024-01-01').toFormat($pad('y', 500, 'y'))", {}),
]


@pytest.mark.parametrize(("code", "text", "scope"), HOSTILE, ids=[text for _, text, _ in HOSTILE])
def test_a_hostile_expression_ends_in_our_error_within_its_bounds(code: str, text: str, scope: Any) -> None:
    limits = QUICK if code == "limit_time" else Limits(seconds=4)
    expression = compile_expression(text, limits=limits)
    start = time.thread_time()
    with pytest.raises(ExpressionError) as raised:
        expression.evaluate(scope)
    assert time.thread_time() - start < 6.0
    assert raised.value.code == code


@pytest.mark.parametrize(
    "text",
    ["[1..10000000]", "$pad('x', 2e9)", "[1..1000].($$.n)", "($f := function($s) { $f($s & $s) }; $f('xxxxxxxx'))"],
    ids=str,
)
def test_a_hostile_expression_takes_little_memory(text: str) -> None:
    expression = compile_expression(text)
    tracemalloc.start()
    try:
        with pytest.raises(ExpressionError):
            expression.evaluate({"n": NUMBERS[:5_000]})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64_000_000


@pytest.mark.parametrize(
    ("text", "found"),
    [(r"$contains(v, /^(a+)+$/)", False), (r"$contains(v, /^(a|aa)+$/)", False), (r"$contains(v, /(x+x+)+y/)", False)],
    ids=["nested", "overlapping", "sequence"],
)
def test_a_pattern_that_would_hang_a_backtracking_engine_answers_at_once(text: str, found: bool) -> None:
    start = time.thread_time()
    assert evaluate(text, {"v": "a" * 50_000 + "!"}) is found
    assert time.thread_time() - start < 1.0


@pytest.mark.parametrize("text", ["$distinct(n)", "$sort(n)", "$spread(o)", "o.*", "$keys(o)", "$clone(o)"], ids=str)
def test_what_is_quadratic_in_the_library_is_not_here(text: str) -> None:
    scope = {"n": NUMBERS[:20_000], "o": {str(number): [number] for number in range(5_000)}}
    start = time.thread_time()
    evaluate(f"$count({text})" if "clone" not in text else text, scope, limits=Limits(seconds=1.5))
    assert time.thread_time() - start < 1.5


def test_a_source_that_is_too_long_is_refused() -> None:
    assert failure("'" + "x" * 70_000 + "'").code == "limit_source"


def test_the_longest_source_compiles_in_bounded_time() -> None:
    source = "[" + ",".join(["1"] * 16_000) + "]"
    start = time.thread_time()
    compile_expression(source)
    assert time.thread_time() - start < 3.0


@pytest.mark.parametrize(
    "scope",
    [[[]] * 100_001, {"a": {str(number): 1 for number in range(100_001)}}],
    ids=["array", "object"],
)
def test_an_input_with_too_many_values_is_refused(scope: Any) -> None:
    assert failure("1", scope).code == "input"


def test_an_input_that_is_nested_too_deeply_is_refused() -> None:
    scope: Any = 1
    for _ in range(300):
        scope = [scope]
    assert failure("1", scope).code == "input"


def test_an_input_with_too_much_text_is_refused() -> None:
    assert failure("1", {"a": "x" * 100}, limits=Limits(text_characters=99)).code == "limit_size"
    assert failure("1", {"x" * 100: 1}, limits=Limits(text_characters=99)).code == "limit_size"


def test_an_output_that_is_too_large_is_refused() -> None:
    assert failure("s", {"s": "x" * 100}, limits=Limits(output_bytes=99)).code == "limit_size"


def test_an_output_that_is_nested_too_deeply_is_refused() -> None:
    assert failure("$reduce([1..250], function($a, $i) { [[$a]] }, 0)", limits=Limits(seconds=1)).code == "result"


def test_the_time_of_one_evaluation_does_not_count_for_the_next() -> None:
    expression = compile_expression("$sum([1..1000])", limits=QUICK)
    for _ in range(3):
        time.sleep(0.03)
        assert expression.evaluate({}) == 500_500


def test_a_full_garbage_collection_is_not_charged_to_the_expression_in_which_it_runs() -> None:
    held: list[list[int]] = [[] for _ in range(1_000_000)]
    meter = Meter(Limits(seconds=0.02))
    meter.start_clock()
    gc.collect()
    meter.check_time()
    del held


def test_the_time_beside_a_full_garbage_collection_is_charged() -> None:
    meter = Meter(QUICK)
    meter.start_clock()
    gc.collect()
    end = time.thread_time() + 2 * QUICK.seconds
    while time.thread_time() < end:
        pass
    with pytest.raises(ExpressionError) as raised:
        meter.check_time()
    assert raised.value.code == "limit_time"


def test_running_out_of_memory_is_our_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("truto.expressions.expression.to_json", exhausted)
    assert failure("1").code == "limit_size"


def test_a_mistake_of_the_library_is_our_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(*_: object) -> None:
        raise AttributeError("with a secret")

    monkeypatch.setattr("truto.expressions.expression.to_json", mistaken)
    error = failure("1")
    assert (error.code, "secret" in str(error)) == ("internal", False)
