# Written by tests/unit/truto/sync_stub.py from the asyncio client: do not edit.

import asyncio
import random
import time
from abc import ABC
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Generic, Literal, Self

import httpx

from truto import models as m
from truto import platform_models as p
from truto.calls import QueryValue, RawBody
from truto.client import DEFAULT_BASE_URL, MAX_RESPONSE_BYTES
from truto.models import IntegratedAccount, LinkToken, ModelT, Webhook, Workflow
from truto.pages import RecordT
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
from truto.records import AnswerT, BatchCall
from truto.resources import MAX_LOG_LIMIT, LogType
from truto.retry import RetryPolicy

class Listing(Generic[RecordT]):
    """A list that is fetched while you iterate: ``for record in listing``. Each loop starts anew.

    The next page is fetched while you work on the current one, never more than that one ahead. Leaving the loop early
    cancels that fetch; so does ``generator.aclose()`` on what ``aiter(listing)`` answers, where it must have
    happened before the next line. Raises :class:`truto.ProtocolError` for an answer that is no page, and for cursors
    that go in a circle; the records before them have been yielded then.
    """

    def __iter__(self) -> Iterator[RecordT]: ...
    def pages(self) -> Iterator[list[RecordT]]:
        """The same, one list of records for each page; a page may be empty."""

class Download:
    """An answer whose body comes in chunks: ``with …download(…) as file: for chunk in file: …``.

    Entering sends the request, with the client's repetitions, until the answer's head is there; the client's deadline
    ends then, and each chunk has the time of one attempt. Nothing is repeated once the body has begun. *max_bytes*
    bounds the body after decompression; without it, only you do.
    """

    def __enter__(self) -> Self: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
    @property
    def content_type(self) -> str:
        """What the answer says it is; empty if it does not."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers, the provider's among them; names in any case."""

    def __iter__(self) -> Iterator[bytes]: ...
    def read(self) -> bytes:
        """The whole body at once. Give ``max_bytes`` to bound what it may take of memory."""

class Endpoint(Generic[ModelT]):
    """A place in the API and the type of what lives there. *params* go along with every call."""

class Lists(Endpoint[ModelT]):
    """Has a list."""

    def list(self, **filters: QueryValue) -> Listing[ModelT]:
        """Every object that matches, fetched page by page while you iterate; ``limit`` is the page's size.

        Operators are ``eq ne gt gte lt lte in nin like``, written ``field[op]`` (skill: conventions). A name that is
        no Python word goes through a dict: ``list(**{"id[in]": ["a", "b"]})``.
        """

class Gets(Endpoint[ModelT]):
    """Can be read by id."""

    def get(self, resource_id: str, /) -> ModelT:
        """The object with this id; :class:`truto.NotFound` if there is none."""

class Creates(Endpoint[ModelT]):
    """Can be made."""

    def create(self, **fields: Any) -> ModelT:
        """Make one. Not repeated by the client when the answer is lost: a second call makes a second one."""

class Updates(Endpoint[ModelT]):
    """Can be changed."""

    def update(self, resource_id: str, /, **fields: Any) -> ModelT:
        """Change the given fields; ``None`` is sent as null."""

class Deletes(Endpoint[ModelT]):
    """Can be deleted."""

    def delete(self, resource_id: str, /) -> None:
        """Delete it. A second call raises :class:`truto.NotFound`; the client's own repetition of a call does not."""

class ReadOnly(Lists[ModelT], Gets[ModelT]):
    """List and get one kind of object."""

class Resource(Lists[ModelT], Gets[ModelT], Creates[ModelT], Updates[ModelT], Deletes[ModelT]):
    """List, get, create, update and delete one kind of object.

    Every method raises the errors of :mod:`truto.errors`. Fields and filters are passed under Truto's own names.
    """

class Records(ABC, Generic[AnswerT]):
    """Records of one resource in a tenant's account.

    *integrated_account_id* names the account; ``None`` only with an integrated account token, which implies it.
    Truto's query parameters go along as keywords: ``truto_ignore_remote_data=True``, ``truto_exclude_fields="a,b"``,
    ``truto_response_format="normalized"``, ``truto_key_by="id"``, ``truto_super_query="wnam"`` (docs: unified api).
    """

    def list(self, *, integrated_account_id: str | None, **filters: QueryValue) -> Listing[AnswerT]:
        """Every record that matches, fetched page by page while you iterate; ``limit`` is the page's size."""

    def get(self, record_id: str, /, *, integrated_account_id: str | None, **params: QueryValue) -> AnswerT:
        """The record with this id."""

    def create(
        self, record: Mapping[str, Any], /, *, integrated_account_id: str | None, **params: QueryValue
    ) -> AnswerT:
        """Make a record in the tenant's product, once: Truto knows a repetition by its ``Idempotency-Key``."""

    def update(
        self,
        record_id: str | None,
        record: Mapping[str, Any],
        /,
        *,
        integrated_account_id: str | None,
        **params: QueryValue,
    ) -> AnswerT:
        """Change the given fields of a record. Some integrations have a single one, without id: ``None``."""

    def delete(self, record_id: str | None, /, *, integrated_account_id: str | None, **params: QueryValue) -> None:
        """Delete a record from the tenant's product. Some integrations have a single one, without id: ``None``."""

    def call(
        self, method: str, body: object = None, /, *, integrated_account_id: str | None, **params: QueryValue
    ) -> Any:
        """A method of the resource's own; answers the whole answer, for unified ones ``{"result": …}``."""

    def upload(
        self,
        content: bytes | Iterator[bytes],
        /,
        *,
        content_type: str,
        integrated_account_id: str | None,
        **params: QueryValue,
    ) -> Any:
        """Create with a body that reaches the provider as it is (``truto_body_passthrough``).

        An iterator is sent in chunks; it is used up by that, so the call is not repeated.
        """

    def download(
        self,
        record_id: str,
        /,
        *,
        integrated_account_id: str | None,
        max_bytes: int | None = None,
        **params: QueryValue,
    ) -> Download:
        """A record that is no JSON, such as a file, in chunks (``truto_body_passthrough``)."""

class UnifiedResource(Records[dict[str, Any]]):
    """One resource of a unified model, for example contacts of the CRM model. Records are plain dicts."""

    def meta(self, method: str, /, **params: QueryValue) -> dict[str, Any]:
        """What a method takes and answers, for any product (docs: unified api)."""

    def integration_meta(self, integration: str, method: str, /, **params: QueryValue) -> dict[str, Any]:
        """What a method takes and answers with one product, with its ``response_schema``."""

class ProxyResource(Records[Any]):
    """One resource of the product's own API. Names are case-sensitive; answers are the product's (skill: proxy)."""

class Custom:
    """Any call to the product's API, with the account's credentials. *path* is the product's own."""

    def request(
        self,
        method: str,
        path: str,
        /,
        *,
        integrated_account_id: str | None,
        json: Mapping[str, Any] | None = None,
        method_config: Mapping[str, Any] | None = None,
        **params: QueryValue,
    ) -> Any:
        """Make the call; a JSON answer comes as ``{"result", "next_cursor", "prev_cursor"}`` (skill: custom).

        *method_config* is a method definition of an integration config, for this call alone. Truto takes it out of the
        body before it sends the rest on.
        """

    def download(
        self,
        method: str,
        path: str,
        /,
        *,
        integrated_account_id: str | None,
        json: Mapping[str, Any] | None = None,
        max_bytes: int | None = None,
        **params: QueryValue,
    ) -> Download:
        """Make a call whose answer is no JSON, and read it in chunks."""

class LinkTokens(Endpoint[LinkToken]):
    """Tickets for connection attempts in the browser."""

    def create(
        self, *, tenant_id: str | None = None, integrated_account_id: str | None = None, **fields: Any
    ) -> LinkToken:
        """A ticket for a new connection (*tenant_id*) or for reconnecting one (*integrated_account_id*).

        When reconnecting, ``persist_previous_context=True`` keeps what the tenant entered before. Raises
        :class:`ValueError` unless exactly one of the two is given: Truto would silently pick one
        (skill: connection-flow).
        """

class Describes(Endpoint[ModelT]):
    """Tells what can be called."""

    def capabilities(self, resource_id: str, /, **params: QueryValue) -> Capabilities:
        """What can be called: ``type`` proxy, unified or all, ``methods``, ``resource``, ``has_description``.

        For an integration, its short name will do as well as its id.
        """

    def tools(self, resource_id: str, /, **params: QueryValue) -> list[Tool]:
        """What a language model can be given as tools; ``methods`` and ``tags`` narrow it."""

class IntegratedAccounts(Resource[IntegratedAccount], Describes[IntegratedAccount]):
    """The tenants' connections. ``create`` imports credentials that the tenant gave elsewhere."""

    def create_token(self, resource_id: str, /) -> AccountToken:
        """A token for this account alone, good for 15 minutes (skill: token kinds)."""

    def me(self) -> IntegratedAccount:
        """The account itself, for a client whose token is an integrated account token."""

    def update_me(self, *, context: Mapping[str, Any]) -> IntegratedAccount:
        """Change the own account's ``context``, for a client whose token is an integrated account token."""

    def update_credentials(self, resource_id: str, /, *, context: Mapping[str, Any]) -> IntegratedAccount:
        """Replace credentials, and nothing else, in the account's context."""

    def refresh_credentials(self, resource_id: str, /) -> bool:
        """Have Truto refresh the account's OAuth credentials now; answers whether it says ``success``."""

    def run_post_install_actions(self, resource_id: str, /) -> Any:
        """Run the integration's post-install actions again (sdk: py); listed among the destructive ones (skill)."""

    def bulk_delete(self, **fields: Any) -> bool:
        """Delete many accounts; answers whether Truto says ``success``.

        No document states the body, so *fields* are sent as you give them: try it on a sandbox account first.
        """

    def mcp_tokens(self, resource_id: str, /) -> Resource[McpToken]:
        """The account's MCP servers, each behind a token. ``token`` and ``url`` come once, on ``create``."""

    def deliver_webhook(self, resource_id: str, body: object, /) -> None:
        """Post *body* to the account's inbound webhook, as the provider would."""

class SandboxAccounts(Lists[SandboxAccount], Gets[SandboxAccount], Creates[SandboxAccount], Deletes[SandboxAccount]):
    """Copies of accounts to try things on; ``create(id=…)`` names the source (sdk). Their writes answer 405."""

class Environments(Lists[Environment], Gets[Environment], Updates[Environment]):
    """Environments; new ones are made in the dashboard."""

class Teams(Lists[Team], Gets[Team], Updates[Team]):
    """Teams."""

    def invite(self, resource_id: str, /, **fields: Any) -> Any:
        """Invite somebody to the team. No document states the fields or the answer."""

class Integrations(Resource[Integration], Describes[Integration]):
    """Definitions of products. ``update`` needs the ``version`` that was read (skill: optimistic lock)."""

    def unified_apis(self, resource_id: str, /, **params: QueryValue) -> Any:
        """The unified models that cover this product."""

class EnvironmentIntegrations(Resource[EnvironmentIntegration]):
    """Products installed in an environment. ``create`` answers the existing install; ``delete`` revokes its accounts.

    ``update(override=…)`` replaces the override whole (skill); :meth:`merge_override` keeps the rest of it.
    """

    def merge_override(self, resource_id: str, changes: Mapping[str, Any], /) -> EnvironmentIntegration:
        """Deep-merge *changes* into the stored override: objects merge, everything else replaces.

        ``None`` is stored as null, which switches off what the integration has there. To take a key out, send the whole
        override with ``update``.

        Three steps, read, merge and write, and Truto documents no version for this object: of two callers at the same
        time, the later write wins.
        """

    def deliver_webhook(self, resource_id: str, body: object, /) -> None:
        """Post *body* to the install's inbound webhook, as the provider would."""

class Scheduled(Resource[ModelT]):
    """Timers."""

    def schedule(self, resource_id: str, /) -> bool:
        """Put the trigger on Truto's timer; answers whether it says ``success``."""

class Workflows(Resource[Workflow]):
    """What Truto itself does when something happens."""

    def create_from_yaml(self, document: str, /) -> Workflow:
        """Make one from a YAML document (docs: workflows)."""

class WorkflowRuns(Lists[WorkflowRun], Gets[WorkflowRun], Deletes[WorkflowRun]):
    """What workflows have done."""

class Testable(Resource[ModelT]):
    """Places to which Truto can send a test message."""

    def test(self, resource_id: str, /) -> bool:
        """Have Truto send a test message; raises :class:`truto.ApiError` when the target does not take it."""

class Webhooks(Testable[Webhook]):
    """Where Truto delivers events. ``create`` is the only answer with the ``secret``."""

class DaemonJobRuns(Lists[DaemonJobRun], Creates[DaemonJobRun], Updates[DaemonJobRun]):
    """Runs of daemon jobs. No document shows a read of a single one."""

    def delete(self, resource_id: str, /) -> DaemonJobRun:
        """Stop the run; answers it with ``status: stopped`` (skill: delete)."""

class Datastores(Resource[Datastore]):
    """Where syncs write. ``update`` deep-merges."""

    def test(self, resource_id: str, method: str, /) -> bool:
        """Try a method on the store; only for ``google_cloud_storage`` and ``s3`` (skill)."""

class Documentation(Gets[Document], Creates[Document], Updates[Document], Deletes[Document]):
    """Texts about integrations, their resources and methods."""

    def list(self, **filters: QueryValue) -> Listing[Document]:
        """The documents of one entity; Truto wants a filter such as ``entity_id``, else :class:`ValueError`."""

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

class Files(Endpoint[UploadedFile]):
    """Public files. They cannot be read back or deleted through the API."""

    def upload(self, name: str, content: bytes, /, *, content_type: str = "application/octet-stream") -> UploadedFile:
        """Publish *content*; whoever has the ``url`` of the answer can read it. A second call makes a second file."""

class McpServer:
    """The tools of one account by way of the Model Context Protocol (skill: mcp tokens).

    The token shows in no error and no repr. Raises :class:`truto.McpError` for a JSON-RPC error, besides those of
    :mod:`truto.errors`. Nothing is repeated when an answer is lost.
    """

    def initialize(self, *, name: str = "truto-worker", version: str = "1") -> dict[str, Any]:
        """Introduce yourself; answers what the server can do."""

    def list_tools(self) -> list[dict[str, Any]]:
        """The tools, each with ``name``, ``description`` and ``inputSchema``."""

    def call_tool(self, name: str, arguments: Mapping[str, Any], /) -> dict[str, Any]:
        """Call a tool; answers its result, with ``content`` and perhaps ``isError``."""

class Truto:
    """Truto's API for asyncio. Make one per process, share it, and close it at the end (or use ``with``).

    *timeout_seconds* bounds one attempt, *deadline_seconds* a whole call with its waits and repetitions, and
    *max_response_bytes* an answer after decompression. *admit* is awaited before each attempt, with the account's id
    where the call counts against that account's rate limit (unified, proxy, custom), else ``None``; waiting in it uses
    up the deadline, and what it raises ends the call. *transport*, *sleep*, *draw* (random numbers in [0, 1)) and
    *clock* (monotonic seconds) can be replaced by tests. Every call raises the errors of :mod:`truto.errors`.
    """

    @property
    def link_tokens(self) -> LinkTokens: ...
    @property
    def integrated_accounts(self) -> IntegratedAccounts: ...
    @property
    def sandbox_accounts(self) -> SandboxAccounts: ...
    @property
    def environments(self) -> Environments: ...
    @property
    def teams(self) -> Teams: ...
    @property
    def users(self) -> ReadOnly[p.User]: ...
    @property
    def api_tokens(self) -> ReadOnly[p.ApiToken]: ...
    @property
    def categories(self) -> Lists[p.Category]: ...
    @property
    def integrations(self) -> Integrations: ...
    @property
    def environment_integrations(self) -> EnvironmentIntegrations: ...
    @property
    def sync_jobs(self) -> Resource[m.SyncJob]: ...
    @property
    def sync_job_runs(self) -> Resource[m.SyncJobRun]: ...
    @property
    def sync_job_cron_triggers(self) -> Scheduled[m.CronTrigger]: ...
    @property
    def sync_job_templates(self) -> Resource[p.SyncJobTemplate]: ...
    @property
    def workflows(self) -> Workflows: ...
    @property
    def workflow_runs(self) -> WorkflowRuns: ...
    @property
    def webhooks(self) -> Webhooks: ...
    @property
    def notification_destinations(self) -> Testable[p.NotificationDestination]: ...
    @property
    def daemons(self) -> Resource[p.Daemon]: ...
    @property
    def daemon_jobs(self) -> Resource[p.DaemonJob]: ...
    @property
    def daemon_job_runs(self) -> DaemonJobRuns: ...
    @property
    def daemon_job_cron_triggers(self) -> Scheduled[p.DaemonJobCronTrigger]: ...
    @property
    def datastores(self) -> Datastores: ...
    @property
    def static_gates(self) -> Resource[p.StaticGate]: ...
    @property
    def logs(self) -> Logs: ...
    @property
    def files(self) -> Files: ...
    @property
    def documentation(self) -> Documentation: ...
    @property
    def alarms(self) -> Resource[p.Alarm]: ...
    @property
    def unified_models(self) -> Resource[p.UnifiedModel]: ...
    @property
    def unified_model_methods(self) -> Resource[p.UnifiedModelResourceMethod]: ...
    @property
    def environment_unified_models(self) -> Resource[p.EnvironmentUnifiedModel]: ...
    @property
    def environment_unified_model_methods(self) -> Resource[p.EnvironmentUnifiedModelResourceMethod]: ...
    def __init__(
        self,
        *,
        token: str,
        base_url: str = DEFAULT_BASE_URL,
        timeout_seconds: float = 30.0,
        deadline_seconds: float = 60.0,
        retry: RetryPolicy | None = None,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        admit: Callable[[str | None], Awaitable[object]] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
    def close(self) -> None:
        """Close the connections. On a view nothing happens: they belong to the client it came from."""

    def keyed(self, key: str | Callable[[], str]) -> Self:
        """A view on this client whose unsafe calls carry ``Idempotency-Key: <key>:<number>``, counted from 1.

        *key* may also be a function that answers the whole key of the next call.

        Cheap, and shares the connections. The number is that of the call, not of the attempt: code that runs again
        and makes the same calls in the same order sends the same keys. Truto answers a known key on unified, proxy,
        custom and batch calls from its cache, within one account and path (skill: idempotency).
        """

    def within(self, deadline_seconds: float, *, timeout_seconds: float | None = None) -> Self:
        """A view on this client whose calls have *deadline_seconds* each, and *timeout_seconds* for an attempt."""

    def unified(self, model: str, resource: str) -> UnifiedResource:
        """A resource of a unified model: ``unified("crm", "contacts")``."""

    def proxy(self, resource: str) -> ProxyResource:
        """A resource of the product's own API: ``proxy("contacts")``."""

    @property
    def custom(self) -> Custom:
        """Any call to the product's API, with the account's credentials."""

    def sync_job_run_states(self, state_key: str) -> Resource[p.SyncJobRunState]:
        """What sync jobs remember between runs under this key, which every call needs (skill: sync-jobs)."""

    def mcp(self, token: str) -> McpServer:
        """The MCP server behind a token of ``integrated_accounts.mcp_tokens(…).create``."""

    def proxy_action(
        self, action: str, body: object = None, /, *, integrated_account_id: str | None, **params: QueryValue
    ) -> Any:
        """A named action of the product, which belongs to no resource (skill: proxy)."""

    def batch(
        self, calls: Sequence[BatchCall], /, *, integrated_account_id: str, args: Mapping[str, Any] | None = None
    ) -> p.BatchAnswer:
        """Several calls at once, pages followed; one that names ``depends_on`` comes after what it names.

        Part of them may fail: look at ``errors``. Not for integrated account tokens (skill: batch requests).
        """

    def unified_documentation(self, model: str, integration: str) -> Any:
        """How a unified model is mapped to a product, as data (docs: unified api)."""

    def unified_documentation_text(
        self, model: str, integration: str, *, text_format: Literal["md", "html"] = "md"
    ) -> str:
        """The same as a text to read, in Markdown or HTML."""

    def ping(self) -> None:
        """Return if Truto answers; raises otherwise (sdk: py)."""

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        json: object = None,
        raw: RawBody | None = None,
        idempotency_key: str | None = None,
        timeout_seconds: float | None = None,
        deadline_seconds: float | None = None,
        shown: str | None = None,
    ) -> Any:
        """Send one request and answer its parsed JSON, ``{}`` if empty: for what has no method here.

        *path* starts at the API's root; *shown* stands in errors for a path that holds a secret. *raw* is a body that
        is no JSON. *idempotency_key* replaces the key of a keyed view; without either, calls for which Truto documents
        the header get one of their own. Failures that may pass are repeated where that can do no harm (see
        :mod:`truto.retry`); a ``DELETE`` that finds nothing any more after such a repetition has done its work and
        answers ``{}``.
        """

    def request_text(self, method: str, path: str, *, params: Mapping[str, QueryValue] | None = None) -> str:
        """Send one request whose answer is text rather than JSON."""

    def request_nothing(self, method: str, path: str, *, json: object = None) -> None:
        """Send one request whose answer is of no interest, whatever it holds."""

    def download(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        json: object = None,
        max_bytes: int | None = None,
    ) -> Download:
        """An answer that is read in chunks; nothing is sent before ``with``."""
