"""The three legs of OAuth 1.0a against a local server that checks each signature."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.integration.integrations.upstream import Arrived, Give, opened, serving
from truto import NeedsReauth
from truto.integration import Account, IntegrationFailed, Request
from truto.integration.credentials import CredentialsConfig
from truto.integration.oauth1 import sign_oauth1

CLIENT = {"client": {"id": "consumer-1", "secret": "consumer-secret"}}
SECRETS = {"": "", "request-1": "request-secret", "access-1": "access-secret"}


def parameters(request: Arrived) -> dict[str, str]:
    listed = request.headers["authorization"].removeprefix("OAuth ").split(", ")
    return {name: unquote(value.strip('"')) for name, value in (each.split("=", 1) for each in listed)}


def is_signed(request: Arrived) -> bool:
    """Whether the signature is that of the token's secret."""
    given = parameters(request)
    token = given.get("oauth_token", "")
    more = {name: value for name, value in given.items() if name in ("oauth_callback", "oauth_verifier")}
    url = f"http://{request.headers['host']}{request.target}"
    expected = sign_oauth1(
        Request(request.method, url, {}),
        CredentialsConfig.model_validate(CLIENT),
        {},
        {},
        token=(token, SECRETS[token]),
        more=more,
        nonce=given["oauth_nonce"],
        timestamp=int(given["oauth_timestamp"]),
    )
    return expected == request.headers["authorization"]


def product(request: Arrived) -> Any:
    if not is_signed(request):
        return Give({}, 401)
    given = parameters(request)
    match request.path:
        case "/request":
            assert given["oauth_callback"] == "https://me.example/cb?x=1"
            return b"oauth_token=request-1&oauth_token_secret=request-secret&oauth_callback_confirmed=true"
        case "/access":
            good = given["oauth_token"] == "request-1" and given["oauth_verifier"] == "verifier-1"
            return b"oauth_token=access-1&oauth_token_secret=access-secret" if good else Give({}, 401)
        case _:
            return {"user": given["oauth_token"]}


def config(url: str) -> dict[str, Any]:
    urls = {"requestTokenUrl": f"{url}/request", "authorizeUrl": f"{url}/consent", "tokenUrl": f"{url}/access"}
    return {
        "base_url": url,
        "credentials": {"oauth": {"format": "oauth", "config": {**CLIENT, **urls}}},
        "resources": {"me": {"get": {"path": "/me"}}},
    }


@pytest.mark.schema(
    "credentials.config.requestTokenUrl", "credentials.config.authorizeUrl", "credentials.config.tokenUrl"
)
async def test_an_account_is_connected_in_three_legs() -> None:
    entries: list[Any] = []
    account = Account({"keep": 1})
    async with (
        serving(product) as upstream,
        opened(config(upstream.url), account=account, trace=entries.append) as session,
    ):
        assert session.oauth1 is not None
        url = urlsplit(await session.oauth1.authorize_url("https://me.example/cb?x=1"))
        assert (url.path, parse_qs(url.query)) == ("/consent", {"oauth_token": ["request-1"]})
        await session.oauth1.exchange("verifier-1")
        assert (await session.call("me", "get")).data == {"user": "access-1"}
        assert account.context["oauth"]["token"] == {"access_token": "access-1", "access_token_secret": "access-secret"}
        assert account.context["keep"] == 1
        assert all(is_signed(request) for request in upstream.arrived)
    assert "-secret" not in str(entries)


async def test_a_verifier_that_is_refused_means_to_begin_again() -> None:
    async with serving(product) as upstream, opened(config(upstream.url)) as session:
        assert session.oauth1 is not None
        await session.oauth1.authorize_url("https://me.example/cb?x=1")
        with pytest.raises(NeedsReauth, match="refused at tokenUrl"):
            await session.oauth1.exchange("wrong")


async def test_what_is_missing_is_named() -> None:
    async with serving(lambda _: b"nothing") as upstream, opened(config(upstream.url)) as session:
        assert session.oauth1 is not None
        with pytest.raises(IntegrationFailed, match="begin with authorize_url"):
            await session.oauth1.exchange("x")
        with pytest.raises(IntegrationFailed, match=r"credentials\.config\.requestTokenUrl: answered 200 and no token"):
            await session.oauth1.authorize_url("https://me.example/cb")


async def test_other_credentials_have_no_such_flow() -> None:
    async with opened({"base_url": "http://127.0.0.1:1"}) as session:
        assert session.oauth1 is None
