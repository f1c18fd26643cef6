"""Fields: what they take, and that their JSON Schema says the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sandbox import fields
from sandbox.errors import Refusal
from sandbox.fields import Field

KINDS: dict[str, Field] = {
    "text": fields.text(required=True),
    "flag": fields.flag(default=True),
    "number": fields.number(default=3),
    "mapping": fields.mapping(required=True),
    "anything": fields.anything(required=True),
    "array": fields.array(),
    "objects": fields.objects(),
    "texts": fields.texts(),
    "one or many": fields.one_or_many_texts(),
    "choice": fields.choice("a", "b", default="a"),
    "cron": fields.cron(required=True),
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "a", "c", "* * * * *", "* *"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)


@given(name=st.sampled_from(sorted(KINDS)), value=VALUES)
def test_a_field_takes_what_its_schema_describes(name: str, value: Any) -> None:
    """Else code written from ``/openapi.json`` would be refused."""
    field = KINDS[name]
    try:
        fields.read({"x": value}, {"x": field})
        taken = True
    except Refusal:
        taken = False
    schema = fields.json_schema({"x": field})
    assert Draft202012Validator(schema).is_valid({"x": value}) == taken


@pytest.mark.parametrize("name", KINDS)
def test_a_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(KINDS[name].json_schema())


def test_every_failure_is_listed() -> None:
    with pytest.raises(Refusal) as caught:
        fields.read({"a": 1}, {"a": fields.text(), "b": fields.text(required=True), "c": fields.text()})
    assert [failure["path"] for failure in caught.value.failures] == ["a", "b"]


def test_what_a_partial_body_leaves_out_stays_out() -> None:
    table = {"a": fields.text(required=True), "b": fields.flag(default=True)}
    assert fields.read({"b": None, "other": 1}, table, partial=True) == {"b": True}
    assert "required" not in fields.json_schema(table, partial=True)
