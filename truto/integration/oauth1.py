"""OAuth 1.0a (RFC 5849): signatures with HMAC-SHA1."""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from truto.errors import IntegrationFailed
from truto.integration.credentials import CredentialsConfig
from truto.integration.rendering import Scope, render_required
from truto.integration.requests import Request

_FORM = "application/x-www-form-urlencoded"


def sign_oauth1(
    request: Request,
    config: CredentialsConfig,
    context: Mapping[str, Any],
    scope: Scope,
    *,
    token: tuple[str, str] | None = None,
    more: Mapping[str, str] | None = None,
    nonce: str = "",
    timestamp: int | None = None,
) -> str:
    """The value of ``Authorization`` for *request*. Without a *token* that of the context signs.

    Raises :class:`IntegrationFailed` where consumer or token are missing.
    """
    consumer, consumer_secret = consumer_of(config, scope)
    key, key_secret = _token(context) if token is None else token
    parameters = {
        "oauth_consumer_key": consumer,
        "oauth_nonce": nonce or secrets.token_hex(16),
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": str(int(time.time()) if timestamp is None else timestamp),
        "oauth_version": "1.0",
        **({"oauth_token": key} if key else {}),
        **(more or {}),
    }
    text = base_string(request, parameters)
    secret = f"{_escaped(consumer_secret)}&{_escaped(key_secret)}"
    digest = hmac.digest(secret.encode(), text.encode(), "sha1")
    parameters["oauth_signature"] = base64.b64encode(digest).decode()
    return "OAuth " + ", ".join(f'{name}="{_escaped(value)}"' for name, value in sorted(parameters.items()))


def base_string(request: Request, parameters: Mapping[str, str]) -> str:
    """What is signed (RFC 5849, 3.4.1): method, URL without query, and all parameters in their order."""
    parts = urlsplit(request.url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
        pairs += parse_qsl(request.content.decode("latin-1"), keep_blank_values=True)
    pairs += parameters.items()
    encoded = sorted((_escaped(name), _escaped(value)) for name, value in pairs)
    listed = "&".join(f"{name}={value}" for name, value in encoded)
    port = f":{parts.port}" if parts.port and parts.port != {"http": 80, "https": 443}[parts.scheme] else ""
    url = f"{parts.scheme}://{parts.hostname}{port}{parts.path or '/'}"
    return "&".join(map(_escaped, (request.method, url, listed)))


def consumer_of(config: CredentialsConfig, scope: Scope) -> tuple[str, str]:
    """Key and secret of the application: ``client``, else the fields of the context."""
    if config.client is None:
        identifier, secret = (
            "{{context.client_id|context.consumer_key}}",
            "{{context.client_secret|context.consumer_secret}}",
        )
    else:
        identifier, secret = config.client.id, config.client.secret
    at = "credentials.config.client"
    return render_required(identifier, scope, f"{at}.id"), render_required(secret, scope, f"{at}.secret")


def _token(context: Mapping[str, Any]) -> tuple[str, str]:
    oauth = context.get("oauth")
    found = oauth.get("token") if isinstance(oauth, Mapping) else None
    if not isinstance(found, Mapping) or not found.get("access_token"):
        raise IntegrationFailed("the account has no `oauth.token.access_token`", at="context")
    return str(found["access_token"]), str(found.get("access_token_secret") or "")


def _escaped(text: str) -> str:
    return quote(text, safe="-._~")
