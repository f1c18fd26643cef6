"""The long-running processes: ingress and worker."""

from __future__ import annotations

import structlog

from cli.logs import configure_logging
from cli.settings import IngressSettings, StoreSettings, WorkerSettings, read_settings
from events import Store
from truto import AsyncTruto
from worker.errors import ConfigError

log = structlog.get_logger("cli")


def run_ingress() -> None:
    """Serve until a signal ends it. Raises ``ConfigError`` naming every wrong setting."""
    import uvloop

    from ingress import Limits, Server, create_app, truto_source

    settings = read_settings(IngressSettings)
    configure_logging(settings.log_level, settings.log_format)

    async def serve() -> None:
        truto = None
        if settings.truto_api_token is not None:
            truto = AsyncTruto(token=settings.truto_api_token.get_secret_value(), base_url=settings.truto_api_url)
        app = create_app(
            _store(settings),
            [truto_source(secret.get_secret_value() for secret in settings.truto_webhook_secret)],
            limits=Limits(body_bytes=settings.max_body_bytes),
            truto=truto,
            link_token_key=settings.link_token_key.get_secret_value() if settings.link_token_key else None,
        )
        log.info("ingress_started", host=settings.host, port=settings.port, link_tokens=bool(settings.link_token_key))
        await Server(app, host=settings.host, port=settings.port, drain_seconds=settings.grace_seconds).serve()
        log.info("ingress_stopped")

    uvloop.run(serve())


def run_worker(*, suggest: bool) -> None:
    """Work until a signal ends it. Raises ``ConfigError`` naming every wrong setting and broken handler module."""
    import uvloop

    from worker.registry import registry

    settings = _read_worker()
    log.info("handlers_loaded", packages=settings.handlers, handlers=len(registry))
    uvloop.run(_work(settings, suggest=suggest))


def _read_worker() -> WorkerSettings:
    from worker.loading import load_handlers

    faults: list[str] = []
    settings: WorkerSettings | None = None
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
    if settings is None or faults:
        raise ConfigError("\n".join(faults))
    return settings


async def _work(settings: WorkerSettings, *, suggest: bool) -> None:
    from worker.cause import Describer
    from worker.dispatch import Dispatcher
    from worker.engine import Engine
    from worker.notify import Notifier, TenantEndpoint
    from worker.outcome import Policy
    from worker.registry import registry

    tenants = None
    if settings.tenant_notify_url and settings.tenant_notify_secret:
        tenants = TenantEndpoint(settings.tenant_notify_url, settings.tenant_notify_secret.get_secret_value())
    token = settings.truto_api_token.get_secret_value()
    operators = [url.get_secret_value() for url in settings.notify_urls]
    store = _store(settings)
    truto = AsyncTruto(token=token, base_url=settings.truto_api_url)
    notifier = Notifier(tenants, operators)
    try:
        dispatcher = Dispatcher(
            store,
            registry,
            truto,
            notifier,
            Policy(max_attempts=settings.max_attempts),
            Describer.masking([token, settings.redis_url, tenants.secret if tenants else None, *operators]),
            suggest,
        )
        engine = Engine(
            store,
            dispatcher.dispatch,
            concurrency=settings.worker_concurrency,
            grace_seconds=settings.grace_seconds,
            on_start=dispatcher.unpark_known,
        )
        await engine.run_until_stopped()
    finally:
        await notifier.aclose()
        await truto.aclose()
        await store.close()


def _store(settings: StoreSettings) -> Store:
    return Store.connect(
        settings.redis_url,
        lease_seconds=settings.lease_seconds,
        dedup_ttl=settings.dedup_ttl,
        history_ttl=settings.history_ttl,
    )
