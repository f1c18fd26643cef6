"""Who gets room for a body when there is little, and who gives way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.budget import FIRST, BodyBudget, Holding

KB = 1024
MOST = 1024 * KB
LARGE = MOST - MOST // 4
"""What large bodies can take."""


class Requests:
    """Requests that hold what they get, and remember when they had to give way."""

    def __init__(self) -> None:
        self.budget = BodyBudget(MOST)
        self.gone: list[str] = []
        self.holdings: dict[str, Holding] = {}

    def grow(self, name: str, size: int, *, large: bool = False, age: float = 0.0) -> bool:
        """Let the request *name*, of the source before its colon, hold *size* bytes more."""
        if name not in self.holdings:
            self.holdings[name] = Holding(name.partition(":")[0], self._give_way(name))
            self.holdings[name].since -= age
        return self.budget.grow(self.holdings[name], size, is_large=large)

    def _give_way(self, name: str) -> Callable[[], None]:
        def give_way() -> None:
            self.gone.append(name)
            self.budget.release(self.holdings[name])

        return give_way


@pytest.fixture
def requests() -> Requests:
    return Requests()


def test_large_bodies_cannot_fill_the_reserve(requests: Requests) -> None:
    assert requests.grow("truto:1", LARGE, large=True)
    assert not requests.grow("truto:2", 1, large=True)
    assert requests.grow("truto:3", 60 * KB)


def test_a_body_that_grows_large_leaves_the_reserve(requests: Requests) -> None:
    assert requests.grow("truto:1", LARGE - 10 * KB, large=True)
    assert requests.grow("truto:2", 60 * KB)
    assert not requests.grow("truto:2", 10 * KB, large=True)


def test_whole_small_bodies_find_room_while_strangers_hold_the_rest(requests: Requests) -> None:
    assert requests.grow("truto:large", LARGE, large=True)
    for number in range(100):
        assert requests.grow(f"truto:{number}", 60 * KB)
    assert requests.gone[:3] == ["truto:0", "truto:1", "truto:2"]
    assert requests.budget.held <= MOST


def test_the_source_that_takes_most_gives_way_to_another(requests: Requests) -> None:
    assert requests.grow("slack:1", LARGE // 2, large=True)
    assert requests.grow("slack:2", LARGE // 2, large=True)
    assert requests.grow("github:1", LARGE // 4, large=True)
    assert requests.gone == ["slack:1"]


def test_a_source_cannot_take_the_share_of_another(requests: Requests) -> None:
    assert requests.grow("slack:1", LARGE // 2, large=True)
    assert requests.grow("github:1", LARGE // 2, large=True)
    assert not requests.grow("slack:2", KB, large=True)
    assert requests.gone == []


def test_trutos_own_source_may_take_twice_as_much_before_it_gives_way(requests: Requests) -> None:
    assert requests.grow("truto:1", LARGE // 2, large=True)
    assert requests.grow("slack:1", LARGE // 2, large=True)
    assert requests.grow("truto:2", KB, large=True)
    assert requests.gone == ["slack:1"]


def test_a_body_that_has_been_on_its_way_for_long_gives_way_to_one_of_its_own_source(requests: Requests) -> None:
    assert requests.grow("truto:slow", LARGE, large=True, age=5)
    assert requests.grow("truto:next", LARGE, large=True)
    assert requests.gone == ["truto:slow"]


def test_a_young_body_keeps_its_room(requests: Requests) -> None:
    assert requests.grow("truto:1", LARGE, large=True, age=1)
    assert not requests.grow("truto:2", KB, large=True)
    assert requests.gone == []


def test_what_is_complete_never_gives_way(requests: Requests) -> None:
    assert requests.grow("slack:1", LARGE, large=True, age=60)
    requests.budget.settle(requests.holdings["slack:1"])
    assert not requests.grow("github:1", KB, large=True)
    assert requests.gone == []


def test_the_last_room_is_trutos_own(requests: Requests) -> None:
    requests.budget.hold(MOST - 60 * KB, first=True)
    assert not requests.budget.hold(KB, first=False)
    assert not requests.grow("slack:1", KB)
    assert requests.budget.hold(KB, first=True)
    assert requests.grow(f"{FIRST}:1", KB)


def test_nobody_holds_more_than_there_is(requests: Requests) -> None:
    assert requests.budget.hold(MOST, first=True)
    assert not requests.budget.hold(1, first=True)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["grow", "settle", "release"]),
        st.sampled_from([f"{source}:{number}" for source in ("truto", "slack", "") for number in range(4)]),
        st.integers(0, 300 * KB),
        st.booleans(),
    ),
    max_size=60,
)


@given(steps=STEPS)
def test_the_books_are_right_whatever_happens(steps: list[tuple[str, str, int, bool]]) -> None:
    requests = Requests()
    for step, name, size, large in steps:
        if step == "grow":
            requests.grow(name, size, large=large)
        elif name in requests.holdings:
            getattr(requests.budget, step)(requests.holdings[name])
        assert requests.budget.held == sum(holding.size for holding in requests.holdings.values()) <= MOST
    for holding in requests.holdings.values():
        requests.budget.release(holding)
    assert requests.budget.held == 0
    assert requests.budget.oldest(-1) is None
