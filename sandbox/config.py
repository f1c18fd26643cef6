"""The configuration of a sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from truto.signing_keys import SigningKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """One sandbox. Raises :class:`ValueError` for a combination that could not work.

    ``step_seconds`` lies between two steps of a lifecycle. ``retry_delays`` are the waits in seconds before
    each retry of a delivery: Truto retries three times within about 10 s (docs: webhooks overview). After
    ``deactivate_after`` events given up in a row a webhook is switched off; Truto does so too, at a threshold
    it does not state. ``webhook_url`` with ``webhook_secret`` registers one webhook for all event types.
    Without a ``tenant_secret`` (a worker's ``TENANT_NOTIFY_SECRET``) the inbox refuses everything. Each log
    keeps its last ``log_size`` entries. ``rate_limits`` switches Truto's own limits on; off, a test may ask as
    often as it likes. With a ``state_file`` the state outlives the process. ``link_token_url`` is your backend's
    link-token route, which the page at ``/connect`` calls with ``link_token_key``. The calls of accounts of
    ``integrations`` (environment integrations) go to their real products, on hosts of the definition and public
    addresses; ``integrations_allow`` opens others.
    """

    token: str = field(default="sandbox-token", repr=False)
    step_seconds: float = 0.05
    retry_delays: tuple[float, ...] = (0.5, 1.5, 4.0)
    tenant_secret: str | None = field(default=None, repr=False)
    webhook_url: str | None = None
    webhook_secret: str | None = field(default=None, repr=False)
    deactivate_after: int = 5
    signature_encoding: Literal["hex", "base64"] = "hex"
    log_size: int = 10_000
    rate_limits: bool = False
    state_file: Path | None = None
    link_token_url: str | None = None
    link_token_key: str | None = field(default=None, repr=False)
    integrations: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    integrations_allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.token:
            raise ValueError("token must not be empty")
        if bool(self.webhook_url) != bool(self.webhook_secret):
            raise ValueError("webhook_url needs webhook_secret, and the other way round")
        if self.webhook_url and not is_http_url(self.webhook_url):
            raise ValueError("webhook_url must be an http or https URL")
        if self.link_token_url and not is_http_url(self.link_token_url):
            raise ValueError("link_token_url must be an http or https URL")
        if self.step_seconds < 0 or any(delay < 0 for delay in self.retry_delays):
            raise ValueError("seconds must not be negative")
        if self.deactivate_after < 1 or self.log_size < 1:
            raise ValueError("deactivate_after and log_size start at 1")
        if self.signature_encoding not in ("hex", "base64"):
            raise ValueError("signature_encoding is hex or base64")
        if self.tenant_secret is not None:
            _check_tenant_secret(self.tenant_secret)


def is_http_url(value: object) -> bool:
    """Whether a delivery could be sent there.

    Truto takes HTTPS only (docs: webhooks overview); a local tool cannot.
    """
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _check_tenant_secret(secret: str) -> None:
    try:
        SigningKeys.parse(secret, "tenant")
    except ValueError as exc:
        raise ValueError(f"tenant_secret: {exc}") from None
