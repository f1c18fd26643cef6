"""Serve the platform's other resources: one mechanism for all of them (skill: core-resources)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.routing import Route

from sandbox import fields
from sandbox.answers import Answer, answer, invalid, missing
from sandbox.calls import Call, Endpoints
from sandbox.collection import Collection
from sandbox.deliveries import Sender
from sandbox.errors import Refusal
from sandbox.fields import Field
from sandbox.platform_resources import Action, Resource
from sandbox.state import Row, State, Table, new_id, touch


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
