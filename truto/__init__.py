"""Truto's words for Python: events, signatures, errors, and the API client. Usable alone."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from truto.catalogue import EVENT_TYPES, TEST_EVENT_TYPE
from truto.errors import (
    AccountBlocked,
    AddressRefused,
    ApiError,
    BadDefinition,
    BadIntegration,
    BadRequest,
    BadWorkflow,
    CallTimeout,
    EvaluationFailed,
    ExpressionError,
    Forbidden,
    IntegrationFailed,
    McpError,
    NeedsReauth,
    NotADocument,
    NotFound,
    PlaceholderError,
    ProtocolError,
    RateLimited,
    RequestRefused,
    ServerError,
    SignatureError,
    TransportError,
    TrutoError,
    Unauthorized,
    UnusableValue,
    WorkflowFailed,
)
from truto.samples import sample_event
from truto.signature import HEADER, sign, verify
from truto.times import parse_time

if TYPE_CHECKING:
    from truto.calls import RawBody
    from truto.client import AsyncTruto
    from truto.delivery import DeliveryAnswer, deliver, delivery_client
    from truto.downloads import Download
    from truto.models import (
        CronTrigger,
        IntegratedAccount,
        LinkToken,
        SyncJob,
        SyncJobRun,
        Webhook,
        Workflow,
    )
    from truto.pages import Listing
    from truto.platform_models import (
        AccountToken,
        Alarm,
        ApiToken,
        BatchAnswer,
        Capabilities,
        Category,
        Daemon,
        DaemonJob,
        DaemonJobCronTrigger,
        DaemonJobRun,
        Datastore,
        Document,
        Environment,
        EnvironmentIntegration,
        EnvironmentUnifiedModel,
        EnvironmentUnifiedModelResourceMethod,
        Integration,
        LogEntry,
        McpToken,
        NotificationDestination,
        SandboxAccount,
        StaticGate,
        SyncJobRunState,
        SyncJobTemplate,
        Team,
        Tool,
        UnifiedModel,
        UnifiedModelResourceMethod,
        UploadedFile,
        User,
        WorkflowRun,
    )
    from truto.records import BatchCall
    from truto.retry import RetryPolicy

__all__ = [
    "EVENT_TYPES",
    "HEADER",
    "TEST_EVENT_TYPE",
    "AccountBlocked",
    "AccountToken",
    "AddressRefused",
    "Alarm",
    "ApiError",
    "ApiToken",
    "AsyncTruto",
    "BadDefinition",
    "BadIntegration",
    "BadRequest",
    "BadWorkflow",
    "BatchAnswer",
    "BatchCall",
    "CallTimeout",
    "Capabilities",
    "Category",
    "CronTrigger",
    "Daemon",
    "DaemonJob",
    "DaemonJobCronTrigger",
    "DaemonJobRun",
    "Datastore",
    "DeliveryAnswer",
    "Document",
    "Download",
    "Environment",
    "EnvironmentIntegration",
    "EnvironmentUnifiedModel",
    "EnvironmentUnifiedModelResourceMethod",
    "EvaluationFailed",
    "ExpressionError",
    "Forbidden",
    "IntegratedAccount",
    "Integration",
    "IntegrationFailed",
    "LinkToken",
    "Listing",
    "LogEntry",
    "McpError",
    "McpToken",
    "NeedsReauth",
    "NotADocument",
    "NotFound",
    "NotificationDestination",
    "PlaceholderError",
    "ProtocolError",
    "RateLimited",
    "RawBody",
    "RequestRefused",
    "RetryPolicy",
    "SandboxAccount",
    "ServerError",
    "SignatureError",
    "StaticGate",
    "SyncJob",
    "SyncJobRun",
    "SyncJobRunState",
    "SyncJobTemplate",
    "Team",
    "Tool",
    "TransportError",
    "TrutoError",
    "Unauthorized",
    "UnifiedModel",
    "UnifiedModelResourceMethod",
    "UnusableValue",
    "UploadedFile",
    "User",
    "Webhook",
    "Workflow",
    "WorkflowFailed",
    "WorkflowRun",
    "deliver",
    "delivery_client",
    "parse_time",
    "sample_event",
    "sign",
    "verify",
]

_WITH_THE_CLIENT = (
    "truto.client",
    "truto.models",
    "truto.platform_models",
    "truto.calls",
    "truto.delivery",
    "truto.downloads",
    "truto.pages",
    "truto.records",
    "truto.retry",
)
"""The modules of the other names, imported at first use: they import httpx and pydantic, which are slow."""


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in map(import_module, _WITH_THE_CLIENT):
            if name in vars(module):
                globals()[name] = vars(module)[name]
                return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
