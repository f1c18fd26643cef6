"""``truto-worker sandbox``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
import uvicorn

from cli.listening import bind_or_refuse
from cli.logs import configure_logging
from cli.sandbox_settings import SandboxSettings
from cli.settings import read_settings
from events import ConfigError
from ingress.wire import WholeAnswersProtocol
from sandbox import SandboxConfig, StateFileError, create_app

log = structlog.get_logger("cli")

DEFAULT_TOKEN = "sandbox-token"  # noqa: S105  the documented token of a local imitation


def run_sandbox(
    *,
    host: str,
    port: int,
    webhook_url: str | None,
    step_seconds: float,
    state: Path | None = None,
    rate_limits: bool = True,
    link_token_url: str | None = None,
    integrations: Sequence[Path] = (),
) -> None:
    """Serve until a signal ends it.

    Raises ``ConfigError`` for settings that do not fit together and for a state file that cannot be used.
    """
    settings = read_settings(SandboxSettings)
    secret = settings.first_secret
    if webhook_url and not secret:
        raise ConfigError("TRUTO_WEBHOOK_SECRET is not set: --webhook-url needs a secret to sign with")
    try:
        config = SandboxConfig(
            token=settings.truto_api_token.get_secret_value() if settings.truto_api_token else DEFAULT_TOKEN,
            step_seconds=step_seconds,
            tenant_secret=settings.tenant_notify_secret,
            webhook_url=webhook_url,
            webhook_secret=secret if webhook_url else None,
            rate_limits=rate_limits,
            state_file=state,
            link_token_url=link_token_url or default_link_token_url(webhook_url),
            link_token_key=settings.link_token_key,
            integrations=_definitions(integrations),
            integrations_allow=settings.integrations_http_allow,
        )
        app = create_app(config)
    except (ValueError, StateFileError) as exc:
        raise ConfigError(str(exc)) from None
    sockets = bind_or_refuse(host, port, "--port")
    configure_logging("info", settings.log_format)
    log.info(
        "sandbox_started", url=f"http://{host}:{port}", delivers_to=webhook_url, state=str(state) if state else None
    )
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=WholeAnswersProtocol,
            loop="uvloop",
            ws="none",
            access_log=False,
            log_config=None,
        )
    )
    server.run(sockets=sockets)
    if not server.started:
        raise SystemExit(1)


def _definitions(paths: Sequence[Path]) -> tuple[Mapping[str, Any], ...]:
    """What the files define, each with a name. Raises ``ConfigError`` naming every fault."""
    if not paths:
        return ()
    from cli.integrations import named_document, read_files

    return tuple(named_document(file) for file in read_files(list(paths)))


def default_link_token_url(webhook_url: str | None) -> str | None:
    """The link-token route of the ingress at *webhook_url*; ``None`` if it is not the address of an ingress."""
    if not webhook_url or not urlsplit(webhook_url).path.startswith("/webhooks/"):
        return None
    parts = urlsplit(webhook_url)
    return f"{parts.scheme}://{parts.netloc}/api/truto/link-token"
