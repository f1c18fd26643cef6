"""``truto-worker worker``: the process that handles events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from cli.jobs import reconciling
from cli.logs import configure_logging
from cli.serving import settle_memory, store_at, warn_of_misspelt_settings
from cli.settings import WorkerSettings, read_settings
from cli.store_check import checked
from cli.token_check import accepted_token
from events import ConfigError, Store
from truto.signing_keys import SigningKeys

if TYPE_CHECKING:
    from worker.cause import Describer
    from worker.development import Development
    from worker.registry import Registry
    from workflows.definitions import WorkflowFile

log = structlog.get_logger("cli")

_STUCK_LEASES = 3


def run_worker(*, suggest: bool) -> None:
    """Work until a signal ends it. Raises ``ConfigError`` naming every wrong setting and broken handler module."""
    import uvloop

    from worker.cause import shortened
    from worker.loading import BUILT_IN_FOLDER
    from worker.registry import registry

    settings, workflows = _read_worker()
    signing = dict(_signing_keys(settings))
    warn_of_expired(signing, datetime.now(UTC))
    names = [file.name for file in workflows]
    warn_of_misspelt_settings()
    log.info("handlers_loaded", packages=settings.handlers, handlers=len(registry), workflows=names)
    for handler in registry.handlers:
        log.info(
            "handler_loaded",
            handler=handler.name,
            patterns=handler.patterns,
            file=shortened(handler.file),
            built_in=Path(handler.file).is_relative_to(BUILT_IN_FOLDER),
        )
    settle_memory()
    uvloop.run(_work(settings, workflows, signing.values(), suggest=suggest))


def _signing_keys(settings: WorkerSettings) -> Iterator[tuple[str, SigningKeys]]:
    if settings.tenant_notify_secret is not None:
        yield "TENANT_NOTIFY_SECRET", SigningKeys.parse(settings.tenant_notify_secret.get_secret_value(), "tenant")
    if settings.workflows_http_secret is not None:
        yield "WORKFLOWS_HTTP_SECRET", SigningKeys.parse(settings.workflows_http_secret.get_secret_value(), "host")


def warn_of_expired(signing: Mapping[str, SigningKeys], now: datetime) -> None:
    """Log each secret of a setting that signs no more."""
    for setting, keys in signing.items():
        for day in keys.expired(now):
            remedy = "take it out of the setting"
            log.warning("secret_expired", setting=setting, last_day=day.isoformat(), remedy=remedy)


def _development(settings: WorkerSettings) -> Development:
    from worker.development import Development
    from worker.loading import modules_of, own_package

    package = own_package(settings.handlers)
    return Development(package, lambda: modules_of(package))


def warn_of_misspelt_types(registry: Registry) -> None:
    """Log each pattern that is nearly the name of an event of Truto's."""
    for handler, pattern, meant in registry.misspelt():
        hint = f"did you mean {meant}? Truto is not known to send {pattern}"
        log.warning("event_type_unknown", handler=handler.name, pattern=pattern, hint=hint)


def _read_worker() -> tuple[WorkerSettings, list[WorkflowFile]]:
    from worker.loading import load_handlers

    faults: list[str] = []
    settings: WorkerSettings | None = None
    workflows: list[WorkflowFile] = []
    packages: tuple[str, ...] = WorkerSettings.model_fields["handlers"].default
    try:
        settings = read_settings(WorkerSettings)
        packages = settings.handlers
        configure_logging(settings.log_level, settings.log_format)
    except ConfigError as exc:
        faults.append(str(exc))
    try:
        load_handlers(packages)
    except ConfigError as exc:
        faults.append(str(exc))
    if settings is not None and settings.workflows_dir is not None:
        from workflows.definitions import load_workflows

        try:
            workflows = load_workflows(settings.workflows_dir)
        except ConfigError as exc:
            faults.append(str(exc))
    if settings is None or faults:
        raise ConfigError("\n".join(faults))
    return settings, workflows


@asynccontextmanager
async def _registered(
    workflows: list[WorkflowFile], settings: WorkerSettings, describer: Describer
) -> AsyncIterator[None]:
    """The workflows as handlers, with what their actions need; importing that is left to workers that have some."""
    if not workflows:
        yield
        return
    from truto.network import Allowed
    from worker.registry import registry
    from workflows.definitions import register_workflows
    from workflows.http import HttpRequests
    from workflows.services import Services

    secret = settings.workflows_http_secret
    http = HttpRequests(
        secret=secret.get_secret_value() if secret else None, allowed=Allowed.parse(settings.workflows_http_allow)
    )
    services = Services(registry, http, describer)
    register_workflows(workflows, registry, services)
    try:
        yield
    finally:
        await services.aclose()


async def _work(
    settings: WorkerSettings, workflows: list[WorkflowFile], signing: Iterable[SigningKeys], *, suggest: bool
) -> None:
    from truto import AsyncTruto
    from worker.api_budget import ApiBudget
    from worker.cause import Describer
    from worker.dispatch import Dispatcher
    from worker.engine import Engine
    from worker.fleet import Fleet
    from worker.notify import Notifier, TenantEndpoint
    from worker.outcome import Policy
    from worker.pool import Pool
    from worker.registry import registry
    from worker.watchdog import Watchdog

    tenants = None
    if settings.tenant_notify_url and settings.tenant_notify_secret:
        tenants = TenantEndpoint(settings.tenant_notify_url, settings.tenant_notify_secret.get_secret_value())
    token = settings.truto_api_token.get_secret_value()
    operators = [url.get_secret_value() for url in settings.notify_urls]
    stores = {url: store_at(settings, url, platform_sources=settings.truto_sources) for url in settings.store_urls}
    first = next(iter(stores.values()))
    admit = ApiBudget(first, token, calls=settings.api_call_budget).admit if settings.api_call_budget else None
    truto = AsyncTruto(token=token, base_url=settings.truto_api_url, admit=admit)
    notifier = Notifier(tenants, operators)
    signing_secrets = [secret.text for keys in signing for secret in keys.secrets]
    describer = Describer.masking([token, *settings.redis_url.split(), *signing_secrets, *operators])
    policy = Policy(max_attempts=settings.max_attempts)
    pool = Pool(settings.worker_concurrency, len(stores)) if len(stores) > 1 else None
    development = _development(settings) if suggest else None

    def engine_of(store: Store) -> Engine:
        dispatcher = Dispatcher(store, registry, truto, notifier, policy, describer, development)
        return Engine(
            store,
            dispatcher.dispatch,
            concurrency=settings.worker_concurrency,
            max_bytes=settings.worker_max_bytes // len(stores),
            grace_seconds=settings.grace_seconds,
            sweep=dispatcher.sweep,
            handle_signals=pool is None,
            pool=pool,
        )

    try:
        fleet = Fleet([engine_of(store) for store in stores.values()])
        async with _registered(workflows, settings, describer), AsyncExitStack() as checks:
            for store in stores.values():
                await checks.enter_async_context(checked(store, settings.store_check))
            await checks.enter_async_context(reconciling(settings, stores, notifier))
            # Until then every lease it held is somebody else's, and it takes no signal: only an end can help.
            warn_of_misspelt_types(registry)
            with Watchdog(_STUCK_LEASES * settings.lease_seconds):
                async with accepted_token(truto, fleet.stop):
                    await fleet.run_until_stopped()
    finally:
        await notifier.aclose()
        await truto.aclose()
        for store in stores.values():
            await store.close()
