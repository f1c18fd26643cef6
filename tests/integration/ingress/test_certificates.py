"""Certificates that deliveries name, and subscriptions that are confirmed: what leaves the ingress, and where to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from structlog.testing import capture_logs

from events import Store
from ingress.answers import Refusal
from ingress.sources.loading import read_source
from ingress.sources.named_keys import MAX_FETCHES
from ingress.sources.source import Source
from ingress.sources.table import SourceTable
from ingress.verification.outcome import Accepted, Ignored
from tests.unit.ingress.sources.certified import ADDRESS_OF, SNS, certificate_of, signed_message
from tests.unit.ingress.sources.senders import TOPIC, of_headers
from truto.jwks import JwksClient

URL = ADDRESS_OF["aws-sns"]
SUBSCRIBE = f"https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=t"


class Amazon:
    """What answers at Amazon's addresses, and what it was asked."""

    def __init__(self, pem: bytes | None = None) -> None:
        self.asked: list[str] = []
        self.answers: Callable[[], Response] = lambda: Response(certificate_of(SNS) if pem is None else pem)
        self.was_asked = asyncio.Event()
        self.let_go = asyncio.Event()
        self.let_go.set()

    async def answer(self, request: Request) -> Response:
        self.asked.append(str(request.url))
        self.was_asked.set()
        await self.let_go.wait()
        return self.answers()

    @asynccontextmanager
    async def table(self, store: Store, source: Source) -> AsyncIterator[SourceTable]:
        app = Starlette(routes=[Route("/{path:path}", self.answer)])
        table = SourceTable(store, [source], client=JwksClient(transport=httpx.ASGITransport(app)))
        async with table.running():
            yield table


def source(**options: Any) -> Source:
    return read_source("s", {"preset": "aws-sns", "secrets": [TOPIC], "options": options}, {})


def message(name: str = "m-1", **more: str) -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    told = {"Type": "Notification", "MessageId": name, "TopicArn": TOPIC, "Message": "hi", "Timestamp": now}
    return signed_message({**told, **more})


def confirmation() -> dict[str, Any]:
    return message(Type="SubscriptionConfirmation", Token="t", SubscribeURL=SUBSCRIBE)


async def sent(table: SourceTable, given: Any) -> Any:
    on = table.get("s")
    assert isinstance(on, Source)
    return await table.verify(on, of_headers({"content-type": "text/plain"}, orjson.dumps(given)))


async def test_the_first_message_waits_for_its_certificate_and_the_next_one_does_not(store: Store) -> None:
    amazon = Amazon()
    async with amazon.table(store, source()) as table:
        assert isinstance(await sent(table, message()), Accepted)
        assert isinstance(await sent(table, message("m-2")), Accepted)
    assert amazon.asked == [URL]


async def test_a_certificate_is_fetched_once_for_all_who_wait_for_it(store: Store) -> None:
    amazon = Amazon()
    amazon.let_go.clear()
    async with amazon.table(store, source()) as table:
        waiting = [asyncio.create_task(sent(table, message(f"m-{number}"))) for number in range(50)]
        await amazon.was_asked.wait()
        amazon.let_go.set()
        assert {type(outcome) for outcome in await asyncio.gather(*waiting)} == {Accepted}
    assert amazon.asked == [URL]


@pytest.mark.bad_input(271)
@pytest.mark.parametrize(
    "answer",
    [
        lambda: Response(status_code=404),
        lambda: Response(b"<html>"),
        lambda: Response(b"x" * 1_000_000),
        lambda: RedirectResponse("https://evil.example/a.pem"),
    ],
    ids=["absent", "none", "huge", "redirect"],
)
async def test_what_is_no_certificate_opens_nothing_and_is_not_asked_for_again(
    store: Store, answer: Callable[[], Response]
) -> None:
    amazon = Amazon()
    amazon.answers = answer
    async with amazon.table(store, source()) as table:
        for _ in range(3):
            outcome = await sent(table, message())
            assert isinstance(outcome, Refusal)
            assert (outcome.status, outcome.logged_reason) == (401, "certificate_unknown")
    assert amazon.asked == [URL]


async def test_a_sender_whose_certificate_cannot_be_fetched_now_is_told_to_come_again(store: Store) -> None:
    amazon = Amazon()
    good, amazon.answers = amazon.answers, lambda: Response(status_code=503)
    async with amazon.table(store, source()) as table:
        outcome = await sent(table, message())
        assert isinstance(outcome, Refusal)
        assert (outcome.status, outcome.reason) == (503, "certificate_unavailable")
        amazon.answers = good
        assert isinstance(await sent(table, message()), Accepted)


@pytest.mark.bad_input(271)
async def test_a_thousand_addresses_cost_a_few_fetches_and_hold_up_no_known_certificate(store: Store) -> None:
    amazon = Amazon()
    async with amazon.table(store, source()) as table:
        assert isinstance(await sent(table, message()), Accepted)
        amazon.answers = lambda: Response(status_code=404)
        for number in range(1000):
            told = {**message(), "SigningCertURL": f"https://sns.us-east-1.amazonaws.com/x{number}.pem"}
            assert isinstance(await sent(table, told), Refusal)
        assert isinstance(await sent(table, message("m-2")), Accepted)
    assert len(amazon.asked) == MAX_FETCHES


@pytest.mark.bad_input(266)
async def test_a_message_of_another_topic_makes_no_request_leave(store: Store) -> None:
    amazon = Amazon()
    async with amazon.table(store, source()) as table:
        outcome = await sent(table, message(TopicArn=TOPIC + "2"))
        assert isinstance(outcome, Refusal)
    assert amazon.asked == []


async def test_a_subscription_is_confirmed_by_calling_its_address(store: Store) -> None:
    amazon = Amazon()
    with capture_logs() as logs:
        async with amazon.table(store, source()) as table:
            assert isinstance(await sent(table, confirmation()), Ignored)
    assert amazon.asked == [URL, SUBSCRIBE]
    assert {"event": "subscription_confirmed", "source": "s", "log_level": "info"} in logs


async def test_a_subscription_that_could_not_be_confirmed_is_to_be_sent_again(store: Store) -> None:
    amazon = Amazon()
    async with amazon.table(store, source()) as table:
        assert isinstance(await sent(table, message()), Accepted)
        good, amazon.answers = amazon.answers, lambda: Response(status_code=500)
        outcome = await sent(table, confirmation())
        assert isinstance(outcome, Refusal)
        assert (outcome.status, outcome.reason) == (503, "subscription_unconfirmed")
        amazon.answers = good
        assert isinstance(await sent(table, confirmation()), Ignored)


async def test_a_source_that_confirms_nothing_calls_nobody(store: Store) -> None:
    amazon = Amazon()
    async with amazon.table(store, source(confirm_subscriptions=False)) as table:
        assert isinstance(await sent(table, confirmation()), Accepted)
    assert amazon.asked == [URL]


@pytest.mark.bad_input(268)
@pytest.mark.parametrize("url", ["https://evil.example/?Action=ConfirmSubscription&x=1", "http://169.254.169.254/"])
async def test_no_other_address_is_called_for_a_subscription(store: Store, url: str) -> None:
    amazon = Amazon()
    async with amazon.table(store, source()) as table:
        forged = await sent(table, {**confirmation(), "SubscribeURL": url})
        signed = await sent(table, message(Type="SubscriptionConfirmation", Token="t", SubscribeURL=url))
        assert {type(forged), type(signed)} == {Refusal}
    assert amazon.asked == [URL]
