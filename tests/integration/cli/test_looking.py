"""``events`` and ``dead-letters`` show what is there, and no payload that was not asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.dev_folder import FOLDER
from events import End, Store
from events.embedded import EmbeddedRedis
from tests.integration.cli.commands import Commands
from tests.integration.events.deliveries import accept, claim_one, delivered
from tests.servers import free_port

CAUSE = {"attempts": 10, "error": "KeyError: 'id'", "fingerprint": "ab12cd34ef56", "traceback": ["record.py:12 in f"]}


async def dead_letter(store: Store, event_id: str, *, handler: str = "handlers.record.f", **note: object) -> None:
    await accept(store, delivered(event_id, kind="record:created", payload={"ssn": "hidden"}))
    await store.queue.finish(await claim_one(store), End("dead", handler, note={**CAUSE, **note}))


async def one_of_each(store: Store) -> None:
    await dead_letter(store, "dead-1")
    await accept(store, delivered("parked-1"))
    await store.queue.finish(await claim_one(store), End("parked", note={"why": "no_handler"}))
    await accept(store, delivered("done-1"))
    await store.queue.finish(await claim_one(store), End("done", "h"))
    await accept(store, delivered("done-1"))
    await accept(store, delivered("ready-1", payload={"ssn": "hidden"}))


def test_an_empty_store_says_so(commands: Commands) -> None:
    shown = commands("events")
    assert shown.code == 0
    assert "ready    0\n" in shown.out
    assert "none has asked for work" in shown.out
    assert "nothing yet" in shown.out
    assert "Ended last" not in shown.out


def test_the_state_of_the_queue_is_told_with_where_to_look_next(commands: Commands) -> None:
    commands.on_store(one_of_each)
    shown = commands("events").out
    for line in (
        "ready    1, the oldest for ",
        "dead     1  (look: truto-worker dead-letters --group)",
        "workers  1",
    ):
        assert line in shown
    assert "accepted 4" in shown
    assert shown.splitlines()[-1].endswith("done       ping  done-1  truto")


def test_the_state_of_the_queue_is_told_to_programs(commands: Commands) -> None:
    commands.on_store(one_of_each)
    told = commands("events", "--json").json
    assert (told["ready"], told["dead"], told["parked"], told["workers"]) == (1, 1, 1, 1)
    assert [(ended["id"], ended["outcome"]) for ended in told["recent"]] == [("done-1", "done")]
    assert commands("events", "--json", "--limit", "0").json["recent"] == []


def test_the_story_of_a_dead_letter_names_cause_place_and_remedy(commands: Commands) -> None:
    commands.on_store(one_of_each)
    shown = commands("events", "dead-1").out
    for part in ("received", "claimed", "worker=worker-1", "KeyError: 'id'", "record.py:12 in f"):
        assert part in shown
    assert "Now: a dead letter; run it again with `truto-worker replay dead-1`." in shown
    assert "hidden" not in shown


@pytest.mark.parametrize(
    ("event_id", "now"),
    [("parked-1", "replay --parked parked-1"), ("done-1", "no longer stored"), ("ready-1", "in the queue")],
)
def test_the_story_of_an_event_ends_with_where_it_is(commands: Commands, event_id: str, now: str) -> None:
    commands.on_store(one_of_each)
    assert now in commands("events", event_id).out.splitlines()[-1]


def test_the_pieces_of_an_event_are_told_apart(commands: Commands) -> None:
    async def split(store: Store) -> None:
        await accept(store)
        await store.queue.plan(await claim_one(store), ["a", "b"])
        for lease in (await store.queue.claim(2, "w")).leases:
            await store.queue.finish(lease, End("dead" if lease.handler == "a" else "retried", lease.handler, 60))

    commands.on_store(split)
    shown = commands("events", "e-1").out
    assert "Now: a is a dead letter" in shown
    assert "Now: b is in the queue" in shown


def test_a_payload_is_printed_only_when_asked_for(commands: Commands) -> None:
    commands.on_store(one_of_each)
    for arguments in ([], ["dead-1"], ["dead-1", "--json"], ["ready-1"]):
        assert "hidden" not in commands("events", *arguments).out
    assert '"ssn": "hidden"' in commands("events", "dead-1", "--payload").out
    assert commands("events", "dead-1", "--payload", "--json").json["payload"] == {"ssn": "hidden"}
    assert commands("events", "done-1", "--payload", "--json").json["payload"] is None
    assert "null" not in commands("events", "done-1", "--payload").out
    for arguments in ([], ["--json"], ["--group"], ["--group", "--json"]):
        assert "hidden" not in commands("dead-letters", *arguments).out


@pytest.mark.parametrize("arguments", [["events", "nope"], ["events", "dead-1", "--source", "github"]], ids=" ".join)
def test_an_event_that_is_not_known_ends_with_1_and_a_hint(commands: Commands, arguments: list[str]) -> None:
    commands.on_store(one_of_each)
    shown = commands(*arguments)
    assert (shown.code, shown.out) == (1, "")
    assert "--source" in shown.err


def test_an_event_that_cannot_be_read_ends_with_1(commands: Commands) -> None:
    async def spoil(store: Store) -> None:
        await accept(store)
        await store.redis.set(f"tw:event:{delivered().key}", "spoiled")

    commands.on_store(spoil)
    shown = commands("events", "e-1")
    assert shown.code == 1
    assert "cannot be read" in shown.err


def test_what_strangers_and_errors_say_does_not_reach_the_terminal_as_a_command(commands: Commands) -> None:
    async def hostile(store: Store) -> None:
        await accept(store, delivered("dead-1", payload={"x": "\x9b31m"}))
        await store.queue.finish(
            await claim_one(store), End("dead", "h", note={"error": "\x1b[31m\nfake line " + 300 * "x"})
        )

    commands.on_store(hostile)
    for arguments in (["dead-letters"], ["dead-letters", "--group"], ["events", "dead-1", "--payload"]):
        shown = commands(*arguments).out
        assert not set(shown) & {"\x1b", "\x9b"}
        assert not any(line.startswith("fake") for line in shown.splitlines())
    assert commands("dead-letters", "--json").out.isascii()


def test_dead_letters_come_newest_first_and_say_how_many_are_left(commands: Commands) -> None:
    async def fill(store: Store) -> None:
        for number in range(25):
            await dead_letter(store, f"e-{number}")

    assert commands("dead-letters").out == "No dead letters.\n"
    assert commands("dead-letters", "--group").out == "No dead letters.\n"
    commands.on_store(fill)
    shown = commands("dead-letters").out.splitlines()
    assert "record:created  e-24  truto" in shown[0]
    assert "handlers.record.f, 10 attempts, KeyError: 'id'  [ab12cd34ef56]" in shown[1]
    assert shown[-1].startswith("… and 5 more")
    assert len(commands("dead-letters", "--limit", "0").out.splitlines()) == 50
    letters = commands("dead-letters", "--json", "--limit", "2").json
    assert [letter["id"] for letter in letters] == ["e-24", "e-23"]
    assert letters[0]["traceback"] == ["record.py:12 in f"]


def test_dead_letters_are_grouped_by_cause_with_counts_and_times(commands: Commands) -> None:
    async def fill(store: Store) -> None:
        await dead_letter(store, "e-1", fingerprint="seldom", error="ValueError")
        for number in range(2, 5):
            await dead_letter(store, f"e-{number}")

    commands.on_store(fill)
    often, seldom = commands("dead-letters", "--group", "--json").json
    assert (often["fingerprint"], often["count"], often["handlers"]) == ("ab12cd34ef56", 3, ["handlers.record.f"])
    assert often["first"] < often["last"]
    assert (seldom["count"], seldom["error"], seldom["types"]) == (1, "ValueError", ["record:created"])
    shown = commands("dead-letters", "--group").out
    assert shown.index("3 x  [ab12cd34ef56]") < shown.index("1 x  [seldom]")


def test_a_dead_letter_that_cannot_be_read_is_listed_by_its_member(commands: Commands) -> None:
    async def spoil(store: Store) -> None:
        await accept(store)
        await store.redis.set(f"tw:event:{delivered().key}", "spoiled")
        await store.queue.claim(1, "w")

    commands.on_store(spoil)
    assert f"unreadable  {delivered().key}" in commands("dead-letters").out
    assert "unreadable events" in commands("dead-letters", "--group").out
    (letter,) = commands("dead-letters", "--json").json
    assert (letter["id"], letter["fingerprint"]) == (None, "none")


@pytest.mark.parametrize("arguments", [["events"], ["events", "e-1"], ["dead-letters"], ["replay", "--all"]])
def test_a_store_that_is_not_there_ends_with_1_and_no_password(commands: Commands, arguments: list[str]) -> None:
    commands.monkeypatch.setenv("REDIS_URL", f"redis://:hunter2@127.0.0.1:{free_port()}")
    shown = commands(*arguments)
    assert shown.code == 1
    assert "Is Redis running" in shown.err
    assert "hunter2" not in shown.err


def test_without_a_url_the_store_of_a_running_dev_is_looked_at(commands: Commands) -> None:
    commands.monkeypatch.delenv("REDIS_URL")
    assert commands("events").code == 2
    with EmbeddedRedis(FOLDER / "redis") as own:
        Commands(own.url, commands.monkeypatch, commands.capsys).on_store(one_of_each)
        assert json.loads(commands("events", "--json").out)["dead"] == 1
    assert Path.cwd() == FOLDER.absolute().parent


async def two_types_with_one_id(store: Store) -> None:
    await accept(store, *(delivered("42", source="shop", kind=kind) for kind in ("order.created", "order.updated")))


def test_an_id_that_several_types_have_is_asked_for_with_its_type(commands: Commands) -> None:
    commands.on_store(two_types_with_one_id)
    asked = commands("events", "42", "--source", "shop")
    assert asked.code == 1
    assert "--type (order.created, order.updated)" in asked.err
    chosen = commands("events", "42", "--source", "shop", "--type", "order.updated", "--json")
    assert chosen.json["type"] == "order.updated"


def test_an_id_of_another_source_is_found_without_its_type(commands: Commands) -> None:
    commands.on_store(lambda store: accept(store, delivered("43", source="shop")))
    assert commands("events", "43", "--source", "shop", "--json").json["type"] == "ping"


def test_a_conflict_is_told_with_its_type_and_digest(commands: Commands) -> None:
    async def twice(store: Store) -> None:
        await accept(store)
        await accept(store, delivered(n=2))

    commands.on_store(twice)
    line = next(line for line in commands("events", "e-1").out.splitlines() if "conflict" in line)
    assert "type=ping" in line
    assert f"digest={delivered(n=2).digest}" in line
    assert "conflict 1" in commands("events").out
