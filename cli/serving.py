"""The long-running processes: ingress and worker."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from cli.jobs import reconciling
from cli.listening import bind, listen_for_operators
from cli.logs import configure_logging
from cli.settings import IngressSettings, StoreSettings, WorkerSettings, misspelt_settings, read_settings
from cli.store_check import checked
from cli.token_check import accepted_token
from events import ConfigError, ParkedLimit, Shard, Spool, SpoolUnusable, Store
from events.background import background
from truto.signing_keys import SigningKeys

if TYPE_CHECKING:
    from ingress import Limits, Source
    from ingress.sources.reloading import SourcesFile
    from ingress.sources.table import SourceTable
    from worker.cause import Describer
    from worker.development import Development
    from worker.registry import Registry
    from workflows.definitions import WorkflowFile

log = structlog.get_logger("cli")

_STUCK_LEASES = 3
_COLLECT_AFTER = 10_000


def run_ingress() -> None:
    """Serve until a signal ends it. Raises ``ConfigError`` naming every wrong setting."""
    import uvloop

    from ingress import AdminServer, Server, create_app
    from ingress.probe import Prover
    from ingress.quotas import Quota

    settings = read_settings(IngressSettings)
    configure_logging(settings.log_level, settings.log_format)
    _warn_of_misspelt_settings()
    limits = _limits(settings, _raise_descriptors())

    sources, sources_file = _sources(settings)
    urls = settings.redis_url.split()
    spools = _spools(settings, len(urls))
    bound = _bind(settings.listens_at, settings.port)
    admin = listen_for_operators(settings)

    async def serve() -> None:
        stores = [_store(settings, url, confirm_replicas=settings.confirm_replicas) for url in urls]
        async with AsyncExitStack() as checks:
            for store in stores:
                await checks.enter_async_context(checked(store, settings.store_check))
            await serve_from([Shard(store, spool) for store, spool in zip(stores, spools, strict=True)])

    async def serve_from(shards: Sequence[Shard]) -> None:
        truto = None
        token = settings.truto_api_token.get_secret_value() if settings.truto_api_token else ""
        if token:
            from truto import AsyncTruto

            truto = AsyncTruto(token=token, base_url=settings.truto_api_url)
        app = create_app(
            shards[0].store,
            sources,
            limits=limits,
            truto=truto,
            link_token_key=settings.link_token_key.get_secret_value() if settings.link_token_key else None,
            spool=shards[0].spool,
            further=shards[1:],
            quota=Quota(
                deliveries=settings.quota_deliveries,
                bytes=settings.quota_bytes,
                pending_events=settings.quota_pending_events,
                pending_bytes=settings.quota_pending_bytes,
            ),
            prover=Prover([token] if token else (), stored=settings.takes_stored_secret),
        )
        log.info(
            "ingress_started",
            host=settings.listens_at,
            port=settings.port,
            admin_port=settings.admin_port if admin else None,
            link_tokens=bool(settings.link_token_key),
            max_connections=limits.connections,
            max_buffered_bytes=limits.buffered_bytes,
        )
        async with AsyncExitStack() as running:
            await running.enter_async_context(_followed(sources_file, app.state.sources))
            if admin is not None:
                await running.enter_async_context(AdminServer(app.state.admin, admin).serving())
            await Server(app, drain_seconds=settings.grace_seconds).serve(sockets=bound)
        log.info("ingress_stopped")

    _settle_memory()
    uvloop.run(serve())


def _raise_descriptors() -> int:
    """How many descriptors this process may open, after it has asked for all that the system lets it have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):  # a sandbox may forbid it; what there is has to do then
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def _limits(settings: IngressSettings, descriptors: int) -> Limits:
    from ingress.limits import Limits, max_connections

    most, default = max_connections(descriptors), Limits()
    if settings.max_connections is not None and settings.max_connections > most:
        raise ConfigError(
            f"MAX_CONNECTIONS: {settings.max_connections} are more than the {most} for which there are descriptors "
            "(ulimit -n, LimitNOFILE= in systemd)"
        )
    return Limits(
        body_bytes=settings.max_body_bytes,
        buffered_bytes=settings.max_buffered_bytes or max(default.buffered_bytes, 4 * settings.max_body_bytes),
        connections=settings.max_connections or min(default.connections, most),
        connections_per_peer=settings.max_connections_per_peer,
    )


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
    _warn_of_misspelt_settings()
    log.info("handlers_loaded", packages=settings.handlers, handlers=len(registry), workflows=names)
    for handler in registry.handlers:
        log.info(
            "handler_loaded",
            handler=handler.name,
            patterns=handler.patterns,
            file=shortened(handler.file),
            built_in=Path(handler.file).is_relative_to(BUILT_IN_FOLDER),
        )
    _settle_memory()
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


def _warn_of_misspelt_settings() -> None:
    for name, meant in misspelt_settings(os.environ).items():
        log.warning("setting_unknown", setting=name, hint=f"did you mean {meant}? {name} is not read")


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


def _settle_memory() -> None:
    """What is loaded by now stays: the collector need not walk it again and again, nor look after every 700 objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)


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
    stores = {url: _store(settings, url, platform_sources=settings.truto_sources) for url in settings.store_urls}
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


def _sources(settings: IngressSettings) -> tuple[Sequence[Source], SourcesFile | None]:
    from ingress import truto_source
    from ingress.errors import BadSources

    fixed = []
    if settings.truto_webhook_secret:
        fixed.append(
            truto_source(
                settings.webhook_secrets,
                stored=settings.takes_stored_secret,
                tolerance_seconds=settings.truto_tolerance_seconds,
            )
        )
    if settings.sources_file is None:
        return fixed, None
    from ingress.sources.reloading import SourcesFile

    file = SourcesFile(settings.sources_file, os.environ, fixed, public_url=settings.public_url or "")
    try:
        return file.load(), file
    except BadSources as exc:
        raise ConfigError(str(exc)) from None


def _bind(host: str, port: int) -> list[socket.socket]:
    """The sockets of :func:`cli.listening.bind`. Where they cannot be, the process says so and ends with code 2."""
    try:
        return bind(host, port)
    except OSError as exc:
        log.error(
            "port_taken", host=host, port=port, reason=exc.strerror or str(exc), remedy="free it, or set HOST, PORT"
        )
        sys.exit(2)


@asynccontextmanager
async def _followed(file: SourcesFile | None, table: SourceTable) -> AsyncIterator[None]:
    """Bring changes of *file* into *table*, and look at once on SIGHUP."""
    if file is None:
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, file.reload)
    try:
        async with background(file.follow(table), "follow-sources"):
            yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def _spools(settings: IngressSettings, count: int) -> list[Spool | None]:
    """A spool for each of *count* stores. One that is left of a store no longer named must not be forgotten."""
    if settings.spool_dir is None:
        return [None] * count
    further = sorted(settings.spool_dir.glob("shard-*"))
    wanted = [settings.spool_dir, *(settings.spool_dir / f"shard-{number}" for number in range(2, count + 1))]
    try:
        for folder in further:
            if folder not in wanted and (left := Spool.open(folder, max_bytes=settings.spool_max_bytes)).records:
                raise ConfigError(
                    f"SPOOL_DIR: {folder.name} holds {left.records} deliveries for a store that REDIS_URL no longer "
                    "names: name it until they are brought over"
                )
        return [Spool.open(folder, max_bytes=settings.spool_max_bytes) for folder in wanted]
    except SpoolUnusable as exc:
        raise ConfigError(f"SPOOL_DIR: {exc}") from exc


def _store(
    settings: StoreSettings, url: str, *, confirm_replicas: int = 0, platform_sources: tuple[str, ...] = ()
) -> Store:
    return Store.connect(
        url,
        lease_seconds=settings.lease_seconds,
        dedup_ttl=settings.dedup_ttl,
        history_ttl=settings.history_ttl,
        search_ttl=settings.search_ttl,
        confirm_replicas=confirm_replicas,
        parked=ParkedLimit(settings.parked_max, settings.parked_max_bytes, settings.parked_ttl),
        platform_sources=platform_sources,
    )
