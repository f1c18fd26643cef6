"""OAuth 2 against a token server: first token, expiry, refresh, and what its refusals mean."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.integration.integrations.upstream import Arrived, Give, Upstream, opened, serving
from truto import NeedsReauth, ServerError, TransportError
from truto.integration import Account, IntegrationFailed, Session

SECRETS = {"client": {"id": "my client", "secret": "my/secret"}}


@dataclass
class World:
    """A product that takes the tokens in ``good``, and the server that gives them."""

    good: set[str] = field(default_factory=set)
    given: int = 0
    refuses: Give | None = None
    lasting: Any = 3600
    answer: dict[str, Any] = field(default_factory=dict)
    upstream: Upstream = field(init=False)

    def __call__(self, request: Arrived) -> Any:
        if request.path.startswith("/oauth"):
            return self.token()
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return {"token": token} if token in self.good else Give({"error": "invalid token"}, 401)

    def token(self) -> Any:
        if self.refuses is not None:
            return self.refuses
        self.given += 1
        name = f"token-{self.given}"
        self.good.add(name)
        lasting = {} if self.lasting is None else {"expires_in": self.lasting}
        return {"access_token": name, "token_type": "bearer", **lasting, **self.answer}

    @property
    def asked(self) -> list[Arrived]:
        return [request for request in self.upstream.arrived if request.path.startswith("/oauth")]

    def forms(self) -> list[dict[str, str]]:
        return [{k: v[0] for k, v in parse_qs(r.body.decode()).items()} for r in self.asked]


@asynccontextmanager
async def connected(
    world: World,
    token: dict[str, Any] | None = None,
    kind: str = "oauth2",
    account: Account | None = None,
    **config: Any,
) -> AsyncIterator[Session]:
    """A session whose account has *token*; *config* is that of its credentials."""
    async with serving(world) as upstream:
        world.upstream = upstream
        auth = {"tokenHost": upstream.url, **config.pop("auth", {})}
        actions = config.pop("actions", {})
        credentials = {kind: {"format": kind, "config": {**SECRETS, **config, "auth": auth}}}
        given = {
            "base_url": upstream.url,
            "credentials": credentials,
            "actions": actions,
            "resources": {"me": {"get": {"path": "/me"}}},
        }
        context = {"oauth": {"token": token or {}}, "api_key": "keka-key"}
        async with opened(given, account=account or Account(context)) as session:
            yield session


async def ask(session: Session) -> str:
    return str((await session.call("me", "get")).data["token"])


def token_of(session: Session) -> dict[str, Any]:
    return dict(session.account.context["oauth"]["token"])


def lasting(session: Session) -> float:
    """How many seconds the token still lasts."""
    return datetime.fromisoformat(token_of(session)["expires_at"]).timestamp() - time.time()


@pytest.mark.schema("credentials.oauth2_client_credentials", "credentials.config.auth.tokenHost")
@pytest.mark.schema("credentials.config.auth.tokenPath")
async def test_the_first_token_is_fetched_with_the_clients_credentials() -> None:
    world = World()
    async with connected(world, kind="oauth2_client_credentials", auth={"tokenPath": "/oauth/t"}) as session:
        assert await ask(session) == "token-1"
        assert await ask(session) == "token-1"
        assert world.asked[0].target == "/oauth/t"
        assert world.forms() == [{"grant_type": "client_credentials"}]
        pair = base64.b64decode(world.asked[0].headers["authorization"].removeprefix("Basic ")).decode()
        assert pair == "my+client:my%2Fsecret"
        assert 3590 < lasting(session) <= 3600


@pytest.mark.schema("credentials.config.client.id", "credentials.config.client.secret")
async def test_id_and_secret_of_the_client_may_be_fields_of_the_account() -> None:
    world = World()
    account = Account({"client_id": "own", "client_secret": "hush"})
    async with connected(world, kind="oauth2_client_credentials", client=None, account=account) as session:
        await ask(session)
    assert base64.b64decode(world.asked[0].headers["authorization"].removeprefix("Basic ")) == b"own:hush"


@pytest.mark.schema("credentials.oauth2", "credentials.config.tokenParams")
async def test_token_params_make_an_oauth2_fetch_its_first_token_itself() -> None:
    world = World()
    params = {"grant_type": "client_credentials", "audience": "{{context.api_key}}"}
    async with connected(world, tokenParams=params) as session:
        assert await ask(session) == "token-1"
    assert world.forms() == [{"grant_type": "client_credentials", "audience": "keka-key"}]


@pytest.mark.schema("credentials.config.scope", "credentials.config.options.scopeSeparator")
async def test_scopes_are_put_together_with_the_separator() -> None:
    world = World()
    given: dict[str, Any] = {"scope": ["a", "b"], "options": {"scopeSeparator": ","}}
    async with connected(world, kind="oauth2_client_credentials", **given) as session:
        await ask(session)
    assert world.forms()[0]["scope"] == "a,b"


@pytest.mark.schema("credentials.config.options.authorizationMethod", "credentials.config.options.bodyFormat")
async def test_the_client_may_stand_in_a_json_body() -> None:
    world = World()
    options = {"authorizationMethod": "body", "bodyFormat": "json"}
    async with connected(world, kind="oauth2_client_credentials", options=options) as session:
        await ask(session)
    assert world.asked[0].json == {
        "grant_type": "client_credentials",
        "client_id": "my client",
        "client_secret": "my/secret",
    }
    assert "authorization" not in world.asked[0].headers


@pytest.mark.schema("credentials.keka_oauth")
async def test_keka_gives_its_api_key_as_well() -> None:
    world = World()
    async with connected(world, kind="keka_oauth", options={"authorizationMethod": "body"}) as session:
        assert await ask(session) == "token-1"
    assert world.forms()[0] == {
        "grant_type": "kekaapi",
        "scope": "kekaapi",
        "api_key": "keka-key",
        "client_id": "my client",
        "client_secret": "my/secret",
    }


@pytest.mark.schema("credentials.config.auth.refreshPath", "credentials.config.refreshParams")
async def test_a_token_is_refreshed_before_it_expires() -> None:
    world = World(good={"old"}, answer={"refresh_token": "r2"})
    token = {"access_token": "old", "refresh_token": "r1", "expires_at": time.time() + 30, "scope": "kept"}
    params: dict[str, Any] = {"refreshParams": {"resource": "x"}, "auth": {"refreshPath": "/oauth/again"}}
    async with connected(world, token, **params) as session:
        assert await ask(session) == "token-1"
        assert token_of(session)["refresh_token"] == "r2"
        assert token_of(session)["scope"] == "kept"
    assert world.asked[0].target == "/oauth/again"
    assert world.forms() == [{"grant_type": "refresh_token", "refresh_token": "r1", "resource": "x"}]
    assert [r.path for r in world.upstream.arrived] == ["/oauth/again", "/me"]


async def test_a_refresh_that_brings_no_refresh_token_keeps_the_one_there_is() -> None:
    world = World()
    async with connected(world, {"access_token": "old", "refresh_token": "r1", "expires_at": 1}) as session:
        await ask(session)
        assert token_of(session)["refresh_token"] == "r1"


@pytest.mark.parametrize("seconds", [90, 30], ids=["lasts", "ends"])
@pytest.mark.parametrize("spelling", ["seconds", "milliseconds", "text"])
async def test_a_token_is_used_as_long_as_it_lasts(spelling: str, seconds: int) -> None:
    world = World(good={"old"})
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    at = {"seconds": moment.timestamp(), "milliseconds": moment.timestamp() * 1000, "text": moment.isoformat()}[
        spelling
    ]
    async with connected(world, {"access_token": "old", "refresh_token": "r1", "expires_at": at}) as session:
        assert await ask(session) == ("old" if seconds == 90 else "token-1")


@pytest.mark.parametrize("lasting", [1e300, -5, 10**30, "soon", True, None, [1]], ids=str)
async def test_an_expiry_that_makes_no_sense_breaks_nothing(lasting: Any) -> None:
    world = World(lasting=lasting)
    async with connected(world, kind="oauth2_client_credentials") as session:
        assert (await ask(session)).startswith("token-")


@pytest.mark.schema("credentials.config.tokenExpiryDuration")
async def test_where_the_answer_names_no_expiry_the_definition_does() -> None:
    world = World(lasting=None)
    async with connected(world, kind="oauth2_client_credentials", tokenExpiryDuration="1000") as session:
        await ask(session)
        assert 990 < lasting(session) <= 1000


async def test_a_401_refreshes_once_and_the_request_is_repeated() -> None:
    world = World()
    async with connected(world, {"access_token": "revoked", "refresh_token": "r1"}) as session:
        assert await ask(session) == "token-1"
        assert session.account.status == "active"
    assert [r.path for r in world.upstream.arrived] == ["/me", "/oauth/token", "/me"]


async def test_a_second_401_means_that_a_person_has_to_connect_again() -> None:
    world = World()
    async with connected(world, {"access_token": "revoked", "refresh_token": "r1"}) as session:
        world.token = lambda: {"access_token": "useless"}  # type: ignore[method-assign]
        with pytest.raises(NeedsReauth):
            await ask(session)
        assert session.account.status == "needs_reauth"
    assert len(world.upstream.arrived) == 3


async def test_concurrent_calls_share_one_refresh() -> None:
    world = World()
    async with connected(world, {"access_token": "revoked", "refresh_token": "r1"}) as session:
        world.upstream.delay = 0.02
        assert set(await asyncio.gather(*(ask(session) for _ in range(20)))) == {"token-1"}
    assert len(world.asked) == 1


async def test_concurrent_calls_share_one_first_token() -> None:
    world = World()
    async with connected(world, kind="oauth2_client_credentials") as session:
        world.upstream.delay = 0.02
        await asyncio.gather(*(ask(session) for _ in range(20)))
    assert len(world.asked) == 1


@pytest.mark.parametrize(
    "refusal", [Give({"error": "invalid_grant"}, 400), Give({"error": "x"}, 401), Give({"error": "invalid_grant"}, 200)]
)
async def test_a_refused_refresh_leaves_the_account_in_needs_reauth(refusal: Give) -> None:
    world = World(refuses=refusal)
    async with connected(world, {"access_token": "revoked", "refresh_token": "r1"}) as session:
        with pytest.raises(NeedsReauth, match="refused the refresh token"):
            await ask(session)
        assert session.account.status == "needs_reauth"
        assert "r1" not in (session.account.last_error or "")


async def test_a_refused_refresh_token_is_not_tried_again() -> None:
    world = World(refuses=Give({"error": "invalid_grant"}, 400))
    async with connected(world, {"access_token": "revoked", "refresh_token": "r1"}) as session:
        results = await asyncio.gather(*(ask(session) for _ in range(10)), return_exceptions=True)
        assert {type(each) for each in results} == {NeedsReauth}
    assert len(world.asked) == 1


async def test_a_refused_refresh_token_gives_way_to_the_clients_own_credentials() -> None:
    world = World()
    answers = iter([Give({"error": "invalid_grant"}, 400), {"access_token": "token-own"}])
    world.good.add("token-own")
    world.token = lambda: next(answers)  # type: ignore[method-assign]
    params: dict[str, Any] = {"tokenParams": {"grant_type": "client_credentials"}}
    async with connected(world, {"access_token": "old", "refresh_token": "r1", "expires_at": 1}, **params) as session:
        assert await ask(session) == "token-own"


@pytest.mark.parametrize(("trouble", "error"), [(Give({}, 503), ServerError), (Give(b"<html>"), TransportError)])
async def test_a_token_server_in_trouble_is_no_reason_to_connect_again(trouble: Give, error: type[Exception]) -> None:
    world = World(refuses=trouble)
    async with connected(world, {"access_token": "revoked", "refresh_token": "r1"}) as session:
        with pytest.raises(error):
            await ask(session)
        assert session.account.status == "active"
        world.refuses = None
        assert await ask(session) == "token-1"


async def test_a_wrong_token_path_is_told_as_such() -> None:
    world = World(refuses=Give({}, 404))
    async with connected(world, {"access_token": "revoked", "refresh_token": "r1"}) as session:
        with pytest.raises(IntegrationFailed, match=r"credentials.config.auth: the token server answered 404"):
            await ask(session)


async def test_without_a_refresh_token_a_401_needs_a_person() -> None:
    world = World()
    async with connected(world, {"access_token": "revoked"}) as session:
        with pytest.raises(NeedsReauth):
            await ask(session)
        assert session.account.status == "needs_reauth"
    assert world.asked == []


async def test_an_account_that_works_again_is_active_again() -> None:
    world = World(good={"back"})
    account = Account({"oauth": {"token": {"access_token": "back"}}}, status="needs_reauth")
    async with connected(world, account=account) as session:
        await ask(session)
        assert account.status == "active"


@pytest.mark.schema("credentials.config.auth.authorizeHost", "credentials.config.auth.authorizePath")
@pytest.mark.schema("credentials.config.params")
async def test_the_authorization_url_and_the_exchange_of_its_code() -> None:
    world = World(answer={"refresh_token": "r1"})
    config: dict[str, Any] = {
        "auth": {"authorizeHost": "https://login.example", "authorizePath": "/go"},
        "scope": ["a", "b"],
        "params": {"prompt": "consent"},
    }
    async with connected(world, **config) as session:
        assert session.tokens is not None
        url = urlsplit(session.tokens.authorize_url(redirect_uri="https://me.example/cb", state="s"))
        assert (url.netloc, url.path) == ("login.example", "/go")
        assert parse_qs(url.query) == {
            "response_type": ["code"],
            "client_id": ["my client"],
            "redirect_uri": ["https://me.example/cb"],
            "state": ["s"],
            "scope": ["a b"],
            "prompt": ["consent"],
        }
        await session.tokens.exchange("the-code", "https://me.example/cb")
        assert await ask(session) == "token-1"
    assert world.forms() == [
        {"grant_type": "authorization_code", "code": "the-code", "redirect_uri": "https://me.example/cb"}
    ]


@pytest.mark.schema("action.refresh_token")
async def test_an_action_of_its_own_takes_the_place_of_the_refresh() -> None:
    world = World()
    steps = [
        {
            "type": "request",
            "config": {"path": "/oauth/special", "method": "post", "body": {"r": "{{context.seed}}"}, "no_auth": True},
        },
        {"type": "transform", "config": "{'oauth': {'token': {'access_token': previous.access_token}}}"},
        {"type": "update_context"},
    ]
    account = Account({"seed": "s1", "oauth": {"token": {"access_token": "revoked"}}})
    async with connected(world, account=account, actions={"refresh_token": {"steps": steps}}) as session:
        assert await ask(session) == "token-1"
    assert world.asked[0].json == {"r": "s1"}


async def test_every_new_context_is_told() -> None:
    world = World()
    told: list[str] = []
    account = Account(
        {"oauth": {"token": {"access_token": "revoked", "refresh_token": "r1"}}},
        changed=lambda each: told.append(each.context["oauth"]["token"]["access_token"]),
    )
    async with connected(world, account=account) as session:
        await ask(session)
    assert told == ["token-1"]
