"""The small, always equal third-party data behind ``/unified``, ``/proxy`` and every sync job run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox import fields
from sandbox.fields import Field

Record = dict[str, Any]

_FIRST = ("Ada", "Grace", "Linus", "Margaret", "Alan", "Barbara", "Edsger")
_LAST = ("Lovelace", "Hopper", "Torvalds", "Hamilton", "Turing", "Liskov", "Dijkstra", "Perlman")
_COMPANIES = ("Northwind", "Contoso", "Initech", "Globex", "Umbrella", "Hooli", "Stark")
_SUBJECTS = ("Cannot sign in", "Invoice is wrong", "Export is slow", "Feature question")
_STATUSES = ("open", "pending", "closed")


def _moment(number: int) -> str:
    return f"2024-09-{number % 28 + 1:02d}T10:{number % 60:02d}:00.000Z"


def _contact(number: int) -> Record:
    first, last = _FIRST[number % len(_FIRST)], _LAST[number % len(_LAST)]
    return {
        "firstName": first,
        "lastName": last,
        "email": f"{first}.{last}@{_COMPANIES[number % len(_COMPANIES)]}.example".lower(),
        "companyId": str(number % len(_COMPANIES) + 1),
    }


def _company(number: int) -> Record:
    name = _COMPANIES[(number - 1) % len(_COMPANIES)]
    return {"name": name, "website": f"https://{name.lower()}.example", "employeeCount": number * 20}


def _ticket(number: int) -> Record:
    return {
        "subject": _SUBJECTS[number % len(_SUBJECTS)],
        "status": _STATUSES[number % len(_STATUSES)],
        "requesterId": str(number % 25 + 1),
        "assigneeId": str(number % 5 + 1),
    }


def _user(number: int) -> Record:
    first = _FIRST[number % len(_FIRST)]
    return {"name": first, "email": f"{first}@support.example".lower(), "isActive": number % 4 != 0}


_MAKERS: dict[str, tuple[int, Callable[[int], Record]]] = {
    "contacts": (25, _contact),
    "companies": (7, _company),
    "tickets": (12, _ticket),
    "users": (5, _user),
}

RESOURCES = frozenset(_MAKERS)
"""The resources there are, under every unified model."""

FILES = "files"
"""What the provider stores in addition to records, in its own format only, as bytes."""

UNIFIED_FIELDS: Mapping[str, Mapping[str, Field]] = {
    "contacts": {
        "first_name": fields.text(),
        "last_name": fields.text(),
        "email": fields.text(),
        "company_id": fields.text(),
    },
    "companies": {"name": fields.text(required=True), "website": fields.text(), "employee_count": fields.number()},
    "tickets": {
        "subject": fields.text(required=True),
        "status": fields.choice(*_STATUSES, default="open"),
        "requester_id": fields.text(),
        "assignee_id": fields.text(),
    },
    "users": {"name": fields.text(required=True), "email": fields.text(), "is_active": fields.flag(default=True)},
}
"""The writable fields of each resource in unified words; a provider writes the same in camel case."""

CUSTOM_METHODS: Mapping[str, tuple[str, ...]] = {
    "contacts": ("search",),
    "companies": ("search",),
    "tickets": ("search", "close"),
    "users": ("search",),
}
"""The methods other than list, get, create, update and delete."""

TAGS: Mapping[str, tuple[str, ...]] = {
    "contacts": ("crm",),
    "companies": ("crm",),
    "tickets": ("ticketing",),
    "users": ("directory",),
}
"""The tool tags of each resource."""


def native_fields(resource: str) -> dict[str, Field]:
    """The writable fields of *resource* as its provider names them."""
    return {camel(name): field for name, field in UNIFIED_FIELDS[resource].items()}


def native(resource: str) -> list[Record]:
    """The records as the provider itself would write them; empty for an unknown *resource*."""
    count, make = _MAKERS.get(resource, (0, _user))
    return [{"id": str(n), **make(n), "createdAt": _moment(n), "updatedAt": _moment(n)} for n in range(1, count + 1)]


def to_unified(resource: str, record: Record) -> Record:
    """A native record in unified words, with itself as ``remote_data``."""
    names = ("id", *UNIFIED_FIELDS[resource], "created_at", "updated_at")
    return {**{name: record.get(camel(name)) for name in names}, "remote_data": record}


def to_native(values: Mapping[str, Any]) -> Record:
    """Unified values in the provider's words."""
    return {camel(name): value for name, value in values.items()}


def unified(resource: str) -> list[Record]:
    """The same records in unified words, each with the native one as ``remote_data``."""
    return [to_unified(resource, record) for record in native(resource)]


def batches(records: Sequence[Record], size: int = 10) -> list[list[Record]]:
    """Unified records in the portions that a sync job run delivers, without ``remote_data``."""
    bare = [{key: value for key, value in each.items() if key != "remote_data"} for each in records]
    return [bare[start : start + size] for start in range(0, len(bare), size)]


def camel(name: str) -> str:
    """``first_name`` as ``firstName``."""
    first, *rest = name.split("_")
    return first + "".join(each.capitalize() for each in rest)
