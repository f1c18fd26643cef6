"""A worker lets go of what nobody handles, says so, and warns long before."""

from __future__ import annotations

from structlog.testing import capture_logs

from events import ParkedLimit, Store
from events.embedded import EmbeddedRedis
from tests.integration.worker.workshop import delivered, plain
from truto import AsyncTruto
from worker.dispatch import Dispatcher
from worker.notify import Notifier
from worker.registry import Registry


def bounded(server: EmbeddedRedis, events: int) -> Store:
    return Store.connect(server.url, parked=ParkedLimit(events=events))


def dispatcher(store: Store, registry: Registry) -> Dispatcher:
    return Dispatcher(store, registry, AsyncTruto(token="t", transport=plain()), Notifier(transport=plain()))


async def park(store: Store, working: Dispatcher, count: int) -> None:
    for _ in range(count):
        await store.accept([delivered("sync_job_run:record")])
    for lease in (await store.queue.claim(count, "worker-1")).leases:
        end = await working.dispatch(lease)
        assert end is not None
        await store.queue.finish(lease, end)


async def test_an_alarm_is_raised_long_before_anything_is_let_go(
    store: Store, redis_server: EmbeddedRedis, registry: Registry
) -> None:
    own = bounded(redis_server, 10)
    working = dispatcher(own, registry)
    await park(own, working, 8)
    with capture_logs() as logs:
        await working.sweep()
        await working.sweep()
    (alarm,) = [log for log in logs if log["event"] == "parked_limit_approached"]
    assert (alarm["source"], alarm["percent"], alarm["log_level"]) == ("truto", 80, "error")
    assert (await own.inspection.overview()).parked == 8
    await own.close()


async def test_there_is_no_alarm_while_there_is_room(
    store: Store, redis_server: EmbeddedRedis, registry: Registry
) -> None:
    own = bounded(redis_server, 10)
    working = dispatcher(own, registry)
    await park(own, working, 7)
    with capture_logs() as logs:
        await working.sweep()
    assert "parked_limit_approached" not in [log["event"] for log in logs]
    await own.close()


async def test_what_is_let_go_is_said(store: Store, redis_server: EmbeddedRedis, registry: Registry) -> None:
    own = bounded(redis_server, 3)
    working = dispatcher(own, registry)
    await working.sweep()
    await park(own, working, 5)
    with capture_logs() as logs:
        await working.sweep()
    assert [log["events"] for log in logs if log["event"] == "parked_events_dropped"] == [2]
    await own.close()


async def test_what_an_older_version_parked_is_bounded_from_the_start(
    store: Store, redis_server: EmbeddedRedis, registry: Registry
) -> None:
    await park(store, dispatcher(store, registry), 5)
    await store.redis.delete("tw:unhandled", "tw:unhandled:truto", "tw:usage")
    own = bounded(redis_server, 3)
    await dispatcher(own, registry).sweep()
    assert (await own.inspection.overview()).parked == 3
    await own.close()


async def test_a_handler_that_comes_later_still_finds_what_was_kept(
    store: Store, redis_server: EmbeddedRedis, registry: Registry
) -> None:
    own = bounded(redis_server, 3)
    await park(own, dispatcher(own, registry), 3)
    registry.ignore("sync_job_run:record")
    await dispatcher(own, registry).sweep()
    view = await own.inspection.overview()
    assert (view.ready, view.parked, view.sources["truto"].parked) == (3, 0, 0)
    await own.close()
