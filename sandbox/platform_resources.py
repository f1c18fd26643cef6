"""What each of the platform's other resources has, as a table (skill: core-resources)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox import fields
from sandbox.fields import Field
from sandbox.relations import environment_unified_model_view, integration_view, unified_model_view
from sandbox.state import TEAM_ID, Row, State

_ALL = frozenset({"create", "update", "delete"})
_NONE: frozenset[str] = frozenset()
_DAEMON_RUN_STATUSES = ("created", "running", "completed", "failed", "stopped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A POST that is not CRUD, and answers ``{success: true}`` for an existing row.

    ``path`` continues the resource's; without ``{id}`` in it, the body's ``id`` names the row. ``sets`` is written
    to the row, and ``when`` says for which values of a field the action exists.
    """

    path: str
    body: Mapping[str, Field] = field(default_factory=dict)
    sets: Mapping[str, Any] = field(default_factory=dict)
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource of the platform.

    ``fixed`` are fields of a new row that no caller sets; ``references`` names, for a field that holds an id, the
    path it belongs to; ``secret`` is a field that only the answer to POST shows; ``merged`` one that PATCH merges
    at every level, where null removes. ``unique`` fields refuse a second row, ``same_by`` ones answer the row there is
    instead. ``versioned`` rows count a ``version``, which a PATCH may name; with ``locked`` it has to. ``listed_by``:
    one of these filters has to be given, or ``<kind>_id`` of one of the kinds that the rows are ``about``. ``view``
    shows a row with what belongs to it. ``events`` is the family of events that report changes; a DELETE does
    not remove a row that ``stops``.
    """

    path: str
    label: str
    writable: Mapping[str, Field] = field(default_factory=dict)
    updatable: Mapping[str, Field] | None = None
    verbs: frozenset[str] = _ALL
    fixed: Mapping[str, Any] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    secret: str | None = None
    merged: str | None = None
    unique: str | None = None
    same_by: str | None = None
    versioned: bool = False
    locked: bool = False
    listed_by: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    view: Callable[[State, Row], Row] | None = None
    events: str | None = None
    stops: bool = False
    actions: tuple[Action, ...] = ()


_ID = {"id": fields.text(required=True)}
_CRON = {
    "daemon_job_id": fields.text(required=True),
    "daemon_id": fields.text(),
    "cron_expression": fields.cron(required=True),
    "args": fields.mapping(),
    "daemon_group_key": fields.text(),
}
_MAPPED_METHOD = {
    "resource_name": fields.text(required=True),
    "method_name": fields.text(required=True),
    "integration_name": fields.text(),
    "config": fields.mapping(),
}
"""Which method is mapped, and how (skill: unified-api-customization). No source says that unknown names are refused."""
_DOCUMENTED = ("integration", "environment_integration", "unified_model", "environment_unified_model")
"""What documentation is about (sdk: ts, ``EntityType``)."""

RESOURCES: tuple[Resource, ...] = (
    Resource(
        path="/environment",
        label="Environment",
        updatable={"name": fields.text(required=True)},
        verbs=frozenset({"update"}),
    ),
    Resource(
        path="/team",
        label="Team",
        updatable={"name": fields.text(required=True), "logo": fields.text()},
        verbs=frozenset({"update"}),
        # What an invitation holds is in no source.
        actions=(Action(path="/{id}/invite", body={"email": fields.text(required=True)}),),
    ),
    Resource(path="/user", label="User", verbs=_NONE),
    Resource(path="/api-token", label="API token", verbs=_NONE),
    Resource(path="/category", label="Category", verbs=_NONE),
    Resource(
        path="/integration",
        label="Integration",
        writable={
            "name": fields.text(required=True),
            "config": fields.mapping(required=True),
            "category": fields.text(),
            "is_beta": fields.flag(default=False),
            "sharing": fields.choice("allow", "ask", "deny", default="deny"),
        },
        fixed={"team_id": TEAM_ID},
        merged="config",
        unique="name",
        locked=True,
        view=integration_view,
    ),
    Resource(
        path="/sync-job-template",
        label="Sync job template",
        writable={
            "label": fields.text(required=True),
            "integration_name": fields.text(),
            "description": fields.text(),
            "sharing": fields.choice("allow", "ask", "deny", default="deny"),
            "default_runtime_version": fields.version(),
            "args_schema": fields.mapping(),
            "args_validation": fields.text(),
            "resources": fields.array(),
        },
    ),
    Resource(
        path="/notification-destination",
        label="Notification destination",
        writable={
            "type": fields.choice("slack", "email", required=True),
            "label": fields.text(),
            "is_active": fields.flag(default=True),
            "event_types": fields.texts(),
            "config": fields.mapping(required=True),
        },
        actions=(Action(path="/test", body=_ID),),
    ),
    Resource(
        path="/daemon",
        label="Daemon",
        writable={
            "label": fields.text(required=True),
            "status": fields.choice("stopped", "active", "stopping", "starting", default="stopped"),
            "group_key": fields.text(),
            "metadata": fields.mapping(),
            "last_active_at": fields.text(),
            "lock": fields.text(),
        },
    ),
    Resource(
        path="/daemon-job",
        label="Daemon job",
        writable={
            "label": fields.text(required=True),
            "args_schema": fields.mapping(),
            "args_validation": fields.text(),
        },
    ),
    Resource(
        path="/daemon-job-run",
        label="Daemon job run",
        writable={
            "daemon_job_id": fields.text(required=True),
            "daemon_id": fields.text(),
            "daemon_group_key": fields.text(),
            "args": fields.mapping(),
        },
        updatable={
            "status": fields.choice(*_DAEMON_RUN_STATUSES, required=True),
            "started_at": fields.text(),
            "finished_at": fields.text(),
        },
        fixed={"status": "created", "started_at": None, "finished_at": None},
        references={"daemon_job_id": "/daemon-job", "daemon_id": "/daemon"},
        stops=True,
    ),
    Resource(
        path="/daemon-job-cron-trigger",
        label="Daemon job cron trigger",
        writable=_CRON,
        fixed={"scheduled_at": None},
        references={"daemon_job_id": "/daemon-job", "daemon_id": "/daemon"},
        actions=(Action(path="/{id}/schedule", sets={"scheduled_at": "now"}),),
    ),
    Resource(
        path="/datastore",
        label="Datastore",
        writable={
            "type": fields.choice("mongo_data_api", "google_cloud_storage", "s3", "qdrant", required=True),
            "label": fields.text(),
            "config": fields.mapping(required=True),
        },
        merged="config",
        # Only the two object stores can be tested (skill: datastores).
        actions=(Action(path="/{id}/test/{method}", when={"type": ("google_cloud_storage", "s3")}),),
    ),
    Resource(
        path="/static-gate",
        label="Static gate",
        writable={"name": fields.text(required=True), "domain": fields.text(), "created_by": fields.text()},
        secret="api_token",  # noqa: S106  the name of a field
    ),
    Resource(
        path="/documentation",
        label="Documentation",
        writable={
            "entity_id": fields.text(required=True),
            "entity_type": fields.text(),
            "integration_name": fields.text(),
            "authentication_method": fields.text(),
            "type": fields.choice(
                "readme",
                "note",
                "end_user_guide",
                "description",
                "query_schema",
                "body_schema",
                "response_schema",
            ),
            "content": fields.anything(required=True),
            "resource": fields.text(),
            "method": fields.text(),
        },
        listed_by=("id", "entity_id"),
        about=_DOCUMENTED,
    ),
    Resource(
        path="/alarm",
        label="Alarm",
        writable={
            "alarm_type": fields.text(required=True),
            "cron_expression": fields.cron(),
            "duration": fields.number(),
            "date": fields.text(),
            "entity_id": fields.text(),
        },
    ),
    Resource(
        path="/unified-model",
        label="Unified model",
        writable={
            "name": fields.text(required=True),
            "category": fields.text(),
            "description": fields.text(),
            "sharing": fields.choice("allow", "ask", "deny", default="deny"),
            "resources": fields.mapping(),
            "scopes": fields.mapping(),
        },
        fixed={"team_id": TEAM_ID},
        unique="name",
        locked=True,
        view=unified_model_view,
    ),
    Resource(
        path="/unified-model-resource-method",
        label="Unified model resource method",
        writable={
            "unified_model_id": fields.text(required=True),
            **_MAPPED_METHOD,
        },
        references={"unified_model_id": "/unified-model"},
        merged="config",
        versioned=True,
    ),
    Resource(
        path="/environment-unified-model",
        label="Environment unified model",
        writable={"unified_model_id": fields.text(required=True), "override": fields.mapping()},
        references={"unified_model_id": "/unified-model"},
        same_by="unified_model_id",
        events="environment_unified_model",
        view=environment_unified_model_view,
    ),
    Resource(
        path="/environment-unified-model-resource-method",
        label="Environment unified model resource method",
        writable={
            "environment_unified_model_id": fields.text(required=True),
            **_MAPPED_METHOD,
        },
        references={"environment_unified_model_id": "/environment-unified-model"},
        merged="config",
        versioned=True,
    ),
)
"""Every resource that needs nothing but this table (fields: api-reference; skill; sdk)."""
