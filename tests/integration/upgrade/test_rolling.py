"""A rolling deploy, workers first: for a while the ingress of the version before delivers to workers of both."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from events import Store
from events.embedded import EmbeddedRedis
from tests.integration.upgrade.shop import ACCOUNT, Sender, checkout, ingress, shop
from tests.integration.worker.processes import Team
from tests.integration.worker.workshop import eventually, is_empty
from tests.servers import free_port, quick_redis

BEFORE = "7219b2a"
_PATIENCE = 20.0
_KINDS = ("paid", "slow", "failing", "split", "keyed", "ordered", "stepped")


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the version before."""
    try:
        return checkout(BEFORE, tmp_path_factory.mktemp("code"))
    except (LookupError, FileNotFoundError) as exc:
        pytest.skip(f"the history of this checkout is not complete: {exc}")


@pytest.fixture
def redis() -> Iterator[EmbeddedRedis]:
    with quick_redis() as found:
        yield found


@pytest.fixture
async def store(redis: EmbeddedRedis) -> AsyncIterator[Store]:
    found = Store.connect(redis.url)
    yield found
    await found.close()


@pytest.fixture
def team(redis: EmbeddedRedis, tmp_path: Path) -> Team:
    return shop(tmp_path, redis.url)


@pytest.fixture
def old_ingress(redis: EmbeddedRedis, team: Team, tmp_path: Path, code: Path) -> Iterator[Sender]:
    with ingress(tmp_path, redis.url, code) as found:
        yield found


async def drained(store: Store) -> None:
    async def is_over() -> bool:
        return await is_empty(store) and (await store.inspection.overview()).held == 0

    await eventually(is_over, _PATIENCE)


def deliver_all(sender: Sender, numbers: range) -> None:
    for number in numbers:
        for kind in _KINDS:
            assert sender.deliver(f"order:{kind}", f"{kind}-{number}", integrated_account_id=ACCOUNT) == "accepted"
        assert sender.deliver_own("push", f"own-{number}") == "accepted"
        assert sender.deliver("integrated_account:active", f"eu-{number}", source="truto-eu", id=ACCOUNT) == "accepted"
        assert sender.deliver("order:large", f"large-{number}", text="x" * 70_000) == "accepted"


def expected(numbers: range) -> list[str]:
    words = ["integrated_account:active truto-eu"] * len(numbers)
    for n in numbers:
        words += [f"paid paid-{n} 0", f"slow slow-{n} attempt 1", f"failing failing-{n} attempt 1"]
        words += [f"first split-{n}", f"second split-{n}", f"keyed keyed-{n}", f"ordered ordered-{n}"]
        words += [f"charge stepped-{n}", f"ship stepped-{n} charged", f"paid own-{n} 5", f"paid large-{n} 70000"]
    return words


async def test_new_workers_handle_what_an_old_ingress_accepts(store: Store, team: Team, old_ingress: Sender) -> None:
    with team.worker(TRUTO_SOURCES="truto-eu"):
        deliver_all(old_ingress, range(3))
        await drained(store)
    assert sorted(team.said()) == sorted(expected(range(3)))


async def test_old_and_new_workers_share_what_an_old_ingress_accepts(
    store: Store, team: Team, old_ingress: Sender, code: Path
) -> None:
    with team.worker(PYTHONPATH=str(code)), team.worker(TRUTO_SOURCES="truto-eu"):
        deliver_all(old_ingress, range(8))
        await drained(store)
    assert sorted(team.said()) == sorted(expected(range(8)))
    ordered = [word for word in team.said() if word.startswith("ordered")]
    assert ordered == sorted(ordered)


async def test_a_whole_deploy_loses_nothing_and_runs_nothing_twice(
    store: Store, team: Team, redis: EmbeddedRedis, tmp_path: Path, code: Path
) -> None:
    """Old workers end as they are told to, new ones start, then the ingress follows: deliveries all the while."""
    with ExitStack() as running:
        old = running.enter_context(team.worker(PYTHONPATH=str(code)))
        with ingress(tmp_path, redis.url, code) as sender:
            deliver_all(sender, range(3))
            await eventually(lambda: bool(team.said()), _PATIENCE)  # the old worker handles signals by now
            running.enter_context(team.worker(TRUTO_SOURCES="truto-eu"))
            deliver_all(sender, range(3, 6))
            end(old)
            deliver_all(sender, range(6, 9))
        with ingress(tmp_path, redis.url) as sender:
            deliver_all(sender, range(9, 12))
            again = [sender.deliver("order:paid", f"paid-{n}", integrated_account_id=ACCOUNT) for n in range(12)]
        await drained(store)
    assert again == ["duplicate"] * 12
    assert sorted(team.said()) == sorted(expected(range(12)))
    assert set(await counts(store)) <= {(0, 0)}


async def test_what_the_ingress_of_before_has_spooled_is_brought_over(
    store: Store, team: Team, redis: EmbeddedRedis, tmp_path: Path, code: Path
) -> None:
    spool = str(tmp_path / "spool")
    with ingress(tmp_path, f"redis://127.0.0.1:{free_port()}", code, spool=spool) as sender:  # where no Redis is
        assert sender.deliver("order:paid", "paid-1") == "spooled"
        assert sender.deliver_own("push", "own-1") == "spooled"
        assert sender.deliver("order:large", "large-1", text="x" * 70_000) == "spooled"
    with team.worker(), ingress(tmp_path, redis.url, spool=spool) as sender:
        await eventually(lambda: len(team.said()) == 3, _PATIENCE)
        assert sender.deliver("order:paid", "paid-1") == sender.deliver_own("push", "own-1") == "duplicate"
        await drained(store)
    assert sorted(team.said()) == ["paid large-1 70000", "paid own-1 5", "paid paid-1 0"]


def end(worker: subprocess.Popen[bytes]) -> None:
    worker.terminate()
    assert worker.wait(20) == 0


async def counts(store: Store) -> list[tuple[int, int]]:
    return [(usage.events, usage.bytes) for usage in (await store.inspection.overview()).sources.values()]
