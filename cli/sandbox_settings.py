"""The settings of the commands that play Truto."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from cli.settings import IntegrationSettings, ProcessSettings


class SenderSettings(ProcessSettings):
    """``truto-worker send``: the secret to sign with."""

    truto_webhook_secret: str = Field(default="", repr=False)

    @property
    def first_secret(self) -> str | None:
        """The newest secret, which signs."""
        return self.truto_webhook_secret.split(",")[0].strip() or None


class SandboxSettings(SenderSettings, IntegrationSettings):
    """``truto-worker sandbox``."""

    log_format: Literal["json", "console", "brief"] = "console"
    truto_api_token: SecretStr | None = None
    tenant_notify_secret: str | None = Field(default=None, repr=False)
    link_token_key: str | None = Field(default=None, repr=False)
