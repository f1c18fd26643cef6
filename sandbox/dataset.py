"""The small, always equal third-party data behind ``/unified``, ``/proxy`` and every sync job run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


def native(resource: str) -> list[Record]:
    """The records as the provider itself would write them; empty for an unknown *resource*."""
    count, make = _MAKERS.get(resource, (0, _user))
    return [{"id": str(n), **make(n), "createdAt": _moment(n), "updatedAt": _moment(n)} for n in range(1, count + 1)]


def unified(resource: str) -> list[Record]:
    """The same records in unified words, each with the native one as ``remote_data``."""
    return [
        {**{_snake(key): value for key, value in record.items()}, "remote_data": record} for record in native(resource)
    ]


def batches(resource: str, size: int = 10) -> list[list[Record]]:
    """The unified records in the portions that a sync job run delivers, without ``remote_data``."""
    records = [{key: value for key, value in each.items() if key != "remote_data"} for each in unified(resource)]
    return [records[start : start + size] for start in range(0, len(records), size)]


def _snake(name: str) -> str:
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name)
