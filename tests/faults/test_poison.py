"""Events that take their worker down: row 16."""

from __future__ import annotations

import asyncio

from tests.faults.conftest import Publish, Rigged

POISONS = ("poison:loop", "poison:exit", "poison:segfault", "poison:hog")


async def test_poison_is_dead_after_three_crashes_and_everything_beside_it_is_done(
    rig: Rigged, publish: Publish
) -> None:
    limits = {"FAULTS_ADDRESS_SPACE": str(1 << 30)}
    async with rig(workers=2, lease_seconds=1, concurrency=30, worker=limits) as r:
        async with asyncio.TaskGroup() as group:
            for number in range(200):
                group.create_task(r.send(event_id=f"innocent-{number}", seconds=0.03))
                if number % 40 == 20:
                    name = POISONS[number // 40 % len(POISONS)]
                    group.create_task(r.send(name, event_id=name))
                await asyncio.sleep(0.015)
        await r.drained(90)
        verdict = await r.verdict(kept=frozenset(POISONS))
        assert verdict.holds, verdict
        causes = {kept.event.id: kept.note["error"] for kept in await r.store.inspection.dead_letters() if kept.event}
        for name in POISONS:
            assert ("MemoryError" if name == "poison:hog" else "times while this ran") in causes[name]
        crashes = sum(fault.kind == "crash" for fault in r.faults)
        publish(16, "poison: exit, segfault, loop, memory", verdict, f"{crashes} crashes", f"{len(POISONS)} dead")


async def test_innocents_claimed_together_with_several_poisons_are_all_done(rig: Rigged, publish: Publish) -> None:
    async with rig(workers=0, lease_seconds=1, concurrency=60) as r:
        poison = [f"poison-{number}" for number in range(3)]
        await asyncio.gather(*(r.send(event_id=f"innocent-{number}", seconds=0.03) for number in range(40)))
        await asyncio.gather(*(r.send("poison:exit", event_id=name) for name in poison))
        r.add_worker()
        r.add_worker()
        await r.drained(60)
        verdict = await r.verdict(kept=frozenset(poison))
        assert verdict.holds, verdict
        crashes = sum(fault.kind == "crash" for fault in r.faults)
        publish(16.1, "40 claimed with 3 poisons", verdict, f"{crashes} crashes", "3 dead")
