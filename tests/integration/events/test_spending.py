"""Budgets: so many starts within a period, whoever asks."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import Budget, Store
from tests.conftest import MakeStore
from tests.integration.worker.workshop import eventually


def ten(name: str = "calls", period: float = 60.0) -> Budget:
    return Budget(name, 10, period)


async def test_a_budget_gives_its_starts_at_once_and_the_next_one_a_period_later(store: Store) -> None:
    answers = [await store.budgets.spend([ten()], longest=100) for _ in range(11)]
    assert answers[:10] == [(True, 0.0)] * 10
    taken, wait = answers[10]
    assert taken
    assert 59 < wait <= 60


async def test_processes_share_a_budget(make_store: MakeStore) -> None:
    one, other = make_store(), make_store()
    answers = await asyncio.gather(*(store.budgets.spend([ten()], longest=0) for store in [one, other] * 10))
    assert [taken for taken, _ in answers].count(True) == 10


async def test_who_would_wait_too_long_takes_nothing_away(store: Store) -> None:
    for _ in range(10):
        await store.budgets.spend([ten()], longest=0)
    for _ in range(5):
        taken, wait = await store.budgets.spend([ten()], longest=1)
        assert not taken
        assert 59 < wait <= 60
    assert await store.redis.llen(next(iter(await store.redis.keys("tw:spent:*")))) == 10  # type: ignore[misc]


async def test_those_who_wait_are_given_later_and_later_periods(store: Store) -> None:
    waits = [(await store.budgets.spend([Budget("calls", 2, 10)], longest=100))[1] for _ in range(8)]
    assert [round(wait, -1) for wait in waits] == [0, 0, 10, 10, 20, 20, 30, 30]


async def test_a_start_needs_a_place_in_every_budget(store: Store) -> None:
    narrow = Budget("account", 1, 30)
    assert await store.budgets.spend([ten(), narrow], longest=0) == (True, 0.0)
    taken, _ = await store.budgets.spend([ten(), narrow], longest=0)
    assert not taken
    assert (await store.budgets.spend([ten(), Budget("other account", 1, 30)], longest=0))[0]
    assert await store.redis.llen(f"tw:spent:{ten().parts[0]}") == 2  # type: ignore[misc]


async def test_a_period_later_there_are_starts_again(store: Store) -> None:
    short = Budget("calls", 1, 0.5)

    async def may_start() -> bool:
        return (await store.budgets.spend([short], longest=0))[0]

    assert await may_start()
    assert not await may_start()
    await eventually(may_start)


async def test_a_budget_that_is_not_used_leaves_nothing_behind(store: Store) -> None:
    await store.budgets.spend([Budget("calls", 5, 0.05)], longest=0)

    async def is_empty() -> bool:
        return bool(await store.redis.dbsize() == 0)

    await eventually(is_empty)


def test_a_name_is_neither_shown_nor_a_key() -> None:
    budget = Budget("token:s3cret-s3cret", 1, 1)
    assert "s3cret" not in repr(budget) + str(budget.parts)


@given(name=st.text())
def test_any_name_makes_a_key(name: str) -> None:
    assert len(Budget(name, 1, 1).parts[0]) == 32


@pytest.mark.parametrize(("count", "period"), [(0, 1.0), (-1, 1.0), (1, 0.0), (1, -1.0), (1, float("nan"))])
def test_a_budget_that_cannot_be_meant_is_refused(count: int, period: float) -> None:
    with pytest.raises(ValueError, match="a budget has"):
        Budget("calls", count, period)
