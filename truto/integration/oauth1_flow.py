"""The three legs of OAuth 1.0a (RFC 5849, 2): request token, the person's consent, access token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, quote, urlencode

from truto.errors import IntegrationFailed, NeedsReauth
from truto.integration.accounts import Account, scope_of
from truto.integration.credentials import CredentialsConfig
from truto.integration.definition import Config
from truto.integration.oauth1 import sign_oauth1
from truto.integration.rendering import Scope, render_base
from truto.integration.requests import USER_AGENT, Request
from truto.integration.wire import Answer

Send = Callable[[Request], Awaitable[Answer]]

_REQUEST_TOKEN = "request_token"  # noqa: S105  the name of a field


class OAuth1Flow:
    """Connects one account. What it learns is in ``context.oauth``: a ``request_token``, then ``token``."""

    def __init__(self, config: Config, credentials: CredentialsConfig, account: Account, send: Send) -> None:
        self._config = config
        self._credentials = credentials
        self._account = account
        self._send = send

    async def authorize_url(self, callback: str) -> str:
        """Get a request token; the URL where the person consents, who comes back to *callback*."""
        token, secret = await self._ask(
            self._credentials.request_token_url, "requestTokenUrl", ("", ""), callback=callback
        )
        self._account.merge_context({"oauth": {_REQUEST_TOKEN: {"token": token, "token_secret": secret}}})
        url = self._url(self._credentials.authorize_url, "authorizeUrl")
        return f"{url}?{urlencode({'oauth_token': token}, quote_via=quote)}"

    async def exchange(self, verifier: str) -> None:
        """Redeem the *verifier* that the person brought back."""
        oauth = self._account.context.get("oauth")
        held = oauth.get(_REQUEST_TOKEN) if isinstance(oauth, dict) else None
        if not held:
            raise IntegrationFailed("the account has no request token: begin with authorize_url", at="context")
        pair = (str(held["token"]), str(held["token_secret"]))
        token, secret = await self._ask(self._credentials.token_url, "tokenUrl", pair, verifier=verifier)
        found = {"access_token": token, "access_token_secret": secret}
        self._account.merge_context({"oauth": {_REQUEST_TOKEN: None, "token": found}})
        self._account.become("active")

    async def _ask(self, url: str | None, name: str, token: tuple[str, str], **given: str) -> tuple[str, str]:
        request = Request("POST", self._url(url, name), {"user-agent": USER_AGENT, "accept": "*/*"})
        more = {f"oauth_{key}": value for key, value in given.items()}
        header = sign_oauth1(request, self._credentials, {}, self._scope(), token=token, more=more)
        answer = await self._send(Request("POST", request.url, {**request.headers, "authorization": header}))
        found = dict(parse_qsl(answer.content.decode("latin-1")))
        if answer.status in (400, 401, 403):
            raise NeedsReauth(
                status=answer.status,
                message=f"the product refused at {name}: the account has to be connected again",
                method="POST",
                path=name,
                remote=True,
                integrated_account_id=self._account.id,
            )
        if answer.status != 200 or "oauth_token" not in found or "oauth_token_secret" not in found:
            raise IntegrationFailed(f"answered {answer.status} and no token", at=f"credentials.config.{name}")
        return found["oauth_token"], found["oauth_token_secret"]

    def _url(self, url: str | None, name: str) -> str:
        at = f"credentials.config.{name}"
        if url is None:
            raise IntegrationFailed("is missing", at=at)
        return "".join(render_base(url, self._scope(), at))

    def _scope(self) -> Scope:
        return scope_of(self._config, self._account, {})
