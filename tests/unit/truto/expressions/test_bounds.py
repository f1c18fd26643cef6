"""No expression and no input takes more than its limits, whichever operation it abuses."""

from __future__ import annotations

import gc
import time
import tracemalloc
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.verification.complexity import check_complexity
from ingress.verification.expressions import LIMITS
from tests.unit.truto.expressions.evaluating import evaluate, failure
from truto.expressions import UNDEFINED, ExpressionError, Limits, compile_expression
from truto.expressions.limits import Meter
from truto.workflows import QUICK as QUICK_LOOK

LETTERS = "x" * 400_000
NUMBERS = list(range(20_000))
# Many elements, so that what repeats a loop runs into the time, whichever of the two would be first.
QUICK = Limits(seconds=0.05, elements=50_000_000)

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
    ("limit_time", "n.($x := $; $$.n[$ = $x])", {"n": NUMBERS}),
    ("limit_time", "$map(n, function($x) { $count($$.n[$ > $x]) })", {"n": NUMBERS}),
    ("limit_time", "$filter(n, function($x) { $x in $$.n[$ > 0] })", {"n": NUMBERS}),
    ("limit_time", "true and n[$count($$.n[$ > 1]) > 1]", {"n": NUMBERS}),
    ("limit_time", "n^($sum($$.n[$ > 1]))", {"n": NUMBERS}),
    ("limit_time", "n{$string($): $sum($$.n[$ > 1])}", {"n": NUMBERS}),
    ("limit_time", "$sort(n, function($a, $b) { $a < $sum($$.n[$ > 1]) })", {"n": NUMBERS}),
    ("limit_time", "n.($match($$.s, /x+y/))", {"n": NUMBERS, "s": LETTERS}),
    ("limit_size", "n@$a.$$.n@$b", {"n": NUMBERS}),
    ("limit_size", "n@$a.$$.n@$b.{'a': $a}", {"n": NUMBERS}),
    ("limit_size", "n#$i.$$.n#$j", {"n": NUMBERS}),
    ("limit_size", "n@$a.$$.n@$b[$a = $b]", {"n": NUMBERS}),
    ("limit_time", "n@$a.$$.n@$b", {"n": NUMBERS[:2_000]}),
    ("limit_time", "n.($replace($$.s, /x/, 'y'))", {"n": NUMBERS[:2_000], "s": LETTERS[:100_000]}),
    ("limit_size", "$recursiveCharacterTextSplitter(s, {'chunkSize': 100000, 'chunkOverlap': 99999})", {"s": LETTERS}),
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


FLAT = {"items": list(range(30_000))}
OBJECTS = {"items": [{"x": str(number % 10), "n": number * 7919 % 10_000} for number in range(10_000)]}
TEXT = {"s": "ab,c " * 250_000}

LINEAR: list[tuple[str, Any]] = [
    ("$count(items[$ > 5])", FLAT),
    ("$sum(items)", FLAT),
    ("$count($map(items, function($i) { $i + 1 }))", FLAT),
    ("$max(items) - $min(items) > 1 and $count(items[$ = 7]) = 1", FLAT),
    ("{'n': items}", FLAT),
    ("$count(items[x = '7' and n > 5].n)", OBJECTS),
    ("items.{'a': x, 'b': n * 2}", OBJECTS),
    ("items^(>n, x).x", OBJECTS),
    ("items[[0..999]].n", OBJECTS),
    ("$sort(items.n, function($a, $b) { $a > $b })", OBJECTS),
    ("items{x: $sum(n)}", OBJECTS),
    ("$map(items, function($i) { {'k': $uppercase($i.x), 'n': $string($i.n)} })", OBJECTS),
    ("$reduce(items.n, function($a, $n) { $a + $n })", OBJECTS),
    ("$groupBy(items, 'x').`7`[0].n", OBJECTS),
    ("$distinct(items.x)", OBJECTS),
    ("$merge([$$, {'raw_body': 'x'}])", OBJECTS),
    ("$$ ~> |items|{'y': x & '-' & n}|", OBJECTS),
    ("$length($string($))", OBJECTS),
    ("$count(**.x)", OBJECTS),
    ("$contains(s, /b,d/) or $contains(s, 'c a')", TEXT),
    ("$count($split(s, ','))", TEXT),
    ("$count($split(s, /, */))", TEXT),
    ("$length($replace(s, /,/, ';'))", TEXT),
    ("$uppercase(s) & s", TEXT),
]


@pytest.mark.processor_time
@pytest.mark.parametrize(("text", "scope"), LINEAR, ids=[text for text, _ in LINEAR])
def test_what_grows_with_its_input_passes_over_a_large_one(text: str, scope: Any) -> None:
    assert compile_expression(text).evaluate(scope) is not UNDEFINED


@pytest.mark.processor_time
def test_the_largest_body_that_the_ingress_parses_can_be_filtered() -> None:
    body = b'{"items":[' + b",".join([b"7"] * 999_000) + b"]}"
    check_complexity(body)
    payload = orjson.loads(body)
    scope = {"body": payload, "raw_body": body.decode()}
    bindings = {"event": payload, "body": payload}
    assert compile_expression("$count($body.items[$ > 5])", limits=LIMITS).evaluate(scope, bindings) == 999_000


@pytest.mark.processor_time
def test_a_body_of_as_many_objects_as_the_ingress_parses_can_be_transformed() -> None:
    body = b'{"items":[' + b",".join([b'{"x":"7"}'] * 99_000) + b"]}"
    check_complexity(body)
    scope = {"body": orjson.loads(body), "raw_body": body.decode()}
    found = compile_expression("body.items.{'y': x}", limits=LIMITS).evaluate(scope)
    assert (len(found), found[0]) == (99_000, {"y": "7"})


def test_what_stands_under_several_names_counts_once() -> None:
    payload = {"items": [1] * 900}
    scope = {"event": {"payload": payload}, "payload": payload}
    limits = Limits(input_elements=1_000)
    assert evaluate("$count(payload.items)", scope, limits=limits, event=scope["event"]) == 900


@given(values=st.integers(0, 5_000_000), characters=st.integers(0, 500_000_000))
def test_limits_grow_with_the_input_and_never_beyond_their_own_bound(values: int, characters: int) -> None:
    limits = Limits()
    fitting = limits.fitting(values, characters)
    assert limits.seconds <= fitting.seconds <= limits.max_seconds
    assert limits.output_bytes <= fitting.output_bytes <= limits.max_output_bytes
    assert limits.regex_characters <= fitting.regex_characters <= limits.max_regex_characters
    assert fitting.seconds <= limits.fitting(values + 1, characters + 1).seconds


def test_a_quick_look_stays_quick_whatever_the_input() -> None:
    assert QUICK_LOOK.fitting(5_000, 500_000) == QUICK_LOOK


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


@pytest.mark.processor_time
def test_a_join_overruns_its_time_by_no_more_than_one_step() -> None:
    limits = Limits(seconds=0.3, seconds_per_value=0, elements=50_000_000)
    expression = compile_expression("n@$a.$$.n@$b", limits=limits)
    start = time.thread_time()
    with pytest.raises(ExpressionError) as raised:
        expression.evaluate({"n": NUMBERS})
    assert raised.value.code == "limit_time"
    assert time.thread_time() - start < 1.2


def test_a_join_of_two_small_lists_gives_every_pair() -> None:
    pairs = evaluate("n@$a.$$.n@$b.{'a': $a, 'b': $b}", {"n": NUMBERS[:100]})
    assert (len(pairs), pairs[0], pairs[-1]) == (10_000, {"a": 0, "b": 0}, {"a": 99, "b": 99})


@pytest.mark.processor_time
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
    [[[]] * 1_001, {"a": {str(number): 1 for number in range(1_001)}}],
    ids=["array", "object"],
)
def test_an_input_with_too_many_values_is_refused(scope: Any) -> None:
    assert failure("1", scope, limits=Limits(input_elements=1_000)).code == "input"


def test_an_input_that_is_nested_too_deeply_is_refused() -> None:
    scope: Any = 1
    for _ in range(300):
        scope = [scope]
    assert failure("1", scope).code == "input"


def test_an_input_with_too_much_text_is_refused() -> None:
    assert failure("1", {"a": "x" * 100}, limits=Limits(input_characters=99)).code == "input"
    assert failure("1", {"x" * 100: 1}, limits=Limits(input_characters=99)).code == "input"


def test_an_output_that_is_too_large_is_refused() -> None:
    limits = Limits(output_bytes=99, max_output_bytes=99)
    assert failure("s", {"s": "x" * 100}, limits=limits).code == "limit_size"


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
