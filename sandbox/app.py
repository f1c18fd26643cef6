"""Put the sandbox together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute

from sandbox.accounts_api import EnvironmentIntegrations, IntegratedAccounts
from sandbox.answers import Refusal, answer_disconnect, answer_http_error, answer_refusal
from sandbox.background import Background
from sandbox.calls import Endpoints
from sandbox.collection import Collection
from sandbox.config import SandboxConfig
from sandbox.control import Control
from sandbox.data_api import Data
from sandbox.deliveries import Sender
from sandbox.gate import Gate
from sandbox.inbox import Inbox
from sandbox.lifecycle import Accounts
from sandbox.page import page_route
from sandbox.runs import Runs
from sandbox.state import State
from sandbox.sync_api import CronTriggers, SyncJobRuns, SyncJobs
from sandbox.webhooks_api import Logs, Webhooks
from sandbox.workflow_runs import WorkflowRunner
from sandbox.workflows_api import WorkflowRuns, Workflows


def create_app(config: SandboxConfig) -> Starlette:
    """A sandbox with its own memory, seeded with the account and the sync job of :mod:`truto.samples`.

    Serve it with its lifespan: at shutdown the work in the background is cancelled and the connections are
    closed; an app that was shut down sends nothing more.
    """
    state = State.seeded(config)
    background = Background()
    sender = Sender(state, config, background)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await background.close()
            await sender.close()

    app = Starlette(
        routes=_routes(config, state, sender, background),
        middleware=[Middleware(Gate, state=state, token=config.token)],
        exception_handlers={
            Refusal: answer_refusal,
            HTTPException: answer_http_error,
            ClientDisconnect: answer_disconnect,
        },
        lifespan=lifespan,
    )
    # A redirect would be an answer outside Truto's envelope.
    app.router.redirect_slashes = False
    return app


def _routes(config: SandboxConfig, state: State, sender: Sender, background: Background) -> list[BaseRoute]:
    accounts = Accounts(state, sender, background, step_seconds=config.step_seconds)
    runs = Runs(state, sender, background, step_seconds=config.step_seconds)
    run_api, trigger_api = SyncJobRuns(state, runs), CronTriggers(state)
    sender.tell(WorkflowRunner(state, background, run_api, trigger_api).observe)
    endpoint = Endpoints()
    families: list[Collection | Control | Data | Logs] = [
        Control(state, accounts),
        Data(state),
        IntegratedAccounts(state, accounts),
        EnvironmentIntegrations(state, sender),
        SyncJobs(state.sync_jobs),
        run_api,
        trigger_api,
        Workflows(state),
        WorkflowRuns(state),
        Webhooks(state, sender),
        Logs(state),
    ]
    routes: list[BaseRoute] = [page_route(state), *Inbox(state, config.tenant_secret).routes()]
    for family in families:
        routes += family.routes(endpoint)
    return routes
