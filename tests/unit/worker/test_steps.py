"""What a step may return, and how calls are named inside and outside of steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import BadStep, DeadLetter
from worker.steps import MAX_RESULT_BYTES, CallKeys, _running, encode_result

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)  # fmt: skip


@given(result=PLAIN)
def test_plain_json_comes_back_as_it_was(result: object) -> None:
    assert orjson.loads(encode_result("s", result)) == result


@dataclass
class Thing:
    a: int = 1


class Pair(NamedTuple):
    a: int
    b: int


@pytest.mark.parametrize(
    "result",
    [
        (1, 2),
        {1, 2},
        {1: "a"},
        b"bytes",
        object(),
        Thing(),
        datetime(2025, 1, 1, tzinfo=UTC),
        UUID(int=1),
        math.nan,
        math.inf,
        2**64,
        "\ud800",
        {"deep": [{"er": (1,)}]},
        Pair(1, 2),
        print,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_plain_json_is_a_type_error_that_names_the_step(result: object) -> None:
    with pytest.raises(TypeError, match=r"step 'fetch' must return plain JSON") as caught:
        encode_result("fetch", result)
    assert isinstance(caught.value, BadStep)
    assert isinstance(caught.value, DeadLetter)


def test_a_list_that_holds_itself_is_refused_too() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(BadStep):
        encode_result("s", circle)


def test_a_result_may_be_as_long_as_the_limit_and_no_longer() -> None:
    longest = "x" * (MAX_RESULT_BYTES - 2)
    assert len(encode_result("s", longest)) == MAX_RESULT_BYTES
    with pytest.raises(TypeError, match=r"step 's' returned 262145 bytes"):
        encode_result("s", longest + "x")


def test_calls_are_counted_apart_inside_each_step() -> None:
    keys = CallKeys("event:handler")
    names = [keys.next()]
    for step in ("a", "b", "a"):
        token = _running.set(step)
        names.append(keys.next())
        _running.reset(token)
    names.append(keys.next())
    assert names == [
        "event:handler:1",
        "event:handler/a:1",
        "event:handler/b:1",
        "event:handler/a:2",
        "event:handler:2",
    ]
