"""Liveness, readiness and figures, and the last words of a server that stops."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import httpx
import pytest
from redis import Redis
from structlog.testing import capture_logs

from events import Store
from events.embedded import EmbeddedRedis
from ingress import Server, create_app, listen, truto_source
from tests.integration.ingress.edge import SECRET, Edge, client, event
from truto.signature import sign


async def until(condition: Callable[[], bool]) -> None:
    """Wait for *condition*, at most two seconds."""
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never became true")


@pytest.mark.parametrize(
    ("port", "path"),
    [("http", "/livez"), ("http", "/readyz"), ("admin", "/livez"), ("admin", "/readyz"), ("admin", "/metrics")],
)
async def test_health_is_only_asked_for(edge: Edge, port: str, path: str) -> None:
    http: httpx.AsyncClient = getattr(edge, port)
    assert (await http.get(path)).status_code == 200
    assert (await http.head(path)).status_code == 200
    response = await http.post(path, content=b"x")
    assert (response.status_code, response.json()["reason"]) == (405, "method_not_allowed")
    assert "GET" in response.headers["allow"]


async def test_figures_are_in_prometheus_own_format(edge: Edge) -> None:
    await edge.deliver(event())
    response = await edge.admin.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert 'truto_worker_deliveries_total{outcome="accepted",source="truto"} 1.0' in response.text
    assert 'truto_worker_queue{state="ready"} 1.0' in response.text
    assert "truto_worker_receipt_seconds_count 1.0" in response.text


async def test_a_draining_process_is_not_ready_but_alive_and_takes_what_still_comes(edge: Edge) -> None:
    edge.server.handle_exit(signal.SIGTERM, None)
    refused = await edge.http.get("/readyz")
    assert (refused.status_code, refused.json()["reason"]) == (503, "not_ready")
    assert (await edge.admin.get("/readyz")).json()["reason"] == "draining"
    assert (await edge.http.get("/livez")).status_code == 200
    assert (await edge.deliver(event())).status_code == 200


async def test_the_server_serves_until_it_is_told_to_stop_and_closes_its_store(
    store: Store, redis_server: EmbeddedRedis
) -> None:
    server = Server(create_app(store, [truto_source([SECRET])]), drain_seconds=1)
    listening = listen("127.0.0.1", 0)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group, client(listening.getsockname()[1]) as http:
        group.create_task(server.serve(sockets=[listening]))
        await until(lambda: server.started)
        signed = {"x-truto-signature": sign(event(), SECRET)}
        response = await http.post("/webhooks/truto", content=event(), headers=signed)
        assert response.status_code == 200
        assert "server" not in response.headers
        server.should_exit = True
    with Redis.from_url(redis_server.url) as admin:
        await until(lambda: len(admin.client_list()) == 1)


async def test_an_error_of_our_own_is_answered_without_its_text_and_logged_by_its_kind(store: Store) -> None:
    app = create_app(store, [truto_source([SECRET])])

    async def break_down(request: object) -> None:
        raise RuntimeError("hidden-payload")

    app.add_route("/broken", break_down)  # type: ignore[arg-type]  # it never answers
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    with capture_logs() as logs:
        async with httpx.AsyncClient(transport=transport, base_url="http://edge") as http:
            response = await http.get("/broken")
    assert (response.status_code, response.json()["reason"]) == (500, "internal")
    assert "hidden" not in response.text
    assert logs == [{"event": "request_failed", "error": "RuntimeError", "path": "/broken", "log_level": "error"}]
