"""Which store a delivery goes to, and how several queues look as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import Acceptance, Overview, PendingLimit, Shards, Store, StoreUnavailable, Verified, choose_shard, combine
from events.event import account_of


class Shelf(Store):
    """A store that keeps in a list what it takes; *down*, it takes nothing."""

    def __init__(self, *, down: bool = False) -> None:
        self.taken: list[Verified] = []
        self.down = down

    async def accept(self, events: Sequence[Verified], limit: PendingLimit | None = None) -> list[Acceptance]:
        if self.down:
            raise StoreUnavailable("down")
        self.taken += events
        return [Acceptance.ACCEPTED] * len(events)


def delivered(event_id: str, *, account: str | None = None) -> Verified:
    body = {"id": event_id, "event": "record:created", "payload": {"integrated_account_id": account}}
    return Verified(source="truto", type="record:created", id=event_id, body=orjson.dumps(body))


async def test_all_events_of_an_account_come_to_one_store() -> None:
    shelves = [Shelf(), Shelf(), Shelf()]
    shards = Shards(shelves)
    for number in range(60):
        await shards.accept([delivered(f"e-{number}", account=f"account-{number % 30}")])
    accounts = [{account_of(verified) for verified in shelf.taken} for shelf in shelves]
    assert all(accounts)
    assert sum(map(len, accounts)) == 30


async def test_an_event_without_an_account_is_found_again_by_its_id() -> None:
    shelves = [Shelf(), Shelf(), Shelf()]
    shards = Shards(shelves)
    for _ in range(3):
        await shards.accept([delivered("e-1")])
    assert sorted(len(shelf.taken) for shelf in shelves) == [0, 0, 3]


async def test_a_delivery_stays_whole_though_its_events_are_of_several_accounts() -> None:
    shelves = [Shelf(), Shelf()]
    await Shards(shelves).accept([delivered(f"e-{number}", account=f"account-{number}") for number in range(20)])
    assert sorted(len(shelf.taken) for shelf in shelves) == [0, 20]


async def test_a_store_that_is_down_costs_its_own_share_only() -> None:
    shelves = [Shelf(), Shelf(down=True)]
    shards = Shards(shelves)
    refused = 0
    for number in range(50):
        try:
            await shards.accept([delivered(f"e-{number}", account=f"account-{number}")])
        except StoreUnavailable:
            refused += 1
    assert 0 < refused < 50
    assert len(shelves[0].taken) == 50 - refused


def test_no_store_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one store"):
        Shards([])


@given(share=st.text(), count=st.integers(1, 20))
def test_one_shard_more_takes_shares_only_to_itself(share: str, count: int) -> None:
    before, after = choose_shard(share, count), choose_shard(share, count + 1)
    assert after in {before, count}


def test_shares_are_spread_evenly() -> None:
    counts = Counter(choose_shard(f"account-{number}", 4) for number in range(4000))
    assert set(counts) == {0, 1, 2, 3}
    assert min(counts.values()) > 850


def test_several_queues_look_as_one() -> None:
    one = Overview(1, 2.0, 3, 4, 5, 6, {"done": 1, "dead": 2}, 7)
    other = Overview(10, 1.0, 30, 40, 50, 60, {"done": 10}, 70)
    assert combine([one, other]) == Overview(11, 2.0, 33, 44, 55, 66, {"done": 11, "dead": 2}, 77)
