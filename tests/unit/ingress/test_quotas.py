"""Who may send how much: decided from the clock, the configuration and what was seen of Redis' memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import PendingLimit
from ingress.answers import Refusal
from ingress.errors import Faults
from ingress.quotas import DEFAULT, Bucket, Quota, Quotas
from ingress.sources.loading import read_source

MIB = 1024 * 1024


def quotas(default: Quota = DEFAULT, *, maxmemory: int = 0, fullness: float = 0.0) -> Quotas:
    made = Quotas([], default)
    made._maxmemory, made._fullness = maxmemory, fullness  # noqa: SLF001  as if it had looked
    return made


def refused(answer: object) -> tuple[int, str, str]:
    assert isinstance(answer, Refusal)
    return answer.status, answer.reason, answer.headers["retry-after"]


@pytest.mark.bad_input(205)
def test_more_deliveries_than_its_period_allows_are_refused_until_there_is_room() -> None:
    several, quota = quotas(), Quota(deliveries=2, period_seconds=10)
    answers = [several.admit("shop", quota, 1, now=100.0) for _ in range(3)]
    assert [isinstance(answer, Refusal) for answer in answers] == [False, False, True]
    assert refused(answers[-1]) == (503, "quota_exceeded", "5")
    assert not isinstance(several.admit("shop", quota, 1, now=105.0), Refusal)


@pytest.mark.bad_input(206)
def test_more_bytes_than_its_period_allows_are_refused() -> None:
    several, quota = quotas(), Quota(bytes=1000, period_seconds=10)
    assert not isinstance(several.admit("shop", quota, 900, now=0.0), Refusal)
    assert refused(several.admit("shop", quota, 200, now=0.0))[2] == "1"


def test_one_delivery_that_is_larger_than_the_bound_may_come_after_a_quiet_period() -> None:
    several, quota = quotas(), Quota(bytes=1000, period_seconds=10)
    assert not isinstance(several.admit("shop", quota, 5000, now=0.0), Refusal)
    assert isinstance(several.admit("shop", quota, 5000, now=9.0), Refusal)
    assert not isinstance(several.admit("shop", quota, 5000, now=100.0), Refusal)


def test_the_flood_of_one_source_is_no_concern_of_another() -> None:
    several, quota = quotas(), Quota(deliveries=1)
    several.admit("shop", quota, 1, now=0.0)
    assert isinstance(several.admit("shop", quota, 1, now=0.0), Refusal)
    assert not isinstance(several.admit("desk", quota, 1, now=0.0), Refusal)


def test_truto_is_bounded_only_where_its_source_says_so() -> None:
    several = quotas(Quota(deliveries=1, bytes=1, pending_events=1, pending_bytes=1), fullness=0.99)
    answers = [several.admit("truto-eu", Quota(), MIB, platform=True, now=0.0) for _ in range(1000)]
    assert answers == [None] * 1000
    assert several.admit("truto-eu", Quota(pending_events=7), 1, platform=True) == PendingLimit(7, 0, 0)


@pytest.mark.bad_input(207)
def test_while_redis_is_nearly_full_only_truto_is_let_in() -> None:
    assert refused(quotas(fullness=0.9).admit("shop", Quota(), 1))[1] == "quota_exceeded"
    assert not isinstance(quotas(fullness=0.8).admit("shop", Quota(), 1), Refusal)


@pytest.mark.parametrize(
    ("maxmemory", "most"), [(1000 * MIB, 100 * MIB), (0, 256 * MIB)], ids=["a-tenth-of-redis", "without-a-limit"]
)
def test_what_a_source_may_have_in_redis_is_a_part_of_it(maxmemory: int, most: int) -> None:
    assert quotas(maxmemory=maxmemory).admit("shop", Quota(), 1) == PendingLimit(100_000, most, 0)


def test_zero_lifts_a_bound() -> None:
    assert quotas().admit("shop", Quota(pending_events=0, pending_bytes=0), 1) is None


def test_a_source_says_what_differs_from_the_default() -> None:
    assert Quota(pending_events=5).or_else(DEFAULT).deliveries == DEFAULT.deliveries


def test_a_flood_of_refusals_is_told_once_a_second_and_none_is_forgotten() -> None:
    several = quotas()
    told = [several.to_tell("shop", now=at) for at in (0.0, 0.2, 0.4, 1.0)]
    assert told == [1, 0, 0, 3]


@given(
    most=st.integers(1, 50),
    period=st.floats(1, 100),
    steps=st.lists(st.tuples(st.floats(0, 20), st.integers(1, 50)), max_size=60),
)
def test_no_period_ever_sees_more_than_twice_the_bound(
    most: int, period: float, steps: list[tuple[float, int]]
) -> None:
    """All of it at once after a quiet time, and what flows in meanwhile."""
    bucket, now, taken = Bucket(), 0.0, []
    for pause, amount in steps:
        now += pause
        if amount <= most and bucket.wait(amount, most, period, now) == 0:
            bucket.take(amount)
            taken.append((now, amount))
        recent = sum(amount for at, amount in taken if now - at < period)
        assert recent <= 2 * most + 1


def test_a_quota_is_read_from_the_file() -> None:
    quota = {"deliveries": 10, "period_seconds": 1, "pending_bytes": 0}
    source = read_source("shop", {"preset": "github", "secrets": ["0123456789abcdef"], "options": {"quota": quota}}, {})
    assert source.quota == Quota(deliveries=10, period_seconds=1.0, pending_bytes=0)


def test_a_quota_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(Faults, match=r"shop\.options\.quota\.deliveries"):
        read_source(
            "shop",
            {"preset": "github", "secrets": ["0123456789abcdef"], "options": {"quota": {"deliveries": -1}}},
            {},
        )
