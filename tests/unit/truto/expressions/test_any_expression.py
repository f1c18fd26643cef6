"""Whatever is written and whatever comes: a value, or an error that says what is wrong."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from truto.expressions import ExpressionError, Limits, compile_expression
from truto.expressions.expression import _FUNCTIONS

_OURS = frozenset({"function", "result", "input", "regex"})
_LIMITS = Limits(seconds=0.5)
_NAMES = ("a", "b", "a.b", "a.*", "**", "$", "$$", "nope", "a[0]", "a[-1]", "a[b]", "a.b[]", "a^(b)", "a@$v.$v", "a#$i")
_VALUES = ("null", "true", "0", "-1.5", "'x'", "''", "[]", "{}", "[null]", "[1, 'a']", "{'k': null}", "/x/", "$sum")
_LAMBDAS = ("function($x) { $x }", "function($x, $y) { $x > $y }", "function($x)<n:n> { $x }", "|$|{'k': 1}, 'b'|")
_OPERATORS = ("+", "-", "*", "/", "%", "=", "!=", "<", ">=", "and", "or", "in", "&", "?:", "??", "..", "~>", ".")
_FUNCTION_NAMES = sorted(name for name in _FUNCTIONS.bindings if not name.startswith("_"))


def _calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arguments = st.lists(inner, max_size=4).map(", ".join)
    return st.builds("${}({})".format, st.sampled_from(_FUNCTION_NAMES), arguments)


def _nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(_OPERATORS), inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("-({})".format, inner),
        st.builds("({}){{'k': {}}}".format, inner, inner),
        st.builds("({})^({})".format, inner, inner),
        _calls(inner),
    )


EXPRESSIONS = st.recursive(st.sampled_from((*_NAMES, *_VALUES, *_LAMBDAS)), _nested, max_leaves=6)
INPUTS = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-3, 3) | st.sampled_from(("", "x", "12", "2024-01-01")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("a", "b", "k")), inner, max_size=3),
    max_leaves=6,
)


def _code(text: str, scope: Any) -> str | None:
    """The code of the error that an evaluation raises; ``None`` for a value."""
    try:
        compile_expression(text, limits=_LIMITS).evaluate(scope)
    except ExpressionError as error:
        return error.code
    return None


@settings(deadline=None, max_examples=400)
@given(EXPRESSIONS, INPUTS)
def test_an_evaluation_gives_a_value_or_says_what_is_wrong(text: str, scope: Any) -> None:
    code = _code(text, scope)
    assert code is None or code in _OURS or re.fullmatch(r"[STD]\d{4}|limit_[a-z]+", code)
