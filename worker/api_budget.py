"""Keep the fleet within Truto's rate limits, so that calls wait in order instead of getting a 429."""

from __future__ import annotations

import asyncio

import structlog

from events import Budget, Store, StoreUnavailable
from worker.errors import BudgetSpent

log = structlog.get_logger("worker")

PERIOD_SECONDS = 10.0
"""Truto counts requests in windows of 10 s: 500 for an API token and 50 for an account (skill: rate limits)."""

ACCOUNT_CALLS = 50
TOKEN_CALLS = 500


class ApiBudget:
    """Admits *calls* of one API token within 10 s, over all processes that share *store*; 50 for each account.

    While the store is away, all calls are admitted: Truto's own limits apply.
    """

    def __init__(
        self,
        store: Store,
        token: str,
        *,
        calls: int,
        longest_wait: float = PERIOD_SECONDS,
        period: float = PERIOD_SECONDS,
    ) -> None:
        self._budgets = store.budgets
        self._token = token
        self._calls = calls
        self._longest_wait = longest_wait
        self._period = period

    async def admit(self, account_id: str | None) -> None:
        """Return when a call may start. *account_id* is that of a call on an account's data.

        Raises :class:`BudgetSpent` at once if that would take too long; the event then runs again later.
        """
        budgets = [Budget(f"token:{self._token}", self._calls, self._period)]
        if account_id is not None:
            budgets.append(Budget(f"account:{account_id}", min(ACCOUNT_CALLS, self._calls), self._period))
        try:
            taken, wait = await self._budgets.spend(budgets, longest=self._longest_wait)
        except StoreUnavailable as exc:
            log.warning("api_budget_skipped", error=str(exc))
            return
        if not taken:
            raise BudgetSpent(wait)
        if wait:
            await asyncio.sleep(wait)


class SpareBudget:
    """Admits calls that can wait: at most a *share* of the budget of :class:`ApiBudget`, of what is left of it now."""

    def __init__(self, store: Store, token: str, *, calls: int, share: float) -> None:
        self._budgets = store.budgets
        most = calls or TOKEN_CALLS
        self._wanted = [Budget(f"spare:{token}", max(1, int(most * share)), PERIOD_SECONDS)]
        if calls:
            self._wanted.append(Budget(f"token:{token}", calls, PERIOD_SECONDS))
        self.admitted = 0
        """How many calls so far."""

    async def admit(self, _account_id: str | None) -> None:
        """Return when a call may start. Raises :class:`StoreUnavailable`: what can wait does not go on uncounted."""
        while True:
            taken, wait = await self._budgets.spend(self._wanted, longest=0.0)
            if taken:
                self.admitted += 1
                return
            await asyncio.sleep(max(wait, 0.05))
