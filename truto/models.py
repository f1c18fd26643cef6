"""Truto's resources and event payloads as types.

Unknown fields are kept (``model_extra``), unknown statuses are only text, and nearly everything is optional: the
documents promise an ``id`` and little else, and the platform adds fields. Reprs show identifiers and states, never
contents: what a tenant's account holds must not reach a log by way of a repr.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from truto.times import parse_time

ModelT = TypeVar("ModelT", bound="Model")


Time: TypeAlias = Annotated[datetime | None, BeforeValidator(parse_time)]
"""A moment with a zone, or ``None`` when absent or unreadable."""

JsonObject: TypeAlias = dict[str, Any]


class Model(BaseModel):
    """Base of everything Truto answers: unknown fields are kept, the repr names only declared, harmless ones."""

    # Most processes use few of the models: each is built when it is first used, not when it is imported.
    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=True, hide_input_in_errors=True, defer_build=True)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, field in type(self).model_fields.items():
            if field.repr and (value := getattr(self, name)) is not None:
                yield name, value


class Integration(Model):
    """The third-party product behind an account; only ``name`` is in all documents (skill: connection-flow)."""

    id: str | None = None
    name: str | None = None


class IntegratedAccount(Model):
    """One tenant's connection to one product (docs: integrated-accounts; skill: connection-flow).

    ``status`` is ``connecting``, ``active``, ``needs_reauth``, ``validation_error`` or ``post_install_error``; others
    may come. ``context`` is redacted by Truto, yet may hold personal data.
    """

    id: str
    tenant_id: str | None = None
    environment_id: str | None = None
    environment_integration_id: str | None = None
    status: str | None = None
    is_sandbox: bool | None = None
    authentication_method: str | None = None
    region: str | None = None
    context: JsonObject | None = Field(default=None, repr=False)
    integration: Integration | None = None
    last_error: str | None = Field(default=None, repr=False)
    created_at: Time = None
    updated_at: Time = None

    @property
    def integration_name(self) -> str | None:
        """The product's short name, for example ``hubspot``."""
        return self.integration.name if self.integration else None


class SyncJob(Model):
    """What to fetch, in which order (docs: RapidBridge overview; skill: sync-jobs)."""

    id: str
    label: str | None = None
    integration_name: str | None = None
    default_runtime_version: str | None = None
    """A text, ``"4"`` (sdk: ts); a number is taken too."""
    resources: Any = Field(default=None, repr=False)
    args_schema: Any = Field(default=None, repr=False)
    created_at: Time = None
    updated_at: Time = None


class SyncJobRun(Model):
    """One run of a sync job (sdk: rust, ``SyncJobRunSchema``).

    ``status`` is ``created``, ``running``, ``rate_limited``, ``completed``, ``failed`` or ``stopped``; others may come.
    Why a run failed is not on the row, only in the ``rapid_bridge`` logs (skill: debug-sync-jobs).
    """

    id: str
    sync_job_id: str | None = None
    integrated_account_id: str | None = None
    status: str | None = None
    args: Any = Field(default=None, repr=False)
    resources: Any = Field(default=None, repr=False)
    resource_stats: Any = Field(default=None, repr=False)
    webhook_id: str | None = None
    error_handling: str | None = None
    ignore_previous_run: bool | None = None
    created_at: Time = None
    updated_at: Time = None
    started_at: Time = None
    finished_at: Time = None

    @property
    def account_id(self) -> str | None:
        """The account the run belongs to: ``integrated_account_id``, else the one in ``args``."""
        if self.integrated_account_id:
            return self.integrated_account_id
        named = self.args.get("integrated_account_id") if isinstance(self.args, dict) else None
        return named if isinstance(named, str) and named else None


class CronTrigger(Model):
    """When to start a sync job; ``cron_expression`` is in UTC (skill: sync-jobs)."""

    id: str
    sync_job_id: str | None = None
    integrated_account_id: str | None = None
    cron_expression: str | None = None
    args: Any = Field(default=None, repr=False)
    created_at: Time = None
    updated_at: Time = None


class Workflow(Model):
    """What Truto itself does when something happens (seed: POST /workflow)."""

    id: str
    environment_id: str | None = None
    trigger_name: str | None = None
    config: Any = Field(default=None, repr=False)
    created_at: Time = None
    updated_at: Time = None


class Webhook(Model):
    """A subscription to events; no ``event_types`` means all (docs: webhooks).

    ``secret`` is there on create and never again (skill: webhooks): keep it, or create the webhook anew.
    """

    id: str
    target_url: str | None = Field(default=None, repr=False)  # may carry a password
    is_active: bool | None = None
    event_types: list[str] | None = None
    environment_id: str | None = None
    secret: SecretStr | None = None
    created_at: Time = None
    updated_at: Time = None


class LinkToken(Model):
    """A single-use ticket for one connection attempt in the browser; it lives 7 days (skill: connection-flow)."""

    link_token: str = Field(min_length=1, repr=False)
