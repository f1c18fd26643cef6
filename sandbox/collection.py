"""List, get, create, update and delete: what the platform's resources have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.routing import Route

from sandbox import fields, query
from sandbox.answers import Answer, answer, missing
from sandbox.calls import Call, Endpoints
from sandbox.fields import Field
from sandbox.state import Row, Table, touch


class Collection:
    """One resource and its table. A family overrides the few methods in which it differs.

    ``writable`` are the fields of POST, ``updatable`` those of PATCH (all of ``writable`` unless said).
    ``verbs`` names what can be done; any other method answers 405.
    """

    path: str
    label: str
    writable: Mapping[str, Field] = {}
    updatable: Mapping[str, Field] | None = None
    verbs = frozenset({"create", "update", "delete"})

    def __init__(self, table: Table) -> None:
        self._table = table

    def routes(self, endpoint: Endpoints) -> list[Route]:
        """The routes below ``path``."""
        one = f"{self.path}/{{id}}"
        found = [
            Route(self.path, endpoint(self.list, query=query.LIST_PARAMETERS, shape="List"), methods=["GET"]),
            Route(one, endpoint(self.get), methods=["GET"]),
        ]
        if "create" in self.verbs:
            found.append(Route(self.path, endpoint(self.create, body=self.writable), methods=["POST"]))
        if "update" in self.verbs:
            found.append(Route(one, endpoint(self.update, body=self._changeable(), partial=True), methods=["PATCH"]))
        if "delete" in self.verbs:
            found.append(Route(one, endpoint(self.delete, shape="Deleted"), methods=["DELETE"]))
        return found

    async def list(self, call: Call) -> Answer:
        """A page, oldest first. Filters see what the caller sees, so that none can ask about a secret."""
        entries = [(position, self.view(row)) for position, row in self._table.entries()]
        return answer(query.page(entries, call.query).envelope())

    async def get(self, call: Call) -> Answer:
        """The bare object (skill)."""
        return answer(self.view(self.find(call.path["id"])))

    async def create(self, call: Call) -> Answer:
        """The new object. Truto's status is not stated; 200 here, as in its samples of other calls."""
        values = fields.read(call.body, self.writable)
        self.check(values)
        row = self._table.insert(self.completed(values))
        self.after_create(row)
        return answer(self.first_view(row))

    async def update(self, call: Call) -> Answer:
        """The object after the change."""
        row = self.find(call.path["id"])
        values = fields.read(call.body, self._changeable(), partial=True)
        self.check({**row, **values})
        touch(row, self.merged(row, values))
        self.after_update(row, values)
        return answer(self.view(row))

    async def delete(self, call: Call) -> Answer:
        """``{id}`` (skill); 404 at a second call."""
        row = self.find(call.path["id"])
        self._table.remove(row["id"])
        self.after_delete(row)
        return answer({"id": row["id"]})

    def _changeable(self) -> Mapping[str, Field]:
        return self.writable if self.updatable is None else self.updatable

    def find(self, row_id: object) -> Row:
        """The row; a 404 :class:`Refusal` where there is none."""
        row = self._table.get(row_id)
        if row is None:
            raise missing(self.label)
        return row

    def view(self, row: Row) -> Row:
        """The row as reads show it."""
        return row

    def first_view(self, row: Row) -> Row:
        """The row as its creation answers it."""
        return self.view(row)

    def check(self, values: Mapping[str, Any]) -> None:
        """Refuse a row that would not make sense as a whole."""

    def completed(self, values: dict[str, Any]) -> dict[str, Any]:
        """The fields of a new row that no caller sets."""
        return values

    def merged(self, row: Row, values: dict[str, Any]) -> dict[str, Any]:
        """What an update writes: *values*, each replaced whole."""
        return values

    def after_create(self, row: Row) -> None:
        """React to a new row."""

    def after_update(self, row: Row, values: Mapping[str, Any]) -> None:
        """React to a change."""

    def after_delete(self, row: Row) -> None:
        """React to a row that is gone."""
