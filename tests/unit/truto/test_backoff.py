from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import Backoff, Retry

SECONDS = st.floats(min_value=0.001, max_value=1e6)


def highest(low: float, high: float) -> float:
    return high


def lowest(low: float, high: float) -> float:
    return low


@given(base=SECONDS, more=SECONDS, failures=st.integers(1, 10**6))
def test_a_delay_is_never_negative_and_never_above_the_cap(base: float, more: float, failures: int) -> None:
    assert 0 <= Backoff(base, base + more).delay(failures) <= base + more


@given(failures=st.integers(1, 5000))
def test_the_longest_delay_never_shrinks_with_more_failures(failures: int) -> None:
    backoff = Backoff()
    assert backoff.delay(failures, highest) <= backoff.delay(failures + 1, highest)


def test_the_longest_delay_doubles_until_the_cap() -> None:
    backoff = Backoff(2, 20)
    assert [backoff.delay(failures, highest) for failures in range(1, 7)] == [2, 4, 8, 16, 20, 20]


def test_the_jitter_is_full_so_a_retry_may_come_at_once() -> None:
    assert Backoff().delay(5, lowest) == 0


def test_delays_are_spread_over_the_whole_range() -> None:
    delays = [Backoff(10, 10).delay(1) for _ in range(2000)]
    assert 4.5 < statistics.mean(delays) < 5.5
    assert min(delays) < 1
    assert max(delays) > 9


@pytest.mark.parametrize(("base", "cap"), [(0, 1), (-1, 1), (2, 1), (float("nan"), 1)], ids=str)
def test_a_backoff_that_cannot_be_meant_is_refused(base: float, cap: float) -> None:
    with pytest.raises(ValueError, match="backoff needs"):
        Backoff(base, cap)


@pytest.mark.parametrize("after", [float("inf"), float("-inf"), float("nan")], ids=str)
def test_a_retry_after_no_time_at_all_is_refused_where_it_is_raised(after: float) -> None:
    with pytest.raises(ValueError, match="after"):
        Retry("later", after=after)
