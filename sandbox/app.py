"""The sandbox as one ASGI app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from sandbox.accounts_api import EnvironmentIntegrations, IntegratedAccounts
from sandbox.answers import answer_disconnect, answer_http_error, answer_refusal
from sandbox.background import Background
from sandbox.batch_api import Batches
from sandbox.calls import Endpoints
from sandbox.config import SandboxConfig
from sandbox.connect_page import ConnectPage
from sandbox.control import Control
from sandbox.data_api import Data
from sandbox.deliveries import Sender
from sandbox.errors import Refusal
from sandbox.files_api import Files
from sandbox.gate import Gate
from sandbox.inbound_api import Inbound
from sandbox.inbox import Inbox
from sandbox.lifecycle import Accounts
from sandbox.logs_api import Logs
from sandbox.mcp_api import McpServer, McpTokens
from sandbox.meta_api import Meta
from sandbox.openapi import openapi_route
from sandbox.page import page_route
from sandbox.platform_api import PlatformResource
from sandbox.platform_resources import RESOURCES
from sandbox.provider import Provider
from sandbox.runs import Runs
from sandbox.state import State
from sandbox.statefile import StateFile
from sandbox.sync_api import CronTriggers, RunStates, SyncJobRuns, SyncJobs
from sandbox.webhooks_api import Webhooks
from sandbox.wishes import Product
from sandbox.workflow_runs import WorkflowRunner
from sandbox.workflows_api import WorkflowRuns, Workflows

if TYPE_CHECKING:
    from sandbox.upstream import Upstream

_ANSWERS: dict[int | type[Exception], Any] = {
    Refusal: answer_refusal,
    HTTPException: answer_http_error,
    ClientDisconnect: answer_disconnect,
}


def create_app(config: SandboxConfig) -> Starlette:
    """A sandbox with its own memory, seeded with the account and the sync job of :mod:`truto.samples`.

    Serve it with its lifespan: at shutdown the work in the background is cancelled and the connections are
    closed; an app that was shut down sends nothing more. Raises :class:`StateFileError` for a state file that
    cannot be used, and :class:`truto.BadIntegration` for an integration.
    """
    state = State.seeded(config)
    file = StateFile(config.state_file) if config.state_file else None
    resumed = file is not None and file.load(state)
    state.register(config)
    if file:
        file.save(state)  # a place that cannot be written to is better known now
    background = Background()
    sender = Sender(state, config, background)
    accounts = Accounts(state, sender, background, step_seconds=config.step_seconds)
    runs = Runs(state, sender, background, step_seconds=config.step_seconds)
    upstream = _upstream(config, state, accounts)
    accounts.product = runs.product = upstream

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if resumed:
            accounts.resume()
            runs.resume()
        if file:
            background.spawn(file.keep(state))
        try:
            yield
        finally:
            await background.close()
            await sender.close()
            if upstream is not None:
                await upstream.close()
            if file:
                file.try_to_save(state)

    app = Starlette(
        routes=_routes(config, state, sender, accounts, runs, background, upstream),
        middleware=[Middleware(Gate, state=state, token=config.token, limited=config.rate_limits)],
        exception_handlers=_ANSWERS,
        lifespan=lifespan,
    )
    app.state.sandbox = state
    app.router.redirect_slashes = False  # a redirect would be an answer outside of Truto's envelope
    return app


def _upstream(config: SandboxConfig, state: State, accounts: Accounts) -> Upstream | None:
    if not config.integrations:
        return None
    from sandbox.upstream import Upstream  # brings all that runs an integration
    from truto.network import Allowed

    return Upstream(state, accounts, config.integrations, Allowed.parse(config.integrations_allow))


def _routes(
    config: SandboxConfig,
    state: State,
    sender: Sender,
    accounts: Accounts,
    runs: Runs,
    background: Background,
    product: Product | None,
) -> list[Route]:
    endpoint = Endpoints()
    provider = Provider(state, accounts, product)
    run_api = SyncJobRuns(state, runs)
    trigger_api = CronTriggers(state, run_api, sender)
    sender.subscribe(WorkflowRunner(state, background, run_api, trigger_api).observe)
    # Where two routes fit a path, the first one wins: fixed words before ids.
    families: list[Family] = [
        ConnectPage(state, config.link_token_url, config.link_token_key),
        Control(state, accounts),
        Meta(state),
        Data(provider, limited=config.rate_limits),
        Batches(provider),
        IntegratedAccounts(state, accounts),
        McpTokens(state),
        McpServer(state, provider, config.token),
        EnvironmentIntegrations(state, sender, accounts),
        SyncJobs(state.sync_jobs),
        run_api,
        RunStates(state),
        trigger_api,
        Workflows(state),
        WorkflowRuns(state),
        Webhooks(state, sender),
        Inbound(state, sender),
        Files(state),
        Logs(state),
        *(PlatformResource(resource, state, sender) for resource in RESOURCES),
    ]
    routes: list[Route] = [page_route(state), *Inbox(state, config.tenant_secret).routes()]
    for family in families:
        routes += family.routes(endpoint)
    return [*routes, openapi_route(routes)]


class Family(Protocol):
    """What has routes."""

    def routes(self, endpoint: Endpoints) -> list[Route]:
        """All of them."""
        ...
