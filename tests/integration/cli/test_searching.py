"""``events`` with a question prints what fits, for people and for programs, and follows what comes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from events import End, Store
from tests.integration.cli.commands import Commands
from tests.integration.events.deliveries import accept, claim_one, delivered

ROOT = Path(__file__).parents[3]


async def three(store: Store) -> None:
    """One done, one that will be tried again, one that waits."""
    for number, end in (
        (1, End("done", "h.one")),
        (2, End("retried", "h.two", 60, {"error": "\x1b[31mKeyError\nfake"})),
    ):
        await accept(
            store, delivered(f"e-{number}", kind="record:created", payload={"tenant_id": "t", "ssn": "hidden"})
        )
        await store.queue.finish(await claim_one(store), end)
    await accept(store, delivered("e-3", kind="order", source="shop", tenant_id="t"))


def rows(commands: Commands, *arguments: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in commands("events", *arguments, "--json").out.splitlines()]


def test_a_search_prints_a_line_for_each_event_with_its_cause_and_no_payload(commands: Commands) -> None:
    commands.on_store(three)
    shown = commands("events", "--tenant", "t")
    waiting, retried, cause, done = shown.out.splitlines()
    assert shown.code == 0
    assert waiting.endswith("waiting    order  e-3  shop")
    assert retried.endswith("waiting    record:created  e-2  truto")
    assert cause.strip() == "h.two: \\x1b[31mKeyError\\nfake"
    assert done.endswith("done       record:created  e-1  truto")
    assert "hidden" not in shown.out


def test_programs_get_one_object_a_line(commands: Commands) -> None:
    commands.on_store(three)
    (row,) = rows(commands, "--outcome", "done")
    assert (row["id"], row["type"], row["source"], row["state"], row["outcome"], row["handlers"]) == (
        "e-1",
        "record:created",
        "truto",
        "over",
        "done",
        ["h.one"],
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--type", "record:*"], ["e-2", "e-1"]),
        (["--source", "shop"], ["e-3"]),
        (["--state", "pending"], ["e-3", "e-2"]),
        (["--handler", "h.two"], ["e-2"]),
        (["--since", "1h", "--until", "2099-01-01"], ["e-3", "e-2", "e-1"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_filters_are_asked_together(commands: Commands, arguments: list[str], expected: list[str]) -> None:
    commands.on_store(three)
    assert [row["id"] for row in rows(commands, *arguments)] == expected


def test_a_cursor_goes_on_where_the_limit_has_stopped(commands: Commands) -> None:
    commands.on_store(three)
    first, more = rows(commands, "--tenant", "t", "--limit", "1")
    assert first["id"] == "e-3"
    assert [row.get("id") for row in rows(commands, "--tenant", "t", "--cursor", str(more["cursor"]))] == ["e-2", "e-1"]
    assert f"--cursor {more['cursor']} goes on" in commands("events", "--tenant", "t", "--limit", "1").out


def test_what_fits_nothing_ends_with_1_and_says_how_far_was_looked(commands: Commands) -> None:
    shown = commands("events", "--account", "nobody")
    assert shown.code == 1
    assert "SEARCH_TTL" in shown.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["e-1", "--tenant", "t"],
        ["e-1", "--follow"],
        ["--state", "lost"],
        ["--outcome", "well"],
        ["--since", "yesterday"],
        ["--since", "99999999999999999999d"],
        ["--cursor", "here"],
    ],
    ids=" ".join,
)
def test_wrong_usage_of_a_search_ends_with_2(commands: Commands, arguments: list[str]) -> None:
    assert commands("events", *arguments).code == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_new_events_are_followed_as_they_fit_until_interrupted(commands: Commands, number: signal.Signals) -> None:
    command = [sys.executable, "-u", "-m", "cli", "events", "--follow", "--outcome", "done", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert running.stdout is not None
        assert "Following" in running.stderr.readline()
        commands.on_store(three)
        assert json.loads(running.stdout.readline())["id"] == "e-1"
        running.send_signal(number)
        out, err = running.communicate(timeout=20)
    assert (running.returncode, out) == (0, "")
    assert "Traceback" not in err
