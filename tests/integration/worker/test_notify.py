"""Notifications on real sockets: signed for tenants, through apprise for operators."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

import worker.notify
from events import Event, Store
from tests.integration.worker.workshop import TENANT_SECRET as SECRET
from tests.integration.worker.workshop import Receiver, delivered, ended, plain, working
from tests.servers import free_port
from truto.signing_keys import SigningKeys
from worker import Context, NotifyError
from worker.notify import Notifier, TenantEndpoint
from worker.registry import Registry

pytestmark = pytest.mark.filterwarnings("ignore:.imghdr. is deprecated:DeprecationWarning")  # apprise, at its import


NEW_SECRET = "whsec_" + base64.b64encode(b"fedcba9876543210").decode()


def key_of(tenant: str, secret: str = SECRET) -> str:
    return SigningKeys.parse(secret, "tenant").keys_for(tenant, datetime.now(UTC))[0]


@asynccontextmanager
async def notifying(url: str, *, secret: str = SECRET, **options: Any) -> AsyncIterator[Notifier]:
    notifier = Notifier(TenantEndpoint(url, secret), **{"transport": plain(), **options})
    try:
        yield notifier
    finally:
        await notifier.aclose()


async def test_a_tenant_gets_a_message_that_a_standard_webhooks_library_accepts(receiver: Receiver) -> None:
    async with notifying(receiver.url + "/t/{tenant_id}") as notifier:
        assert await notifier.bound("k").tenant("acme/1", "thing.happened", {"größe": [1, None]}) is True
    ((path, headers, body),) = receiver.requests
    assert path == "/t/acme%2F1"
    verified = Webhook(key_of("acme/1")).verify(body, headers)
    assert verified["type"] == "thing.happened"
    assert verified["data"] == {"größe": [1, None]}
    assert set(verified) == {"type", "timestamp", "data"}
    assert headers["content-type"] == "application/json"


async def test_what_one_tenant_can_check_another_cannot(receiver: Receiver) -> None:
    """Whoever can check a message can sign it."""
    async with notifying(receiver.url) as notifier:
        await notifier.bound("k").tenant("acme", "a", {})
    ((_, headers, body),) = receiver.requests
    for key in (key_of("other"), SECRET):
        with pytest.raises(WebhookVerificationError):
            Webhook(key).verify(body, headers)


async def test_the_same_message_to_two_tenants_has_two_signatures(receiver: Receiver) -> None:
    async with notifying(receiver.url) as notifier:
        for tenant in ("acme", "other"):
            await notifier.bound("k").tenant(tenant, "a", {})
    first, second = (headers["webhook-signature"] for _, headers, _ in receiver.requests)
    assert first != second


async def test_while_a_secret_is_replaced_both_keys_check_a_message(receiver: Receiver) -> None:
    async with notifying(receiver.url, secret=f"{NEW_SECRET},{SECRET}@9999-12-31") as notifier:
        await notifier.bound("k").tenant("acme", "a", {})
    ((_, headers, body),) = receiver.requests
    for secret in (NEW_SECRET, SECRET):
        assert Webhook(key_of("acme", secret)).verify(body, headers)


async def test_what_signed_for_all_tenants_before_signs_until_its_day_and_no_longer(receiver: Receiver) -> None:
    for until in ("9999-12-31", "2020-01-01"):
        async with notifying(receiver.url, secret=f"{NEW_SECRET},shared:{SECRET}@{until}") as notifier:
            await notifier.bound("k").tenant("acme", "a", {})
    (_, before, body), (_, after, later_body) = receiver.requests
    assert Webhook(SECRET).verify(body, before)
    assert Webhook(key_of("acme", NEW_SECRET)).verify(body, before)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(later_body, after)
    assert Webhook(key_of("acme", NEW_SECRET)).verify(later_body, after)


async def test_message_ids_are_the_same_in_a_rerun_and_differ_per_call_handler_and_event(receiver: Receiver) -> None:
    async with notifying(receiver.url) as notifier:
        for key in ["event:handler", "event:handler", "event:other", "other:handler"]:
            view = notifier.bound(key)
            await view.tenant("acme", "a", {})
            await view.tenant("acme", "a", {})
    first, second, again, again_second, *others = receiver.ids
    assert (first, second) == (again, again_second)
    assert len({first, second, *others}) == 6


async def test_a_call_without_a_tenant_sends_nothing_but_counts(receiver: Receiver) -> None:
    async with notifying(receiver.url) as notifier:
        first, second = notifier.bound("k"), notifier.bound("k")
        assert await first.tenant(None, "a", {}) is False
        assert await first.tenant("", "a", {}) is False
        await first.tenant("acme", "a", {})
        await second.tenant("acme", "a", {})
    assert receiver.ids[0] != receiver.ids[1]


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 410, 429, 500, 503])
async def test_any_other_answer_than_2xx_is_an_error_and_no_redirect_is_followed(
    receiver: Receiver, status: int
) -> None:
    receiver.answers, receiver.location = [status], receiver.url + "/elsewhere"
    async with notifying(receiver.url + "/here") as notifier:
        with pytest.raises(NotifyError, match=str(status)):
            await notifier.bound("k").tenant("acme", "a", {})
    assert [path for path, _, _ in receiver.requests] == ["/here"]


async def test_an_endpoint_that_is_not_there_is_an_error_without_its_url() -> None:
    async with notifying(f"http://127.0.0.1:{free_port()}/s3cret-path") as notifier:
        with pytest.raises(NotifyError, match="did not answer") as caught:
            await notifier.bound("k").tenant("acme", "a", {})
    assert "s3cret-path" not in str(caught.value)


@pytest.mark.parametrize("tenant", ["xn--a", "a" * 70_000], ids=["no-idna", "too-long"])
async def test_an_id_that_makes_no_url_is_an_error(receiver: Receiver, tenant: str) -> None:
    url = "http://{tenant_id}.localhost/" if tenant.startswith("xn") else receiver.url + "/{tenant_id}"
    async with notifying(url) as notifier:
        with pytest.raises(NotifyError):
            await notifier.bound("k").tenant(tenant, "a", {})


@pytest.mark.parametrize("pace", [None, 0.05], ids=["silent", "dripping"])
async def test_an_endpoint_that_is_too_slow_is_an_error_however_it_is_slow(
    monkeypatch: pytest.MonkeyPatch, pace: float | None
) -> None:
    monkeypatch.setattr(worker.notify, "_TIMEOUT_SECONDS", 0.3)

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nX: ")
            while True:
                await asyncio.sleep(pace or 30)
                writer.write(b"x")
                await writer.drain()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with notifying(f"http://127.0.0.1:{port}/") as notifier, asyncio.timeout(2):
            with pytest.raises(NotifyError, match="did not answer"):
                await notifier.bound("k").tenant("acme", "a", {})
    finally:
        server.close()


async def test_an_endless_answer_is_not_read() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                await writer.drain()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with notifying(f"http://127.0.0.1:{port}/") as notifier, asyncio.timeout(2):
            assert await notifier.bound("k").tenant("acme", "a", {}) is True
    finally:
        server.close()


async def test_operators_are_told_through_apprise(receiver: Receiver) -> None:
    notifier = Notifier(operator_urls=[receiver.url.replace("http://", "json://") + "/ops"])
    assert await notifier.bound("k").operators("Sync failed", "Account 1") is True
    ((path, _, body),) = receiver.requests
    assert path.rstrip("/") == "/ops"
    message = json.loads(body)
    assert (message["title"], message["message"]) == ("Sync failed", "Account 1")
    await notifier.aclose()


async def test_one_unreachable_operator_does_not_keep_the_message_from_the_others(receiver: Receiver) -> None:
    there = receiver.url.replace("http://", "json://")
    notifier = Notifier(operator_urls=[f"json://127.0.0.1:{free_port()}", there])
    assert await notifier.bound("k").operators("title", "body") is False
    assert len(receiver.requests) == 1
    await notifier.aclose()


@pytest.mark.parametrize(
    ("title", "body"),
    [("", ""), ("\ud800", "\ud800"), (None, None), (1, {"a": 1}), ("x" * 10**5, "\x00")],
    ids=["empty", "surrogates", "none", "no-text", "long"],
)
async def test_telling_operators_never_raises(receiver: Receiver, title: Any, body: Any) -> None:
    notifier = Notifier(operator_urls=[receiver.url.replace("http://", "json://")])
    assert await notifier.bound("k").operators(title, body) in {True, False}
    await notifier.aclose()


async def test_a_plugin_that_breaks_is_a_message_that_was_not_sent() -> None:
    from apprise.decorators import notify

    @notify(on="breaking")  # type: ignore[untyped-decorator,no-untyped-call] # apprise ships no types
    def break_it(body: str, title: str, *args: object, **kwargs: object) -> None:
        raise RuntimeError("the plugin is broken")

    notifier = Notifier(operator_urls=["breaking://"])
    assert await notifier.bound("k").operators("title", "body") is False
    await notifier.aclose()


async def test_a_tenant_gets_one_id_over_all_attempts_of_a_handler(
    store: Store, registry: Registry, receiver: Receiver
) -> None:
    receiver.answers = [500, 204]

    @registry.on("*")
    async def handle(event: Event, ctx: Context) -> None:
        await ctx.notify.tenant(event.tenant_id, "thing.happened", {})

    event = delivered("integrated_account:active")
    async with working(store, registry, notifier=Notifier(TenantEndpoint(receiver.url, SECRET), transport=plain())):
        await store.accept([event])
        await ended(store, event)
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1


async def test_a_notifier_may_be_given_its_transport() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(202)

    async with notifying("https://app.example/{tenant_id}", transport=httpx.MockTransport(answer)) as notifier:
        assert await notifier.bound("k").tenant("acme", "a", {})
    assert sent[0].url == "https://app.example/acme"
