"""The resources that have more than the five common operations, or other ones.

Paths and fields are those of Truto's API reference (docs: api-reference; skill: sync-jobs, webhooks-and-notifications,
connection-flow, integrated-account-context).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from truto.answers import read_model, read_object
from truto.calls import QueryValue, RawBody, segment
from truto.endpoints import (
    Creates,
    Deletes,
    Endpoint,
    Gets,
    Lists,
    Resource,
    Updates,
)
from truto.merging import merge
from truto.models import IntegratedAccount, LinkToken, ModelT, Webhook, Workflow
from truto.pages import Listing, records_of
from truto.platform_models import (
    AccountToken,
    Capabilities,
    DaemonJobRun,
    Datastore,
    Document,
    Environment,
    EnvironmentIntegration,
    Integration,
    LogEntry,
    McpToken,
    SandboxAccount,
    Team,
    Tool,
    UploadedFile,
    WorkflowRun,
)
from truto.uploads import encode_file

LogType: TypeAlias = Literal["unified_proxy_api", "rapid_bridge", "webhook", "sync_job_cron_trigger", "mcp"]
MAX_LOG_LIMIT = 100
MAX_LOG_WINDOW = timedelta(days=31)


class LinkTokens(Endpoint[LinkToken]):
    """Tickets for connection attempts in the browser."""

    async def create(
        self,
        *,
        tenant_id: str | None = None,
        integrated_account_id: str | None = None,
        **fields: Any,
    ) -> LinkToken:
        """A ticket for a new connection (*tenant_id*) or for reconnecting one (*integrated_account_id*).

        When reconnecting, ``persist_previous_context=True`` keeps what the tenant entered before. Raises
        :class:`ValueError` unless exactly one of the two is given: Truto would silently pick one
        (skill: connection-flow).
        """
        if bool(tenant_id) == bool(integrated_account_id):
            raise ValueError("give exactly one of tenant_id and integrated_account_id")
        target = {"tenant_id": tenant_id} if tenant_id else {"integrated_account_id": integrated_account_id}
        return await self._read("POST", self._path, {**fields, **target})


class Describes(Endpoint[ModelT]):
    """Tells what can be called."""

    async def capabilities(self, resource_id: str, /, **params: QueryValue) -> Capabilities:
        """What can be called: ``type`` proxy, unified or all, ``methods``, ``resource``, ``has_description``.

        For an integration, its short name will do as well as its id.
        """
        path = self._one(resource_id, "capabilities")
        return read_model(f"GET {path}", Capabilities, await self._client.request("GET", path, params=params))

    async def tools(self, resource_id: str, /, **params: QueryValue) -> list[Tool]:
        """What a language model can be given as tools; ``methods`` and ``tags`` narrow it."""
        path = self._one(resource_id, "tools")
        answer = read_object(f"GET {path}", await self._client.request("GET", path, params=params))
        return [read_model(f"GET {path}", Tool, row) for row in records_of(answer, f"GET {path}")]


class IntegratedAccounts(Resource[IntegratedAccount], Describes[IntegratedAccount]):
    """The tenants' connections. ``create`` imports credentials that the tenant gave elsewhere."""

    async def create_token(self, resource_id: str, /) -> AccountToken:
        """A token for this account alone, good for 15 minutes (skill: token kinds)."""
        path = f"{self._path}/token"
        answer = await self._send("POST", path, {"integrated_account_id": resource_id})
        return read_model(f"POST {path}", AccountToken, answer)

    async def me(self) -> IntegratedAccount:
        """The account itself, for a client whose token is an integrated account token."""
        return await self._read("GET", f"{self._path}/me")

    async def update_me(self, *, context: Mapping[str, Any]) -> IntegratedAccount:
        """Change the own account's ``context``, for a client whose token is an integrated account token."""
        return await self._read("PATCH", f"{self._path}/me", {"context": context})

    async def update_credentials(self, resource_id: str, /, *, context: Mapping[str, Any]) -> IntegratedAccount:
        """Replace credentials, and nothing else, in the account's context."""
        return await self._read("PATCH", self._one(resource_id, "credentials"), {"context": context})

    async def refresh_credentials(self, resource_id: str, /) -> bool:
        """Have Truto refresh the account's OAuth credentials now; answers whether it says ``success``."""
        return await self._succeeds(f"{self._path}/refresh-credentials", {"id": resource_id})

    async def run_post_install_actions(self, resource_id: str, /) -> Any:
        """Run the integration's post-install actions again (sdk: py); listed among the destructive ones (skill)."""
        return await self._send("POST", f"{self._path}/run-post-install-actions", {"id": resource_id})

    async def bulk_delete(self, **fields: Any) -> bool:
        """Delete many accounts; answers whether Truto says ``success``.

        No document states the body, so *fields* are sent as you give them: try it on a sandbox account first.
        """
        return await self._succeeds(f"{self._path}/bulk-delete", fields)

    def mcp_tokens(self, resource_id: str, /) -> Resource[McpToken]:
        """The account's MCP servers, each behind a token. ``token`` and ``url`` come once, on ``create``."""
        return Resource(self._client, self._one(resource_id, "mcp").removeprefix("/"), McpToken)

    async def deliver_webhook(self, resource_id: str, body: object, /) -> None:
        """Post *body* to the account's inbound webhook, as the provider would."""
        path = f"/integrated-account-webhook/{segment(resource_id)}"
        await self._client.request_nothing("POST", path, json=body)


class SandboxAccounts(Lists[SandboxAccount], Gets[SandboxAccount], Creates[SandboxAccount], Deletes[SandboxAccount]):
    """Copies of accounts to try things on; ``create(id=…)`` names the source (sdk). Their writes answer 405."""


class Environments(Lists[Environment], Gets[Environment], Updates[Environment]):
    """Environments; new ones are made in the dashboard."""


class Teams(Lists[Team], Gets[Team], Updates[Team]):
    """Teams."""

    async def invite(self, resource_id: str, /, **fields: Any) -> Any:
        """Invite somebody to the team. No document states the fields or the answer."""
        return await self._send("POST", self._one(resource_id, "invite"), fields)


class Integrations(Resource[Integration], Describes[Integration]):
    """Definitions of products. ``update`` needs the ``version`` that was read (skill: optimistic lock)."""

    async def unified_apis(self, resource_id: str, /, **params: QueryValue) -> Any:
        """The unified models that cover this product."""
        return await self._client.request("GET", self._one(resource_id, "unified-apis"), params=params)


class EnvironmentIntegrations(Resource[EnvironmentIntegration]):
    """Products installed in an environment. ``create`` answers the existing install; ``delete`` revokes its accounts.

    ``update(override=…)`` replaces the override whole (skill); :meth:`merge_override` keeps the rest of it.
    """

    async def merge_override(self, resource_id: str, changes: Mapping[str, Any], /) -> EnvironmentIntegration:
        """Deep-merge *changes* into the stored override: objects merge, everything else replaces.

        ``None`` is stored as null, which switches off what the integration has there. To take a key out, send the whole
        override with ``update``.

        Three steps, read, merge and write, and Truto documents no version for this object: of two callers at the same
        time, the later write wins.
        """
        current = await self.get(resource_id)
        return await self.update(resource_id, override=merge(current.override or {}, changes))

    async def deliver_webhook(self, resource_id: str, body: object, /) -> None:
        """Post *body* to the install's inbound webhook, as the provider would."""
        path = f"/environment-integration-webhook/{segment(resource_id)}"
        await self._client.request_nothing("POST", path, json=body)


class Scheduled(Resource[ModelT]):
    """Timers."""

    async def schedule(self, resource_id: str, /) -> bool:
        """Put the trigger on Truto's timer; answers whether it says ``success``."""
        return await self._succeeds(self._one(resource_id, "schedule"))


class Workflows(Resource[Workflow]):
    """What Truto itself does when something happens."""

    async def create_from_yaml(self, document: str, /) -> Workflow:
        """Make one from a YAML document (docs: workflows)."""
        raw = RawBody(document.encode(), "application/yaml")
        return self._as_model("POST", await self._client.request("POST", self._path, raw=raw))


class WorkflowRuns(Lists[WorkflowRun], Gets[WorkflowRun], Deletes[WorkflowRun]):
    """What workflows have done."""


class Testable(Resource[ModelT]):
    """Places to which Truto can send a test message."""

    async def test(self, resource_id: str, /) -> bool:
        """Have Truto send a test message; raises :class:`truto.ApiError` when the target does not take it."""
        return await self._succeeds(f"{self._path}/test", {"id": resource_id})


class Webhooks(Testable[Webhook]):
    """Where Truto delivers events. ``create`` is the only answer with the ``secret``."""


class DaemonJobRuns(Lists[DaemonJobRun], Creates[DaemonJobRun], Updates[DaemonJobRun]):
    """Runs of daemon jobs. No document shows a read of a single one."""

    async def delete(self, resource_id: str, /) -> DaemonJobRun:
        """Stop the run; answers it with ``status: stopped`` (skill: delete)."""
        return await self._read("DELETE", self._one(resource_id))


class Datastores(Resource[Datastore]):
    """Where syncs write. ``update`` deep-merges."""

    async def test(self, resource_id: str, method: str, /) -> bool:
        """Try a method on the store; only for ``google_cloud_storage`` and ``s3`` (skill)."""
        return await self._succeeds(self._one(resource_id, "test", segment(method)))


class Documentation(Gets[Document], Creates[Document], Updates[Document], Deletes[Document]):
    """Texts about integrations, their resources and methods."""

    def list(self, **filters: QueryValue) -> Listing[Document]:
        """The documents of one entity; Truto wants a filter such as ``integration_id``, else :class:`ValueError`."""
        if not any(name.partition("[")[0].endswith("id") for name in filters):
            raise ValueError("a list of documents needs the id of what they are about, for example integration_id")
        return self._listing(self._path, self._model, filters)


class Logs(Endpoint[LogEntry]):
    """What Truto has logged."""

    def list(
        self,
        log_type: LogType,
        /,
        *,
        after: datetime,
        before: datetime,
        limit: int = MAX_LOG_LIMIT,
        filters: Mapping[str, str] | None = None,
    ) -> Listing[LogEntry]:
        """Entries between two moments, at most a month apart; *limit* is the page's size, 100 at the most.

        *filters* are those of the type, for example ``{"sync_job_run_id": …}`` with ``rapid_bridge``; ``request_type``,
        ``integrated_account_id``, ``environment_id`` and ``integration`` with ``unified_proxy_api``; ``webhook_id`` and
        ``event`` with ``webhook`` (skill: logs). Raises :class:`ValueError` for a window or limit that Truto refuses.
        """
        if not timedelta(0) < before - after <= MAX_LOG_WINDOW:
            raise ValueError("logs are read for at most a month, from an earlier to a later moment")
        if not 1 <= limit <= MAX_LOG_LIMIT:
            raise ValueError(f"a page of logs has 1 to {MAX_LOG_LIMIT} entries")
        query: dict[str, QueryValue] = {
            "log_type": log_type,
            "created_at[gt]": after,
            "created_at[lt]": before,
            "limit": limit,
            **{f"log_type_filter[{key}]": value for key, value in (filters or {}).items()},
        }
        return self._listing(self._path, self._model, query)


class Files(Endpoint[UploadedFile]):
    """Public files. They cannot be read back or deleted through the API."""

    async def upload(
        self, name: str, content: bytes, /, *, content_type: str = "application/octet-stream"
    ) -> UploadedFile:
        """Publish *content*; anyone with the ``url`` of the answer can read it. A second call makes a second file."""
        raw = encode_file(name, content, content_type)
        return self._as_model("POST", await self._client.request("POST", self._path, raw=raw))
