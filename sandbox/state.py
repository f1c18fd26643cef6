"""Everything the sandbox remembers. Performs no I/O."""

from __future__ import annotations

import time
import uuid
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.config import SandboxConfig
from sandbox.faults import Faults
from sandbox.records import Records
from truto.samples import ACCOUNT_ID, ENVIRONMENT_ID, INTEGRATION, SYNC_JOB_ID, TENANT_ID, WEBHOOK_ID

Row = dict[str, Any]

LINK_TOKEN_SECONDS = 7 * 24 * 3600
"""A link token lives 7 days (skill: authentication)."""
ACCOUNT_TOKEN_SECONDS = 15 * 60
"""An integrated account token lives 15 minutes (skill: authentication)."""


JOURNALS = ("calls", "deliveries", "inbox", "api_log", "run_log", "trigger_log", "mcp_log")
"""The attributes of :class:`State` that are logs; each is bounded, and none outlives the process."""


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

    def restore(self, dumped: Mapping[str, Any]) -> None:
        """Take over what :meth:`dump` gave."""
        self._rows = {row["id"]: (at, row) for at, row in dumped["rows"]}
        self._next = dumped["next"]

    def dump(self) -> dict[str, Any]:
        """All rows with their positions, as JSON."""
        return {"rows": self.entries(), "next": self._next}

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


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An uploaded file."""

    name: str
    media_type: str
    content: bytes


@dataclass(slots=True)
class LinkToken:
    """One permitted connection attempt: of a new account, or of *account_id* again."""

    expires_at: float
    tenant_id: str | None = None
    account_id: str | None = None
    keeps_context: bool = False
    context: Row = field(default_factory=dict)
    region: str = "wnam"
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
    mcp_tokens: Table = field(default_factory=Table)
    run_states: Table = field(default_factory=Table)
    platform: defaultdict[str, Table] = field(default_factory=lambda: defaultdict(Table))
    """The tables of the resources that nothing else here needs, by path."""
    records: Records = field(default_factory=Records)
    files: dict[str, StoredFile] = field(default_factory=dict)
    link_tokens: dict[str, LinkToken] = field(default_factory=dict)
    account_tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Token → account id and expiry, in unix seconds."""
    faults: Faults = field(default_factory=Faults)
    calls: Journal = field(default_factory=lambda: Journal(10_000))
    deliveries: Journal = field(default_factory=lambda: Journal(10_000))
    inbox: Journal = field(default_factory=lambda: Journal(10_000))
    api_log: Journal = field(default_factory=lambda: Journal(10_000))
    run_log: Journal = field(default_factory=lambda: Journal(10_000))
    trigger_log: Journal = field(default_factory=lambda: Journal(10_000))
    mcp_log: Journal = field(default_factory=lambda: Journal(10_000))

    @classmethod
    def seeded(cls, config: SandboxConfig) -> State:
        """A state with the account and sync job of :mod:`truto.samples`, and the configured webhook."""
        state = cls()
        for name in JOURNALS:
            setattr(state, name, Journal(config.log_size))
        for path, rows in SEEDS.items():
            for row in rows:
                state.platform[path].insert(row)
        state.add_account(TENANT_ID, INTEGRATION, account_id=ACCOUNT_ID, status="active")
        state.sync_jobs.insert(
            {
                "id": SYNC_JOB_ID,
                "label": "Contacts and companies",
                "integration_name": INTEGRATION,
                "default_runtime_version": "4",
                "resources": [{"resource": "crm/contacts"}, {"resource": "crm/companies"}],
            }
        )
        state.register(config)
        return state

    def register(self, config: SandboxConfig) -> None:
        """Make sure that the configured webhook is there, as it is configured now."""
        if not config.webhook_url:
            return
        wanted = {"target_url": config.webhook_url, "is_active": True, "secret": config.webhook_secret}
        if row := self.webhooks.get(WEBHOOK_ID):
            touch(row, wanted)
        else:
            self.webhooks.insert({"id": WEBHOOK_ID, **wanted, "event_types": None})

    def install(self, integration: str) -> Row:
        """The environment integration of *integration*; made at the first call, the same one after."""
        for row in self.installs.rows():
            if row["integration"]["name"] == integration:
                return row
        identity = self.integration(integration)
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

    def integration(self, name: str) -> Row:
        """The integration called *name*; made at the first call, the same one after."""
        table = self.platform["/integration"]
        for row in table.rows():
            if row["name"] == name:
                return row
        return table.insert(integration_row(name))

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
                "last_forbidden_error": None,
                "last_action_run_result": None,
            }
        )


def integration_row(name: str) -> Row:
    """An integration as the sandbox imagines it (seed: Environment Integrations object)."""
    return {
        "id": stable_id(f"integration:{name}"),
        "name": name,
        "category": "crm",
        "is_beta": False,
        "sharing": "allow",
        "team_id": TEAM_ID,
        "config": {"label": name.replace("_", " ").title()},
        "version": 1,
    }


def unified_model_row(name: str) -> Row:
    """A unified model of Truto's own (sdk: ts, ``UnifiedModel``)."""
    return {
        "id": stable_id(f"unified-model:{name}"),
        "name": name,
        "category": name,
        "description": "",
        "sharing": "allow",
        "team_id": TEAM_ID,
        "resources": {},
        "scopes": {},
        "version": 1,
    }


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


TEAM_ID = stable_id("team")

SEEDS: Mapping[str, list[Row]] = {
    "/environment": [{"id": ENVIRONMENT_ID, "name": "Sandbox", "team_id": TEAM_ID}],
    "/team": [
        {
            "id": TEAM_ID,
            "name": "Sandbox team",
            "domain": "sandbox.example",
            "logo": None,
            "is_verified": True,
            "is_white_label": False,
            "allow_impersonation": False,
            "tos_link": None,
        }
    ],
    "/user": [
        {
            "id": stable_id("user"),
            "name": "Ada Lovelace",
            "email": "ada@sandbox.example",
            "is_active": True,
            "is_staff": False,
            "last_login_at": None,
            "role": ["admin"],
            "team": [TEAM_ID],
            "environment": [ENVIRONMENT_ID],
        }
    ],
    "/api-token": [{"id": stable_id("api-token"), "name": "Sandbox", "expires_at": None}],
    "/category": [
        {"id": stable_id(f"category:{name}"), "name": name, "label": label}
        for name, label in (("crm", "CRM"), ("ticketing", "Ticketing"), ("directory", "Directory"))
    ],
    "/integration": [integration_row(name) for name in (INTEGRATION, "hubspot", "jira", "zendesk")],
    "/unified-model": [unified_model_row(name) for name in ("crm", "ticketing", "directory")],
}
"""What an environment has from the start, by path."""
