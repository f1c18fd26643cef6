"""A shortcut has the value of the evaluation, or is undecided."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truto.expressions import UNDECIDED, UNDEFINED, compile_expression

GO_ON = {"type": "payload"}
# The one of Truto's API reference (seed: Environment Integrations object).
SAMPLE = (
    "{ 'type': webhook_type = 'verify' ? 'verify' : 'payload',"
    " 'verification_response': webhook_type = 'verify' ? { 'body': { 'challenge': body.challenge } } }"
)
TOLD = [
    ("body.type = 'url_verification' ? 1 : {'type': 'payload'}", {"body": {"type": "event"}}, GO_ON),
    ("'url_verification' != body.type ? 1 : {'type': 'payload'}", {"body": {}}, UNDECIDED),
    ("body.type = 'x' ? 1 : {'type': 'payload'}", {"body": {}}, GO_ON),
    ("body.type = 'x' ? 1 : {'type': 'payload'}", {}, GO_ON),
    ("body.type = 'x' ? 1 : {'type': 'payload'}", {"body": {"type": "x"}}, UNDECIDED),
    ("body.type = 'x' ? 1 : {'type': 'payload'}", {"body": {"type": ["x"]}}, UNDECIDED),
    ("body.type = 'x' ? 1 : {'type': 'payload'}", {"body": [{"type": "x"}]}, UNDECIDED),
    ("body.type = 1 ? 1 : {'type': 'payload'}", {"body": {"type": 2}}, GO_ON),
    ("body.type = 1 ? 1 : {'type': 'payload'}", {"body": {"type": True}}, UNDECIDED),
    ("body.challenge ? 1", {"body": {"a": 1}}, UNDEFINED),
    ("body.challenge ? 1 : null", {"body": {"a": 1}}, None),
    ("body.challenge ? 1 : null", {"body": {"challenge": ""}}, UNDECIDED),
    ("$.body.challenge ? 1 : 'no'", {"body": {}}, "no"),
    ("$exists(headers.`x-a`) ? 1 : {'type': 'payload'}", {"headers": {"x-b": "1"}}, GO_ON),
    ("$exists(headers.`x-a`) ? 1 : {'type': 'payload'}", {"headers": {"x-a": None}}, UNDECIDED),
    ("method = 'GET' and $exists(query.c) ? 1 : {'type': 'payload'}", {"method": "POST", "query": {"c": 1}}, GO_ON),
    ("method = 'GET' and $exists(query.c) ? 1 : {'type': 'payload'}", {"method": "GET", "query": {}}, GO_ON),
    ("method = 'GET' and $exists(query.c) ? 1 : {'type': 'payload'}", {"method": "GET", "query": {"c": 1}}, UNDECIDED),
    ("method = 'GET' and $error('x') ? 1 : 2", {"method": "POST"}, UNDECIDED),
    ("a ? 1 : b = 'x' ? 2 : {'type': 'payload'}", {"b": "y"}, GO_ON),
    ("a ? 1 : b = 'x' ? 2 : {'type': 'payload'}", {"a": 1, "b": "y"}, UNDECIDED),
    ("a ? 1 : $now()", {}, UNDECIDED),
    ("a ? 1 : {'type': b}", {}, UNDECIDED),
    ("a ? 1 : {'type': {'b': 1}}", {}, {"type": {"b": 1}}),
    ("a ? 1 : {'b': 1, 'b': 2}", {}, UNDECIDED),
    ("a ? 1 : {c: 1}", {}, UNDECIDED),
    (SAMPLE, {"webhook_type": "payload"}, GO_ON),
    (SAMPLE, {"webhook_type": "verify", "body": {"challenge": "c"}}, UNDECIDED),
    ("a[0] ? 1 : 2", {}, UNDECIDED),
    ("a[] ? 1 : 2", {}, UNDECIDED),
    ("a.* ? 1 : 2", {}, UNDECIDED),
    ("$header.a ? 1 : 2", {}, UNDECIDED),
    ("$count(a) ? 1 : 2", {}, UNDECIDED),
    ("{'type': 'payload'}", {}, GO_ON),
    ("null", {}, UNDECIDED),
]


@pytest.mark.parametrize(("text", "scope", "told"), TOLD, ids=[f"{text} on {scope}" for text, scope, _ in TOLD])
def test_conditions_over_plain_paths_that_do_not_hold_are_told(text: str, scope: dict[str, Any], told: Any) -> None:
    expression = compile_expression(text)
    assert expression.shortcut(scope) == told
    if told is not UNDECIDED:
        assert expression.evaluate(scope) == told


LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.sampled_from(["", "x", "GET", "1"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abx"), inner, max_size=3),
    max_leaves=6,
)
PATHS = ("a", "a.b", "$.a.x", "b.a.x")
CONDITIONS = (
    [f"{path} = {literal}" for path in PATHS for literal in ("'x'", "'1'", "1", "0", "''")]
    + [f"$exists({path})" for path in PATHS]
    + list(PATHS)
)
EXPRESSIONS = [compile_expression(f"{condition} ? 'held' : 'not'") for condition in CONDITIONS]
EXPRESSIONS += [compile_expression(f"{{'k': {condition} ? 'held', 'n': 1}}") for condition in CONDITIONS]
EXPRESSIONS += [compile_expression(f"{one} and {two} ? 'held' : 'not'") for one, two in pairwise(CONDITIONS)]


@settings(max_examples=150, deadline=None)
@given(scope=st.dictionaries(st.sampled_from("ab"), VALUES, max_size=2), expression=st.sampled_from(EXPRESSIONS))
def test_what_is_told_is_what_an_evaluation_gives(scope: dict[str, Any], expression: Any) -> None:
    told = expression.shortcut(scope)
    assert told is UNDECIDED or told == expression.evaluate(scope)
