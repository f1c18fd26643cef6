"""How the credentials of an account get onto a request."""

from __future__ import annotations

import base64
import hmac
from typing import Any

import pytest

from tests.integration.integrations.upstream import Arrived, opened, serving
from truto.integration import Account, IntegrationFailed, Wish

BEARER = {"format": "bearer", "config": {"value": "{{api_key}}"}}
FIELDS = {"api_key": {"format": "api_key", "config": {"fields": [{"name": "api_key", "label": "Key"}]}}}


async def sent(
    context: dict[str, Any], method: dict[str, Any] | None = None, wish: Wish | None = None, **config: Any
) -> Arrived:
    """What arrives when an account with *context* calls a method."""
    given = {**config, "resources": {"things": {"go": {"path": "/things", **(method or {})}}}}
    account = Account(context, authentication_method=context.pop("authentication_method", None))
    async with serving(lambda _: {"ok": True}) as upstream:
        async with opened({"base_url": upstream.url, **given}, account=account) as session:
            await session.call("things", "go", wish)
        return upstream.last


@pytest.mark.schema("config.authorization", "authorization.bearer", "authorization.bearer.config.value")
@pytest.mark.parametrize("key", ["value", "token"])
async def test_bearer_takes_its_value_under_both_names(key: str) -> None:
    request = await sent({"api_key": "k1"}, authorization={"format": "bearer", "config": {key: "{{api_key}}"}})
    assert request.headers["authorization"] == "Bearer k1"


@pytest.mark.parametrize("context", [{"oauth": {"token": {"access_token": "t"}}}, {"access_token": "t"}], ids=str)
async def test_bearer_without_a_config_takes_the_accounts_token(context: dict[str, Any]) -> None:
    assert (await sent(context, authorization={"format": "bearer"})).headers["authorization"] == "Bearer t"


@pytest.mark.schema("authorization.basic", "authorization.basic.config.username", "authorization.basic.config.password")
@pytest.mark.parametrize(
    ("config", "pair"),
    [
        ({"username": "{{username}}", "password": "{{password}}"}, "u:pä:ss"),
        ({"username": "{{api_key}}", "password": "x"}, "k1:x"),
        ({"username": "{{api_key}}"}, "k1:"),
    ],
    ids=["both", "key", "key alone"],
)
async def test_basic_is_the_base64_of_both(config: dict[str, str], pair: str) -> None:
    context = {"username": "u", "password": "pä:ss", "api_key": "k1"}
    request = await sent(context, authorization={"format": "basic", "config": config})
    assert request.headers["authorization"] == f"Basic {base64.b64encode(pair.encode()).decode()}"


@pytest.mark.schema("authorization.header", "authorization.header.config.headers")
async def test_header_sets_its_headers() -> None:
    config = {"headers": {"X-API-Key": "{{api_key}}", "X-Account-Id": "acc-{{account_id}}"}}
    request = await sent({"api_key": "k1", "account_id": 7}, authorization={"format": "header", "config": config})
    assert (request.headers["x-api-key"], request.headers["x-account-id"]) == ("k1", "acc-7")


@pytest.mark.schema("authorization.header.config.header_name", "authorization.header.config.header_value")
async def test_header_takes_the_skills_single_header() -> None:
    config = {"header_name": "X-Key", "header_value": "{{credentials.api_key}}"}
    assert (await sent({"api_key": "k1"}, authorization={"format": "header", "config": config})).headers[
        "x-key"
    ] == "k1"


@pytest.mark.schema("authorization.header.config.expression")
async def test_an_expression_may_give_headers() -> None:
    config = {"expression": "{'X-Sig': $sign(url & requestOptions.method, 'SHA-256', context.secret)}"}
    request = await sent({"secret": "s3cret"}, authorization={"format": "header", "config": config})
    url = f"http://{request.headers['host']}/things"
    assert request.headers["x-sig"] == hmac.new(b"s3cret", f"{url}GET".encode(), "sha256").hexdigest()


async def test_an_expression_may_construct_the_whole_request() -> None:
    config = {
        "expression": """{
          'url': url & '?sig=1',
          'requestOptions': {'method': 'PUT', 'headers': {'X-Only': 'this'}, 'body': requestOptions.body & '!'}
        }"""
    }
    request = await sent(
        {}, {"method": "post"}, Wish(body={"a": 1}), authorization={"format": "header", "config": config}
    )
    assert (request.method, request.target, request.body) == ("PUT", "/things?sig=1", b'{"a":1}!')
    assert request.headers["x-only"] == "this"
    assert "content-type" not in request.headers


@pytest.mark.parametrize("source", ["1", "'x'", "null", "{'requestOptions': 1}", "{'requestOptions': {}, 'url': 1}"])
async def test_an_expression_that_gives_no_request_sends_none(source: str) -> None:
    with pytest.raises(IntegrationFailed, match=r"^authorization\.config\.expression"):
        await sent({}, authorization={"format": "header", "config": {"expression": source}})


@pytest.mark.schema("method.authorization", "method.no_auth")
async def test_a_method_may_authorize_otherwise_or_not_at_all() -> None:
    own = {"authorization": {"format": "bearer", "config": {"value": "{{other}}"}}}
    assert (await sent({"api_key": "k", "other": "o"}, own, authorization=BEARER)).headers[
        "authorization"
    ] == "Bearer o"
    assert "authorization" not in (await sent({"api_key": "k"}, {"no_auth": True}, authorization=BEARER)).headers


@pytest.mark.schema("config.credentials", "credentials.api_key", "credentials.config.fields")
async def test_an_api_key_without_an_authorization_is_a_bearer() -> None:
    assert (await sent({"api_key": "k1"}, credentials=FIELDS)).headers["authorization"] == "Bearer k1"
    assert (await sent({"api_key": "k1"}, credentials=FIELDS["api_key"])).headers["authorization"] == "Bearer k1"


async def test_the_accounts_authentication_method_chooses_among_credentials() -> None:
    both = {**FIELDS, "oauth2": {"format": "oauth2", "config": {}}}
    context = {"api_key": "k", "oauth": {"token": {"access_token": "t"}}}
    assert (await sent({**context}, credentials=both)).headers["authorization"] == "Bearer k"
    request = await sent({**context, "authentication_method": "oauth2"}, credentials=both)
    assert request.headers["authorization"] == "Bearer t"


@pytest.mark.parametrize("context", [{}, {"api_key": None}, {"api_key": ""}, {"api_key": {"a": 1}}, {"api_key": True}])
@pytest.mark.parametrize(
    "authorization",
    [
        BEARER,
        {"format": "basic", "config": {"username": "{{api_key}}"}},
        {"format": "header", "config": {"headers": {"X-Key": "{{api_key}}"}}},
        {"format": "header", "config": {"headers": {"X-Key": "Token {{nope.deep|api_key}}"}}},
    ],
    ids=["bearer", "basic", "header", "inside"],
)
async def test_a_request_without_the_credential_it_needs_is_not_sent(
    context: dict[str, Any], authorization: dict[str, Any]
) -> None:
    async with serving(lambda _: {}) as upstream:
        config = {"base_url": upstream.url, "authorization": authorization}
        given = {**config, "resources": {"things": {"go": {"path": "/"}}}}
        async with opened(given, context) as session:
            with pytest.raises(IntegrationFailed, match=r"^authorization\.config"):
                await session.call("things", "go")
        assert upstream.arrived == []


async def test_an_authorization_header_of_a_method_is_not_sent_without_its_token() -> None:
    with pytest.raises(IntegrationFailed, match=r"^resources\.things\.go\.headers\.Authorization"):
        await sent({}, {"headers": {"Authorization": "Bearer {{oauth.token.access_token}}"}})


@pytest.mark.schema("credentials.oauth")
async def test_oauth_1_signs_each_request() -> None:
    credentials = {"oauth": {"format": "oauth", "config": {"client": {"id": "ck", "secret": "cs"}}}}
    context = {"oauth": {"token": {"access_token": "tk", "access_token_secret": "ts"}}}
    request = await sent(context, wish=Wish(query={"b": "2 3"}), credentials=credentials)
    scheme, _, listed = request.headers["authorization"].partition(" ")
    given = dict(each.strip().split("=", 1) for each in listed.split(","))
    assert scheme == "OAuth"
    assert {"oauth_consumer_key", "oauth_nonce", "oauth_signature", "oauth_timestamp", "oauth_token"} < given.keys()
    assert given["oauth_token"] == '"tk"'
