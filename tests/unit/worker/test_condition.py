"""``when=``: what a handler's condition may take, and what is said of one that takes more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from events import Event
from worker.condition import Condition
from worker.errors import DeadLetter, Discard

NOW = datetime(2026, 1, 31, tzinfo=UTC)
ENDLESS = "($f := function($x) { $f($x) }; $f(1))"
HUGE = "$count([1..1000000000]) > 0"


def event(payload: Mapping[str, Any]) -> Event:
    return Event("e-1", "order:paid", "truto", payload, None, None, None, NOW, None, None, {}, b"")


def items(count: int) -> dict[str, Any]:
    return {"items": [{"x": str(number % 10), "n": number} for number in range(count)]}


@pytest.mark.processor_time
@pytest.mark.parametrize("count", [1_500, 20_000], ids=["a thousand", "a large body"])
@pytest.mark.parametrize(
    "when",
    [
        "$count(payload.items[x = '7']) > 0",
        "payload.items[0].x = '0' and $count(payload.items[x = '7']) > 0",
        "false or $exists(payload.items[x = '7' and n > 100])",
        "'7' in payload.items.x",
    ],
)
async def test_a_condition_that_is_linear_holds_over_many_items(when: str, count: int) -> None:
    await Condition(when).check(event(items(count)))


async def test_a_condition_that_does_not_hold_over_many_items_says_so() -> None:
    with pytest.raises(Discard, match="when: it gave false"):
        await Condition("true and $count(payload.items[x = 'none']) > 0").check(event(items(1_500)))


@pytest.mark.parametrize(
    ("made", "code"),
    [
        ("$count(payload.items[$count($$.payload.items[n > 1]) > 0]) > 0", "limit_time"),
        (ENDLESS, "limit_time"),
        (HUGE, "limit_size"),
        ("payload.items.x + 1 > 0", "T2001"),
    ],
    ids=["quadratic", "endless", "huge", "its own error"],
)
@pytest.mark.parametrize("place", ["<>", "true and <>", "false or <>", "$not(false or (true and <>))"])
async def test_a_condition_that_is_stopped_is_a_dead_letter_that_says_by_what(made: str, code: str, place: str) -> None:
    with pytest.raises(DeadLetter, match=rf"\[{code}\]"):
        await Condition(place.replace("<>", made)).check(event(items(900)))
