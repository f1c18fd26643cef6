"""The sandbox as an adversary: deliveries that are lost, late, doubled or out of order, and logs that forget."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from sandbox.faults import Faults
from tests.integration.sandbox.conftest import Receiver, eventually
from tests.integration.sandbox.test_accounts import connect


async def test_a_lost_delivery_is_tried_and_logged_and_does_not_arrive(
    wired: httpx.AsyncClient, receiver: Receiver
) -> None:
    await wired.put("/sandbox/faults", json={"lose": 1})
    await connect(wired, tenant_id="acme-2")
    logged = await _log_of(wired, "integrated_account:created", attempts=4)
    assert {(entry["webhook_endpoint_status"], entry["status"]) for entry in logged} == {(None, "failure")}
    assert len({entry["id"] for entry in logged}) == 1
    assert receiver.requests == []


async def test_a_lost_delivery_may_come_late_with_the_same_id(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    await wired.put("/sandbox/faults", json={"lose": 1, "late": 1, "late_seconds": 0.1})
    await connect(wired, tenant_id="acme-2")
    await eventually(lambda: len(receiver.of("integrated_account:created")) == 1)
    logged = await _log_of(wired, "integrated_account:created", attempts=4)
    assert logged[0]["id"] == receiver.of("integrated_account:created")[0]["id"]


async def test_a_doubled_delivery_comes_twice(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    await wired.put("/sandbox/faults", json={"double": 1})
    await connect(wired, tenant_id="acme-2")
    await eventually(lambda: len(receiver.of("integrated_account:created")) == 2)
    one, two = receiver.of("integrated_account:created")
    assert one == two


async def test_a_delayed_delivery_is_overtaken(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    await wired.put("/sandbox/faults", json={"delay": 1, "delay_seconds": 0.3})
    await connect(wired, tenant_id="acme-2")
    await wired.put("/sandbox/faults", json={})
    await eventually(lambda: "integrated_account:created" in receiver.names())
    assert receiver.names().index("integrated_account:active") < receiver.names().index("integrated_account:created")


async def test_an_expired_log_has_nothing_of_what_is_older(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    await connect(wired, tenant_id="acme-2")
    await eventually(lambda: "integrated_account:active" in receiver.names())
    await _log_of(wired, "integrated_account:active", attempts=1)
    await wired.put("/sandbox/faults", json={"log_seconds": 0.000001})
    assert (await wired.get("/log", params={"log_type": "webhook"})).json()["result"] == []


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_which_deliveries_are_lost_is_a_matter_of_the_seed_alone(share: float) -> None:
    lost = [Faults(lose=share, seed=7).fate(number).lost for number in range(1000)]
    assert lost == [Faults(lose=share, seed=7).fate(number).lost for number in range(1000)]
    assert lost != [Faults(lose=share, seed=8).fate(number).lost for number in range(1000)]
    assert abs(sum(lost) / 1000 - share) < 0.05


async def _log_of(api: httpx.AsyncClient, event: str, *, attempts: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(5):
        while True:
            params = {"log_type": "webhook", "log_type_filter[event]": event}
            found: list[dict[str, Any]] = (await api.get("/log", params=params)).json()["result"]
            if len(found) >= attempts:
                return found
            await asyncio.sleep(0.01)
