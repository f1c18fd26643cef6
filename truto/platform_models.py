"""The rest of Truto's resources as types: teams, products, mappings, timers, stores and logs.

As in :mod:`truto.models`, unknown fields are kept and nearly everything is optional. Where Truto documents a resource
only by its fields' names, the types here say no more than that: contents are ``Any``.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, SecretStr

from truto.models import JsonObject, Model, Time


class ApiRow(Model):
    """What most resources have in common (skill: conventions)."""

    id: str
    created_at: Time = None
    updated_at: Time = None


class AccountToken(Model):
    """A token for one account: unified, proxy and custom calls, and the account itself, for 15 minutes (skill)."""

    integrated_account_token: SecretStr


class SandboxAccount(ApiRow):
    """A copy of an account; its writes answer 405 (skill: conventions)."""

    status: str | None = None


class Capabilities(Model):
    """What can be called, by way of which API (skill: discovery)."""

    integration: Any = Field(default=None, repr=False)
    environment_id: str | None = None
    proxy: list[Any] | None = Field(default=None, repr=False)
    """The product's own resources and methods."""
    unified: list[Any] | None = Field(default=None, repr=False)
    """The same for unified models."""
    auth: Any = Field(default=None, repr=False)
    account: JsonObject | None = Field(default=None, repr=False)
    """``id``, ``status``, ``authentication_method`` and ``is_blocked``; only for an account."""


class Tool(Model):
    """One method, described for a language model (skill: tools)."""

    resource: str | None = None
    method: str | None = None
    name: str | None = None
    description: str | None = Field(default=None, repr=False)
    query_schema: Any = Field(default=None, repr=False)
    body_schema: Any = Field(default=None, repr=False)
    required: Any = Field(default=None, repr=False)


class McpToken(ApiRow):
    """An MCP server for one account (skill: mcp tokens). A 400 on create says that no tool matches its ``config``."""

    name: str | None = None
    config: JsonObject | None = Field(default=None, repr=False)
    """``methods``, ``tags`` and ``require_api_token_auth``."""
    token: SecretStr | None = None
    """Only on create."""
    url: SecretStr | None = None
    """Only on create; it holds the token."""
    expires_at: Time = None


class Environment(ApiRow):
    """A separate set of installs, accounts and webhooks (skill: environments)."""

    name: str | None = None
    team_id: str | None = None


class Team(ApiRow):
    """A customer of Truto (seed: environment integrations)."""

    name: str | None = None
    domain: str | None = None
    logo: str | None = Field(default=None, repr=False)
    is_verified: bool | None = None
    is_white_label: bool | None = None
    allow_impersonation: bool | None = None


class User(ApiRow):
    """A person in the dashboard (sdk)."""

    name: str | None = Field(default=None, repr=False)
    email: str | None = Field(default=None, repr=False)
    is_active: bool | None = None
    is_staff: bool | None = None
    last_login_at: Time = None
    role: Any = Field(default=None, repr=False)
    team: Any = Field(default=None, repr=False)
    environment: Any = Field(default=None, repr=False)


class ApiToken(ApiRow):
    """A token of one environment, without the token itself; made in the dashboard (skill: token kinds)."""

    name: str | None = None
    environment_id: str | None = None
    expires_at: Time = None


class Category(Model):
    """A kind of product (sdk)."""

    name: str | None = None
    label: str | None = None


class Integration(ApiRow):
    """The definition of a product (seed: environment integrations). Credentials are stripped from reads (skill)."""

    name: str | None = None
    category: str | None = None
    is_beta: bool | None = None
    sharing: str | None = None
    """``allow``, ``ask`` or ``deny``."""
    team_id: str | None = None
    team: Team | None = Field(default=None, repr=False)
    installed_environment: list[str] | None = None
    """The ids of the environments it is installed in."""
    config: JsonObject | None = Field(default=None, repr=False)
    version: int | None = None
    """Has to go along with an update (skill: optimistic lock)."""


class EnvironmentIntegration(ApiRow):
    """A product installed in an environment (seed: environment integrations)."""

    environment_id: str | None = None
    integration_id: str | None = None
    is_enabled: bool | None = None
    show_in_catalog: bool | None = None
    override: JsonObject | None = Field(default=None, repr=False)
    """Deep-merged over the integration's config at request time; replaced whole by an update."""
    integration: Integration | None = None


class SyncJobTemplate(ApiRow):
    """A sync job to begin from (skill: sync-jobs)."""

    label: str | None = None
    integration_name: str | None = None
    description: str | None = Field(default=None, repr=False)
    sharing: str | None = None
    default_runtime_version: str | None = None
    """A text, ``"4"`` (sdk: ts); a number is taken too."""
    resources: Any = Field(default=None, repr=False)
    args_schema: Any = Field(default=None, repr=False)
    args_validation: Any = Field(default=None, repr=False)


class SyncJobRunState(ApiRow):
    """One value that a sync job remembers between runs (skill: sync-jobs)."""

    key: str | None = None
    value: Any = Field(default=None, repr=False)


class WorkflowRun(ApiRow):
    """One run of a workflow (docs: workflow runs)."""

    workflow_id: str | None = None
    environment_id: str | None = None
    status: str | None = None


class NotificationDestination(ApiRow):
    """Where Truto tells people about events (skill: webhooks-and-notifications)."""

    type: str | None = None
    """``slack`` or ``email``."""
    label: str | None = None
    is_active: bool | None = None
    event_types: list[str] | None = None
    config: JsonObject | None = Field(default=None, repr=False)
    """Slack: ``webhook_url``, ``ignored_status_codes``. E-mail: ``to``, ``cc``, ``bcc``, ``subject_prefix``."""


class Daemon(ApiRow):
    """What daemon jobs run on (sdk)."""

    label: str | None = None
    status: str | None = None
    """``stopped``, ``active``, ``stopping`` or ``starting``."""
    group_key: str | None = None
    metadata: Any = Field(default=None, repr=False)
    last_active_at: Time = None
    lock: Any = Field(default=None, repr=False)


class DaemonJob(ApiRow):
    """What a daemon can run (sdk)."""

    label: str | None = None
    args_schema: Any = Field(default=None, repr=False)
    args_validation: Any = Field(default=None, repr=False)


class DaemonJobRun(ApiRow):
    """One run of a daemon job (sdk)."""

    daemon_job_id: str | None = None
    daemon_id: str | None = None
    daemon_group_key: str | None = None
    args: Any = Field(default=None, repr=False)
    status: str | None = None
    """``created`` (whatever create was given), ``running``, ``completed``, ``failed`` or ``stopped``."""


class DaemonJobCronTrigger(ApiRow):
    """When to start a daemon job (sdk)."""

    daemon_job_id: str | None = None
    daemon_id: str | None = None
    daemon_group_key: str | None = None
    cron_expression: str | None = None
    args: Any = Field(default=None, repr=False)


class Datastore(ApiRow):
    """Where syncs write (skill: datastores)."""

    type: str | None = None
    """``mongo_data_api``, ``google_cloud_storage``, ``s3`` or ``qdrant``."""
    label: str | None = None
    config: JsonObject | None = Field(default=None, repr=False)


class StaticGate(ApiRow):
    """A way out with a fixed address (docs: link tokens; sdk: cli). One skill page describes something else."""

    name: str | None = None
    domain: str | None = None
    environment_id: str | None = None
    api_token: SecretStr | None = None
    """Only on create; the TypeScript types call it ``api_token_secret``."""


class LogEntry(Model):
    """A line of Truto's logs; its fields depend on the log, and what is empty is left out (skill: files-and-logs)."""

    id: str | None = None
    timestamp: Time = None
    environment_id: str | None = None
    integrated_account_id: str | None = None
    tenant_id: str | None = None
    http_method: str | None = None
    http_url: str | None = Field(default=None, repr=False)
    http_status_code: int | None = None
    duration: float | None = None
    """In milliseconds."""
    message: str | None = Field(default=None, repr=False)


class UploadedFile(Model):
    """A file that whoever has its ``url`` can read (skill: files)."""

    url: str


class Document(ApiRow):
    """A text about an integration, a resource or a method (skill: documentation)."""

    entity_id: str | None = None
    entity_type: str | None = None
    type: str | None = None
    """``readme``, ``note``, ``end_user_guide``, ``description``, or a ``…_schema`` of query, body or response."""
    resource: str | None = None
    method: str | None = None
    integration_name: str | None = None
    authentication_method: str | None = None
    content: str | None = Field(default=None, repr=False)


class Alarm(ApiRow):
    """A timer (sdk); no document says what Truto does when it rings."""

    alarm_type: str | None = None
    cron_expression: str | None = None
    duration: Any = None
    date: Any = None
    entity_id: str | None = None


class UnifiedModel(ApiRow):
    """A common shape for products of a kind (sdk: ts; skill: unified-api-customization)."""

    name: str | None = None
    category: str | None = None
    description: str | None = Field(default=None, repr=False)
    sharing: str | None = None
    """``allow``, ``ask`` or ``deny``."""
    team_id: str | None = None
    team: Team | None = Field(default=None, repr=False)
    installed_environment: list[str] | None = None
    """The ids of the environments it is installed in."""
    resources: JsonObject | None = Field(default=None, repr=False)
    scopes: JsonObject | None = Field(default=None, repr=False)
    version: int | None = None
    """Has to go along with an update (skill: optimistic lock)."""


class _MappedMethod(ApiRow):
    """Which method is mapped, and how; ``config`` is merged by an update, null removes (skill: unified models)."""

    resource_name: str | None = None
    method_name: str | None = None
    integration_name: str | None = None
    config: JsonObject | None = Field(default=None, repr=False)
    version: int | None = None
    """May go along with an update; the documents disagree on whether it has to."""


class UnifiedModelResourceMethod(_MappedMethod):
    """How one method of a unified model is mapped to one product (skill: unified models)."""

    unified_model_id: str | None = None


class EnvironmentUnifiedModel(ApiRow):
    """A unified model installed in an environment; create answers the existing one (skill: unified models)."""

    environment_id: str | None = None
    unified_model_id: str | None = None
    unified_model: UnifiedModel | None = None
    override: JsonObject | None = Field(default=None, repr=False)


class EnvironmentUnifiedModelResourceMethod(_MappedMethod):
    """An environment's own mapping of one method (skill: unified models)."""

    environment_unified_model_id: str | None = None


class BatchAnswer(Model):
    """What the calls of a batch brought, by name (skill: batch requests)."""

    result: dict[str, Any] = Field(default_factory=dict, repr=False)
    errors: dict[str, Any] = Field(default_factory=dict, repr=False)
