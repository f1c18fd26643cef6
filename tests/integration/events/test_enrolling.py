"""What handshakes leave in the store: within a window that expires by Redis' clock, once, all or nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from events import Store

SECRET, OTHER = {"webhook_secret": "a secret"}, {"webhook_secret": "another secret"}


async def test_without_a_window_nothing_is_kept(store: Store) -> None:
    assert not await store.notes.enrol("s", SECRET)
    assert (await store.notes.enrolments(["s"]))[0] == ({}, None, None)


async def test_the_first_one_closes_the_window(store: Store) -> None:
    until = await store.notes.open_enrolment("s", 60)
    assert (await store.notes.enrolments(["s"]))[0].open_until == until
    assert await store.notes.enrol("s", SECRET)
    assert not await store.notes.enrol("s", OTHER)
    (left,) = await store.notes.enrolments(["s"])
    assert (left.context, left.open_until) == (SECRET, None)
    assert left.since is not None
    assert left.since < until


async def test_a_window_is_that_of_one_source(store: Store) -> None:
    await store.notes.open_enrolment("s", 60)
    assert not await store.notes.enrol("t", SECRET)
    assert await store.notes.enrol("s", SECRET)


@pytest.mark.bad_input(190)
async def test_of_many_at_once_one_is_kept_and_the_others_are_told(store: Store) -> None:
    await store.notes.open_enrolment("s", 60)
    secrets = [{"webhook_secret": f"secret {number}", "team": number} for number in range(20)]
    kept = await asyncio.gather(*(store.notes.enrol("s", secret) for secret in secrets))
    assert kept.count(True) == 1
    assert await store.notes.source_context("s") == secrets[kept.index(True)]


async def test_whoever_repeats_what_is_kept_is_told_that_it_is(store: Store) -> None:
    await store.notes.open_enrolment("s", 60)
    assert await asyncio.gather(*(store.notes.enrol("s", SECRET) for _ in range(5))) == [True] * 5
    assert await store.notes.enrol("s", SECRET)


@pytest.mark.bad_input(191)
async def test_a_window_ends_by_the_clock_of_redis(store: Store) -> None:
    until = await store.notes.open_enrolment("s", 0.05)
    async with asyncio.timeout(10):
        while (await store.notes.enrolments(["s"]))[0].open_until is not None:  # noqa: ASYNC110  the clock of Redis
            await asyncio.sleep(0.01)
    assert await store.now() >= until.timestamp()
    assert not await store.notes.enrol("s", SECRET)


async def test_a_window_opened_again_counts_from_then(store: Store) -> None:
    first = await store.notes.open_enrolment("s", 600)
    second = await store.notes.open_enrolment("s", 60)
    assert first - second > timedelta(seconds=500)


async def test_another_enrolment_replaces_what_it_names_and_nothing_else(store: Store) -> None:
    await store.notes.keep_in_context("s", {**SECRET, "team": 1}, overwrite=False)
    await store.notes.open_enrolment("s", 60)
    assert await store.notes.enrol("s", OTHER)
    assert await store.notes.source_context("s") == {**OTHER, "team": 1}


async def test_forgetting_removes_all_of_it_and_closes_the_window(store: Store) -> None:
    await store.notes.open_enrolment("s", 60)
    await store.notes.enrol("s", SECRET | {"team": 1})
    await store.notes.open_enrolment("s", 60)
    await store.notes.keep_in_context("t", SECRET, overwrite=False)
    assert await store.notes.forget_source("s") == ["team", "webhook_secret"]
    assert await store.notes.forget_source("s") == []
    assert await store.notes.enrolments(["s", "t"]) == [({}, None, None), (SECRET, None, None)]
    assert not await store.notes.enrol("s", OTHER)


async def test_what_cannot_be_read_hides_nothing_else(store: Store) -> None:
    await store.notes.keep_in_context("s", {"team": 1}, overwrite=False)
    await store.redis.hset("tw:context:s", "webhook_secret", "no json")  # type: ignore[misc]  # typed for both clients
    assert await store.notes.source_context("s") == {"team": 1, "webhook_secret": None}


@pytest.mark.redis_only
async def test_thousands_of_sources_are_asked_for_in_small_pieces(store: Store) -> None:
    """Redis does nothing else during a piece, and neither does whoever asks."""
    names = [f"s{number}" for number in range(1050)]
    await store.notes.open_enrolment("s7", 60)
    await store.notes.enrol("s7", SECRET)
    await store.redis.config_resetstat()
    states = await store.notes.enrolments(names)
    assert [name for name, state in zip(names, states, strict=True) if state.context] == ["s7"]
    assert (await store.redis.info("commandstats"))["cmdstat_exec"]["calls"] == 11
