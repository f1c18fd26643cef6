"""Whether an expression may read a member of its scope, told from its tree."""

from __future__ import annotations

import pytest

from truto.expressions import compile_expression

MEMBERS = (("context", "secret"), ("env", "KEY"))


@pytest.mark.parametrize(
    "source",
    [
        "context.secret",
        "$.context.secret",
        "$$.context.secret",
        "context.`secret`",
        'context."secret"',
        "{'a': {'b': $hmac(body.x, 'SHA-256', context.secret)}}",
        "body.list.($$.context.secret)",
        "body.list[key = $$.context.secret]",
        "function() { context.secret }()",
        "env.KEY = 'x'",
        "context.secret.inner",
    ],
)
def test_a_member_that_is_named(source: str) -> None:
    assert compile_expression(source).reach(MEMBERS).named


@pytest.mark.parametrize(
    "source",
    [
        "context",
        "$.context",
        "env",
        "$lookup(context, 'secret')",
        "$lookup($$, 'context')",
        "$$",
        "$",
        "( $x := $; $x.context.secret )",
        "context.*",
        "context[0].secret",
        "context.($.secret)",
        "*",
        "**.secret",
        "body.%.context.secret",
        "$string()",
        "$each(function($v) { $v })",
        "$eval('context.secret')",
        "$$[0].context",
        "$merge([$$, {'a': 1}])",
    ],
)
def test_something_that_holds_a_member_is_taken_whole(source: str) -> None:
    assert compile_expression(source).reach(MEMBERS).whole


@pytest.mark.parametrize(
    "source",
    [
        "body.challenge ? {'type': 'verify', 'verification_response': {'body': {'challenge': body.challenge}}}",
        "$.body.challenge",
        "$$.query.challenge",
        "context.other = query.token",
        "env.MODE",
        "body.*",
        "body.**.x",
        "body.context",
        "body[context = 'x']",
        "body.list[$ = 'x']",
        "body.list.{'a': $, 'b': $$.headers.x}",
        "$string(body)",
        "$match(body.text, /a+/)",
        "$sort($keys(body)).($ & 'x')",
        "headers.`x-hook-secret`",
    ],
)
def test_what_reads_other_members_reaches_none(source: str) -> None:
    assert compile_expression(source).reach(MEMBERS) == (False, False)
