"""Everything the sandbox remembers, in memory. Performs no I/O."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.config import SandboxConfig
from sandbox.faults import Faults
from truto.samples import ACCOUNT_ID, ENVIRONMENT_ID, INTEGRATION, SYNC_JOB_ID, TENANT_ID, WEBHOOK_ID

Row = dict[str, Any]

LINK_TOKEN_SECONDS = 7 * 24 * 3600
"""A link token lives 7 days (skill: authentication)."""
ACCOUNT_TOKEN_SECONDS = 15 * 60
"""An integrated account token lives 15 minutes (skill: authentication)."""


class Table:
    """Rows by id, oldest first; each keeps its position, so that a cursor outlives deletions."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[int, Row]] = {}
        self._next = 1

    def insert(self, values: Mapping[str, Any]) -> Row:
        """Add a row with ``id``, ``environment_id`` and both times set, unless *values* hold them."""
        moment = now_text()
        row: Row = {"id": new_id(), "environment_id": ENVIRONMENT_ID, **values}
        row |= {"created_at": moment, "updated_at": moment}
        self._rows[row["id"]] = (self._next, row)
        self._next += 1
        return row

    def get(self, row_id: object) -> Row | None:
        """The row itself, not a copy; ``None`` for anything that is no id of this table."""
        found = self._rows.get(row_id) if isinstance(row_id, str) else None
        return found[1] if found else None

    def remove(self, row_id: str) -> None:
        """Forget a row; a second call does nothing."""
        self._rows.pop(row_id, None)

    def entries(self) -> list[tuple[int, Row]]:
        """Position and row, oldest first."""
        return list(self._rows.values())

    def rows(self) -> list[Row]:
        """All rows, oldest first."""
        return [row for _, row in self._rows.values()]


class Journal:
    """The last *size* entries of a log, each with a position that never changes."""

    def __init__(self, size: int) -> None:
        self._entries: deque[tuple[int, Row]] = deque(maxlen=size)
        self._next = 1

    def add(self, entry: Row) -> None:
        """Append; the oldest entry goes when the log is full."""
        self._entries.append((self._next, entry))
        self._next += 1

    def entries(self) -> list[tuple[int, Row]]:
        """Position and entry, oldest first."""
        return list(self._entries)

    def rows(self) -> list[Row]:
        """All entries, oldest first."""
        return [entry for _, entry in self._entries]


@dataclass(slots=True)
class LinkToken:
    """One permitted connection attempt: of a new account, or of *account_id* again."""

    expires_at: float
    tenant_id: str | None = None
    account_id: str | None = None
    keeps_context: bool = False
    used: bool = False


@dataclass(slots=True)
class State:
    """The whole sandbox between two requests."""

    accounts: Table = field(default_factory=Table)
    installs: Table = field(default_factory=Table)
    sync_jobs: Table = field(default_factory=Table)
    runs: Table = field(default_factory=Table)
    triggers: Table = field(default_factory=Table)
    workflows: Table = field(default_factory=Table)
    workflow_runs: Table = field(default_factory=Table)
    webhooks: Table = field(default_factory=Table)
    link_tokens: dict[str, LinkToken] = field(default_factory=dict)
    account_tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Token → account id and expiry, in unix seconds."""
    faults: Faults = field(default_factory=Faults)
    calls: Journal = field(default_factory=lambda: Journal(10_000))
    deliveries: Journal = field(default_factory=lambda: Journal(10_000))
    inbox: Journal = field(default_factory=lambda: Journal(10_000))

    @classmethod
    def seeded(cls, config: SandboxConfig) -> State:
        """A state with the account and sync job of :mod:`truto.samples`, and the configured webhook."""
        state = cls(
            calls=Journal(config.log_size),
            deliveries=Journal(config.log_size),
            inbox=Journal(config.log_size),
        )
        state.add_account(TENANT_ID, INTEGRATION, account_id=ACCOUNT_ID, status="active")
        state.sync_jobs.insert(
            {
                "id": SYNC_JOB_ID,
                "label": "Contacts and companies",
                "integration_name": INTEGRATION,
                "default_runtime_version": 4,
                "resources": [{"resource": "crm/contacts"}, {"resource": "crm/companies"}],
            }
        )
        if config.webhook_url:
            state.webhooks.insert(
                {
                    "id": WEBHOOK_ID,
                    "target_url": config.webhook_url,
                    "is_active": True,
                    "event_types": None,
                    "secret": config.webhook_secret,
                }
            )
        return state

    def install(self, integration: str) -> Row:
        """The environment integration of *integration*; made at the first call, the same one after."""
        for row in self.installs.rows():
            if row["integration"]["name"] == integration:
                return row
        identity = {
            "id": stable_id(f"integration:{integration}"),
            "name": integration,
            "category": "crm",
            "is_beta": False,
            "sharing": "allow",
            "config": {"label": integration.replace("_", " ").title()},
        }
        return self.installs.insert(
            {
                "id": stable_id(f"install:{integration}"),
                "integration_id": identity["id"],
                "is_enabled": True,
                "show_in_catalog": True,
                "override": {},
                "integration": identity,
            }
        )

    def add_account(
        self, tenant_id: str, integration: str, *, account_id: str | None = None, status: str = "connecting"
    ) -> Row:
        """A new integrated account (skill: connection-flow); installs its integration if need be."""
        install = self.install(integration)
        return self.accounts.insert(
            {
                "id": account_id or new_id(),
                "tenant_id": tenant_id,
                "environment_integration_id": install["id"],
                "status": status,
                "is_sandbox": False,
                "authentication_method": "oauth2",
                "region": "wnam",
                "context": {"oauth": {"scope": ["read"], "token": {"access_token": new_id()}}},
                "object_store_context_fields": [],
                "unified_model_override": None,
                "integration": {key: install["integration"][key] for key in ("id", "name", "category", "config")},
                "environment_integration": {"id": install["id"], "is_active": True},
                "last_error": None,
            }
        )


def touch(row: Row, changes: Mapping[str, Any]) -> None:
    """Change *row* in place; ``updated_at`` follows."""
    row.update(changes)
    row["updated_at"] = now_text()


def new_id() -> str:
    """A fresh UUID."""
    return str(uuid.uuid4())


def stable_id(name: str) -> str:
    """The same UUID for the same *name*, in every sandbox."""
    return str(uuid.uuid5(uuid.UUID(ENVIRONMENT_ID), name))


def now_text() -> str:
    """The present moment, see :func:`iso`."""
    return iso(time.time())


def iso(seconds: float) -> str:
    """Unix seconds as Truto's docs write a time: ``2023-06-16T09:21:21.000Z``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_CREDENTIALS = frozenset(
    {
        "environment_variables",
        "api_key",
        "api_token",
        "token",
        "password",
        "secret",
        "client_secret",
        "access_token",
    }
)
_OAUTH_CREDENTIALS = frozenset({"access_token", "refresh_token", "access_token_secret"})


def without_credentials(account: Row) -> Row:
    """The account as Truto shows it, without protected paths (skill: integrated-account-context)."""
    context = {key: value for key, value in account["context"].items() if key not in _CREDENTIALS}
    oauth = context.get("oauth")
    if isinstance(oauth, dict) and isinstance(oauth.get("token"), dict):
        token = {key: value for key, value in oauth["token"].items() if key not in _OAUTH_CREDENTIALS}
        context["oauth"] = {**oauth, "token": token}
    return {**account, "context": context}
