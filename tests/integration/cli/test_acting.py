"""``replay`` runs exactly what was asked for again, and ``dead-letters discard`` gives exactly that up."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.acting import batch_size
from events import End, Overview, Store
from events.inspection import Inspection
from tests.integration.cli.commands import Commands
from tests.integration.events.deliveries import accept, claim_one, delivered, words

ROOT = Path(__file__).parents[3]


async def fill(store: Store) -> None:
    """Two causes, two types, two handlers; one parked."""
    for event_id, kind, handler, fingerprint in (
        ("a-1", "record:created", "h.one", "f1"),
        ("a-2", "record:created", "h.two", "f2"),
        ("b-1", "record:updated", "h.one", "f1"),
    ):
        await accept(store, delivered(event_id, kind=kind, payload={"ssn": "hidden"}))
        note = {"fingerprint": fingerprint, "error": "KeyError", "attempts": 3}
        await store.queue.finish(await claim_one(store), End("dead", handler, note=note))
    await accept(store, delivered("p-1"))
    await store.queue.finish(await claim_one(store), End("parked", note={"why": "no_handler"}))


@pytest.fixture
def filled(commands: Commands) -> Commands:
    commands.on_store(fill)
    return commands


async def waiting(store: Store) -> set[str]:
    return {lease.event.id for lease in (await store.queue.claim(100, "looking")).leases}


def overview(commands: Commands) -> Overview:
    return commands.on_store(lambda store: store.inspection.overview())


WAYS = {
    "id": (["a-1"], {"a-1"}),
    "ids": (["a-1", "b-1"], {"a-1", "b-1"}),
    "member": ([delivered("a-2").key], {"a-2"}),
    "fingerprint": (["--fingerprint", "f1"], {"a-1", "b-1"}),
    "type": (["--type", "record:created"], {"a-1", "a-2"}),
}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        *WAYS.values(),
        (["--handler", "h.one"], {"a-1", "b-1"}),
        (["--handler", "h.one", "--type", "record:created"], {"a-1"}),
        (["--all"], {"a-1", "a-2", "b-1"}),
        (["--parked", "--all"], {"p-1"}),
        (["--parked", "p-1"], {"p-1"}),
        (["--parked", "--type", "ping"], {"p-1"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_replay_runs_what_was_asked_for_and_nothing_else(
    filled: Commands, arguments: list[str], expected: set[str]
) -> None:
    planned = filled("replay", *arguments, "--dry-run", "--json")
    assert planned.code == 0
    assert {row["id"] for row in planned.json["would_run"]} == expected
    assert filled.on_store(waiting) == set()
    shown = filled("replay", *arguments, "--json")
    assert (shown.code, shown.json) == (0, {"running": len(expected), "selected": len(expected), "missing": []})
    assert filled.on_store(waiting) == expected


def test_a_dry_run_prints_what_would_run_without_payloads_and_changes_nothing(filled: Commands) -> None:
    shown = filled("replay", "--all", "--dry-run").out
    assert shown.count("KeyError") == 3
    assert "Would run 3 dead letters again. Nothing was changed." in shown
    assert "hidden" not in shown
    assert overview(filled).dead == 3


def test_a_replay_is_marked_in_the_history(filled: Commands) -> None:
    assert "1 dead letter will run again" in filled("replay", "a-1").out
    assert filled.on_store(lambda store: words(store, "a-1")) == ["received", "claimed", "dead", "replayed"]
    assert "replayed" in filled("events", "a-1").out


def test_a_name_that_is_not_there_ends_with_1_and_the_others_run(filled: Commands) -> None:
    shown = filled("replay", "a-1", "nope", "p-1")
    assert shown.code == 1
    assert "nope is no dead letter" in shown.err
    assert "p-1 is no dead letter" in shown.err
    assert filled.on_store(waiting) == {"a-1"}
    assert filled("replay", "nope", "--dry-run", "--json").json == {"would_run": [], "missing": ["nope"]}


@pytest.mark.parametrize("command", [["replay"], ["dead-letters", "discard", "--why", "x"]], ids=" ".join)
def test_a_filter_that_fits_nothing_ends_with_1(filled: Commands, command: list[str]) -> None:
    shown = filled(*command, "--fingerprint", "typo")
    assert shown.code == 1
    assert "No dead letter fits." in shown.err


def test_all_of_nothing_is_fine(commands: Commands) -> None:
    shown = commands("replay", "--all")
    assert (shown.code, shown.out) == (0, "Nothing to run again.\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay"],
        ["replay", "a-1", "--all"],
        ["replay", "--all", "--type", "x"],
        ["replay", "a-1", "--handler", "x"],
        ["replay", "--all", "--rate", "0"],
        ["dead-letters", "discard", "a-1"],
        ["dead-letters", "discard", "a-1", "--why", " "],
        ["dead-letters", "discard", "--why", "x"],
        ["dead-letters", "--limit", "-1"],
        ["events", "--limit", "many"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2_and_changes_nothing(filled: Commands, arguments: list[str]) -> None:
    assert filled(*arguments).code == 2
    assert overview(filled).dead == 3


@pytest.mark.parametrize(("arguments", "expected"), WAYS.values(), ids=WAYS)
def test_a_discard_gives_up_what_was_asked_for_with_its_reason(
    filled: Commands, arguments: list[str], expected: set[str]
) -> None:
    shown = filled("dead-letters", "discard", *arguments, "--why", "a test account", "--json")
    assert (shown.code, shown.json) == (0, {"discarded": len(expected), "missing": []})
    assert overview(filled).dead == 3 - len(expected)
    for event_id in expected:
        last = filled.on_store(lambda store, name=event_id: store.inspection.history("truto", name))[-1]  # type: ignore[misc]  # a default, to bind it
        assert (last.what, last.detail) == ("discarded", {"why": "a test account"})


def test_a_discard_of_a_name_that_is_not_there_ends_with_1(filled: Commands) -> None:
    shown = filled("dead-letters", "discard", "a-1", "nope", "--why", "x")
    assert shown.code == 1
    assert "Discarded 1 dead letter." in shown.out
    assert "nope is no dead letter" in shown.err


def test_a_rate_spreads_the_replays(commands: Commands) -> None:
    async def many(store: Store) -> None:
        await accept(store, *(delivered(f"e-{n}") for n in range(10)))
        for lease in (await store.queue.claim(10, "w")).leases:
            await store.queue.finish(lease, End("dead"))

    commands.on_store(many)
    started = time.monotonic()
    assert commands("replay", "--all", "--rate", "20").code == 0
    assert time.monotonic() - started > 0.35
    assert overview(commands).ready == 10


@pytest.mark.parametrize(("rate", "size"), [(None, 250), (0.5, 1), (10, 1), (45, 4), (500, 50), (100_000, 250)])
def test_fast_rates_are_run_in_chunks(rate: float | None, size: int) -> None:
    assert batch_size(rate) == size


def test_more_than_a_page_is_replayed_whole(commands: Commands) -> None:
    async def many(store: Store) -> None:
        await accept(store, *(delivered(f"e-{n}") for n in range(350)))
        await store.queue.finish_all([(lease, End("dead")) for lease in (await store.queue.claim(350, "w")).leases])

    commands.on_store(many)
    assert commands("replay", "--all", "--json").json["running"] == 350
    assert overview(commands).dead == 0


def test_what_somebody_else_took_meanwhile_is_said(filled: Commands) -> None:
    real = Inspection.replay

    async def late(self: Inspection, members: list[str], *, afresh: bool = False) -> int:
        await real(self, members[:1])
        return await real(self, members, afresh=afresh)

    filled.monkeypatch.setattr(Inspection, "replay", late)
    shown = filled("replay", "--all")
    assert "2 dead letters will run again" in shown.out
    assert "1 were taken by somebody else" in shown.err


async def many_dead(store: Store) -> None:
    await accept(store, *(delivered(f"e-{n}") for n in range(300)))
    leases = (await store.queue.claim(300, "w")).leases
    await store.queue.finish_all([(lease, End("dead", "h", note={"fingerprint": "f"})) for lease in leases])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_replay_that_is_stopped_says_what_is_done_and_goes_on_when_run_again(
    commands: Commands, number: signal.Signals
) -> None:
    commands.on_store(many_dead)
    command = [sys.executable, "-m", "cli", "replay", "--fingerprint", "f", "--rate", "100"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        while overview(commands).dead == 300:
            time.sleep(0.01)
        running.send_signal(number)
        out, err = running.communicate(timeout=20)
    view = overview(commands)
    assert running.returncode == 1
    assert f"{view.ready} dead letters will run again" in out
    assert "run the same command again for the rest" in err
    assert 0 < view.ready < 300
    assert view.ready + view.dead == 300
    assert commands("replay", "--fingerprint", "f", "--json").json["running"] == view.dead
    assert overview(commands).ready == 300


def test_what_fails_again_while_a_replay_runs_is_not_replayed_twice(commands: Commands) -> None:
    commands.on_store(many_dead)
    real = Inspection.replay

    async def failing(self: Inspection, members: list[str], *, afresh: bool = False) -> int:
        moved = await real(self, members, afresh=afresh)
        store = Store.connect(commands.url)
        leases = (await store.queue.claim(300, "w")).leases
        await store.queue.finish_all([(lease, End("dead", "h", note={"fingerprint": "f"})) for lease in leases])
        await store.close()
        return moved

    commands.monkeypatch.setattr(Inspection, "replay", failing)
    assert commands("replay", "--fingerprint", "f", "--json").json["selected"] == 300
    assert overview(commands).dead == 300


def test_a_dry_run_of_many_shows_the_newest_and_counts_the_rest(commands: Commands) -> None:
    commands.on_store(many_dead)
    shown = commands("replay", "--fingerprint", "f", "--dry-run").out
    assert len(shown.splitlines()) == 202
    assert "… and 200 more: --json lists all.\nWould run 300 dead letters again." in shown
    filtered = commands("replay", "--fingerprint", "f", "--handler", "h", "--dry-run").out
    assert "Would run 300 dead letters again." in filtered
    assert len(commands("replay", "--all", "--dry-run", "--json").json["would_run"]) == 300
