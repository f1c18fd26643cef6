"""Placeholders in fields that decide about trust, and the other spelling of references."""

from __future__ import annotations

from typing import Any

import pytest

from truto.errors import PlaceholderError, UnusableValue
from truto.exact_text import exact_text
from truto.placeholders import compile_template
from truto.references import translate_references

CONTEXT: dict[str, Any] = {
    "context": {"secret": "s3cret", "nothing": None, "empty": "", "object": {"a": 1}, "unset": "{{context.secret}}"},
    "headers": {"x-signature": "abc", "x-time": "1"},
    "raw_body": b'{"a":"\xff"}',
    "count": 5,
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{context.secret}}", "s3cret"),
        ("v0={{headers.x-signature}}", "v0=abc"),
        ("{{count}}", "5"),
        ("{{context.missing|context.secret}}", "s3cret"),
        ("{{context.missing?:fallback}}", "fallback"),
        ("plain", "plain"),
    ],
    ids=lambda value: value,
)
def test_a_field_that_resolves_gives_its_text(template: str, expected: str) -> None:
    assert compile_template(template).render_text_or_fail(CONTEXT) == expected


@pytest.mark.parametrize(
    ("template", "named"),
    [
        ("{{context.missing}}", "{{context.missing}}"),
        ("v0={{headers.missing}}", "{{headers.missing}}"),
        ("{{context.missing:undefined}}", "{{context.missing:undefined}}"),
        ("{{context.missing:null}}", "{{context.missing:null}}"),
        ("{{context.nothing}}", "{{context.nothing}}"),
        ("x{{context.nothing}}", "{{context.nothing}}"),
        ("{{context.empty}}", "{{context.empty}}"),
        ("x{{context.empty}}", "{{context.empty}}"),
        ("{{context.object:any}}", "{{context.object:any}}"),
        ("{{context[0]}}", "{{context[0]}}"),
    ],
    ids=lambda value: value,
)
def test_a_field_without_a_value_fails_and_names_the_placeholder(template: str, named: str) -> None:
    with pytest.raises(PlaceholderError) as raised:
        compile_template(template).render_text_or_fail(CONTEXT)
    assert raised.value.placeholder == named
    assert named in str(raised.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.0", "1.0"),
        (-3, "-3"),
        (0.5, "0.5"),
        (10**20, "1" + "0" * 20),
        (10**21, None),
        (1e16, None),
        (-0.0, None),
        (1e-7, None),
        (float("nan"), None),
        (float("inf"), None),
        (False, None),
        (None, None),
        ([], None),
        ({}, None),
    ],
    ids=str,
)
def test_text_is_exact_where_no_other_value_has_the_same(value: Any, text: str | None) -> None:
    assert exact_text(value) == text


@pytest.mark.parametrize("value", [{}, [], ["s3cret"], True, None, 1.0], ids=str)
@pytest.mark.parametrize("template", ["{{a}}", "x{{a}}", "{{none|a}}", "{{a:str}}"])
def test_a_value_without_a_text_of_its_own_is_unusable_and_stays_out_of_the_message(template: str, value: Any) -> None:
    for method in ("render_text_or_fail", "render_bytes_or_fail"):
        with pytest.raises(UnusableValue) as raised:
            getattr(compile_template(template), method)({"a": value})
        assert "s3cret" not in str(raised.value)


def test_the_paths_of_each_placeholder_are_told() -> None:
    assert compile_template("v0:{{a.b|c:int}}:{{.}}").alternatives == (("a.b", "c"), (".",))
    assert compile_template(["{{a}}"]).alternatives == ()


@pytest.mark.parametrize("template", ["", "{{context.unset}}", "{{raw_body}}"], ids=["empty", "template", "bytes"])
def test_a_field_that_nobody_can_trust_fails(template: str) -> None:
    with pytest.raises(PlaceholderError) as raised:
        compile_template(template).render_text_or_fail(CONTEXT)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("method", ["render_text_or_fail", "render_bytes_or_fail"])
def test_a_field_that_is_not_text_fails(method: str) -> None:
    with pytest.raises(PlaceholderError, match="not text"):
        getattr(compile_template(["{{context.secret}}"]), method)(CONTEXT)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{raw_body}}", b'{"a":"\xff"}'),
        ("v0:{{headers.x-time}}:{{raw_body}}", b'v0:1:{"a":"\xff"}'),
        ("{{context.empty}}", b""),
        ("{{context.unset}}", b"{{context.secret}}"),
        (".", b"."),
    ],
    ids=str,
)
def test_signed_content_is_the_bytes_that_came(template: str, expected: bytes) -> None:
    assert compile_template(template).render_bytes_or_fail(CONTEXT) == expected


@pytest.mark.parametrize("template", ["{{headers.missing}}", "{{context.nothing}}", "{{a,b}}"], ids=str)
def test_signed_content_without_a_value_fails(template: str) -> None:
    with pytest.raises(PlaceholderError):
        compile_template(template).render_bytes_or_fail(CONTEXT)


@pytest.mark.parametrize(
    ("written", "translated"),
    [
        ("$body", "{{raw_body}}"),
        ("$body.token", "{{body.token}}"),
        ("$header.X-Signature", "{{headers.x-signature}}"),
        ("$headers.x-signature", "{{headers.x-signature}}"),
        ("$query.validationToken", "{{query.validationToken}}"),
        ("v0=$header.x-slack-signature", "v0={{headers.x-slack-signature}}"),
        ("$header.a:$header.b", "{{headers.a}}:{{headers.b}}"),
        ("{{env.K}}", "{{environment_variables.K}}"),
        ("{{a|env.K}}", "{{a|environment_variables.K}}"),
        ("{{ env.K }}", "{{ environment_variables.K }}"),
        ("{{credentials.webhook_secret}}", "{{context.webhook_secret}}"),
        ("{{a?:env.K}}", "{{a?:env.K}}"),
        ("{{environment.K}}", "{{environment.K}}"),
        ("$bodyguard", "$bodyguard"),
        ("$ecret", "$ecret"),
        (["v0:", "$body"], ["v0:", "{{raw_body}}"]),
        ({"secret": "{{credentials.s}}", "n": 1}, {"secret": "{{context.s}}", "n": 1}),
    ],
    ids=str,
)
def test_the_other_spelling_becomes_placeholders(written: Any, translated: Any) -> None:
    assert translate_references(written) == translated


def test_the_core_grammar_does_not_know_the_other_spelling() -> None:
    assert compile_template("$body {{env.K}}").render({"raw_body": "x", "environment_variables": {"K": 1}}) == (
        "$body {{env.K}}"
    )
