"""The platform's other resources: a table of what each has, and one mechanism for all (skill: core-resources)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.routing import Route

from sandbox import fields
from sandbox.answers import Answer, answer, invalid, missing
from sandbox.calls import Call, Endpoints
from sandbox.collection import Collection
from sandbox.deliveries import Sender
from sandbox.errors import Refusal
from sandbox.fields import Field
from sandbox.relations import environment_unified_model_view, integration_view, unified_model_view
from sandbox.state import TEAM_ID, Row, State, Table, new_id, touch

_ALL = frozenset({"create", "update", "delete"})
_NONE: frozenset[str] = frozenset()
_DAEMON_RUN_STATUSES = ("created", "running", "completed", "failed", "stopped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A POST beside CRUD that answers ``{success: true}`` for a row that exists.

    ``path`` continues the resource's; without ``{id}`` in it, the body's ``id`` names the row. ``sets`` is written
    to the row, and ``when`` says for which values of a field the action exists.
    """

    path: str
    body: Mapping[str, Field] = field(default_factory=dict)
    sets: Mapping[str, Any] = field(default_factory=dict)
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource in the platform's words.

    ``fixed`` are fields of a new row that no caller sets; ``references`` names, for a field that holds an id, the
    path it belongs to; ``secret`` is a field that only the answer to POST shows; ``merged`` one that PATCH merges
    at every level, where null removes. ``unique`` fields refuse a second row, ``same_by`` ones answer the row there is
    instead. ``versioned`` rows count a ``version``, which a PATCH may name; with ``locked`` it has to. ``listed_by``:
    one of these filters has to be given, or ``<kind>_id`` of one of the kinds that the rows are ``about``. ``view``
    shows a row with what belongs to it. ``events`` is the family of events that tell of changes; a row that ``stops``
    is not forgotten by a DELETE.
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


class PlatformResource(Collection):
    """One :class:`Resource` at work."""

    def __init__(self, resource: Resource, state: State, sender: Sender) -> None:
        super().__init__(state.platform[resource.path])
        self.path, self.label, self.verbs = resource.path, resource.label, resource.verbs
        self.writable = resource.writable
        self.updatable = _updatable(resource)
        self._resource = resource
        self._state = state
        self._sender = sender

    def routes(self, endpoint: Endpoints) -> list[Route]:
        """The actions, then CRUD."""
        found = []
        for action in self._resource.actions:
            act = endpoint(_acting(self, action), body=action.body, shape="Success")
            found.append(Route(f"{self.path}{action.path}", act, methods=["POST"]))
        return [*found, *super().routes(endpoint)]

    async def list(self, call: Call) -> Answer:
        """A page; some resources want a filter that names what it is about."""
        kinds = {f"{kind}_id": kind for kind in self._resource.about}
        wanted = (*self._resource.listed_by, *kinds)
        if wanted and not any(call.param(name) for name in wanted):
            raise invalid(wanted[-1], f"is required, or one of {', '.join(wanted[:-1])}")
        query = [pair for name, value in call.query for pair in _about(name, value, kinds)]
        return await super().list(replace(call, query=query))

    async def create(self, call: Call) -> Answer:
        """The new row, or the one that is the same where a second POST answers the first one's row."""
        if same_by := self._resource.same_by:
            values = fields.read(call.body, self.writable)
            for row in self._table.rows():
                if row[same_by] == values[same_by]:
                    return answer(self.view(row))
        return await super().create(call)

    async def delete(self, call: Call) -> Answer:
        """``{id}``; a run is stopped instead of forgotten, and answered whole (skill: daemon-jobs)."""
        if not self._resource.stops:
            return await super().delete(call)
        row = self.find(call.path["id"])
        touch(row, {"status": "stopped"})
        return answer(self.view(row))

    def act(self, action: Action, call: Call) -> Answer:
        """Do one of the actions."""
        values = call.read()
        row = self.find(values.get("id") or call.path.get("id"))
        for name, options in action.when.items():
            if row[name] not in options:
                raise invalid(name, f"has to be one of {', '.join(options)} for this")
        if action.sets:
            touch(row, {})
            row.update({name: row["updated_at"] if value == "now" else value for name, value in action.sets.items()})
        return answer({"success": True})

    def check(self, values: Mapping[str, Any]) -> None:
        """What it refers to exists, and what has to be unique is."""
        for name, path in self._resource.references.items():
            table: Table = self._state.platform[path]
            if values.get(name) is not None and table.get(values[name]) is None:
                raise missing(path.strip("/").replace("-", " ").capitalize())
        if unique := self._resource.unique:
            for row in self._table.rows():
                if row[unique] == values[unique] and row["id"] != values.get("id"):
                    raise invalid(unique, "is taken")

    def completed(self, values: dict[str, Any]) -> dict[str, Any]:
        """With the fixed fields, a first version, and a secret."""
        secret = {self._resource.secret: new_id()} if self._resource.secret else {}
        version = {"version": 1} if self._counts_versions else {}
        return {**values, **self._resource.fixed, **version, **secret}

    def merged(self, row: Row, values: dict[str, Any]) -> dict[str, Any]:
        """What an update writes; refuses one that read an older version. Truto's status for that is not stated: 409."""
        if self._counts_versions:
            version = values.pop("version", None)
            if version is None and self._resource.locked:
                raise invalid("version", "is required: the one of the object that is changed")
            version = row["version"] if version is None else version
            if version != row["version"]:
                raise Refusal(409, f"The {self.label.lower()} was changed meanwhile: it has version {row['version']}")
            values["version"] = version + 1
        if (name := self._resource.merged) and name in values:
            values[name] = merge(row.get(name) or {}, values[name] or {})
        return values

    @property
    def _counts_versions(self) -> bool:
        return self._resource.locked or self._resource.versioned

    def view(self, row: Row) -> Row:
        """Without the secret, and with what belongs to the row."""
        return {key: value for key, value in self.first_view(row).items() if key != self._resource.secret}

    def first_view(self, row: Row) -> Row:
        """With the secret, this once."""
        return self._resource.view(self._state, row) if self._resource.view else row

    def after_create(self, row: Row) -> None:
        """Publish ``<family>:created``."""
        self._publish("created", row)

    def after_update(self, row: Row, values: Mapping[str, Any]) -> None:
        """Publish ``<family>:updated``."""
        self._publish("updated", row)

    def after_delete(self, row: Row) -> None:
        """Publish ``<family>:deleted``."""
        self._publish("deleted", row)

    def _publish(self, action: str, row: Row) -> None:
        if self._resource.events:
            self._sender.publish(f"{self._resource.events}:{action}", self.view(row))


def _updatable(resource: Resource) -> Mapping[str, Field]:
    wanted = resource.writable if resource.updatable is None else resource.updatable
    kept = {name: each for name, each in wanted.items() if name != resource.same_by}
    return {**kept, "version": fields.number()} if resource.locked or resource.versioned else kept


def _about(name: str, value: str, kinds: Mapping[str, str]) -> list[tuple[str, str]]:
    """The filter itself, or for ``integration_id`` and its like what it asks of a row (sdk: ts)."""
    if name not in kinds:
        return [(name, value)]
    return [("entity_id", value), ("entity_type[in]", f"{kinds[name]},null")]


def _acting(resource: PlatformResource, action: Action) -> Any:
    async def act(call: Call) -> Answer:
        return resource.act(action, call)

    act.__doc__ = f"``{{success: true}}``: {resource.label}{action.path}."
    return act


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """*above* over *below*, objects merged at every level; null removes (skill: unified-api-customization)."""
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged
