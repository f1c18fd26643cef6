"""What commands show and do where REDIS_URL names several stores: all of them at once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from events import End, Store, Verified
from events.embedded import EmbeddedRedis
from tests.integration.cli.commands import Commands
from tests.integration.worker.workshop import delivered
from tests.servers import quick_redis


class Pair:
    """Commands on two stores."""

    def __init__(self, commands: Commands, other: EmbeddedRedis) -> None:
        self.run = commands
        self.other = other
        self.all = [commands, Commands(other.url, commands.monkeypatch, commands.capsys)]
        commands.monkeypatch.setenv("REDIS_URL", f"{commands.url} {other.url}")


@pytest.fixture
def pair(commands: Commands) -> Iterator[Pair]:
    with quick_redis() as other:
        yield Pair(commands, other)


def put(commands: Commands, event: Verified, kind: str) -> None:
    """Let *event* be accepted, leased and ended so."""

    async def work(store: Store) -> None:
        await store.accept([event])
        (lease,) = (await store.queue.claim(1, "worker")).leases
        await store.queue.finish(lease, End(kind, "team.work", note={"error": "it broke"}))  # type: ignore[arg-type]

    commands.on_store(work)


def test_the_state_is_that_of_all_queues(pair: Pair) -> None:
    for commands in pair.all:
        put(commands, delivered(), "done")
    put(pair.all[1], delivered(), "dead")
    shown = pair.run("events", "--json").json
    assert (shown["totals"]["done"], shown["dead"], len(shown["recent"])) == (2, 1, 2)


@pytest.mark.parametrize("where", [0, 1])
def test_an_event_is_found_in_whichever_store_it_is(pair: Pair, where: int) -> None:
    put(pair.all[where], delivered(event_id="e-1"), "dead")
    shown = pair.run("events", "e-1", "--json").json
    assert (shown["type"], list(shown["places"].values())) == ("order:paid", ["dead"])


def test_dead_letters_of_all_stores_are_listed_newest_first(pair: Pair) -> None:
    for number in range(6):
        put(pair.all[number % 2], delivered(event_id=f"e-{number}"), "dead")
    shown = pair.run("dead-letters", "--json", "--limit", "4").json
    assert [letter["id"] for letter in shown] == ["e-5", "e-4", "e-3", "e-2"]
    (group,) = pair.run("dead-letters", "--group", "--json").json
    assert group["count"] == 6


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["replay", "--all", "--json"], {"running": 2, "selected": 2, "missing": []}),
        (["replay", "e-0", "e-1", "--json"], {"running": 2, "selected": 2, "missing": []}),
        (["dead-letters", "discard", "e-0", "e-1", "--why", "old", "--json"], {"discarded": 2, "missing": []}),
    ],
    ids=["all", "named", "discarded"],
)
def test_dead_letters_of_all_stores_are_run_again_or_discarded(
    pair: Pair, command: list[str], told: dict[str, object]
) -> None:
    for number in range(2):
        put(pair.all[number], delivered(event_id=f"e-{number}"), "dead")
    assert pair.run(*command).json == told
    assert pair.run("events", "--json").json["dead"] == 0


def test_parked_work_of_all_stores_is_run_again(pair: Pair) -> None:
    for commands in pair.all:
        put(commands, delivered(), "parked")
    assert pair.run("replay", "--parked", "--all", "--json").json["running"] == 2


def test_redis_shard_narrows_what_is_shown(pair: Pair) -> None:
    put(pair.all[1], delivered(event_id="e-1"), "dead")
    for shard, dead in (("1", 0), ("2", 1), ("1,2", 1)):
        pair.run.monkeypatch.setenv("REDIS_SHARD", shard)
        assert pair.run("events", "--json").json["dead"] == dead


@pytest.mark.parametrize("command", ["events", "dead-letters", "replay --all", "workflows runs"])
def test_where_one_store_does_not_answer_nothing_is_shown_as_if_it_were_all(pair: Pair, command: str) -> None:
    put(pair.all[0], delivered(), "done")
    pair.other.kill()
    shown = pair.run(*command.split())
    assert shown.code == 1
    assert "A store of REDIS_URL does not answer" in shown.err


def test_a_search_merges_the_stores_newest_first_page_by_page(pair: Pair) -> None:
    wanted: list[str] = []
    for number in range(7):
        put(pair.all[number % 3 == 0], event := delivered(), "done")
        wanted.insert(0, event.id)
    for limit in (1, 2, 3, 10):
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            more = ["--cursor", cursor] if cursor else []
            shown = pair.run("events", "--outcome", "done", "--json", "--limit", str(limit), *more).out.splitlines()
            rows = [json.loads(line) for line in shown]
            cursor = rows.pop()["cursor"] if rows and "cursor" in rows[-1] else None
            found += [row["id"] for row in rows]
        assert found == wanted


def test_an_event_is_explained_wherever_it_is(pair: Pair) -> None:
    put(pair.all[1], event := delivered(), "dead")
    assert pair.run("explain", event.id, "--json").json["verdict"] == "attempts_used_up"
