"""Sharing round trips: who waits for whom, how large a batch gets, and who hears of an error."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from events.batching import GroupCommit


class Recorder:
    """A commit that takes as long as it is told, remembers its batches and fails on the items named in *bad*."""

    def __init__(self, *, bad: str = "") -> None:
        self.batches: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._bad = bad

    async def __call__(self, items: Sequence[str]) -> list[str]:
        self.batches.append("".join(items))
        await self.gate.wait()
        if set(items) & set(self._bad):
            raise OSError("the commit failed")
        return [item.upper() for item in items]


async def submit_all(commits: GroupCommit[str, str], items: str) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(commits.submit(item)) for item in items]
    await asyncio.sleep(0.001)
    return tasks


async def test_an_idle_committer_commits_at_once_and_alone() -> None:
    recorder = Recorder()
    commits = GroupCommit(recorder)
    async with asyncio.timeout(0.1):
        assert await commits.submit("a") == "A"
        assert await commits.submit("b") == "B"
    assert recorder.batches == ["a", "b"]


async def test_what_arrives_during_a_commit_makes_the_next_one() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    commits = GroupCommit(recorder)
    first = await submit_all(commits, "a")
    others = await submit_all(commits, "bcd")
    recorder.gate.set()
    assert await asyncio.gather(*first, *others) == ["A", "B", "C", "D"]
    assert recorder.batches == ["a", "bcd"]


async def test_the_next_commit_begins_before_the_callers_of_the_last_one_go_on() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    commits = GroupCommit(recorder)
    (first,) = await submit_all(commits, "a")
    seen: list[str] = []
    first.add_done_callback(lambda _: seen.extend(recorder.batches))
    others = await submit_all(commits, "bc")
    recorder.gate.set()
    await asyncio.gather(first, *others)
    assert seen == ["a", "bc"]


async def test_batches_hold_at_most_so_many_items_in_order() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    commits = GroupCommit(recorder, max_items=2)
    tasks = await submit_all(commits, "abcdef")
    recorder.gate.set()
    assert await asyncio.gather(*tasks) == list("ABCDEF")
    assert "".join(recorder.batches) == "abcdef"
    assert max(map(len, recorder.batches)) == 2


async def test_batches_hold_at_most_so_many_bytes_but_never_nothing() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    sizes = {"a": 1, "b": 3, "c": 3, "d": 99, "e": 6, "f": 1}
    commits = GroupCommit(recorder, size=sizes.__getitem__, max_bytes=6)
    tasks = await submit_all(commits, "abcdef")
    recorder.gate.set()
    assert await asyncio.gather(*tasks) == list("ABCDEF")
    assert [batch for batch in recorder.batches if "a" not in batch] == ["c", "d", "e", "f"]


async def test_an_error_reaches_all_callers_of_its_batch_and_no_other() -> None:
    recorder = Recorder(bad="c")
    recorder.gate.clear()
    commits = GroupCommit(recorder)
    first = await submit_all(commits, "a")
    second = await submit_all(commits, "bcd")
    recorder.gate.set()
    assert await asyncio.gather(*first) == ["A"]
    failed = await asyncio.gather(*second, return_exceptions=True)
    assert [type(error) for error in failed] == [OSError, OSError, OSError]
    assert await commits.submit("e") == "E"


@pytest.mark.parametrize("victim", [0, 1, 3], ids=["under-way", "waiting-first", "waiting-last"])
async def test_a_cancelled_caller_does_not_disturb_the_others(victim: int) -> None:
    recorder = Recorder()
    recorder.gate.clear()
    commits = GroupCommit(recorder)
    tasks = await submit_all(commits, "a") + await submit_all(commits, "bcd")
    tasks[victim].cancel()
    await asyncio.sleep(0)
    recorder.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    expected: list[object] = list("ABCD")
    assert isinstance(results[victim], asyncio.CancelledError)
    assert [r for i, r in enumerate(results) if i != victim] == [r for i, r in enumerate(expected) if i != victim]


async def test_who_gives_up_behind_a_commit_that_hangs_is_not_committed_afterwards() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    commits = GroupCommit(recorder)
    tasks = await submit_all(commits, "a") + await submit_all(commits, "bcd")
    for gone in tasks[1:3]:
        gone.cancel()
    await asyncio.sleep(0)
    recorder.gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert recorder.batches == ["a", "d"]


async def test_where_all_have_given_up_nothing_is_committed() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    commits = GroupCommit(recorder)
    tasks = await submit_all(commits, "a") + await submit_all(commits, "bc")
    for gone in tasks[1:]:
        gone.cancel()
    await asyncio.sleep(0)
    recorder.gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert recorder.batches == ["a"]


async def test_a_caller_cancelled_before_an_error_does_not_disturb_the_others() -> None:
    recorder = Recorder(bad="b")
    recorder.gate.clear()
    commits = GroupCommit(recorder)
    tasks = await submit_all(commits, "ab")
    tasks[0].cancel()
    await asyncio.sleep(0)
    recorder.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError, OSError]


@pytest.mark.parametrize("answered", ["", "A", "ABCD"], ids=["none", "too-few", "too-many"])
async def test_a_commit_that_answers_for_another_number_of_items_answers_for_none(answered: str) -> None:
    async def commit(items: Sequence[str]) -> list[str]:
        await asyncio.sleep(0.002)
        return list(answered) if len(items) > 1 else [items[0].upper()]

    commits = GroupCommit(commit)
    async with asyncio.timeout(1):
        first = await submit_all(commits, "z")
        tasks = await submit_all(commits, "abc")
        results = await asyncio.gather(*first, *tasks, return_exceptions=True)
        assert results[0] == "Z"
        assert all(isinstance(result, ValueError) for result in results[1:])
        assert await commits.submit("d") == "D"


async def test_when_the_committer_is_cancelled_nobody_waits_for_ever() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    commits = GroupCommit(recorder)
    under_way = await submit_all(commits, "a")
    waiting = await submit_all(commits, "bc")
    (committer,) = (task for task in asyncio.all_tasks() if task.get_name() == "group-commit")
    committer.cancel()
    async with asyncio.timeout(1):
        results = await asyncio.gather(*under_way, *waiting, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        recorder.gate.set()
        assert await commits.submit("d") == "D"


async def test_who_only_waited_its_turn_loses_patience_too_and_is_not_committed() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    commits = GroupCommit(recorder, patience=0.05)
    tasks = await submit_all(commits, "a") + await submit_all(commits, "bc")
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [TimeoutError] * 3
    recorder.gate.set()
    assert await commits.submit("d") == "D"
    assert recorder.batches == ["a", "d"]


async def test_patience_is_each_callers_own() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    commits = GroupCommit(recorder, patience=0.1)
    first = asyncio.create_task(commits.submit("a"))
    await asyncio.sleep(0.07)
    second = asyncio.create_task(commits.submit("b"))
    with pytest.raises(TimeoutError):
        await first
    assert not second.done()
    recorder.gate.set()
    assert await second == "B"
