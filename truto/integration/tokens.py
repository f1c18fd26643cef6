"""OAuth 2 tokens: fetched, kept with their expiry, and refreshed once for all who wait.

The account's context holds them: ``oauth.token.{access_token, refresh_token, expires_at, …}`` (skill).
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import orjson

from truto.errors import IntegrationFailed, NeedsReauth, TransportError, error_for
from truto.integration.accounts import Account, scope_of
from truto.integration.credentials import Credentials, CredentialsConfig
from truto.integration.definition import Config
from truto.integration.oauth1 import consumer_of
from truto.integration.rendering import Scope, render, render_base, render_path
from truto.integration.requests import USER_AGENT, Request
from truto.integration.wire import Answer
from truto.times import parse_time

EARLY_SECONDS = 60.0
"""How long before its expiry a token is refreshed."""

_FLOWS = frozenset({"oauth2", "oauth2_client_credentials", "keka_oauth"})
_DONE = 300
_REFUSALS = frozenset({400, 401, 403})

Send = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class _Grant:
    kind: str
    parameters: Mapping[str, Any]
    path: str


class Tokens:
    """The tokens of one account. *send* reaches the token server; *clock* gives unix seconds."""

    def __init__(
        self,
        config: Config,
        credentials: Credentials,
        account: Account,
        send: Send,
        *,
        own_refresh: Callable[[], Awaitable[None]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._credentials = credentials
        self._account = account
        self._send = send
        self._own_refresh = own_refresh
        self._clock = clock
        self._lock = asyncio.Lock()
        self._refused: str | None = None

    @staticmethod
    def are_used(credentials: Credentials | None) -> bool:
        """Whether credentials of this format have tokens that expire."""
        return credentials is not None and credentials.format in _FLOWS

    @property
    def current(self) -> str | None:
        """The access token of the context."""
        found = self._token().get("access_token") or self._account.context.get("access_token")
        return str(found) if found else None

    async def ensure(self) -> None:
        """Make sure that there is a token that lasts another minute.

        Raises :class:`NeedsReauth` where only a person can get one.
        """
        if self._is_fresh():
            return
        async with self._lock:
            if not self._is_fresh():
                await self._renew()

    async def renew(self, stale: str | None) -> bool:
        """Replace the token *stale*, which was refused; ``False`` where there is nothing to get a new one with.

        Who comes while another one is at it waits, and uses what that one gets.
        """
        async with self._lock:
            if self.current != stale:
                return True
            if self._own_refresh is None and self._grant() is None:
                return False
            await self._renew()
            return True

    async def exchange(self, code: str, redirect_uri: str) -> None:
        """Redeem the *code* of an authorization for the first token."""
        config = self._credentials.config
        given = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        async with self._lock:
            grant = _Grant(
                "the code", {**given, **self._rendered(config.token_params, "tokenParams")}, _token_path(config)
            )
            await self._fetch(grant)

    def authorize_url(self, *, redirect_uri: str, state: str) -> str:
        """Where the person is sent who connects the account."""
        config, scope = self._credentials.config, self._scope()
        at = "credentials.config.auth"
        host = config.auth.authorize_host or config.auth.token_host or ""
        origin, prefix = render_base(host, scope, f"{at}.authorizeHost")
        path = render_path(config.auth.authorize_path or "/oauth/authorize", scope, f"{at}.authorizePath")
        identifier, _ = consumer_of(config, scope)
        query = {"response_type": "code", "client_id": identifier, "redirect_uri": redirect_uri, "state": state}
        if config.scope:
            query["scope"] = config.options.scope_separator.join(config.scope)
        query |= {name: str(value) for name, value in self._rendered(config.params, "params").items()}
        return f"{origin}{prefix}/{path.lstrip('/')}?{urlencode(query, quote_via=quote)}"

    # -- how it is got -------------------------------------------------------------------------------------------------

    def _is_fresh(self) -> bool:
        if self.current is None:
            return self._own_refresh is None and self._grant() is None
        at = _moment(self._token().get("expires_at"))
        if at is None:
            return True  # nobody knows; a 401 will tell
        return self._clock() < at - EARLY_SECONDS or (self._own_refresh is None and self._grant() is None)

    async def _renew(self) -> None:
        if self._own_refresh is not None:
            await self._own_refresh()
            return
        grant = self._grant()
        if grant is None:
            raise self._needs_reauth("there is no refresh token")
        await self._fetch(grant)

    def _grant(self) -> _Grant | None:
        """What a new token is got with: the refresh token, else credentials of the application itself."""
        config = self._credentials.config
        refresh = self._token().get("refresh_token")
        if self._credentials.format == "keka_oauth":
            key = {"grant_type": "kekaapi", "scope": "kekaapi", "api_key": self._account.context.get("api_key", "")}
            return _Grant(
                "the API key", {**key, **self._rendered(config.token_params, "tokenParams")}, _token_path(config)
            )
        own = self._own_grant(config)
        if refresh and (own is None or self._refused != refresh):
            given = {"grant_type": "refresh_token", "refresh_token": str(refresh)}
            path = config.auth.refresh_path or _token_path(config)
            return _Grant(
                "the refresh token", {**given, **self._rendered(config.refresh_params, "refreshParams")}, path
            )
        return own

    def _own_grant(self, config: CredentialsConfig) -> _Grant | None:
        given = self._rendered(config.token_params, "tokenParams")
        is_own = given.get("grant_type") in ("client_credentials", "password")
        if self._credentials.format == "oauth2_client_credentials" or is_own:
            found = {"grant_type": "client_credentials", **self._scope_parameter(), **given}
            return _Grant("the client's credentials", found, _token_path(config))
        return None

    async def _fetch(self, grant: _Grant) -> None:
        refresh = grant.parameters.get("refresh_token")
        if refresh is not None and refresh == self._refused:
            raise self._needs_reauth("the token server has refused the refresh token before")
        answer = await self._send(self._request(grant))
        if answer.status >= 500 or answer.status == 429:
            raise error_for(answer.status, remote=True)(
                status=answer.status, message="no token came", method="POST", path=grant.path, remote=True
            )
        if answer.status >= _DONE and answer.status not in _REFUSALS:
            raise IntegrationFailed(f"the token server answered {answer.status}", at="credentials.config.auth")
        token = _read_token(answer)
        if token is not None:
            self._keep(token)
            return
        if refresh is None:
            raise self._needs_reauth(f"the token server refused {grant.kind} ({_reason(answer)})", answer.status)
        self._refused = refresh
        own = self._own_grant(self._credentials.config)
        if own is None:
            raise self._needs_reauth(f"the token server refused {grant.kind} ({_reason(answer)})", answer.status)
        await self._fetch(own)

    def _request(self, grant: _Grant) -> Request:
        config, scope = self._credentials.config, self._scope()
        at = "credentials.config.auth"
        if config.auth.token_host is None:
            raise IntegrationFailed("is missing", at=f"{at}.tokenHost")
        origin, prefix = render_base(config.auth.token_host, scope, f"{at}.tokenHost")
        path = render_path(grant.path, scope, f"{at}.tokenPath")
        identifier, secret = consumer_of(config, scope)
        parameters = {name: value for name, value in grant.parameters.items() if value is not None}
        headers = {"accept": "application/json", "user-agent": USER_AGENT}
        if config.options.authorization_method == "header":
            # Both parts are form-encoded before they are put together (RFC 6749, 2.3.1).
            pair = f"{quote_plus(identifier)}:{quote_plus(secret)}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            parameters |= {"client_id": identifier, "client_secret": secret}
        if config.options.body_format == "json":
            headers["content-type"] = "application/json"
            return Request("POST", f"{origin}{prefix}/{path.lstrip('/')}", headers, orjson.dumps(parameters))
        headers["content-type"] = "application/x-www-form-urlencoded"
        content = urlencode(parameters, doseq=True).encode()
        return Request("POST", f"{origin}{prefix}/{path.lstrip('/')}", headers, content)

    def _keep(self, token: Mapping[str, Any]) -> None:
        lasting = _seconds(token.get("expires_in"))
        if lasting is None:
            lasting = _seconds(self._credentials.config.token_expiry_duration)
        before = {key: value for key, value in self._token().items() if key not in ("expires_at", "expires_in")}
        kept = {**before, **token, **({} if lasting is None else {"expires_at": _text(self._clock() + lasting)})}
        self._refused = None
        self._account.merge_context({"oauth": {**self._oauth(), "token": kept}})
        self._account.become("active")

    # -- what is there -------------------------------------------------------------------------------------------------

    def _oauth(self) -> Mapping[str, Any]:
        found = self._account.context.get("oauth")
        return found if isinstance(found, Mapping) else {}

    def _token(self) -> Mapping[str, Any]:
        found = self._oauth().get("token")
        return found if isinstance(found, Mapping) else {}

    def _scope(self) -> Scope:
        return scope_of(self._config, self._account, {})

    def _scope_parameter(self) -> dict[str, str]:
        config = self._credentials.config
        return {"scope": config.options.scope_separator.join(config.scope)} if config.scope else {}

    def _rendered(self, parameters: Mapping[str, Any], name: str) -> dict[str, Any]:
        found: dict[str, Any] = render(parameters, self._scope(), f"credentials.config.{name}")
        return found

    def _needs_reauth(self, why: str, status: int = 401) -> NeedsReauth:
        message = f"{why}: the account has to be connected again"
        self._account.become("needs_reauth", message)
        return NeedsReauth(
            status=status,
            message=message,
            method="POST",
            path="the token server",
            remote=True,
            integrated_account_id=self._account.id,
        )


def _token_path(config: CredentialsConfig) -> str:
    return config.auth.token_path or "/oauth/token"


def _read_token(answer: Answer) -> dict[str, Any] | None:
    """The token of an answer, ``None`` for a refusal. Raises :class:`TransportError` for what is neither."""
    try:
        found = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        found = None
    if answer.status >= _DONE:
        return None
    if not isinstance(found, dict):
        raise TransportError("the token server answered what is no JSON object")
    token = found.get("access_token")
    if not isinstance(token, str) or not token:
        return None  # some answer 200 with an error in it
    return {key: value for key, value in found.items() if value is not None}


def _reason(answer: Answer) -> str:
    """The code of an OAuth error, which is a word of a list (RFC 6749, 5.2), else the status."""
    try:
        found = orjson.loads(answer.content).get("error")
    except (orjson.JSONDecodeError, AttributeError):
        found = None
    known = isinstance(found, str) and len(found) <= 40 and found.replace("_", "").isalpha()
    return str(found) if known else str(answer.status)


def _moment(value: object) -> float | None:
    """A time in unix seconds, which is given as such, in milliseconds or as text (ISO 8601)."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value / 1000 if value > 1e11 else float(value)
    found = parse_time(value)
    return None if found is None else found.timestamp()


def _text(moment: float) -> str:
    """A moment as Truto writes times; what no calendar has becomes the year 9999."""
    try:
        found = datetime.fromtimestamp(moment, UTC)
    except (ValueError, OverflowError, OSError):
        found = datetime.max.replace(tzinfo=UTC)
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(value: object) -> float | None:
    try:
        return None if value is None or isinstance(value, bool) else max(0.0, float(str(value)))
    except ValueError:
        return None
