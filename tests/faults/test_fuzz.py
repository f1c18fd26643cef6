"""What is made of genuine deliveries and answers by chance: nothing crashes, and every outcome is a documented one."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import os
import random
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from events import Store
from events.event import read_stored
from ingress.answers import Refusal
from ingress.sources.loading import read_source
from ingress.sources.source import Source
from ingress.verification.outcome import Accepted, Handshake
from ingress.verification.tokens import key_set
from tests.faults.fuzzing import as_request, send_all, streams
from tests.faults.rig import ROOT
from tests.faults.sender import SECRET as TRUTO_SECRET
from tests.faults.test_strangers import until_up
from tests.integration.outgoing.readers import MAY_PASS, READERS, REFUSED
from tests.integration.truto.rude import Exchange, rude
from tests.mutations import mutated
from tests.servers import free_port, quick_redis
from tests.unit.ingress.sources.forging import Judge, first_fault, genuine_deliveries
from tests.unit.ingress.sources.senders import SENDERS, Sender, hmac_header, of_headers, verify
from truto import AsyncTruto, RetryPolicy, TrutoError

UNTIMED = {"github", "shopify", "notion", "jira", "gitlab", "sendgrid-inbound", "microsoft-graph", "hubspot-v1", "xero"}
UNTIMED |= {"dropbox", "asana", "pipedrive", "okta", "intercom"}
"""Presets whose genuine deliveries hold no time, so that a process takes them at any time."""
CHOSEN = [sender for sender in SENDERS if sender.preset in UNTIMED]
BINDING = [sender for sender in CHOSEN if sender.binds]
TRUTO_BODIES = (b'{"id":"e-1","event":"ping"}', b'{"id":"e-2","event":"pong","n":[1,2,3]}')


@pytest.mark.long
@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.preset)
def test_no_forgery_among_a_hundred_thousand_is_accepted(
    sender: Sender, seed: int, record: Callable[[str], None]
) -> None:
    judge = Judge(sender)
    found = first_fault(judge, 100_000, seed)
    record(f"{sender.preset}: {dict(judge.figures)}")
    assert found is None


# -- the edge ----------------------------------------------------------------------------------------------------------


@contextmanager
def edge(folder: Path) -> Iterator[tuple[int, str, subprocess.Popen[bytes]]]:
    """An ingress process for Truto and many presets: its port, its Redis and itself; its log is in *folder*."""
    described = {sender.preset: {"preset": sender.preset, "secrets": [sender.secret]} for sender in CHOSEN}
    (folder / "sources.yaml").write_text(yaml.safe_dump(described))
    port = free_port()
    with quick_redis() as redis, (folder / "ingress.log").open("wb") as log:
        environment = {
            **os.environ,
            "REDIS_URL": redis.url,
            "TRUTO_WEBHOOK_SECRET": TRUTO_SECRET,
            "SOURCES_FILE": str(folder / "sources.yaml"),
            "PUBLIC_URL": "https://you.example",
            "PORT": str(port),
            "ADMIN_PORT": str(free_port()),
            "STORE_CHECK": "off",
            "LOG_FORMAT": "json",
        }
        command = [sys.executable, "-m", "cli", "ingress"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield port, redis.url, process
        finally:
            process.terminate()
            process.wait(30)


def genuine_requests() -> list[bytes]:
    signed = hmac_header("x-truto-signature", "format=sha256,v=")
    made = [as_request("truto", of_headers(signed(body, TRUTO_SECRET), body)) for body in TRUTO_BODIES]
    for sender in CHOSEN:
        whole, chunked = genuine_deliveries(sender)
        made += as_request(sender.preset, whole), as_request(sender.preset, chunked, chunked=True)
    return [*made, b"GET /readyz HTTP/1.1\r\nHost: edge.test\r\n\r\n"]


async def kept(url: str) -> set[tuple[str, bytes]]:
    """The source and body of every event in the store."""
    store = Store.connect(url)
    try:
        keys = [key async for key in store.redis.scan_iter("tw:event:*", count=1000)]
        events = [read_stored(value) for value in await store.redis.mget(keys)]
        return {(event.source, event.raw) for event in events}
    finally:
        await store.close()


def signed_bodies() -> set[tuple[str, bytes]]:
    """What the events of senders hold whose signature covers the body."""
    signed = {("truto", body) for body in TRUTO_BODIES}
    for sender in BINDING:
        for delivery in genuine_deliveries(sender):
            outcome = verify(sender.source(), delivery)
            assert isinstance(outcome, Accepted)
            signed |= {(sender.preset, event.body) for event in outcome.events}
    return signed


@pytest.mark.parametrize("count", [1_500, pytest.param(50_000, marks=pytest.mark.long)])
async def test_whatever_bytes_come_the_edge_answers_as_documented(
    count: int, seed: int, tmp_path: Path, record: Callable[[str], None]
) -> None:
    with edge(tmp_path) as (port, redis, process):
        await until_up(port)
        statuses, faults = await send_all(port, streams(genuine_requests(), count, seed))
        stored = await kept(redis)
        alive = process.poll() is None
    log = (tmp_path / "ingress.log").read_bytes().splitlines()
    broken = [line for line in log if not line.startswith(b"{") or orjson.loads(line)["level"] in ("error", "critical")]
    record(f"edge: {count} streams, answers {dict(sorted(statuses.items()))}")
    assert faults == []
    assert broken == []
    assert alive
    bound = {sender.preset for sender in BINDING} | {"truto"}
    assert {(source, body) for source, body in stored if source in bound} <= signed_bodies()
    assert {("truto", body) for body in TRUTO_BODIES} <= stored
    assert {200, 400, 401} <= statuses.keys()


# -- transforms --------------------------------------------------------------------------------------------------------

TRANSFORMS = {
    "body": "body",
    "list": "body.value",
    "made": "{'event': body.type, 'id': $string(body.id), 'n': $sum(body.n)}",
    "each": "body.value.{'event': $uppercase(type), 'id': id & '-' & $$.headers.`x-n`}",
    "texts": "{'event': $replace($string(body.type), /[a-z]+/, 'x'), 'n': $split(body.text, ',')}",
    "times": "{'event': 'x', 'at': $toMillis(body.at), 'ago': $fromMillis(body.n)}",
    "context": "{'raw_body': raw_body, 'headers': headers, 'body': body.value}",
}
USUAL = {"type": "x", "id": 1, "n": [1, 2], "value": [{"type": "x", "id": "1"}], "text": "a,b", "at": "2020-01-01"}
_VALUES = (None, True, 0, -1, 1e308, 2**64, 0.1, "", "a,b", "\ud800", "{{x}}", "$$", "2020-01-01T00:00:00Z", "x" * 999)


def source_with(transform: str) -> Source:
    block = {"format": "hmac", "config": {"parts": ["raw_body"], "compare_with": "{{headers.x-sig}}"}}
    options = {"media_types": ["json", "form", "text", "multipart"], "event": {"id": "{{body.id}}"}}
    webhook = {"signature_verification": block, "payload_transform": transform}
    given = {"webhook": webhook, "secrets": [SENDERS[0].secret], "options": options}
    return read_source("sender", given, {})


def some_json(rng: random.Random, depth: int = 4) -> Any:
    kind = rng.randrange(4) if depth else 0
    if kind == 1:
        return [some_json(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind:
        names = rng.sample(["type", "id", "n", "value", "text", "at", "body", "headers", "raw_body", "event"], 4)
        return {name: some_json(rng, depth - 1) for name in names}
    return rng.choice(_VALUES)


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_whatever_is_signed_a_transform_gives_events_or_is_refused(transform: str, count: int, seed: int) -> None:
    source, rng, outcomes = source_with(transform), random.Random(seed), Counter[str]()
    sign = hmac_header("x-sig")
    for _ in range(count):
        body = json.dumps(rng.choice([some_json(rng), some_json(rng), USUAL])).encode()
        if rng.random() < 0.3:
            body = mutated(body, rng, words=[b"{", b"[", b'"', b"\\ud800", b"NaN"], others=[body])
        kind = rng.choice(["application/json"] * 3 + ["text/plain", "application/x-www-form-urlencoded"])
        outcome = verify(source, of_headers({"content-type": kind, **sign(body, SENDERS[0].secret)}, body))
        outcomes[type(outcome).__name__] += 1
        assert not isinstance(outcome, Handshake), body
        if isinstance(outcome, Refusal):
            # Where the transform makes what is signed, what it cannot make is not authentic.
            assert outcome.status in (400, 401), (body, outcome)
            assert outcome.logged_reason != "verification_failed", (body, outcome)
    assert outcomes["Accepted"]


# -- the answers of others ---------------------------------------------------------------------------------------------

KEYS = orjson.dumps({"keys": [{"kty": "RSA", "kid": "1", "n": "AQAB", "e": "AQAB", "alg": "RS256", "use": "sig"}]})
TOKEN = orjson.dumps({"link_token": "t-1", "result": [{"id": "1"}], "next_cursor": None, "message": "m"})


def genuine_answers() -> list[bytes]:
    made = []
    for body, coding in itertools.product((KEYS, TOKEN), ("", "gzip", "deflate")):
        packed = {"": body, "gzip": gzip.compress(body), "deflate": zlib.compress(body)}[coding]
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        head += b"content-encoding: %b\r\n" % coding.encode() if coding else b""
        made.append(head + b"content-length: %d\r\n\r\n" % len(packed) + packed)
        made.append(head + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed))
    refusal = b'{"statusCode":429,"message":"slow down"}'
    made.append(b"HTTP/1.1 429 Too Many\r\nretry-after: 1\r\ncontent-length: %d\r\n\r\n" % len(refusal) + refusal)
    made.append(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
    return made


_ANSWER_WORDS = (
    b"\r\n",
    b"\n",
    b"\x00",
    b"content-length: 3\r\n",
    b"transfer-encoding: chunked\r\n",
    b"content-encoding: gzip\r\n",
    b"content-encoding: br\r\n",
    b"set-cookie: a=b\r\n",
    b"retry-after: 99999999999999999999\r\n",
    b"location: http://[::1\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"9" * 20,
    b"\xff\xfe",
    b"[" * 5000,
    b"null",
    b'{"keys":[1,null,{"kid":[]},{"kty":"EC","crv":"P-256","kid":"e","x":"","y":""}]}',
)


async def keys_read(url: str, seconds: float) -> Any:
    return key_set(await READERS["key_set"](url, seconds))


async def link_token(url: str, seconds: float) -> Any:
    once = RetryPolicy(attempts=1)
    async with AsyncTruto(token="t", base_url=url, retry=once, timeout_seconds=seconds) as truto:
        return await truto.link_tokens.create(tenant_id="acme")


async def downloaded(url: str, seconds: float) -> Any:
    once = RetryPolicy(attempts=1)
    async with (
        AsyncTruto(token="t", base_url=url, retry=once, timeout_seconds=seconds) as truto,
        truto.download("GET", "/x", max_bytes=1024**2) as file,
    ):
        return await file.read()


async def listed(url: str, seconds: float) -> Any:
    once = RetryPolicy(attempts=1)
    async with AsyncTruto(token="t", base_url=url, retry=once, timeout_seconds=seconds) as truto:
        return [one async for one in truto.integrated_accounts.list()][:10]


ASKING: dict[str, Callable[[str, float], Awaitable[Any]]] = {
    **READERS,
    "key_set": keys_read,
    "download": downloaded,
    "link_token": link_token,
    "listed": listed,
}
EXPECTED = (*REFUSED, *MAY_PASS, TrutoError)


@pytest.mark.parametrize("count", [150, pytest.param(10_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING)
async def test_whatever_others_answer_it_is_read_or_one_of_our_errors(
    ask: Callable[[str, float], Awaitable[Any]], count: int, seed: int
) -> None:
    rng, genuine, outcomes = random.Random(seed), genuine_answers(), Counter[str]()
    sent: list[bytes] = []

    async def answer(exchange: Exchange) -> None:
        await exchange.send(sent[-1])
        exchange.writer.close()

    async with rude(answer) as server:
        for _ in range(count):
            sent.append(mutated(rng.choice(genuine), rng, words=_ANSWER_WORDS, others=genuine))
            try:
                async with asyncio.timeout(10):
                    await ask(server.url, 1.0)
            except EXPECTED as exc:
                outcomes[type(exc).__name__] += 1
            except BaseException as exc:
                raise AssertionError(f"{type(exc).__name__} ({exc}) for {sent[-1]!r}") from exc
            else:
                outcomes["read"] += 1
    assert outcomes["read"]
    assert len(outcomes) > 1
