"""``explain`` prints the same verdict for people and for programs, without payloads."""

from __future__ import annotations

from events import End, Store
from tests.integration.cli.commands import Commands
from tests.integration.events.deliveries import accept, bury, claim_one, delivered


async def dead(store: Store) -> None:
    await bury(
        store,
        delivered(payload={"ssn": "hidden"}),
        error="\x1b[31mKeyError\nfake line",
        fingerprint="ab12",
        attempts=10,
        traceback=["record.py:12 in f"],
    )


def test_a_verdict_comes_with_a_remedy_and_the_history(commands: Commands) -> None:
    commands.on_store(dead)
    shown = commands("explain", "e-1")
    assert shown.code == 0
    assert shown.out.splitlines()[:3] == [
        "ping  e-1  truto",
        "h failed in all of its 10 attempts: \\x1b[31mKeyError\\nfake line.",
        f"Act:  truto-worker replay {delivered().key}",
    ]
    for part in ("received", "worker=worker-1", "record.py:12 in f"):
        assert part in shown.out
    assert "hidden" not in shown.out


def test_programs_get_the_same_verdict(commands: Commands) -> None:
    commands.on_store(dead)
    told = commands("explain", "e-1", "--json").json
    assert (told["verdict"], told["state"], told["type"]) == ("attempts_used_up", "dead", "ping")
    assert commands("explain", "e-1").out.splitlines()[2] == f"Act:  {told['remedy']}"
    assert [entry["what"] for entry in told["history"]] == ["received", "claimed", "dead"]


def test_the_pieces_of_an_event_have_their_own(commands: Commands) -> None:
    async def split(store: Store) -> None:
        await accept(store)
        await store.queue.plan(await claim_one(store), ["a", "b"])
        for lease in (await store.queue.claim(2, "w")).leases:
            await store.queue.finish(lease, End("parked", lease.handler, note={"why": "handler_missing"}))

    commands.on_store(split)
    told = commands("explain", "e-1", "--json").json
    assert {name: piece["verdict"] for name, piece in told["pieces"].items()} == dict.fromkeys("ab", "handler_missing")
    assert commands("explain", "e-1").out.count(f"Act:  truto-worker replay --parked '{delivered().key}|") == 2


def test_an_event_that_never_came_ends_with_1_and_says_where_else_to_look(commands: Commands) -> None:
    shown = commands("explain", "nope")
    assert shown.code == 1
    assert "No delivery of truto with this id was accepted" in shown.out
    assert "truto-worker reconcile --dry-run" in shown.out
    assert commands("explain", "nope", "--json").json["verdict"] == "never_accepted"


def test_an_id_that_several_types_have_is_asked_for_with_its_type(commands: Commands) -> None:
    commands.on_store(lambda store: accept(store, *(delivered("4", source="shop", kind=kind) for kind in ("a", "b"))))
    shown = commands("explain", "4", "--source", "shop")
    assert shown.code == 1
    assert "--type (a, b)" in shown.err
    assert commands("explain", "4", "--source", "shop", "--type", "b", "--json").json["type"] == "b"
