"""The ingress as one ASGI app. Read on in ``receive``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from events import Intake, Shard, Shards, Spool, Store
from events.background import background
from ingress.answers import Refusal
from ingress.budget import BodyBudget
from ingress.connections import Connections
from ingress.health import Readiness, livez
from ingress.limits import Limits
from ingress.link_token import LinkTokenRoute
from ingress.metrics import EdgeFigures, Metrics, MetricsRoute, SpoolFigures
from ingress.probe import Prover
from ingress.quotas import DEFAULT, Quota, Quotas
from ingress.receive import Receiver, source_named
from ingress.refusals import RefusalJournal
from ingress.responses import failed, refuse
from ingress.sources import Source
from ingress.sources.table import SourceTable
from ingress.turned_away import TurnedAway

if TYPE_CHECKING:
    from truto import AsyncTruto

_MAX_ADMIN_CONNECTIONS = 128


class Ingress(Starlette):
    """Starlette, with a short way in for deliveries: its routing costs more than verifying one."""

    def __init__(self, receiver: Receiver, **options: Any) -> None:
        super().__init__(**options)
        self._receiver = receiver

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and (source := source_named(scope["path"])):
            scope["path_params"] = {"source": source}
            await self._receiver(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(
    store: Store,
    sources: Iterable[Source],
    *,
    limits: Limits | None = None,
    truto: AsyncTruto | None = None,
    link_token_key: str | None = None,
    spool: Spool | None = None,
    further: Sequence[Shard] = (),
    quota: Quota = DEFAULT,
    prover: Prover | None = None,
) -> Starlette:
    """The app that receives deliveries for *sources* into *store*, and closes what it was given when it ends.

    With a *spool*, deliveries that the store cannot take wait there and are brought over when it can. With *further*
    shards, accounts are spread over them all; what sources and refusals leave behind is kept in *store*.
    *quota* is what sources other than Truto's may do that state none of their own.
    Probes of ``connect`` and ``doctor`` are answered by the *prover*.
    The link-token route exists only with both *truto* and *link_token_key*. ``app.state.readiness.draining = True``
    makes ``/readyz`` answer 503; ``await app.state.sources.replace(…)`` exchanges the sources. ``app.state.admin`` is
    the app for the admin port: what an operator may know, and strangers may not.
    """
    metrics = Metrics()
    shards = [Shard(store, spool), *further]
    takers = [Intake(shard.store, shard.spool) if shard.spool is not None else shard.store for shard in shards]
    intakes = [taker for taker in takers if isinstance(taker, Intake)]
    readiness = Readiness(takers)
    figures = MetricsRoute([shard.store for shard in shards], metrics)
    table = SourceTable(store, sources)
    journal = RefusalJournal(store)
    taker = Shards(takers) if further else takers[0]
    limits = limits or Limits()
    turned_away = TurnedAway(metrics.registry)
    budget = BodyBudget(limits.buffered_bytes, owner=lambda path: _source_at(path, table))
    connections = Connections(limits, budget, turned_away, body_bytes=lambda path: _body_bytes_at(path, table, limits))
    # Of its own, so that no stranger can take the operator's place.
    admin_connections = Connections(replace(limits, connections=_MAX_ADMIN_CONNECTIONS), budget, turned_away)
    metrics.registry.register(EdgeFigures(connections))
    quotas = Quotas([shard.store for shard in shards], quota)
    receiver = Receiver(taker, table, budget, limits, metrics, journal, turned_away, quotas, prover)
    if intakes:
        metrics.registry.register(SpoolFigures(intakes))
    routes = [
        Route("/livez", livez, methods=["GET"]),
        Route("/readyz", readiness.tell, methods=["GET"]),
    ]
    if truto is not None and link_token_key:
        route = LinkTokenRoute(truto, link_token_key, metrics, journal)
        routes.append(Route("/api/truto/link-token", route.__call__, methods=["POST"]))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as closing:
            for shard in shards:
                closing.push_async_callback(shard.store.close)
            for intake in intakes:
                await closing.enter_async_context(_running(intake))
            if truto is not None:
                closing.push_async_callback(truto.aclose)
            closing.push_async_callback(readiness.aclose)
            closing.push_async_callback(figures.aclose)
            await closing.enter_async_context(table.running())
            await closing.enter_async_context(journal.running())
            for running in (quotas, turned_away, connections, admin_connections):
                await closing.enter_async_context(running.running())
            yield

    app = Ingress(
        receiver,
        routes=routes,
        lifespan=lifespan,
        exception_handlers=_ERRORS,
    )
    # A redirect would be answered to a POST that senders do not repeat.
    app.router.redirect_slashes = False
    app.state.readiness = readiness
    app.state.sources = table
    app.state.quotas = quotas
    app.state.connections = connections
    app.state.admin = _admin_app(readiness, figures, admin_connections)
    return app


def _admin_app(readiness: Readiness, figures: MetricsRoute, connections: Connections) -> Starlette:
    routes = [
        Route("/livez", livez, methods=["GET"]),
        Route("/readyz", readiness.tell_all, methods=["GET"]),
        Route("/metrics", figures.__call__, methods=["GET"]),
    ]
    app = Starlette(routes=routes, exception_handlers=_ERRORS)
    app.router.redirect_slashes = False
    app.state.connections = connections
    return app


def _body_bytes_at(path: str, table: SourceTable, limits: Limits) -> int:
    source = table.get(source_named(path))
    return limits.body_bytes_for(source.max_body_bytes if source else 0)


def _source_at(path: str, table: SourceTable) -> str:
    source = table.get(source_named(path))
    return source.name if source else ""


@asynccontextmanager
async def _running(intake: Intake) -> AsyncIterator[None]:
    try:
        # What is left is brought over by the next process, so a shutdown need not wait for the store.
        async with background(intake.run(), "drain-spool"):
            yield
    finally:
        await intake.spool.close()


async def _refuse_route(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    reason = {404: "not_found", 405: "method_not_allowed"}.get(exc.status_code, "refused")
    message = {404: "There is nothing here.", 405: "This method is not allowed here."}.get(exc.status_code, exc.detail)
    # A body that was announced is not read; without one, a scraper that asks at the wrong port need not connect anew.
    close = "content-length" in request.headers or "transfer-encoding" in request.headers
    return refuse(Refusal(exc.status_code, reason, message, headers=dict(exc.headers or {}), close=close))


async def _last_resort(request: Request, exc: Exception) -> Response:
    return failed(exc, request.url.path)


_ERRORS = {HTTPException: _refuse_route, Exception: _last_resort}
