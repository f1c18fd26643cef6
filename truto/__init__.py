"""Truto's words for Python: events, signatures, errors, and the API client. Usable alone."""

from truto.catalogue import EVENT_TYPES, TEST_EVENT_TYPE
from truto.client import AsyncTruto
from truto.delivery import DeliveryAnswer, deliver, delivery_client
from truto.errors import (
    AccountBlocked,
    ApiError,
    BadRequest,
    CallTimeout,
    Forbidden,
    McpError,
    NeedsReauth,
    NotFound,
    ProtocolError,
    RateLimited,
    ServerError,
    SignatureError,
    TransportError,
    TrutoError,
    Unauthorized,
)
from truto.models import (
    AccountPayload,
    CronTrigger,
    IntegratedAccount,
    LinkToken,
    RunPayload,
    SyncJob,
    SyncJobRun,
    Webhook,
    Workflow,
    parse_time,
)
from truto.retry import RetryPolicy
from truto.samples import sample_event
from truto.signature import HEADER, sign, verify
from truto.sync import Truto

__all__ = [
    "EVENT_TYPES",
    "HEADER",
    "TEST_EVENT_TYPE",
    "AccountBlocked",
    "AccountPayload",
    "ApiError",
    "AsyncTruto",
    "BadRequest",
    "CallTimeout",
    "CronTrigger",
    "DeliveryAnswer",
    "Forbidden",
    "IntegratedAccount",
    "LinkToken",
    "McpError",
    "NeedsReauth",
    "NotFound",
    "ProtocolError",
    "RateLimited",
    "RetryPolicy",
    "RunPayload",
    "ServerError",
    "SignatureError",
    "SyncJob",
    "SyncJobRun",
    "TransportError",
    "Truto",
    "TrutoError",
    "Unauthorized",
    "Webhook",
    "Workflow",
    "deliver",
    "delivery_client",
    "parse_time",
    "sample_event",
    "sign",
    "verify",
]
