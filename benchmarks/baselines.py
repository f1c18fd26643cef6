"""What we compare with: the same job done by Starlette with stock arq, as its documentation shows it.

``python -m benchmarks.baselines enqueue|verify|worker`` runs one of them.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

import orjson
import uvicorn
import uvloop
from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker, func
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ingress.responses import answer
from ingress.server import EdgeProtocol
from ingress.sources import truto_source
from ingress.verification.context import Delivery
from ingress.verification.pipeline import verify_delivery
from truto import HEADER, verify


def _redis_settings() -> RedisSettings:
    return RedisSettings(unix_socket_path=os.environ["REDIS_URL"].removeprefix("unix://"))


async def _enqueue_app() -> Starlette:
    pool = await create_pool(_redis_settings())
    secrets = [os.environ["TRUTO_WEBHOOK_SECRET"]]

    async def receive(request: Request) -> Response:
        body = await request.body()
        verify(body, request.headers.get(HEADER), secrets)
        event = orjson.loads(body)
        await pool.enqueue_job("noop", event, _job_id=event["id"])
        return JSONResponse({"status": "accepted"})

    return Starlette(routes=[Route("/webhooks/truto", receive, methods=["POST"])])


async def _verify_app() -> Starlette:
    """Our own verification and answer, with nothing stored: what HTTP and HMAC alone cost."""
    source = truto_source([os.environ["TRUTO_WEBHOOK_SECRET"]])
    account = source.account({})

    async def receive(request: Request) -> Response:
        body = await request.body()
        outcome = verify_delivery(source, Delivery(request.scope["headers"], body), account, now=time.time())
        (event,) = outcome.events  # type: ignore[union-attr]  # the load is signed
        return answer({"status": "accepted", "events": [{"id": event.id, "type": event.type}]})

    return Starlette(routes=[Route("/webhooks/truto", receive, methods=["POST"])])


async def _serve(app: Starlette, http: type[HttpToolsProtocol]) -> None:
    config = uvicorn.Config(app, port=int(os.environ["PORT"]), http=http, ws="none", access_log=False, log_config=None)
    await uvicorn.Server(config).serve()


async def noop(ctx: dict[str, Any], event: object) -> None:
    """Do nothing."""


async def _worker() -> None:
    worker = Worker(
        [func(noop, name="noop")],
        redis_settings=_redis_settings(),
        max_jobs=int(os.environ.get("WORKER_CONCURRENCY", "50")),
        poll_delay=0,
        keep_result=0,
    )
    await worker.async_run()


async def _main(which: str) -> None:
    if which == "worker":
        await _worker()
    elif which == "enqueue":
        await _serve(await _enqueue_app(), HttpToolsProtocol)
    else:
        await _serve(await _verify_app(), EdgeProtocol)


if __name__ == "__main__":
    uvloop.run(_main(sys.argv[1]))
    asyncio.set_event_loop(None)
