"""Each tenant's own copy of the data set, and what was written to it. Performs no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.dataset import FILES, RESOURCES, Record, native


class Records:
    """Native records by account and resource. An account that wrote nothing has those of the data set."""

    def __init__(self) -> None:
        self._written: dict[str, dict[str, list[Record]]] = {}
        self._next: dict[str, int] = {}

    def all(self, account_id: str, resource: str) -> list[Record]:
        """The records, oldest first; empty for a resource that does not exist."""
        written = self._written.get(account_id, {}).get(resource)
        return native(resource) if written is None else written

    def find(self, account_id: str, resource: str, record_id: object) -> Record | None:
        """The record itself, or ``None``."""
        return next((each for each in self.all(account_id, resource) if each["id"] == record_id), None)

    def add(self, account_id: str, resource: str, values: Mapping[str, Any], moment: str) -> Record:
        """Keep a new record under the next number; the values cannot choose its id or times."""
        kept = self._own(account_id, resource)
        number = self._next.get(f"{account_id}/{resource}", len(kept) + 1)
        self._next[f"{account_id}/{resource}"] = number + 1
        record = {**values, "id": str(number), "createdAt": moment, "updatedAt": moment}
        kept.append(record)
        return record

    def change(self, account_id: str, resource: str, record_id: str, values: Mapping[str, Any], moment: str) -> Record:
        """Change the given fields of a record that exists."""
        record = next(each for each in self._own(account_id, resource) if each["id"] == record_id)
        record.update({**values, "id": record_id, "createdAt": record["createdAt"], "updatedAt": moment})
        return record

    def remove(self, account_id: str, resource: str, record_id: str) -> None:
        """Forget a record; its number is not given again."""
        kept = self._own(account_id, resource)
        self._next.setdefault(f"{account_id}/{resource}", len(kept) + 1)
        kept[:] = [each for each in kept if each["id"] != record_id]

    def forget(self, account_id: str) -> None:
        """Forget all that an account wrote."""
        self._written.pop(account_id, None)
        for resource in (*RESOURCES, FILES):
            self._next.pop(f"{account_id}/{resource}", None)

    def dump(self) -> dict[str, Any]:
        """What was written, as JSON."""
        return {"written": self._written, "next": self._next}

    def load(self, dumped: Mapping[str, Any]) -> None:
        """Take over what :meth:`dump` gave."""
        self._written = dumped["written"]
        self._next = dumped["next"]

    def _own(self, account_id: str, resource: str) -> list[Record]:
        return self._written.setdefault(account_id, {}).setdefault(resource, native(resource))
