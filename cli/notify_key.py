"""``truto-worker notify-key``: the key of one tenant or host."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import typer
from pydantic import SecretStr

from cli.printing import print_json, printable
from cli.settings import KeySettings, read_settings
from events import ConfigError
from truto.outgoing import host_name
from truto.signing_keys import Purpose, SigningKeys


def show_keys(*, tenant: str | None, host: str | None, as_json: bool) -> None:
    """Print the live keys of a tenant or of a host, newest first.

    Raises :class:`ConfigError` without the secret they are derived from, :class:`typer.BadParameter` for no receiver.
    """
    settings = read_settings(KeySettings)
    if tenant is not None:
        recipient, purpose = _tenant(tenant), "tenant"
        found = _derived("TENANT_NOTIFY_SECRET", settings.tenant_notify_secret, "tenant", recipient)
    else:
        recipient, purpose = _host(host or ""), "host"
        found = _derived("WORKFLOWS_HTTP_SECRET", settings.workflows_http_secret, "host", recipient)
    if as_json:
        print_json({purpose: recipient, "keys": found})
    else:
        _print_keys(f"{purpose} {printable(recipient)}", found)


def _derived(name: str, secret: SecretStr | None, purpose: Purpose, recipient: str) -> list[dict[str, Any]]:
    if secret is None:
        raise ConfigError(f"{name} is not set: the secret from which the keys are derived, as the workers have it")
    live = SigningKeys.parse(secret.get_secret_value(), purpose).live(datetime.now(UTC))
    return [
        {"key": secret.key_for(purpose, recipient), "until": secret.until and secret.until.isoformat()}
        for secret in live
        if not secret.shared
    ]


def _print_keys(who: str, keys: list[dict[str, Any]]) -> None:
    stays, *others = keys
    print(f"The key of {who}; give it to nobody else. It checks our messages with any Standard Webhooks library:\n")
    print(f"  {stays['key']}")
    for other in others:
        print(f"  {other['key']}   (signs as well until {other['until']}, for who has not changed yet)")


def _tenant(text: str) -> str:
    if not text:
        raise typer.BadParameter("is the tenant's id, as the events carry it", param_hint="--tenant")
    return text


def _host(text: str) -> str:
    try:
        url = httpx.URL(f"https://{text}")
    except httpx.InvalidURL:
        url = httpx.URL("https://")
    if not url.host or url.userinfo or url.raw_path != b"/" or url.fragment or text.endswith("/"):
        raise typer.BadParameter("is a host or host:port, such as hooks.example.com:8443", param_hint="--host")
    return host_name(url)
