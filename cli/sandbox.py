"""``truto-worker sandbox``."""

from __future__ import annotations

import os

import structlog
import uvicorn

from cli.logs import configure_logging
from sandbox import SandboxConfig, create_app
from worker.errors import ConfigError

log = structlog.get_logger("cli")

DEFAULT_TOKEN = "sandbox-token"  # noqa: S105  the documented token of a local imitation


def run_sandbox(*, host: str, port: int, webhook_url: str | None, step_seconds: float) -> None:
    """Serve until a signal ends it. Raises ``ConfigError`` for settings that do not fit together."""
    secret = os.environ.get("TRUTO_WEBHOOK_SECRET", "").split(",")[0].strip() or None
    if webhook_url and not secret:
        raise ConfigError("TRUTO_WEBHOOK_SECRET is not set: --webhook-url needs a secret to sign with")
    try:
        config = SandboxConfig(
            token=os.environ.get("TRUTO_API_TOKEN") or DEFAULT_TOKEN,
            step_seconds=step_seconds,
            tenant_secret=os.environ.get("TENANT_NOTIFY_SECRET") or None,
            webhook_url=webhook_url,
            webhook_secret=secret if webhook_url else None,
        )
    except ValueError as exc:
        raise ConfigError(str(exc)) from None
    configure_logging("info", "console")
    log.info("sandbox_started", url=f"http://{host}:{port}", delivers_to=webhook_url)
    uvicorn.run(create_app(config), host=host, port=port, access_log=False, log_config=None, ws="none")
