"""The table of what is different on purpose says what is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.truto.expressions.evaluating import evaluate, failure
from truto.expressions import ExpressionError, compile_expression
from truto.expressions.differences import (
    CSV_WRITING,
    DIFFERENCES,
    QUERY_READING,
    QUERY_WRITING,
    XML_READING,
    XML_WRITING,
    page,
)
from truto.expressions.functions.unavailable import FUNCTIONS

PAGE = Path(__file__).parents[4] / "docs" / "expressions.md"


def test_the_page_is_what_the_table_gives() -> None:
    assert PAGE.read_text() == page(), "run: python -m truto.expressions.differences > docs/expressions.md"


def test_every_row_has_a_reason() -> None:
    assert all(each.where and each.here and each.why for each in DIFFERENCES)
    assert len({each.where for each in DIFFERENCES}) == len(DIFFERENCES)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_is_not_here_is_in_the_table(name: str) -> None:
    assert f"`${name}`" in page()
    assert "not available here" in str(failure(f"${name}()"))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("$sum", "result"),
        (r"'\ud83d'", "result"),
        ("$match('a', function($s) { $s })", "T1010"),
        ("$split('a', function($s) { $s })", "T1010"),
        ("$jsonToCsv([], {'nope': 1})", "function"),
        ("$jsToXml({'a b': 1})", "function"),
    ],
)
def test_what_the_table_refuses_is_refused(text: str, code: str) -> None:
    assert failure(text).code == code


def test_look_around_is_refused_when_it_is_compiled() -> None:
    with pytest.raises(ExpressionError):
        compile_expression("$match(a, /(?=x)/)")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n", 2**60 + 1),
        ("$dtFromIso('9999-12-31', 'UTC').plus({'days': 1}).isValid", False),
        ("$formatNumber(1, '#,##,##0')", "1"),
        ("$parseQuery('toString=1')", {"toString": "1"}),
        ("$jsToXml({'a': {'_attributes': {'q': '<'}}})", '<a q="&lt;"/>'),
    ],
)
def test_what_the_table_keeps_is_kept(text: str, expected: object) -> None:
    assert evaluate(text, {"n": 2**60 + 1}) == expected


@pytest.mark.parametrize(
    ("call", "options"),
    [
        ("$parseQuery('a=1', {'OPTION': true})", QUERY_READING),
        ("$stringifyQuery({'a': 1}, {'OPTION': true})", QUERY_WRITING),
        ("$xmlToJs('<a/>', {'OPTION': true})", XML_READING),
        ("$jsToXml({'a': 1}, {'OPTION': true})", XML_WRITING),
        ("$jsonToCsv([{'a': 1}], {'OPTION': true})", CSV_WRITING),
    ],
)
def test_an_option_that_is_not_here_is_in_the_table_and_is_named_where_it_is_used(
    call: str, options: tuple[str, ...]
) -> None:
    row = next(each for each in DIFFERENCES if each.where.startswith(f"`{call.partition('(')[0]}`: the options"))
    for option in options:
        assert f"`{option}`" in row.where
        assert f"'{option}' is not supported" in str(failure(call.replace("OPTION", option)))
