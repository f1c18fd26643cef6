"""The environment, read once, at the edge, into one frozen object for each kind of process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from events import ConfigError
from events.connecting import check_url
from truto.faults import misspelt
from truto.secret_text import MAX_SECRETS, wrapping
from truto.signing_keys import Purpose, SigningKeys

DEFAULT_SOURCES = Path("sources.yaml")
DEFAULT_WORKFLOWS = Path("workflows")
DEFAULT_ADMIN_PORT = 8001

STORED = "stored"
"""In place of a secret of Truto's: the one that ``truto-worker connect`` has put into Redis."""

LEAST_SECRET_BYTES = 16
"""Shorter secrets can be guessed (Truto's own are UUIDs of 36 characters)."""


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < LEAST_SECRET_BYTES:
        raise ValueError(f"must be at least {LEAST_SECRET_BYTES} bytes long")
    return secret


Secret = Annotated[SecretStr, AfterValidator(_long_enough)]


def _long_enough_or_stored(secret: SecretStr) -> SecretStr:
    return secret if secret.get_secret_value() == STORED else _long_enough(secret)


WebhookSecret = Annotated[SecretStr, AfterValidator(_long_enough_or_stored)]


def _signs_for(purpose: Purpose) -> AfterValidator:
    def check(secret: SecretStr) -> SecretStr:
        SigningKeys.parse(secret.get_secret_value(), purpose)
        return secret

    return AfterValidator(check)


TenantSecret = Annotated[SecretStr, _signs_for("tenant")]
HostSecret = Annotated[SecretStr, _signs_for("host")]


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


class ProcessSettings(BaseSettings):
    """What every process reads."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True)

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console", "brief"] = "json"

    @field_validator("*", mode="before")
    @classmethod
    def _is_not_wrapped(cls, value: object) -> object:
        """Remove white space around values (files often end with a line feed), and refuse quotes."""
        if not isinstance(value, str):
            return value
        text = value.strip()
        if value and not text:
            raise ValueError("is not set: it contains only white space")
        if fault := wrapping(text):
            raise ValueError(fault)
        return text

    @field_validator("truto_api_token", check_fields=False)
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value() if value else ""
        if not (text.isascii() and (text.isprintable())) or " " in text:
            raise ValueError("holds a space or a character that no API token has: copy it again")
        return value

    @field_validator("truto_api_url", check_fields=False)
    @classmethod
    def _leads_somewhere(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
            raise ValueError("is not of the form https://host, with neither user nor query")
        return value

    @field_validator(
        "log_level", "log_format", "store_check", "reconcile", "webhook_keepalive", mode="before", check_fields=False
    )
    @classmethod
    def _in_lower_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value


class StoreSettings(ProcessSettings):
    """The settings of processes that use the store. ``redis_url`` may name several, with spaces between."""

    redis_shard: Annotated[tuple[Annotated[int, Field(ge=1)], ...], NoDecode] = ()
    redis_url: str = Field(repr=False, description="the Redis that stores events, for example redis://localhost:6379/0")
    lease_seconds: float = Field(default=15.0, ge=1, le=3600)
    dedup_ttl: float = Field(default=7 * 86_400, ge=60)
    history_ttl: float = Field(default=3 * 86_400, ge=60)
    search_ttl: float = Field(default=3 * 86_400, ge=0, le=366 * 86_400)
    parked_max: int = Field(default=10_000, ge=1)
    parked_max_bytes: int | None = Field(default=None, ge=1024)
    parked_ttl: float = Field(default=7 * 86_400, ge=60)
    grace_seconds: int = Field(default=30, ge=1, le=3600)
    store_check: Literal["strict", "assured", "warn", "off"] = "warn"

    @field_validator("redis_shard", mode="before")
    @classmethod
    def _numbers_with_commas(cls, value: object) -> object:
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @field_validator("redis_url")
    @classmethod
    def _names_stores(cls, value: str, info: ValidationInfo) -> str:
        shards = info.data.get("redis_shard", ())
        urls = _checked_urls(value)
        if shards and max(shards) > len(urls):
            raise ValueError(f"names too few stores ({len(urls)}) for REDIS_SHARD {max(shards)}")
        return " ".join(urls)

    @property
    def store_urls(self) -> list[str]:
        """The stores that this process works on: all, or those of ``REDIS_SHARD``."""
        urls = self.redis_url.split()
        return [urls[shard - 1] for shard in sorted(set(self.redis_shard))] or urls


def _checked_urls(value: str) -> list[str]:
    urls = value.split()
    if not urls:
        raise ValueError("names no store, such as redis://localhost:6379/0")
    for url in urls:
        check_url(url)
    if len(set(urls)) < len(urls):
        raise ValueError("names a store twice")
    return urls


class IngressSettings(StoreSettings):
    """``truto-worker ingress``. Its ``redis_url`` may name several stores, separated by spaces."""

    sources_file: Path | None = Field(default=None, validate_default=True)
    truto_webhook_secret: Annotated[tuple[WebhookSecret, ...], NoDecode] = Field(default=(), validate_default=True)
    truto_tolerance_seconds: float | None = Field(default=None, ge=10)
    confirm_replicas: int = Field(default=0, ge=0, le=16)
    max_body_bytes: int = Field(default=10 * 1024 * 1024, ge=1024, le=512 * 1024 * 1024)
    max_buffered_bytes: int | None = Field(default=None, ge=1024 * 1024)
    max_connections: int | None = Field(default=None, ge=16)
    max_connections_per_peer: int = Field(default=0, ge=0)
    quota_deliveries: int = Field(default=30_000, ge=0)
    quota_bytes: int = Field(default=1024**3, ge=0)
    quota_pending_events: int = Field(default=100_000, ge=0)
    quota_pending_bytes: int | None = Field(default=None, ge=0)
    spool_dir: Path | None = None
    spool_max_bytes: int = Field(default=1024**3, ge=1024**2)
    truto_api_token: SecretStr | None = None
    truto_api_url: str = "https://api.truto.one"
    link_token_key: Secret | None = None
    public_url: str | None = None
    host: str | None = None
    port: int = Field(default=8000, ge=0, le=65535)
    admin_host: str = "127.0.0.1"
    admin_port: int | None = Field(default=DEFAULT_ADMIN_PORT, ge=1, le=65535)

    _split_secrets = field_validator("truto_webhook_secret", mode="before")(_split)

    @field_validator("sources_file")
    @classmethod
    def _is_used_where_it_lies(cls, value: Path | None) -> Path | None:
        return DEFAULT_SOURCES if value is None and DEFAULT_SOURCES.is_file() else value

    @field_validator("public_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        from ingress.sources.address import read_public_url

        return value and read_public_url(value)

    @field_validator("max_buffered_bytes")
    @classmethod
    def _has_room_for_bodies(cls, value: int | None, info: ValidationInfo) -> int | None:
        body = info.data.get("max_body_bytes", 0)
        if value is not None and value < 2 * body:
            raise ValueError(f"must be at least twice MAX_BODY_BYTES, which is {body}: a quarter is for small bodies")
        return value

    @field_validator("truto_webhook_secret")
    @classmethod
    def _has_something_to_receive(cls, value: tuple[WebhookSecret, ...], info: ValidationInfo) -> tuple[Secret, ...]:
        if not value and info.data.get("sources_file") is None:
            raise ValueError(
                "is not set: the secret Truto showed when the webhook was created; several, newest first, with commas; "
                f"`{STORED}` for the one that `truto-worker connect` puts into Redis (it may be left out with a "
                "SOURCES_FILE)"
            )
        if len(value) > MAX_SECRETS:
            raise ValueError(f"holds more than {MAX_SECRETS} secrets, each of which costs every delivery a digest")
        return value

    @property
    def webhook_secrets(self) -> list[str]:
        """The secrets themselves, newest first, without :data:`STORED`."""
        return [text for secret in self.truto_webhook_secret if (text := secret.get_secret_value()) != STORED]

    @property
    def takes_stored_secret(self) -> bool:
        """Whether the secret that ``connect`` has put into Redis counts."""
        return _is_stored(self.truto_webhook_secret)

    @field_validator("admin_port", mode="before")
    @classmethod
    def _may_be_off(cls, value: object) -> object:
        return None if isinstance(value, str) and value.strip().lower() in ("0", "off") else value

    @property
    def listens_at(self) -> str:
        """``HOST``; without it all addresses where ``PORT`` is set, as by a platform that sends requests there."""
        return self.host or ("*" if "port" in self.model_fields_set else "127.0.0.1")

    @property
    def admin_port_is_chosen(self) -> bool:
        """Whether the operator chose the admin address. Then the ingress must not start without it."""
        return not self.model_fields_set.isdisjoint({"admin_host", "admin_port"})

    @field_validator("link_token_key")
    @classmethod
    def _needs_the_api(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and info.data.get("truto_api_token") is None:
            raise ValueError("needs TRUTO_API_TOKEN: the link-token route gets its tokens from Truto")
        return value


def _is_stored(secrets: Iterable[SecretStr]) -> bool:
    return any(secret.get_secret_value() == STORED for secret in secrets)


class WorkerSettings(StoreSettings):
    """``truto-worker worker``."""

    truto_api_token: SecretStr = Field(description="the API token of your Truto environment")
    truto_api_url: str = "https://api.truto.one"
    handlers: Annotated[tuple[str, ...], NoDecode] = ("handlers",)
    worker_concurrency: int = Field(default=50, ge=1, le=10_000)
    worker_max_bytes: int = Field(default=24 * 1024 * 1024, ge=64 * 1024, le=64 * 1024**3)
    max_attempts: int = Field(default=10, ge=1, le=1000)
    api_call_budget: int = Field(default=500, ge=0, le=1_000_000)
    tenant_notify_url: str | None = None
    tenant_notify_secret: TenantSecret | None = Field(default=None, validate_default=True)
    notify_urls: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    workflows_dir: Path | None = Field(default=None, validate_default=True)
    workflows_http_secret: HostSecret | None = None
    workflows_http_allow: Annotated[tuple[str, ...], NoDecode] = ()
    truto_sources: Annotated[tuple[str, ...], NoDecode] = ()
    reconcile: Literal["off", "report", "recover"] = "recover"
    reconcile_every: float = Field(default=600.0, ge=1, le=86_400)
    webhook_keepalive: Literal["off", "notify", "reactivate"] = "reactivate"

    _split_lists = field_validator("handlers", "notify_urls", "workflows_http_allow", "truto_sources", mode="before")(
        _split
    )

    @field_validator("workflows_dir")
    @classmethod
    def _is_used_where_it_lies(cls, value: Path | None) -> Path | None:
        if value is not None or not DEFAULT_WORKFLOWS.is_dir():
            return value
        from truto.documents import document_paths

        return DEFAULT_WORKFLOWS if document_paths(DEFAULT_WORKFLOWS) else None

    @field_validator("workflows_http_allow")
    @classmethod
    def _names_places(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value:
            from truto.network import Allowed

            Allowed.parse(value)
        return value

    @field_validator("tenant_notify_secret")
    @classmethod
    def _signs_for_tenants(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        url = info.data.get("tenant_notify_url")
        if (url is None) != (value is None):
            raise ValueError("needs TENANT_NOTIFY_URL, and the other way round: set both or neither")
        if url is not None and value is not None:
            from worker.notify import TenantEndpoint

            _translated(lambda: TenantEndpoint(url, value.get_secret_value()))
        return value

    @field_validator("notify_urls")
    @classmethod
    def _reaches_operators(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if value:
            from worker.notify import operators_at

            _translated(lambda: operators_at([url.get_secret_value() for url in value]))
        return value


class IntegrationSettings(ProcessSettings):
    """What runs integrations: ``truto-worker integrations`` and ``sandbox --integration``."""

    integrations_http_allow: Annotated[tuple[str, ...], NoDecode] = ()

    _split_list = field_validator("integrations_http_allow", mode="before")(_split)

    @field_validator("integrations_http_allow")
    @classmethod
    def _names_places(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value:
            from truto.network import Allowed

            Allowed.parse(value)
        return value


class KeySettings(ProcessSettings):
    """``truto-worker notify-key``."""

    tenant_notify_secret: TenantSecret | None = None
    workflows_http_secret: HostSecret | None = None


def _translated(check: Callable[[], object]) -> None:
    try:
        check()
    except ConfigError as exc:
        raise ValueError(str(exc)) from None


_SETTINGS_OF_HANDLERS = ("SYNC_JOBS",)


def misspelt_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The names in *environ* that are nearly those of settings, each with the setting that was probably meant."""
    kinds = (IngressSettings, WorkerSettings, KeySettings, IntegrationSettings)
    known = [*_SETTINGS_OF_HANDLERS, *(name.upper() for kind in kinds for name in kind.model_fields)]
    found = {name: misspelt(name, known) for name in environ}
    return {name: meant for name, meant in found.items() if meant and meant not in environ}


AnySettings = TypeVar("AnySettings", bound=ProcessSettings)


def read_settings(kind: type[AnySettings], **given: str) -> AnySettings:
    """The settings of this process; *given* ones win over the environment.

    Raises :class:`ConfigError` naming everything that is missing or wrong.
    """
    try:
        return kind(**given)  # type: ignore[arg-type]  # fields take text, as from the environment
    except ValidationError as exc:
        faults = [_fault(kind, dict(error)) for error in exc.errors(include_input=False, include_context=False)]
        hints = [
            f"{name} is set, and is no setting; did you mean {meant}?"
            for name, meant in misspelt_settings(os.environ).items()
        ]
        raise ConfigError("\n".join([*sorted(set(faults)), *hints])) from None


def _fault(kind: type[ProcessSettings], error: dict[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    field = str(error["loc"][0])
    if message.startswith("is not set"):
        return f"{field.upper()} {message}"
    if error["type"] == "missing":
        return f"{field.upper()} is not set: {kind.model_fields[field].description}"
    return f"{field.upper()}: {message}"
