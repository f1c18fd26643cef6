"""``/connect``: a product of yours, played by the sandbox, with a Connect button on top of the link-token route.

The page is what ``docs/connect.md`` describes: it asks its backend for a link token and hands it to Truto Link. The
sandbox is that backend here: it passes the request on to ``POST /api/truto/link-token`` with its key, which no
browser may have (seed: platform guide, steps 2 and 3).
"""

from __future__ import annotations

import asyncio
import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Mapping
from html import escape
from typing import Any

from starlette.requests import Request, cookie_parser
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from sandbox import fields
from sandbox.answers import Answer, answer, missing
from sandbox.calls import Call, Endpoints
from sandbox.errors import Refusal
from sandbox.page import document, integration_options, outcome_options
from sandbox.page_parts import HEADERS
from sandbox.state import State

_FIELDS = {"integratedAccountId": fields.text()}
_SIGN_IN = {"tenantId": fields.text(required=True)}
_TENANT = "tenant-123"
_COOKIE = "sandbox_session"
_MAX_SESSIONS = 1000
_TIMEOUT_SECONDS = 10.0
_MAX_BYTES = 64 * 1024
_PASSED_ON = (400, 401, 404, 502, 503)

_CODE = """// New connection
const linkToken = await getLinkToken({}); // your backend knows the tenant: from its session
await openTrutoLink(linkToken);

// Reconnect an existing account
const reconnectToken = await getLinkToken({ integratedAccountId: "existing-account-id" });
await openTrutoLink(reconnectToken);"""
_LINK = """<dialog id="link"><form>
<h2>Truto Link</h2><p>What the tenant sees, and how it ends.</p>
<label>Integration<input name="integration" list="integrations" value="hubspot" maxlength="100" autocomplete="off">
<datalist id="integrations">{names}</datalist></label>
<label>The account<select name="outcome">{outcomes}</select></label>
<div class="row"><button type="button" data-close>Close</button><button>Connect</button></div>
</form></dialog>"""
_FORMS = """<form class="card" data-sign-in><h2>Sign in</h2>
<p>Your product's login, played: the tenant is kept in a session, and no later request names it.</p>
<label>Tenant<input name="tenantId" value="{tenant}" required maxlength="200" autocomplete="off"></label>
<button>Sign in</button></form>
<form class="card" data-link><h2>Connect</h2><p>As {tenant}.</p>
<button>Connect an account</button></form>
<form class="card" data-link><h2>Reconnect</h2>
<label>Account<select name="integratedAccountId" required>{accounts}</select></label>
<button>Reconnect</button></form>
<p id="said" role="status" aria-live="polite"></p>
<h2>What the buttons run</h2><div class="scroll"><pre>{code}</pre></div>"""
_NO_ROUTE = """<p class="faults">The sandbox knows no link-token route. Start it with LINK_TOKEN_KEY set and
--link-token-url http://127.0.0.1:8000/api/truto/link-token; <code>truto-worker dev</code> does both.</p>"""


class ConnectPage:
    """The page, and the route by which it gets a link token."""

    def __init__(self, state: State, url: str | None, key: str | None) -> None:
        self._state = state
        self._url = url
        self._key = key
        self._sessions: dict[str, str] = {}

    def routes(self, endpoint: Endpoints) -> list[Route]:
        """Both routes."""
        return [
            Route("/connect", self.show, methods=["GET"]),
            Route("/connect/sign-in", endpoint(self.sign_in, body=_SIGN_IN), methods=["POST"]),
            Route("/connect/link-token", endpoint(self.link_token, body=_FIELDS), methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The page with the Connect button."""
        return HTMLResponse(self.render(self._tenant(request.headers)), headers=HEADERS)

    def _tenant(self, headers: Mapping[str, str]) -> str:
        """Who is signed in; a session that is not known is that of the sample's tenant."""
        return self._sessions.get(cookie_parser(headers.get("cookie", "")).get(_COOKIE, ""), _TENANT)

    def render(self, tenant: str) -> str:
        """The page as HTML for *tenant*; every value on it is escaped."""
        accounts = "".join(
            f'<option value="{escape(row["id"])}">{escape(row["tenant_id"])}, {escape(row["integration"]["name"])}, '
            f"{escape(row['status'])}</option>"
            for row in self._state.accounts.rows()
            if row["tenant_id"] == tenant
        )
        known = "" if self._url and self._key else _NO_ROUTE
        return document(
            "Connect as a tenant",
            "Your product's settings page: the same calls, with the sandbox in the place of your backend and of Truto.",
            known
            + _FORMS.format(accounts=accounts, tenant=escape(tenant), code=escape(_CODE))
            + _LINK.format(names=integration_options(self._state), outcomes=outcome_options()),
        )

    async def sign_in(self, call: Call) -> Answer:
        """``{tenantId}``, with the cookie of a session: the login of your product, played."""
        session, tenant = secrets.token_urlsafe(16), call.read()["tenantId"]
        if len(self._sessions) >= _MAX_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        self._sessions[session] = tenant
        cookie = f"{_COOKIE}={session}; Path=/connect; HttpOnly; SameSite=Strict"
        return answer({"tenantId": tenant}, headers={"Set-Cookie": cookie})

    async def link_token(self, call: Call) -> Answer:
        """``{linkToken}`` for the tenant of the session, from the link-token route: what your own backend would do."""
        tenant, account_id = self._tenant(call.headers), call.read()["integratedAccountId"]
        if account_id and (self._state.accounts.get(account_id) or {}).get("tenant_id") != tenant:
            raise missing("Integrated account")
        wanted = {"integratedAccountId": account_id} if account_id else {"tenantId": tenant}
        if not (self._url and self._key):
            raise Refusal(503, "The sandbox was started without link_token_url and link_token_key")
        return answer(await asyncio.to_thread(ask, self._url, self._key, wanted))


def ask(url: str, key: str, wanted: dict[str, str]) -> dict[str, Any]:
    """POST *wanted* to a link-token route. Raises a :class:`Refusal` with its status and message, or a 502."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(wanted).encode(), headers)  # noqa: S310  checked at the start
    # Neither proxies of the environment nor redirects: the key is for the named host.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
    try:
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
            found = json.loads(response.read(_MAX_BYTES))
    except urllib.error.HTTPError as exc:
        with exc:
            status = exc.code if exc.code in _PASSED_ON else 502
            raise Refusal(status, _message(exc.read(_MAX_BYTES))) from None
    except (OSError, ValueError) as exc:
        raise Refusal(502, f"The link-token route at {url} does not answer as it should") from exc
    if not isinstance(found, dict) or not isinstance(found.get("linkToken"), str):
        raise Refusal(502, f"The link-token route at {url} does not answer as it should")
    return {"linkToken": found["linkToken"]}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: object, **_more: object) -> None:
        """Never."""


def _message(body: bytes) -> str:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    message = found.get("message") if isinstance(found, dict) else None
    return message if isinstance(message, str) else "The link-token route refused"
