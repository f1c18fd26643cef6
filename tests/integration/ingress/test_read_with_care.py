"""Authentic bodies that are not quite JSON, from the socket to the worker's claim: nothing of them is lost."""

from __future__ import annotations

import asyncio

import pytest

from events import Store
from tests.integration.ingress.edge import Edge, run_edge
from tests.integration.ingress.test_sources import signed, source

BODIES = {
    "half-an-emoji": b'{"id":"e-1","event":"ping","payload":{"title":"Party \\ud83d"}}',
    "byte-order-mark": b'\xef\xbb\xbf{"id":"e-1","event":"ping","payload":{"title":"Party \xef\xbf\xbd"}}',
    "utf-16": '{"id":"e-1","event":"ping","payload":{"title":"Party \ufffd"}}'.encode("utf-16"),
    "no-utf-8": b'{"id":"e-1","event":"ping","payload":{"title":"Party \xe9"}}',
}


@pytest.mark.bad_input(114)
@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
async def test_truto_delivers_once_and_the_worker_has_text_and_bytes(edge: Edge, store: Store, body: bytes) -> None:
    assert [(await edge.deliver(body)).json()["status"] for _ in range(2)] == ["accepted", "duplicate"]
    await asyncio.sleep(0.001)
    (lease,) = (await store.queue.claim(10, "worker-1")).leases
    assert (lease.event.id, lease.event.payload) == ("e-1", {"title": "Party \ufffd"})
    assert await store.bodies.raw(lease.event) == body


async def test_salesforce_is_acknowledged_as_it_asks(store: Store) -> None:
    acknowledged = "<notificationsResponse><Ack>true</Ack></notificationsResponse>"
    options = {
        "media_types": ["xml"],
        "event": {"id": "{{body.Notification.Id}}"},
        "answer": {"body": acknowledged, "content_type": "text/xml"},
    }
    body = b'<?xml version="1.0"?><Notification><Id>04l1</Id></Notification>'
    async with run_edge(store, sources=[source(options=options)]) as edge:
        headers = {**signed(body), "content-type": "text/xml; charset=utf-8"}
        answered = await edge.http.post("/webhooks/s", content=body, headers=headers)
        assert (answered.status_code, answered.text) == (200, acknowledged)
        laughing = b'<!DOCTYPE a [<!ENTITY l "lol">]><a>&l;</a>'
        headers = {**signed(laughing), "content-type": "text/xml"}
        refused = await edge.http.post("/webhooks/s", content=laughing, headers=headers)
        assert (refused.status_code, refused.json()["reason"]) == (400, "xml_document_type")
    await asyncio.sleep(0.001)
    (lease,) = (await store.queue.claim(10, "worker-1")).leases
    assert (lease.event.id, await store.bodies.raw(lease.event)) == ("04l1", body)
