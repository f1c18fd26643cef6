"""A source that sends too much is refused, and nobody else is."""

from __future__ import annotations

from pathlib import Path

import httpx
import orjson
import pytest
from structlog.testing import capture_logs

from events import Acceptance, End, Intake, PendingLimit, Spool, Store, Verified
from events.embedded import EmbeddedRedis
from ingress import create_app, truto_source
from tests.integration.ingress.edge import HOOK, event
from tests.integration.ingress.edge import SECRET as TRUTO_SECRET
from tests.integration.ingress.test_sources import running, signed, source
from tests.servers import free_port
from truto.signature import sign


def flood(number: int, size: int = 0) -> bytes:
    return event(f"junk-{number}", event=f"junk.{number}", x="y" * size)


@pytest.mark.bad_input(205)
async def test_a_flood_is_refused_counted_told_once_and_can_be_looked_up(store: Store) -> None:
    limited = source("s", options={"quota": {"deliveries": 3, "period_seconds": 3600}})
    async with running(store, limited, source("other")) as ingress:
        with capture_logs() as logs:
            answers = [await ingress.post(flood(number)) for number in range(10)]
        assert [answer.status_code for answer in answers] == [200] * 3 + [503] * 7
        assert answers[-1].json()["reason"] == "quota_exceeded"
        assert int(answers[-1].headers["retry-after"]) > 0
        assert (await ingress.post(flood(1), to="other")).status_code == 200
        text = (await ingress.admin.get("/metrics")).text
    assert 'truto_worker_refusals_total{reason="quota_exceeded",source="s",status="503"} 7.0' in text
    assert [log["event"] for log in logs].count("quota_exceeded") < 7
    (refused, *_) = await store.notes.refusals()
    assert (refused.source, refused.reason) == ("s", "quota_exceeded")


@pytest.mark.bad_input(206)
async def test_what_is_not_over_bounds_what_more_is_taken(store: Store) -> None:
    limited = source("s", options={"quota": {"pending_events": 2}})
    async with running(store, limited) as ingress:
        answers = [(await ingress.post(flood(number))).status_code for number in range(4)]
        assert answers == [200, 200, 503, 503]
        for lease in (await store.queue.claim(2, "worker-1")).leases:
            await store.queue.finish(lease, End("done"))
        assert (await ingress.post(flood(9))).status_code == 200


@pytest.mark.bad_input(303)
async def test_headers_count_for_each_event_that_is_stored_with_them(store: Store) -> None:
    """One delivery makes up to a thousand events, whose bodies are small."""
    options = {"quota": {"pending_bytes": 200_000}, "headers": ["X-More"], "event": {"id": "{{body.id}}"}}
    on = source("s", payload_transform="body.items", options=options)
    large = dict.fromkeys(("user_agent", "traceparent", "x_more", "tracestate"), "h" * 1000)
    async with running(store, on) as ingress:
        for place, headers, statuses in ((0, {}, [200, 200]), (10, large, [200, 503])):
            bodies = [
                orjson.dumps({"items": [{"event": "x", "id": f"{place + turn}-{number}"} for number in range(50)]})
                for turn in range(2)
            ]
            assert [(await ingress.post(body, **headers)).status_code for body in bodies] == statuses
    pending = (await store.redis.hget("tw:usage", "s|pending")) or 0  # type: ignore[misc]  # redis' own types
    assert int(pending) % 2**40 > 50 * 4000


@pytest.mark.bad_input(207)
async def test_no_source_fills_redis_for_truto(own_redis: EmbeddedRedis) -> None:
    """In a small Redis, a stranger with a secret of another source sends as much as is taken."""
    store = Store.connect(own_redis.url)
    used = int((await store.redis.info("memory"))["used_memory"])
    await store.redis.config_set("maxmemory", used + 24 * 1024 * 1024)
    greedy = source("s", options={"quota": {"pending_bytes": 0, "pending_events": 0}})
    app = create_app(store, [truto_source([TRUTO_SECRET]), greedy])
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as http,
    ):
        taken = []
        for number in range(300):
            body = flood(number, 100_000)
            taken.append((await http.post("/webhooks/s", content=body, headers=signed(body))).status_code)
            await app.state.quotas.look()
        assert set(taken) == {200, 503}
        for number in range(50):
            body = event(f"t-{number}", event="integrated_account:active", payload={"x": "y" * 1000})
            headers = {"x-truto-signature": sign(body, TRUTO_SECRET), "content-type": "application/json"}
            assert (await http.post(HOOK, content=body, headers=headers)).status_code == 200


async def test_the_spool_keeps_half_of_its_room_for_those_without_a_limit(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, max_bytes=10_000)
    intake = Intake(Store.connect(f"redis://127.0.0.1:{free_port()}"), spool)
    limit, body = PendingLimit(events=100), b"x" * 1000
    theirs = [await intake.accept([Verified("s", "t", str(number), body)], limit) for number in range(8)]
    assert theirs[0] == [Acceptance.SPOOLED]
    assert theirs[-1] == [Acceptance.OVER_QUOTA]
    assert await intake.accept([Verified("truto", "t", "1", body)]) == [Acceptance.SPOOLED]
    await spool.close()


async def test_what_was_spooled_is_brought_over_whatever_the_limits(store: Store, tmp_path: Path) -> None:
    spool = Spool.open(tmp_path)
    await spool.append([Verified("s", "t", "1", b"{}")])
    await store.accept([Verified("s", "t", "0", b"{}")], PendingLimit(events=1))
    intake = Intake(store, spool)
    await intake._catch_up()  # noqa: SLF001  as its task would
    assert intake.drained == {Acceptance.ACCEPTED: 1}
    await spool.close()
