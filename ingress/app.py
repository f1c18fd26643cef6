"""The ingress as one ASGI app. Read on in ``receive``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from events import Store
from ingress.answers import Refusal, failed, refuse
from ingress.health import Readiness, livez
from ingress.link_token import LinkTokenRoute
from ingress.metrics import Metrics, MetricsRoute
from ingress.receive import DELIVERIES, Limits, Receiver
from ingress.sources import Source
from truto import AsyncTruto


class Ingress(Starlette):
    """Starlette, with a short way in for deliveries: its routing costs more than verifying one."""

    def __init__(self, receiver: Receiver, **options: Any) -> None:
        super().__init__(**options)
        self._receiver = receiver

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and _names_a_source(scope["path"]):
            await self._receiver(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _names_a_source(path: str) -> bool:
    return path.startswith(DELIVERIES) and len(path) > len(DELIVERIES) and "/" not in path[len(DELIVERIES) :]


def create_app(
    store: Store,
    sources: Iterable[Source],
    *,
    limits: Limits | None = None,
    truto: AsyncTruto | None = None,
    link_token_key: str | None = None,
) -> Starlette:
    """The app that receives deliveries for *sources* into *store*, and closes both clients when it ends.

    The link-token route exists only with both *truto* and *link_token_key*. ``app.state.readiness.draining = True``
    makes ``/readyz`` answer 503.
    """
    metrics = Metrics()
    readiness = Readiness(store)
    by_name = {source.name: source for source in sources}
    receiver = Receiver(store, by_name, limits or Limits(), metrics)
    routes = [
        Route("/livez", livez, methods=["GET"]),
        Route("/readyz", readiness.__call__, methods=["GET"]),
        Route("/metrics", MetricsRoute(store, metrics).__call__, methods=["GET"]),
    ]
    if truto is not None and link_token_key:
        route = LinkTokenRoute(truto, link_token_key)
        routes.append(Route("/api/truto/link-token", route.__call__, methods=["POST"]))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as closing:
            closing.push_async_callback(store.close)
            if truto is not None:
                closing.push_async_callback(truto.aclose)
            yield

    app = Ingress(
        receiver,
        routes=routes,
        lifespan=lifespan,
        exception_handlers={HTTPException: _refuse_route, Exception: _last_resort},
    )
    # A redirect would be answered to a POST that senders do not repeat.
    app.router.redirect_slashes = False
    app.state.readiness = readiness
    return app


async def _refuse_route(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    reason = {404: "not_found", 405: "method_not_allowed"}.get(exc.status_code, "refused")
    message = {404: "There is nothing here.", 405: "This method is not allowed here."}.get(exc.status_code, exc.detail)
    return refuse(Refusal(exc.status_code, reason, message, headers=dict(exc.headers or {}), close=True))


async def _last_resort(request: Request, exc: Exception) -> Response:
    return failed(exc, request.url.path)
