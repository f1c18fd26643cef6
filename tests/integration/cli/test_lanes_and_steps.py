"""What the command line says about work that waits for its key, and does about steps."""

from __future__ import annotations

import asyncio

import pytest

from events import End, Lane, Store
from tests.integration.cli.commands import Commands
from tests.integration.events.deliveries import accept, claim_one, delivered

ONE = Lane("h|k", most=1)


def test_work_that_waits_for_its_key_is_counted_and_told(commands: Commands) -> None:
    async def fill(store: Store) -> None:
        await accept(store, delivered("first"), delivered("second"))
        await asyncio.sleep(0.002)
        for lease in (await store.queue.claim(2, "w")).leases:
            await store.queue.gate(lease, "h", ONE)

    commands.on_store(fill)
    assert commands("events", "--json").json["held"] == 1
    assert "held     1  (until its handler is free for its key)" in commands("events").out
    shown = commands("events", "second").out
    assert "its key is busy" in shown
    assert "Now: waiting, out of the queue, until its handler is free for its key." in shown


@pytest.mark.parametrize(("option", "steps"), [([], {"x": b"1"}), (["--afresh"], {})], ids=["replay", "afresh"])
def test_a_replay_keeps_the_steps_that_are_done_unless_told(
    commands: Commands, option: list[str], steps: dict[str, bytes]
) -> None:
    async def fill(store: Store) -> None:
        await accept(store)
        lease = await claim_one(store)
        await store.queue.keep_step(lease, "h", "x", b"1")
        await store.queue.finish(lease, End("dead", "h"))

    async def left(store: Store) -> dict[str, bytes] | None:
        return await store.queue.steps(await claim_one(store))

    commands.on_store(fill)
    assert commands("replay", "--all", *option).code == 0
    assert commands.on_store(left) == steps


def test_parked_work_cannot_be_told_to_forget_its_steps(commands: Commands) -> None:
    assert commands("replay", "--parked", "--all", "--afresh").code == 2
