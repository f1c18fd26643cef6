"""Calls of a fleet are spread over its budget, or sent back to a later run."""

from __future__ import annotations

import asyncio

import pytest

from events import Store
from tests.conftest import MakeStore
from tests.servers import free_port
from worker.api_budget import ApiBudget
from worker.errors import BudgetSpent


async def test_calls_within_the_budget_start_at_once(store: Store) -> None:
    budget = ApiBudget(store, "token", calls=5, longest_wait=0)
    for _ in range(5):
        await budget.admit(None)


async def test_a_call_beyond_it_waits_for_its_place(store: Store) -> None:
    budget = ApiBudget(store, "token", calls=2, period=0.3)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(*(budget.admit(None) for _ in range(4)))
    assert loop.time() - began >= 0.29


async def test_a_place_that_is_too_far_away_sends_the_event_back(store: Store) -> None:
    budget = ApiBudget(store, "token", calls=1, longest_wait=1)
    await budget.admit(None)
    with pytest.raises(BudgetSpent) as refused:
        await budget.admit(None)
    assert refused.value.retry_after is not None
    assert 9 < refused.value.retry_after <= 10
    assert str(refused.value) == "a call to Truto: 429 the fleet has spent its calls, and nothing was sent"


async def test_an_account_has_fifty_calls_and_takes_none_of_another_ones(store: Store) -> None:
    budget = ApiBudget(store, "token", calls=500, longest_wait=0)
    for _ in range(50):
        await budget.admit("account-1")
    with pytest.raises(BudgetSpent):
        await budget.admit("account-1")
    await budget.admit("account-2")


async def test_two_processes_share_one_token(make_store: MakeStore) -> None:
    one, other = (ApiBudget(make_store(), "token", calls=2, longest_wait=0) for _ in range(2))
    await one.admit(None)
    await other.admit(None)
    with pytest.raises(BudgetSpent):
        await one.admit(None)


async def test_tokens_have_budgets_of_their_own(store: Store) -> None:
    for token in ("one", "other"):
        await ApiBudget(store, token, calls=1, longest_wait=0).admit(None)


async def test_without_the_store_calls_are_admitted() -> None:
    store = Store.connect(f"redis://127.0.0.1:{free_port()}")
    await ApiBudget(store, "token", calls=1).admit("account-1")
    await store.close()
