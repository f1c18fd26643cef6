"""Put the credentials of an account onto a request."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from truto import javascript
from truto.errors import ExpressionError, IntegrationFailed
from truto.integration.accounts import Account, credentials_of
from truto.integration.credentials import Authorization, Basic, Bearer, BearerConfig, Header, HeaderConfig
from truto.integration.definition import Config, Method
from truto.integration.expressions import Tell, compiled, evaluate
from truto.integration.oauth1 import sign_oauth1
from truto.integration.rendering import Scope, checked_header, render_required
from truto.integration.requests import Request, split_url
from truto.placeholders import PLACEHOLDER

_OAUTH_TOKEN = "{{oauth.token.access_token|context.access_token}}"  # noqa: S105  a placeholder
_API_KEY = "{{context.api_key}}"
_OAUTH2 = frozenset({"oauth2", "oauth2_client_credentials", "keka_oauth"})


@dataclass(frozen=True, slots=True)
class Authorized:
    """A request with its credentials; *hidden* are the headers that carry them."""

    request: Request
    hidden: frozenset[str] = frozenset()


def authorization_of(config: Config, method: Method, account: Account, place: str) -> tuple[Authorization | None, str]:
    """The block that counts and its place: the method's, the integration's, else what its credentials need (skill)."""
    if method.no_auth:
        return None, ""
    if method.authorization is not None:
        return method.authorization, f"{place}.authorization"
    if config.authorization is not None:
        return config.authorization, "authorization"
    credentials = credentials_of(config, account)
    if credentials is None or credentials.format == "oauth":
        return None, ""
    value = _OAUTH_TOKEN if credentials.format in _OAUTH2 else _API_KEY
    return Bearer(format="bearer", config=BearerConfig(value=value)), "credentials"


def read_fields(authorization: Authorization | None) -> frozenset[str]:
    """The fields of the context that *authorization* reads: what stands in them is secret."""
    found: set[str] = set()
    for text in _texts(authorization.config.model_dump() if authorization else {}):
        for inner in PLACEHOLDER.findall(text):
            for path in inner.partition("?:")[0].split("|"):
                keys = path.partition(":")[0].strip().split(".")
                found.add(keys[-1])
    if isinstance(authorization, Header) and authorization.config.expression is not None:
        try:
            _, inputs = compiled(authorization.config.expression)
        except ExpressionError:
            return frozenset(found)
        found |= {path[-1] for path in inputs.paths if path[0] in ("context", "credentials", "environment_variables")}
    return frozenset(found)


def _texts(value: object) -> list[str]:
    match value:
        case str():
            return [value]
        case Mapping():
            return [text for each in value.values() for text in _texts(each)]
        case _:
            return []


async def authorize(
    request: Request, config: Config, method: Method, account: Account, scope: Scope, place: str, tell: Tell
) -> Authorized:
    """*request* of the method at *place* with the account's credentials.

    Raises :class:`IntegrationFailed` where one of them is missing.
    """
    authorization, at = authorization_of(config, method, account, place)
    match authorization:
        case Bearer(config=bearer):
            token = render_required(bearer.value or _OAUTH_TOKEN, scope, f"{at}.config.value")
            return _with_header(request, f"Bearer {token}", at)
        case Basic(config=basic):
            name = render_required(basic.username, scope, f"{at}.config.username")
            password = render_required(basic.password, scope, f"{at}.config.password")
            return _with_header(request, f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}", at)
        case Header(config=header):
            return await _by_headers(request, header, scope, f"{at}.config", tell)
    credentials = credentials_of(config, account)
    if not method.no_auth and credentials is not None and credentials.format == "oauth":
        return _with_header(request, sign_oauth1(request, credentials.config, account.context, scope), "credentials")
    return Authorized(request)


def _with_header(request: Request, value: str, at: str) -> Authorized:
    headers = {**request.headers, "authorization": checked_header("authorization", value, at)}
    return Authorized(replace(request, headers=headers), frozenset({"authorization"}))


async def _by_headers(request: Request, config: HeaderConfig, scope: Scope, at: str, tell: Tell) -> Authorized:
    written = {**config.headers}
    if config.header_name is not None:
        written[config.header_name] = config.header_value or ""
    headers = {
        name.lower(): checked_header(name, render_required(javascript.text(value), scope, f"{at}.headers.{name}"), at)
        for name, value in written.items()
    }
    found = replace(request, headers={**request.headers, **headers})
    if config.expression is None:
        return Authorized(found, frozenset(headers))
    value = await evaluate(config.expression, f"{at}.expression", {**scope, **_seen(found)}, tell)
    if not isinstance(value, Mapping):
        raise IntegrationFailed("must give an object of headers, or { url, requestOptions }", at=f"{at}.expression")
    if "requestOptions" not in value:
        more = {
            name.lower(): checked_header(name, javascript.text(each), f"{at}.expression")
            for name, each in value.items()
        }
        return Authorized(replace(found, headers={**found.headers, **more}), frozenset(headers) | more.keys())
    return _rebuilt(found, value, f"{at}.expression", frozenset(headers))


def _seen(request: Request) -> dict[str, Any]:
    """The request as the expression sees it: the body is the text that would be sent."""
    body = request.content.decode(errors="replace") if request.content else None
    return {
        "url": request.url,
        "requestOptions": {"method": request.method, "headers": dict(request.headers), "body": body},
    }


def _rebuilt(request: Request, value: Mapping[str, Any], at: str, hidden: frozenset[str]) -> Authorized:
    """The request that the expression constructed fully (seed); what it leaves out of ``requestOptions`` is gone."""
    options = value["requestOptions"]
    if not isinstance(options, Mapping) or not isinstance(given := options.get("headers", {}), Mapping):
        raise IntegrationFailed("`requestOptions` must be an object with `headers`", at=at)
    url = value.get("url", request.url)
    method = str(options.get("method", request.method)).upper()
    if not isinstance(url, str) or not re.fullmatch(r"GET|POST|PUT|PATCH|DELETE", method):
        raise IntegrationFailed("must give a `url` that is text, and a usual method", at=at)
    split_url(url)
    headers = {str(name).lower(): checked_header(str(name), javascript.text(each), at) for name, each in given.items()}
    added = {name for name, each in headers.items() if request.headers.get(name) != each}
    body = options.get("body")
    same = body == _seen(request)["requestOptions"]["body"]
    content = request.content if same else _content(body)
    return Authorized(Request(method, url, headers, content), hidden | added)


def _content(body: Any) -> bytes:
    if body is None:
        return b""
    return body.encode("utf-8", "surrogatepass") if isinstance(body, str) else orjson.dumps(body)
