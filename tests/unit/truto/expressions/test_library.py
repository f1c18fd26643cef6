"""What is relied on in jsonata-python, and why its own bounds are not: a new version has to pass this."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import time

import pytest

from truto.expressions import compile_expression
from truto.expressions.grammar import Grammar
from truto.expressions.library import NULL, JException, Jsonata, LibrarySignature, Parser, deep_stack
from truto.expressions.signature import Signature


def test_the_version_is_the_one_that_was_read() -> None:
    assert importlib.metadata.version("jsonata-python") == "0.7.1"


@pytest.mark.parametrize(
    "name",
    [
        "_eval",
        "apply_inner",
        "create_frame",
        "eval",
        "evaluate_condition",
        "evaluate_filter",
        "evaluate_includes_expression",
        "evaluate_numeric_expression",
        "evaluate_range_expression",
        "evaluate_step",
        "evaluate_string_concat",
        "evaluate_transform_expression",
        "evaluate_wildcard",
        "flatten",
        "get_parser",
        "is_function_like",
        "reduce_tuple_stream",
        "apply",
    ],
)
def test_a_method_that_is_overridden_or_called_exists(name: str) -> None:
    assert callable(getattr(Jsonata, name))


@pytest.mark.parametrize("name", ["process_ast", "push_ancestry", "tail_call_optimize"])
def test_a_method_of_the_parser_that_is_overridden_or_called_exists(name: str) -> None:
    assert callable(getattr(Parser, name))


def test_its_parser_reads_the_left_side_of_a_default_twice() -> None:
    parser = Parser()
    assert parser.parse("-5 ?: 9").then.value == 5
    assert Grammar().parse("-5 ?: 9").then.value == -5


def test_its_signatures_take_null_for_undefined() -> None:
    assert LibrarySignature("<n:n>", "f").get_symbol(NULL) == "m"
    assert Signature("<n:n>", "f").get_symbol(NULL) == "l"
    assert Signature("<n-s?:n>", "f").arity == 2


def test_its_functions_are_called_without_a_look_at_their_signatures() -> None:
    assert Jsonata("$map(['ab'], $count)").evaluate({}) == 2


def test_its_own_clock_starts_when_an_expression_is_compiled() -> None:
    expression = Jsonata("a", timeout=20)
    time.sleep(0.05)
    with pytest.raises(JException, match="timeout"):
        expression.evaluate({"a": 1})


def test_its_own_bounds_skip_every_array_element_but_the_first() -> None:
    deep = "(" * 40 + "1" + ")" * 40
    with pytest.raises(JException):
        Jsonata(f"[{deep}, 1]", stack=10).evaluate({})
    frame_of_its_own = "$$.a[" * 8 + "1" + "]" * 8
    assert Jsonata(f"[1, {frame_of_its_own}]", stack=4).evaluate({"a": [0, 5]}) is not None


def test_it_tells_null_from_undefined_inside() -> None:
    expression = Jsonata("a")
    expression.set_output_convert_nulls(False)
    assert expression.evaluate({"a": None}) is NULL
    assert expression.evaluate({}) is None


def test_it_keeps_the_current_evaluation_for_each_thread_under_one_name() -> None:
    expression = Jsonata("1")
    assert Jsonata.CURRENT.jsonata is expression
    del Jsonata.CURRENT.jsonata


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_it_alone_raises_the_recursion_limit_and_importing_ours_does_not() -> None:
    show = "import sys; before = sys.getrecursionlimit(); import {}; print(sys.getrecursionlimit() - before)"
    assert _run(show.format("jsonata")) == "9000"
    assert _run(show.format("truto.expressions")) == "0"


def test_importing_truto_imports_neither_the_library_nor_re2() -> None:
    code = "import sys, truto, truto.placeholders; print({'jsonata', 're2', 'cryptography'} & set(sys.modules))"
    assert _run(code) == "set()"


def test_the_recursion_limit_is_raised_only_during_an_evaluation() -> None:
    before = sys.getrecursionlimit()
    compile_expression("$map([1..3], function($x) { $x })").evaluate({})
    assert sys.getrecursionlimit() == before
    with deep_stack(), deep_stack():
        assert sys.getrecursionlimit() > before
    assert sys.getrecursionlimit() == before
