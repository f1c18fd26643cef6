"""The tree of an expression says whether it gives its scope; what it is evaluated over does not."""

from __future__ import annotations

import pytest

from truto.expressions import compile_expression

MARKS = frozenset({"headers", "raw_body"})
STRIP = "$merge([$$, {'signature': $substringAfter(headers.`h`, 'p')}])"
PAIRS = "( $p := $split(headers.`h`, ','); $g := function($k){ $p[0] }; $merge([$$, {'t': $g('t'), 'v': $g('v1')}]) )"


@pytest.mark.parametrize(
    ("source", "written"),
    [
        (STRIP, {"signature"}),
        (PAIRS, {"t", "v"}),
        ("$$", set()),
        ("$", set()),
        ("$merge([$, {'body': body.list}])", {"body"}),
        ("{'headers': headers, 'raw_body': body.inner}", {"headers", "raw_body"}),
        ("{'raw_body': 7}", {"raw_body"}),
        (
            "$merge([$sift($$, function($v, $k) { $k != 'body' }), {'raw_body': $base64decode(body.wrapped)}])",
            {"raw_body"},
        ),
        ("body.x ? $merge([$$, {'a': 1, 'b': 2}]) : $merge([$$, {'a': 3}])", {"a"}),
        ("( $c := $merge([$$, {'a': 1}]); $c )", {"a"}),
        ("$$ ~> |$|{'signature': 1}|", {"signature"}),
        ("$$ ~> |headers|{'x': 1}|", {"headers"}),
    ],
)
def test_the_scope_with_members_written_by_the_source(source: str, written: set[str]) -> None:
    output = compile_expression(source).output(MARKS)
    assert (output.kind, set(output.written), output.mixed) == ("scope", written, False)


@pytest.mark.parametrize(
    "source",
    [
        "body",
        "$$.body",
        "body.value",
        "body.list.{'event': $, 'from': $$.headers.host}",
        "$merge([body, {'seen': true}])",
        "$merge(body.list)",
        "{'event': 'made'}",
        "[{'event': 'a'}]",
        "[1..9].{'event': 'x'}",
        "$map(body.items, function($i) { $i })[0]",
        "body.items[type = 'x']^(at)",
        "body.items{type: $count($)}",
        "body ~> $keys()",
        "nothing",
        "null",
        "'text'",
        "1 + 1",
        "$error('no')",
    ],
)
def test_anything_made_of_data_is_not_the_scope_whatever_the_data_look_like(source: str) -> None:
    assert compile_expression(source).output(MARKS).kind == "other"


@pytest.mark.parametrize(
    "source",
    [
        "$merge([$$, body])",
        "$merge([body, {'headers': headers}])",
        "$merge([$$, body, {'raw_body': body.inner}])",
        "$merge([$merge([$$, body]), {'raw_body': body.inner}])",
        "$merge([$$, {body.name: body.value}])",
        "$merge([$$, body]) ~> |$|{'raw_body': 1}|",
    ],
)
def test_a_scope_into_which_data_were_merged_has_no_member_that_is_surely_the_source_s(source: str) -> None:
    output = compile_expression(source).output(MARKS)
    assert (output.kind, output.written, output.mixed) == ("scope", frozenset(), True)


@pytest.mark.parametrize(
    "source",
    [
        "$eval(body.x)",
        "( $f := function($c) { $c }; $f($$) )",
        "function() { $$ }()",
        "body.x ? body : $$",
        "body.{'raw_body': inner}",
        "$string($$)",
        "$$[0]",
        "$$.({'raw_body': 1})",
        "( $e := $eval; $e('$$') )",
    ],
)
def test_what_the_tree_cannot_tell_is_said_to_be_unknown(source: str) -> None:
    assert compile_expression(source).output(MARKS).kind == "unknown"
