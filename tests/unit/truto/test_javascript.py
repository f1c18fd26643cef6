"""Numbers and text as JavaScript writes and reads them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truto import javascript


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (5.0, "5"),
        (-1.5, "-1.5"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (0.000001, "0.000001"),
        (1e-7, "1e-7"),
        (-1.25e-9, "-1.25e-9"),
        (100.25, "100.25"),
        (2**63, "9223372036854775808"),
        (10**21, "1e+21"),
        (10**400, "Infinity"),
        (-(10**400), "-Infinity"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
    ],
    ids=lambda value: str(value)[:25],
)
def test_a_number_prints_as_in_javascript(number: float, text: str) -> None:
    assert javascript.number_text(number) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_number_reads_back_the_same(number: float) -> None:
    assert float(javascript.number_text(number)) == number


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("", 0),
        ("  ", 0),
        (None, 0),
        ([], 0),
        ([None], 0),
        ([5], 5),
        ([1, 2], None),
        (True, 1),
        (7, 7),
        (1.5, 1.5),
        ("0x1F", 31),
        ("0b101", 5),
        ("0o17", 15),
        ("0b2", None),
        ("0x", None),
        (" 12.5 ", 12.5),
        ("12px", None),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        ("1_000", None),
        ({}, None),
    ],
    ids=repr,
)
def test_a_value_becomes_a_number_as_in_javascript(value: object, number: float | None) -> None:
    found = javascript.to_number(value)
    assert math.isnan(found) if number is None else found == number


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a.b", 1), ("x.y", 2), ("l[1].c", 3), ("l.0", 0), ("l.9", None), ("a.b.c", None), ("nope", None)],
    ids=str,
)
def test_a_path_reaches_into_objects_and_arrays(path: str, expected: object) -> None:
    assert javascript.get_path({"a": {"b": 1}, "x.y": 2, "l": [0, {"c": 3}]}, path) == expected


@pytest.mark.parametrize(
    ("value", "text", "lodash"),
    [
        ([1, None], "1,", "1,null"),
        (-0.0, "0", "-0"),
        ([[-0.0]], "0", "-0"),
        (None, "null", "null"),
        ({}, "[object Object]", "[object Object]"),
    ],
    ids=repr,
)
def test_a_value_becomes_text_as_in_javascript_or_as_in_lodash(value: object, text: str, lodash: str) -> None:
    assert (javascript.text(value), javascript.lodash_text(value)) == (text, lodash)


def test_white_space_is_what_javascript_trims() -> None:
    assert javascript.trimmed("\ufeff\u00a0\v x\x1c\u3000") == "x\x1c"
