"""``truto-worker ingress``: the process that receives, and what the worker's has in common with it."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import structlog

from cli.listening import bind, listen_for_operators
from cli.logs import configure_logging
from cli.settings import IngressSettings, StoreSettings, misspelt_settings, read_settings
from cli.store_check import checked
from events import ConfigError, ParkedLimit, Shard, Spool, SpoolUnusable, Store
from events.background import background

if TYPE_CHECKING:
    from ingress import Limits, Source
    from ingress.sources.reloading import SourcesFile
    from ingress.sources.table import SourceTable

log = structlog.get_logger("cli")

_COLLECT_AFTER = 10_000


def run_ingress() -> None:
    """Serve until a signal ends it. Raises ``ConfigError`` naming every wrong setting."""
    import uvloop

    from ingress import AdminServer, Server, create_app
    from ingress.probe import Prover
    from ingress.quotas import Quota

    settings = read_settings(IngressSettings)
    configure_logging(settings.log_level, settings.log_format)
    warn_of_misspelt_settings()
    limits = _limits(settings, _raise_descriptors())

    sources, sources_file = _sources(settings)
    urls = settings.redis_url.split()
    spools = _spools(settings, len(urls))
    bound = _bind(settings.listens_at, settings.port)
    admin = listen_for_operators(settings)

    async def serve() -> None:
        stores = [store_at(settings, url, confirm_replicas=settings.confirm_replicas) for url in urls]
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

    settle_memory()
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


def warn_of_misspelt_settings() -> None:
    """Log each variable that is nearly the name of a setting."""
    for name, meant in misspelt_settings(os.environ).items():
        log.warning("setting_unknown", setting=name, hint=f"did you mean {meant}? {name} is not read")


def settle_memory() -> None:
    """What is loaded by now stays: the collector need not walk it again and again, nor look after every 700 objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)


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


def store_at(
    settings: StoreSettings, url: str, *, confirm_replicas: int = 0, platform_sources: tuple[str, ...] = ()
) -> Store:
    """The store at *url*, as the settings have it."""
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
