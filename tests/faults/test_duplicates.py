"""Senders that repeat themselves: row 18."""

from __future__ import annotations

import asyncio

from tests.faults.conftest import Publish, Rigged


async def test_a_storm_of_duplicates_has_one_effect_for_each_event(rig: Rigged, publish: Publish) -> None:
    async with rig(workers=3) as r:
        sent = 0

        async def storm(name: str) -> None:
            nonlocal sent
            copies = r.random.randint(1, 10)
            sent += copies
            deliver = [r.send(event_id=name, seconds=0.05) for _ in range(copies)]
            if r.random.random() < 0.3:
                await asyncio.gather(*deliver)
            else:
                for each in deliver:
                    await each
                    await asyncio.sleep(r.random.uniform(0, 0.05))

        for number in range(10):
            await asyncio.gather(*(storm(f"event-{number}-{n}") for n in range(30)))
        await r.drained()
        await asyncio.gather(*(r.send(event_id=f"event-0-{n}", seconds=0.05) for n in range(30)))  # after their end
        await r.drained()
        verdict = await r.verdict()
        assert verdict.holds, verdict
        assert verdict.repeated == 0
        publish(18, "storm of duplicates", verdict, f"{sent + 30:,} deliveries of {verdict.sent:,} events")
