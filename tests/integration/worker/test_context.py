"""What a handler is given: a Truto client whose keys survive a re-run."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from events import Event, Store
from tests.integration.worker.workshop import delivered, ended, eventually, is_empty, plain, working
from tests.servers import serve
from truto import AsyncTruto
from worker import Backoff, Context
from worker.registry import Registry


class Truto:
    """Takes any call and keeps its key; the first *failing* writes answer 500."""

    def __init__(self, failing: int = 0) -> None:
        self.keys: list[str | None] = []
        self._failing = failing

    async def call(self, request: Request) -> Response:
        if request.method != "GET":
            self.keys.append(request.headers.get("idempotency-key"))
        if len(self.keys) <= self._failing and request.method != "GET":
            return JSONResponse({"statusCode": 400, "error": "Bad Request", "message": "no"}, 400)
        return JSONResponse({"id": "1"})

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self.call, methods=["GET", "POST", "PATCH"])])


async def test_a_call_carries_the_same_key_in_every_attempt(store: Store, registry: Registry) -> None:
    truto = Truto(failing=2)

    @registry.on("*", backoff=Backoff(0.001, 0.001))
    async def handle(event: Event, ctx: Context) -> None:
        await ctx.truto.request("GET", "/ping")
        await ctx.truto.request("POST", "/unified/crm/contacts", json={})
        await ctx.truto.request("PATCH", "/unified/crm/contacts/1", json={})

    event = delivered()
    async with (
        serve(truto.app) as url,
        working(store, registry, truto=AsyncTruto(token="t", base_url=url, transport=plain())),
    ):
        await store.accept([event])
        await ended(store, event)
    first, second, third, fourth = truto.keys
    assert first == second == third
    assert fourth != first


async def test_two_handlers_of_one_event_and_two_events_share_no_key(store: Store, registry: Registry) -> None:
    truto = Truto()

    @registry.on("*")
    async def first(event: Event, ctx: Context) -> None:
        await ctx.truto.request("POST", "/x", json={})

    @registry.on("*")
    async def second(event: Event, ctx: Context) -> None:
        await ctx.truto.request("POST", "/x", json={})

    async with (
        serve(truto.app) as url,
        working(store, registry, truto=AsyncTruto(token="t", base_url=url, transport=plain())),
    ):
        await store.accept([delivered(), delivered()])
        await eventually(lambda: len(truto.keys) == 4)
        await eventually(lambda: is_empty(store))
    assert len(set(truto.keys)) == 4
