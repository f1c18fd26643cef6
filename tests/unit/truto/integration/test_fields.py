"""What a person fills in is checked and transformed as the field says."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from truto.integration import read_fields
from truto.integration.credentials import FormField


def read(field: dict[str, Any], value: Any = None) -> Any:
    given = {} if value is None else {"f": value}
    return read_fields([FormField.model_validate({"name": "f", **field})], given).get("f")


@pytest.mark.schema("field.name", "field.required", "field.default")
def test_required_fields_and_defaults() -> None:
    with pytest.raises(ValueError, match=r"^f is required$"):
        read({"required": True}, "")
    assert read({"required": True, "default": "d"}) == "d"
    assert read({}) is None


@pytest.mark.schema("field.type", "field.options.value")
def test_a_select_takes_its_options_alone() -> None:
    field = {"type": "single_select", "options": [{"label": "A", "value": "a"}]}
    assert read(field, "a") == "a"
    with pytest.raises(ValueError, match=r"^f is none of a$"):
        read(field, "b")


@pytest.mark.schema("field.format")
@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("email", "a@b.example", "a@b"),
        ("number", "-1.5", "1e5"),
        ("uuid", "8a2b104d-74a6-47f2-b93e-c6b611e82391", "8a2b"),
        ("url", "https://a.example/x", "javascript:1"),
    ],
)
def test_formats(form: str, good: str, bad: str) -> None:
    assert read({"format": form}, good) == good
    with pytest.raises(ValueError, match=f"^f is no {form}$"):
        read({"format": form}, bad)


def test_a_format_that_is_the_name_of_a_pattern_checks_nothing() -> None:
    assert read({"format": "subdomain"}, "x") == "x"


@pytest.mark.schema("field.pattern")
def test_a_pattern_is_searched_for_in_linear_time() -> None:
    assert read({"pattern": "^[a-z]+$"}, "abc") == "abc"
    with pytest.raises(ValueError, match="does not fit its pattern"):
        read({"pattern": "^(a+)+$"}, "a" * 50_000 + "!")
    with pytest.raises(ValueError, match="cannot be read"):
        read({"pattern": "("}, "a")


@pytest.mark.schema("field.transform")
@pytest.mark.parametrize(
    ("transform", "found"),
    [("lowercase", "abc"), ("uppercase", "ABC"), ("sha256", hashlib.sha256(b"aBc").hexdigest())],
)
def test_transforms(transform: str, found: str) -> None:
    assert read({"transform": transform}, "aBc") == found


def test_no_value_is_in_a_message_and_other_fields_are_left_out() -> None:
    fields = [FormField(name="a", required=True), FormField(name="b", format="email")]
    with pytest.raises(ValueError, match=r"^a is required; b is no email$") as caught:
        read_fields(fields, {"b": "sec-ret", "c": 1})
    assert "sec-ret" not in str(caught.value)
