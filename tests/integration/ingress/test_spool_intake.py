"""The intake between store and spool, where the store fails in ways that are hard to time from outside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from events import Acceptance, Intake, PendingLimit, Spool, Store, StoreUnavailable, Verified
from events.client import StoreClient
from events.errors import SpoolUnavailable
from tests.conftest import MakeStore
from tests.integration.events.deliveries import delivered
from truto.backoff import Backoff

A, D, S = Acceptance.ACCEPTED, Acceptance.DUPLICATE, Acceptance.SPOOLED


class Moody(Store):
    """A real store whose connection is at times bad: *mood* is ``well``, ``refuses``, ``hangs`` or ``forgets``.

    Forgetting is the worst: it has carried the command out, and the answer is lost.
    """

    mood = "well"
    broken_after: int | None = None
    batches: list[int]
    offered = 0

    async def ping(self) -> None:
        await self._suffer()
        await super().ping()

    async def accept(self, events: Sequence[Verified], limit: PendingLimit | None = None) -> list[Acceptance]:
        self.offered += 1
        await self._suffer()
        if self.broken_after is not None:
            self.broken_after -= 1
            if self.broken_after < 0:
                raise StoreUnavailable("broken half-way")
        answers = await super().accept(events, limit)
        self.batches = [*getattr(self, "batches", []), len(events)]
        if self.mood == "forgets":
            raise StoreUnavailable("the answer was lost")
        return answers

    async def _suffer(self) -> None:
        if self.mood == "hangs":
            await asyncio.sleep(60)
        if self.mood == "refuses":
            raise StoreUnavailable("refused")


@pytest.fixture
def moody(make_store: MakeStore) -> Moody:
    return Moody(StoreClient(make_store().redis))


@asynccontextmanager
async def intake_of(store: Store, folder: Path, *, segment_bytes: int = 1 << 20) -> AsyncIterator[Intake]:
    spool = Spool.open(folder, segment_bytes=segment_bytes)
    intake = Intake(store, spool, patience_seconds=0.1, backoff=Backoff(0.02, 0.05))
    running = asyncio.create_task(intake.run())
    try:
        yield intake
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await spool.close()


async def until(condition: Callable[[], object]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never became true")


async def drained(intake: Intake) -> None:
    await until(lambda: intake.spool.empty)
    assert await intake.store_answers()


async def stored_ids(store: Store) -> list[str]:
    return [lease.event.id for lease in (await store.queue.claim(2000, "worker-1")).leases]


async def test_a_store_that_is_well_gets_everything(moody: Moody, tmp_path: Path) -> None:
    async with intake_of(moody, tmp_path) as intake:
        assert await intake.accept([delivered("a"), delivered("b")]) == [A, A]
        assert await intake.accept([delivered("a")]) == [D]
        assert intake.spool.empty


async def test_deliveries_on_the_way_to_a_store_that_hangs_wait_no_longer_than_the_patience(
    moody: Moody, tmp_path: Path
) -> None:
    async with intake_of(moody, tmp_path) as intake:
        moody.mood = "hangs"
        started = time.perf_counter()
        answers = await asyncio.gather(*(intake.accept([delivered(str(n))]) for n in range(20)))
        assert answers == [[S]] * 20
        assert 0.1 <= time.perf_counter() - started < 20 * 0.1  # waited together, not one after another
        offered = moody.offered
        assert await intake.accept([delivered("later")]) == [S]
        assert moody.offered == offered
        moody.mood = "well"
        await drained(intake)
    assert await stored_ids(moody) == [*(str(n) for n in range(20)), "later"]


async def test_a_delivery_whose_answer_was_lost_is_spooled_and_found_to_be_a_duplicate(
    moody: Moody, tmp_path: Path
) -> None:
    async with intake_of(moody, tmp_path) as intake:
        moody.mood = "forgets"
        assert await intake.accept([delivered("a")]) == [S]
        moody.mood = "well"
        await drained(intake)
        assert (intake.spooled, dict(intake.drained)) == (1, {D: 1})
    assert await stored_ids(moody) == ["a"]


async def test_bringing_over_goes_on_where_it_was_interrupted_within_a_process(moody: Moody, tmp_path: Path) -> None:
    async with intake_of(moody, tmp_path) as intake:
        moody.mood = "refuses"
        await asyncio.gather(*(intake.accept([delivered(f"{n:03}")]) for n in range(500)))
        moody.broken_after = 2
        moody.mood = "well"
        await until(lambda: moody.broken_after == -1)
        assert intake.spool.records == 500
        moody.broken_after = None
        await drained(intake)
        assert dict(intake.drained) == {A: 500}
        assert moody.batches == [128, 128, 128, 116]
    assert await stored_ids(moody) == [f"{n:03}" for n in range(500)]


async def test_bringing_over_again_after_a_restart_makes_duplicates_only(moody: Moody, tmp_path: Path) -> None:
    async with intake_of(moody, tmp_path) as intake:
        moody.mood = "refuses"
        await asyncio.gather(*(intake.accept([delivered(f"{n:03}")]) for n in range(300)))
        moody.broken_after = 1
        moody.mood = "well"
        await until(lambda: moody.broken_after == -1)
    moody.broken_after = None
    async with intake_of(moody, tmp_path) as intake:
        assert intake.spool.records == 300
        await drained(intake)
        assert dict(intake.drained) == {D: 128, A: 172}
    assert await stored_ids(moody) == [f"{n:03}" for n in range(300)]


async def test_large_deliveries_are_brought_over_a_few_at_a_time(moody: Moody, tmp_path: Path) -> None:
    async with intake_of(moody, tmp_path, segment_bytes=1 << 26) as intake:
        moody.mood = "refuses"
        for size in (1, 1, 6, 1, 3):
            await intake.accept([delivered(f"{time.perf_counter_ns()}", filler="x" * size * 1024 * 1024)])
        moody.mood = "well"
        await drained(intake)
        assert moody.batches == [2, 1, 1, 1]


async def test_a_delivery_of_many_events_is_brought_over_whole(moody: Moody, tmp_path: Path) -> None:
    async with intake_of(moody, tmp_path) as intake:
        moody.mood = "refuses"
        assert await intake.accept([delivered(str(n)) for n in range(200)]) == [S] * 200
        moody.mood = "well"
        await drained(intake)
        assert moody.batches == [200]


async def test_new_deliveries_go_straight_to_the_store_while_older_ones_still_wait(
    moody: Moody, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with intake_of(moody, tmp_path) as intake:
        moody.mood = "refuses"
        await intake.accept([delivered("old")])

        async def unreadable() -> list[list[Verified]]:
            raise SpoolUnavailable("the spool cannot be read or tidied: EIO")

        with monkeypatch.context() as broken, capture_logs() as logs:
            broken.setattr(intake.spool, "read_oldest", unreadable)
            moody.mood = "well"
            await until(lambda: "spool_drain_failed" in {line["event"] for line in logs})
            assert await intake.accept([delivered("new")]) == [A]
            assert intake.spool.records == 1
        await drained(intake)
    assert await stored_ids(moody) == ["new", "old"]


async def test_a_defect_does_not_end_the_draining_and_its_text_is_not_logged(
    moody: Moody, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with intake_of(moody, tmp_path) as intake:
        moody.mood = "refuses"
        await intake.accept([delivered("a")])

        async def defective() -> list[list[Verified]]:
            raise ValueError("hidden")

        with monkeypatch.context() as broken, capture_logs() as logs:
            broken.setattr(intake.spool, "read_oldest", defective)
            moody.mood = "well"
            await until(lambda: "ValueError" in str(logs))
        assert "hidden" not in str(logs)
        await drained(intake)
    assert await stored_ids(moody) == ["a"]


async def test_a_store_that_comes_and_goes_is_reported_once_each_time(moody: Moody, tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with intake_of(moody, tmp_path) as intake:
            for mood in ("refuses", "hangs"):
                moody.mood = mood
                await asyncio.gather(*(intake.accept([delivered(f"{mood}-{n}")]) for n in range(5)))
                await asyncio.sleep(0.1)
                moody.mood = "well"
                await drained(intake)
    told = [(line["event"], line.get("reason")) for line in logs]
    assert told == [
        ("store_lost", "refused"),
        ("store_restored", None),
        ("store_lost", "no answer in time"),
        ("store_restored", None),
    ]
