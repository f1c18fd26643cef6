"""What a trace shows, and what it never does."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.integrations.upstream import HERE, Arrived, Give, opened, serving
from truto import ApiError
from truto.integration import Account, Wish

SECRET = 's3cr3t/+ü&"key'
EVERYTHING = {
    "api_key": SECRET,
    "username": "user-name-1",
    "password": "pass-word-1",
    "oauth": {"token": {"access_token": "access-1234", "refresh_token": "refresh-1234"}},
}
SECRETS = [SECRET, "user-name-1", "pass-word-1", "access-1234", "refresh-1234", "env-secret-1", "client-secret-1"]


async def traced(method: dict[str, Any], answering: Any, wish: Wish | None = None, **config: Any) -> list[Any]:
    """The trace of a call, which may fail."""
    entries: list[Any] = []
    async with serving(answering) as upstream:
        given = {
            "base_url": upstream.url,
            "secret_environment_variables": {"HIDDEN": "env-secret-1"},
            **config,
            "resources": {"things": {"go": {"path": "/things", **method}}},
        }
        async with opened(given, account=Account(EVERYTHING), trace=entries.append, allowed=HERE) as session:
            try:
                await session.call("things", "go", wish)
            except ApiError as exc:
                entries.append({"error": session.masker.text(str(exc))})
    return entries


def forms(secret: str) -> set[str]:
    """How a secret may be spelled in a request."""
    pair = base64.b64encode(f"x{secret}".encode()).decode()
    return {
        secret,
        quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        base64.b64encode(secret.encode()).decode(),
        pair[4:-4],
    }


def leaks(entries: list[Any]) -> set[str]:
    text = json.dumps(entries, ensure_ascii=False) + json.dumps(entries)
    return {form for secret in SECRETS for form in forms(secret) if len(form) >= 4 and form in text}


async def test_a_trace_shows_request_answer_and_expressions() -> None:
    entries = await traced(
        {"method": "post", "query": {"a": 1}, "error_expression": "data.bad ? 'bad'"},
        lambda _: Give({"n": 1}, headers={"X-Left": "9"}),
        Wish(body={"name": "Ada"}),
    )
    request, answer, expression = entries
    assert request["request"]["method"] == "POST"
    assert request["request"]["url"].endswith("/things?a=1")
    assert request["request"]["body"] == {"name": "Ada"}
    assert (answer["answer"]["status"], answer["answer"]["body"]) == (200, {"n": 1})
    assert answer["answer"]["headers"]["x-left"] == "9"
    assert expression["expression"]["at"] == "resources.things.go.error_expression"
    assert expression["expression"]["missing"] == ["data.bad"]


@pytest.mark.parametrize(
    "authorization",
    [
        {"format": "bearer", "config": {"value": "{{api_key}}"}},
        {"format": "basic", "config": {"username": "{{username}}", "password": "{{password}}"}},
        {"format": "header", "config": {"headers": {"X-Odd-Name": "v {{api_key}}"}}},
        {"format": "header", "config": {"expression": "{'X-Odd': $base64encode('x' & context.api_key)}"}},
        {
            "format": "header",
            "config": {
                "expression": "{'url': url & '?k=' & $encodeUrlComponent(context.api_key), "
                "'requestOptions': requestOptions}"
            },
        },
    ],
    ids=["bearer", "basic", "header", "expression", "url"],
)
async def test_no_trace_holds_what_authorizes(authorization: dict[str, Any]) -> None:
    entries = await traced({}, lambda _: {"ok": 1}, authorization=authorization)
    assert leaks(entries) == set()
    assert "[secret]" in json.dumps(entries)


async def test_secrets_are_masked_wherever_a_definition_puts_them() -> None:
    method = {
        "method": "post",
        "path": "/things/{{api_key}}",
        "query": {"k": "{{api_key}}", "e": "{{env.HIDDEN}}"},
        "headers": {"X-Plain": "p {{oauth.token.refresh_token}}"},
        "body": {"deep": [{"k": "a {{api_key}} b"}], "t": "{{oauth.token.access_token}}", "u": "{{username}}"},
        "authorization": {"format": "basic", "config": {"username": "{{username}}", "password": "{{password}}"}},
        "error_expression": "{'status': 422, 'message': 'no ' & context.api_key & $string(data)}",
    }

    def echo(request: Arrived) -> Any:
        return Give({"you": request.target, "sent": request.json, "auth": request.headers["authorization"]}, 400)

    assert leaks(await traced(method, echo)) == set()


async def test_what_a_product_calls_a_token_is_masked_whatever_it_is() -> None:
    (_, answer) = await traced({}, lambda _: {"access_token": "fresh-token-1", "client_secret": "x" * 9, "n": 1})
    assert answer["answer"]["body"] == {"access_token": "[secret]", "client_secret": "[secret]", "n": 1}


async def test_the_answer_of_a_token_server_is_not_shown() -> None:
    entries: list[Any] = []
    async with serving(lambda r: {"access_token": "brand-new-1", "odd": "brand-new-2"}) as upstream:
        credentials = {
            "format": "oauth2_client_credentials",
            "config": {"auth": {"tokenHost": upstream.url}, "client": {"id": "i", "secret": "{{env.APP}}"}},
        }
        given = {
            "base_url": upstream.url,
            "credentials": credentials,
            "environment_variables": {"APP": "client-secret-1"},
            "resources": {"a": {"get": {"path": "/{{env.APP}}"}}},
        }
        async with opened(given, account=Account({}), trace=entries.append) as session:
            await session.call("a", "get")
    assert leaks(entries) == set()
    assert "brand-new" not in json.dumps(entries[:2])
    assert "brand-new-1" not in json.dumps(entries)


async def test_neither_account_nor_session_nor_error_shows_a_secret() -> None:
    account = Account(EVERYTHING)
    assert SECRET not in repr(account)
    async with opened({"base_url": "http://127.0.0.1:1", "resources": {}}, account=account) as session:
        assert SECRET not in repr(session)
        assert "secret" not in repr(session.config.secret_environment_variables)


async def test_an_error_of_the_product_repeats_no_secret() -> None:
    def echo(request: Arrived) -> Any:
        return Give({"message": f"{request.headers['authorization']} is not valid", "you": request.target}, 400)

    given = {"base_url": "", "authorization": {"format": "bearer", "config": {"value": "{{password}}"}}}
    async with serving(echo) as upstream:
        given["base_url"] = upstream.url
        config = {**given, "resources": {"a": {"get": {"path": "/{{password}}"}}}}
        async with opened(config, account=Account(EVERYTHING)) as session:
            with pytest.raises(ApiError) as caught:
                await session.call("a", "get")
    assert "pass-word-1" not in f"{caught.value} {caught.value.path} {caught.value.body}"
