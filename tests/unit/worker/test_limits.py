"""What may be said at ``@on`` about work that shares a key, and which lane that makes of an event."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import NO_LANE, Event, Lane, OrderedPattern, lane_name
from tests.unit.worker.samples import an_event
from worker import ConfigError, Context
from worker.limits import Limits
from worker.registry import Registry


async def handle(event: Event, ctx: Context) -> None: ...


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": "tenant"}, "key="),
        ({"key": "customer", "concurrency": 1}, "account"),
        ({"key": 5, "concurrency": 1}, "account"),
        ({"concurrency": 0}, "at least 1"),
        ({"concurrency": 1.5}, "at least 1"),
        ({"concurrency": True}, "at least 1"),
        ({"ordered": True, "concurrency": 2}, "one at a time"),
        ({"debounce": 0}, "debounce"),
        ({"debounce": -1}, "debounce"),
        ({"debounce": math.nan}, "debounce"),
        ({"debounce": math.inf}, "debounce"),
        ({"debounce": True}, "debounce"),
        ({"debounce": "5"}, "debounce"),
        ({"debounce": 10**7}, "debounce"),
        ({"rate": 5}, "rate"),
        ({"rate": (5,)}, "rate"),
        ({"rate": ("5", 1)}, "rate"),
        ({"rate": (0, 1)}, "rate"),
        ({"rate": (True, 1)}, "rate"),
        ({"rate": (10_001, 1)}, "rate"),
        ({"rate": (5, 0)}, "rate"),
    ],
    ids=str,
)
def test_contradicting_limits_are_refused(options: dict[str, Any], message: str) -> None:
    registry = Registry()
    with pytest.raises(ConfigError, match=message):
        registry.on("a:b", **options)
    assert len(registry) == 0


def test_a_handler_without_limits_has_none() -> None:
    registry = Registry()
    registry.on("a:b")(handle)
    (handler,) = registry.matching(an_event("a:b"))
    assert handler.limits is None
    assert not handler.is_ordered
    assert registry.ordered() == []


def test_an_ordered_handler_is_known_by_its_patterns_until_it_is_forgotten() -> None:
    registry = Registry()
    registry.on("a:b", "c:*", source="truto", ordered=True)(handle)
    name = f"{__name__}.handle"
    assert registry.ordered() == [OrderedPattern(name, "truto", "a:b"), OrderedPattern(name, "truto", "c:*")]
    (handler,) = registry.matching(an_event("a:b"))
    assert handler.is_ordered
    registry.clear()
    assert registry.ordered() == []


@pytest.mark.parametrize(
    ("options", "lane"),
    [
        ({"concurrency": 3}, Lane(lane_name("h", "account-1"), most=3)),
        ({"key": "tenant", "concurrency": 1}, Lane(lane_name("h", "acme-1"), most=1)),
        ({"key": lambda event: event.source, "debounce": 2}, Lane(lane_name("h", "truto"), window=2)),
        ({"ordered": True}, Lane(lane_name("h", "account-1"), most=1, ordered=True)),
        ({"rate": (5, 1.5)}, Lane(lane_name("h", "account-1"), starts=5, period=1.5)),
    ],
    ids=["concurrency", "tenant", "function", "ordered", "rate"],
)
def test_an_event_belongs_to_the_lane_of_its_key(options: dict[str, Any], lane: Lane) -> None:
    assert Limits(**options).lane("h", an_event()) == lane


@pytest.mark.parametrize("key", ["account", "tenant", lambda _: None], ids=["account", "tenant", "function"])
def test_an_event_without_a_key_is_not_held_back(key: Any) -> None:
    event = an_event(account_id=None, tenant_id=None)
    assert Limits(key, concurrency=1).lane("h", event) is NO_LANE


def test_a_key_that_is_no_text_is_an_error_that_names_the_handler() -> None:
    with pytest.raises(TypeError, match=r"team\.h must be a text"):
        Limits(lambda _: 7, concurrency=1).lane("team.h", an_event())  # type: ignore[arg-type, return-value]  # a mistake


@given(first=st.text(), second=st.text())
def test_two_keys_share_a_lane_only_when_they_are_equal(first: str, second: str) -> None:
    assert (lane_name("h", first) == lane_name("h", second)) is (first == second)
    assert lane_name("h", first) != lane_name("g", first)


def test_limits_reach_the_store_in_milliseconds() -> None:
    assert Lane("x", 2, True, 5, 1.5, 0.25).limits == (2, 1, 5, 1500, 250)


HERE = Lane("here")


@pytest.mark.parametrize(
    ("options", "lane", "held", "asks"),
    [
        ({"concurrency": 1}, HERE, None, True),
        ({"concurrency": 1}, HERE, "there", True),
        ({"concurrency": 1}, HERE, "here", False),
        ({"ordered": True}, HERE, "here", False),
        ({"rate": (1, 1)}, HERE, "here", True),
        ({"debounce": 1}, HERE, "here", True),
        ({"concurrency": 1}, NO_LANE, None, False),
        ({"concurrency": 1}, NO_LANE, "there", True),
        ({"ordered": True}, NO_LANE, None, True),
    ],
    ids=str,
)
def test_only_work_that_has_something_to_learn_asks(
    options: dict[str, Any], lane: Lane, held: str | None, asks: bool
) -> None:
    assert Limits(**options).must_ask(lane, held) is asks
