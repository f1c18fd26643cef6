"""Filters and cursors."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import Refusal
from sandbox.query import cursor_after, page, sort_key

ROWS: list[dict[str, Any]] = [
    {"id": "a", "n": 1, "on": True, "integration": {"name": "calcom"}, "none": None},
    {"id": "b", "n": 20, "on": False, "integration": {"name": "jira"}, "none": None},
    {"id": "c", "n": 3, "on": True, "integration": None, "none": "x"},
]
ENTRIES = list(enumerate(ROWS, start=1))


def ids(*params: tuple[str, str]) -> str:
    return "".join(row["id"] for row in page(ENTRIES, params).result)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("id", "b", "b"),
        ("id[eq]", "b", "b"),
        ("id[ne]", "b", "ac"),
        ("id[gt]", "a", "bc"),
        ("id[lte]", "b", "ab"),
        ("n[gt]", "3", "b"),
        ("n[gte]", "3", "bc"),
        ("n[lt]", "3", "a"),
        ("n[lte]", "3.0", "ac"),
        ("n[gt]", "many", ""),
        ("n", "20", "b"),
        ("on", "true", "ac"),
        ("none", "null", "ab"),
        ("none[gt]", "a", "c"),
        ("integration.name", "calcom", "a"),
        ("integration.name[like]", "CAL%", "a"),
        ("integration.name[like]", "j_ra", "b"),
        ("integration.name[like]", "cal", ""),
        ("id[in]", "a,c", "ac"),
        ("id[nin]", "a,c", "b"),
        ("id[in][0]", "b", "b"),
        ("id[]", "c", "c"),
        ("unknown", "x", ""),
    ],
)
def test_a_filter_finds_its_rows(name: str, value: str, found: str) -> None:
    assert ids((name, value)) == found


@pytest.mark.parametrize("names", [("id[0]", "id[1]"), ("id[]", "id[]"), ("id[in][0]", "id[in][1]")], ids=str)
def test_an_array_means_any_of_its_values(names: tuple[str, str]) -> None:
    assert ids((names[0], "a"), (names[1], "c")) == "ac"


def test_several_filters_all_have_to_hold() -> None:
    assert ids(("on", "true"), ("n[gt]", "1")) == "c"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id[near]", "a"),
        ("id[gt][lt]", "a"),
        ("[eq]", "a"),
        ("id]", "a"),
        ("limit", "0"),
        ("limit", "-1"),
        ("limit", "ten"),
        ("next_cursor", "!"),
        ("next_cursor", "YWZ0ZXI6eA=="),
        ("next_cursor", "é"),
    ],
)
def test_what_cannot_be_asked_is_a_400_that_names_it(name: str, value: str) -> None:
    with pytest.raises(Refusal) as caught:
        page(ENTRIES, [(name, value)])
    assert caught.value.status == 400
    assert caught.value.failures[0]["path"] == name


def test_a_limit_above_the_most_is_lowered() -> None:
    assert page(ENTRIES, [("limit", "500")], max_limit=100).limit == 100


def test_reserved_parameters_are_no_filters() -> None:
    assert len(page(ENTRIES, [("sort_by", "x")], reserved=frozenset({"sort_by"})).result) == 3


@given(limit=st.integers(1, 5), count=st.integers(0, 12), gone=st.sets(st.integers(1, 12)))
def test_following_the_cursor_sees_every_row_once(limit: int, count: int, gone: set[int]) -> None:
    """Whatever the limit and the gaps in the positions."""
    entries = [(at, {"at": at}) for at in range(1, count + 1) if at not in gone]
    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        found = page(entries, [("limit", str(limit)), ("next_cursor", cursor)])
        seen += [row["at"] for row in found.result]
        cursor = found.next_cursor
    assert seen == [at for at, _ in entries]


@given(st.text(), st.text())
def test_no_parameter_can_crash_it(name: str, value: str) -> None:
    """The answer is a page or our own refusal."""
    with contextlib.suppress(Refusal):
        page(ENTRIES, [(name, value)])


def test_a_cursor_is_opaque() -> None:
    assert "7" not in cursor_after(7)


def test_numbers_sort_before_texts_and_null_comes_last() -> None:
    assert sorted([None, "b", 10, "a", 2, True], key=sort_key) == [2, 10, "a", "b", True, None]
