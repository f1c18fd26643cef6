"""Run the outbound half of an integration here: its definition and an account in, requests out, records back.

Usable alone. Brings JSONata and the HTTP client with it, so ``truto`` itself does not import it.
"""

from truto.errors import BadIntegration, IntegrationFailed, RequestRefused
from truto.integration.accounts import Account
from truto.integration.fields import read_fields
from truto.integration.loading import Integration, read_integration
from truto.integration.requests import NO_BODY, Request, Wish
from truto.integration.session import MAX_PAGES, Page, Result, Session
from truto.integration.wire import Answer, HttpWire, Wire
from truto.network import Allowed

__all__ = [
    "MAX_PAGES",
    "NO_BODY",
    "Account",
    "Allowed",
    "Answer",
    "BadIntegration",
    "HttpWire",
    "Integration",
    "IntegrationFailed",
    "Page",
    "Request",
    "RequestRefused",
    "Result",
    "Session",
    "Wire",
    "Wish",
    "read_fields",
    "read_integration",
]
