"""What the version before has left in Redis, in the hands of this one: nothing is lost, and nothing runs twice.

``7219b2a.json`` is what that version's own ingress and worker wrote, until the worker was killed. To make the file of
another version: ``python -m tests.integration.upgrade.make COMMIT``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis import Redis

from events import End, Lease, Store
from events.embedded import EmbeddedRedis
from tests.integration.upgrade.shop import ACCOUNT, Sender, ingress, shop
from tests.integration.upgrade.snapshot import restore
from tests.integration.worker.processes import Team
from tests.integration.worker.workshop import delivered, eventually
from tests.servers import quick_redis

BEFORE = Path(__file__).with_name("7219b2a.json").read_text()
_PATIENCE = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    """The Redis of the version before, two minutes after its worker was killed."""
    with quick_redis() as found, Redis.from_url(found.url) as redis:
        restore(redis, BEFORE, seconds_later=120)
        yield found


@pytest.fixture(scope="module")
def team(server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """The shop, where a worker of this version runs."""
    found = shop(tmp_path_factory.mktemp("shop"), server.url)
    with found.worker(TRUTO_SOURCES="truto-eu"):
        yield found


@pytest.fixture(scope="module")
def sender(server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sender]:
    """Delivers to an ingress of this version."""
    folder = tmp_path_factory.mktemp("edge")
    shop(folder, server.url)
    with ingress(folder, server.url) as found:
        yield found


@pytest.fixture
async def store(server: EmbeddedRedis) -> AsyncIterator[Store]:
    found = Store.connect(server.url)
    yield found
    await found.close()


async def said_once(team: Team, *words: str) -> None:
    """Wait until all of *words* were said; none of them may have been said twice."""
    await eventually(lambda: set(words) <= set(team.said()), _PATIENCE)
    assert [team.said().count(word) for word in words] == [1] * len(words)


async def is_over(store: Store, event_id: str, source: str = "truto", times: int = 1) -> None:
    """Wait until the event has ended as done, so many times."""

    async def is_done() -> bool:
        entries = await store.inspection.history(source, event_id)
        return [entry.what for entry in entries].count("done") >= times

    await eventually(is_done, _PATIENCE)


async def test_pending_events_run(team: Team, store: Store) -> None:
    await said_once(team, "paid pending-0 0", "paid pending-1 0", "paid pending-2 0")
    await is_over(store, "pending-0")


async def test_a_pending_event_with_a_large_body_in_one_piece_runs_with_all_of_it(team: Team, store: Store) -> None:
    await said_once(team, "paid large-1 70000")
    await is_over(store, "large-1")


async def test_pending_events_of_other_sources_run(team: Team, store: Store) -> None:
    await said_once(team, "paid own-pending 5")
    await is_over(store, "own-pending", "own")


async def test_pending_events_that_truto_delivered_under_another_name_are_trutos(team: Team, store: Store) -> None:
    await said_once(team, "integrated_account:active truto-eu")
    await is_over(store, "eu-1", "truto-eu")


async def test_events_of_a_worker_that_is_gone_run_again(team: Team, store: Store) -> None:
    await said_once(team, "slow slow-1 attempt 1", "slow slow-2 attempt 1")
    await is_over(store, "slow-1")


async def test_a_retry_is_made_and_its_attempts_count_on(team: Team, store: Store) -> None:
    await said_once(team, "failing failing-1 attempt 2")
    await is_over(store, "failing-1")


async def test_of_several_handlers_only_the_one_that_had_not_ended_runs(team: Team, store: Store) -> None:
    await said_once(team, "second split-1")
    await is_over(store, "split-1")
    assert "first split-1" not in team.said()


async def test_parked_events_run_once_there_is_a_handler(team: Team, store: Store) -> None:
    await said_once(team, "new new-1")
    await is_over(store, "new-1")


async def test_parked_events_that_still_have_no_handler_stay(team: Team, store: Store) -> None:
    async def is_indexed() -> bool:
        return (await store.inspection.overview()).sources["truto"].parked == 1

    await eventually(is_indexed, _PATIENCE)
    found = [kept.event.id for kept in await store.inspection.parked() if kept.event]
    assert "unknown-1" in found


async def test_what_waits_for_its_account_runs_when_that_is_connected(team: Team, store: Store, sender: Sender) -> None:
    assert sender.deliver("integrated_account:reactivated", "again-1", id=ACCOUNT, status="active") == "accepted"
    await said_once(team, "revoked revoked-1 attempt 1")
    await is_over(store, "revoked-1")


async def test_what_waits_for_its_key_runs(team: Team, store: Store) -> None:
    await said_once(team, "keyed keyed-1", "keyed keyed-2", "keyed keyed-3")
    await is_over(store, "keyed-3")


async def test_what_waits_for_its_turn_runs_in_order(team: Team, store: Store) -> None:
    ids = ["ordered ordered-1", "ordered ordered-2", "ordered ordered-3"]
    await said_once(team, *ids)
    await is_over(store, "ordered-3")
    assert [word for word in team.said() if word in ids] == ids


async def test_a_dead_letter_can_be_replayed(team: Team, store: Store) -> None:
    (dead,) = await store.inspection.dead_letters()
    assert (dead.event and dead.event.id, dead.note["why"]) == ("refused-1", "the stock is empty")
    assert await store.inspection.replay([dead.member]) == 1
    await said_once(team, "refused refused-1 attempt 1")
    await is_over(store, "refused-1")


async def test_a_step_that_is_done_is_not_repeated(team: Team, store: Store) -> None:
    await said_once(team, "ship stepped-1 charged")
    await is_over(store, "stepped-1")
    assert "charge stepped-1" not in team.said()


async def test_a_workflow_that_sleeps_goes_on(team: Team, store: Store) -> None:
    await said_once(team, "nap ended")
    await is_over(store, "nap-1")
    assert "nap begun" not in team.said()


async def test_a_workflow_that_waits_for_an_event_goes_on_with_it(team: Team, store: Store, sender: Sender) -> None:
    assert sender.deliver("sync_job_run:failed", "run-1") == "accepted"
    await said_once(team, "wait ended")
    await is_over(store, "waiting-1")
    assert "wait begun" not in team.said()


async def test_a_handled_event_of_truto_that_comes_again_is_a_duplicate(team: Team, sender: Sender) -> None:
    assert sender.deliver("order:paid", "done-1", integrated_account_id=ACCOUNT) == "duplicate"
    assert "paid done-1 0" not in team.said()


async def test_a_pending_event_of_truto_that_comes_again_is_a_duplicate(team: Team, sender: Sender) -> None:
    assert sender.deliver("order:paid", "pending-0") == "duplicate"
    await said_once(team, "paid pending-0 0")


async def test_a_handled_event_of_a_source_that_names_its_id_is_a_duplicate(team: Team, sender: Sender) -> None:
    assert sender.deliver_own("push", "own-done") == "duplicate"
    assert "paid own-done 5" not in team.said()


async def test_a_pending_event_of_a_source_that_names_its_id_is_a_duplicate(team: Team, sender: Sender) -> None:
    assert sender.deliver_own("push", "own-pending") == "duplicate"
    await said_once(team, "paid own-pending 5")


async def test_a_handled_event_with_the_id_of_another_type_runs(team: Team, sender: Sender) -> None:
    """Types count since: one id under two types is two events."""
    assert sender.deliver_own("issues", "own-done") == "accepted"
    await said_once(team, "paid own-done 5")


async def test_the_secret_that_a_handshake_left_still_counts(sender: Sender) -> None:
    assert sender.deliver_asana() == "accepted"


async def test_refusals_can_be_read(store: Store) -> None:
    assert ("hub", 401) in [(refused.source, refused.status) for refused in await store.notes.refusals()]


async def test_no_count_of_a_source_is_negative(team: Team, store: Store) -> None:
    await is_over(store, "large-1")
    for usage in (await store.inspection.overview()).sources.values():
        assert min(usage.events, usage.bytes, usage.parked, usage.parked_bytes) >= 0


async def test_work_runs_again_within_the_lease_of_a_worker_that_was_just_killed(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    with Redis.from_url(own_redis.url) as redis:
        restore(redis, BEFORE)
    team = shop(tmp_path, own_redis.url)
    with team.worker():
        await said_once(team, "slow slow-1 attempt 1", "second split-1", "ship stepped-1 charged")


async def test_what_nobody_handles_is_kept_for_its_whole_time_from_the_upgrade_on(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    """The version before kept it for ever, so it may be older already than this one keeps it."""
    with Redis.from_url(own_redis.url) as redis:
        restore(redis, BEFORE, seconds_later=30 * 86_400)
    store = Store.connect(own_redis.url)
    team = shop(tmp_path, own_redis.url)
    for start in ("first", "second"):
        await store.accept([delivered("order:paid", event_id=start)])
        with team.worker():  # which looks at what is parked before it claims
            await is_over(store, start)
        usage = (await store.inspection.overview()).sources["truto"]
        assert (usage.parked, usage.let_go) == (1, 0)
    await store.close()


async def test_what_is_not_said_to_be_truto_is_not_believed_to_be(own_redis: EmbeddedRedis, tmp_path: Path) -> None:
    with Redis.from_url(own_redis.url) as redis:
        restore(redis, BEFORE)
    store = Store.connect(own_redis.url)

    async def is_parked() -> bool:
        return "truto-eu/integrated_account:active" in [
            kept.event.type for kept in await store.inspection.parked() if kept.event
        ]

    team = shop(tmp_path, own_redis.url)
    with team.worker(TRUTO_SOURCES="hub"):
        await eventually(is_parked, _PATIENCE)
    assert "integrated_account:active truto-eu" not in team.said()
    await store.close()


@pytest.fixture
async def leased(own_redis: EmbeddedRedis) -> AsyncIterator[tuple[Store, Lease]]:
    """A store where a worker of the version before is alive, and its lease on ``slow-1``."""
    with Redis.from_url(own_redis.url) as redis:
        restore(redis, BEFORE)
    store = Store.connect(own_redis.url)
    event = await store.inspection.stored("truto", "slow-1")
    assert event is not None
    token = await store.redis.hget(f"tw:work:{event.key}", "token")  # type: ignore[misc]  # redis-py's type
    yield store, Lease(event.key, token.decode(), event, handler=None, attempts=0, crashes=0)
    await store.close()


async def test_a_worker_of_before_that_is_alive_ends_its_work(leased: tuple[Store, Lease]) -> None:
    store, lease = leased
    assert await store.queue.finish(lease, End("done")) is True
    await is_over(store, "slow-1")


async def test_a_worker_of_before_that_ends_its_work_too_late_is_refused(leased: tuple[Store, Lease]) -> None:
    store, lease = leased
    await store.redis.zadd("tw:queue", {lease.member: 1})
    claimed = [again.member for again in (await store.queue.claim(100, "new")).leases]
    assert lease.member in claimed
    assert await store.queue.finish(lease, End("done")) is False
