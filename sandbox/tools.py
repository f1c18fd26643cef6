"""What can be done with an integration: its tools, their schemas and documentation. Performs no I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from sandbox import dataset, fields
from sandbox.provider import READS, WRITES

CRUD = ("list", "get", "create", "update", "delete")
_ID = {"type": "string", "description": "The record's id."}
_QUERIES = {
    "list": {
        "limit": {"type": "string", "description": "The most records on a page."},
        "next_cursor": {"type": "string", "description": "The cursor of the page before."},
    },
    "search": {},
}
_BODIES = {
    "search": {"query": fields.text(required=True)},
    "close": {"id": fields.text(required=True)},
}


@dataclass(frozen=True, slots=True)
class Tool:
    """One method of one resource, as a person or an agent may call it."""

    resource: str
    method: str

    @property
    def name(self) -> str:
        """The name an agent calls."""
        return f"{self.method}_{self.resource}"

    @property
    def description(self) -> str:
        """One sentence."""
        return f"{self.method.capitalize()} {self.resource} of the connected product."

    def query_schema(self) -> dict[str, Any]:
        """The JSON Schema of the query, the record's id included."""
        properties = {"id": _ID} if self.method in ("get", "update", "delete") else _QUERIES.get(self.method, {})
        required = ["id"] if "id" in properties else []
        return {"type": "object", "properties": properties, "required": required}

    def body_schema(self, *, native: bool = True) -> dict[str, Any]:
        """The JSON Schema of the body, in the provider's words or in unified ones."""
        if self.method in _BODIES:
            return fields.json_schema(_BODIES[self.method])
        if self.method not in ("create", "update"):
            return {"type": "object", "properties": {}}
        table = dataset.native_fields(self.resource) if native else dataset.UNIFIED_FIELDS[self.resource]
        return fields.json_schema(table, partial=self.method == "update")

    def input_schema(self) -> dict[str, Any]:
        """Query and body in one, for agents."""
        query, body = self.query_schema(), self.body_schema()
        return {
            "type": "object",
            "properties": {**body["properties"], **query["properties"]},
            "required": [*query["required"], *body.get("required", [])],
        }

    def described(self) -> dict[str, Any]:
        """As ``GET …/tools`` lists it (skill: mcp-tokens)."""
        return {
            "resource": self.resource,
            "method": self.method,
            "name": self.name,
            "description": self.description,
            "query_schema": self.query_schema(),
            "body_schema": self.body_schema(),
            "required": self.input_schema()["required"],
        }

    def metadata(self, integration: str | None = None, *, native: bool = False) -> dict[str, Any]:
        """As the meta routes describe a method (docs: unified-api); without *integration* no response schema."""
        found = {
            "method": self.method,
            "schema": self.record_schema(native=native),
            "documentation_link": None,
            "response_mapping": None,
            "query_schema": self.query_schema(),
            "request_body_schema": self.body_schema(native=native),
            "default_query": {},
            "default_body": {},
        }
        return {**found, "response_schema": self.record_schema(native=True)} if integration else found

    def record_schema(self, *, native: bool) -> dict[str, Any]:
        """The JSON Schema of a record."""
        table = dataset.native_fields(self.resource) if native else dataset.UNIFIED_FIELDS[self.resource]
        names = ("id", "createdAt", "updatedAt") if native else ("id", "created_at", "updated_at")
        return {
            "type": "object",
            "properties": {
                **{name: {"type": "string"} for name in names},
                **{name: each.json_schema() for name, each in table.items()},
            },
        }


def every() -> Iterator[Tool]:
    """All there are, in a fixed order."""
    for resource in sorted(dataset.RESOURCES):
        for method in (*CRUD, *dataset.CUSTOM_METHODS[resource]):
            yield Tool(resource, method)


def find(resource: str, method: str) -> Tool | None:
    """The tool of this resource and method."""
    return next((each for each in every() if (each.resource, each.method) == (resource, method)), None)


def chosen(methods: Collection[str], tags: Collection[str]) -> list[Tool]:
    """The tools of these methods (names or kinds) and tags; empty means all."""
    return [
        tool
        for tool in every()
        if (not methods or tool.method in methods or _kind(tool.method) in methods)
        and (not tags or set(tags) & set(dataset.TAGS[tool.resource]))
    ]


def _kind(method: str) -> str:
    if method not in CRUD:
        return "custom"
    return "read" if method in READS - WRITES else "write"


def documentation(model: str, integration: str, wanted: str) -> str:
    """What *model* can do with *integration*, as Markdown (``md``) or HTML."""
    lines = [f"{tool.method} {tool.resource}" for tool in every()]
    if wanted == "md":
        return "\n".join([f"# {model} with {integration}", "", *(f"- {line}" for line in lines), ""])
    items = "".join(f"<li>{line}</li>" for line in lines)
    return f"<h1>{model} with {integration}</h1><ul>{items}</ul>"
