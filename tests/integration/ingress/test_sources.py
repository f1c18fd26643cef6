"""Configured sources on a real Redis: handshakes, several events, hostile expressions, reloads, public keys."""

from __future__ import annotations

import asyncio
import hmac
import json
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from structlog.testing import capture_logs

from events import Refused, Store
from ingress import create_app
from ingress.sources import shares
from ingress.sources.loading import read_source
from ingress.sources.reloading import SourcesFile
from ingress.sources.source import Expression, Source, truto_source
from ingress.sources.table import SourceTable
from ingress.verification.context import DeliveryContext
from ingress.verification.expressions import LIMITS
from tests.integration.ingress.edge import event
from tests.servers import serve

SECRET = "a secret of more than sixteen bytes"
OTHER = "another secret of more than sixteen"
BODY = event()
HMAC: dict[str, Any] = {
    "format": "hmac",
    "config": {"compare_with": "{{headers.x-signature}}", "parts": ["raw_body"]},
}


def source(name: str = "s", *, options: Mapping[str, Any] | None = None, **webhook: Any) -> Source:
    block = {"signature_verification": HMAC, **webhook}
    return read_source(name, {"webhook": block, "secrets": [SECRET], "options": dict(options or {})}, {})


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    made = hmac.digest(secret.encode(), body, "sha256").hex()
    return {"x-signature": made, "content-type": "application/json"}


def as_slack(body: bytes) -> dict[str, str]:
    moment = str(int(time.time()))
    made = "v0=" + hmac.digest(SECRET.encode(), f"v0:{moment}:".encode() + body, "sha256").hex()
    return {"x_slack_request_timestamp": moment, "x_slack_signature": made}


@dataclass
class Running:
    http: httpx.AsyncClient
    admin: httpx.AsyncClient
    table: SourceTable

    async def post(self, body: bytes = BODY, /, *, to: str = "s", **headers: str) -> httpx.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(f"/webhooks/{to}", content=body, headers={**signed(body), **given})


@asynccontextmanager
async def running(store: Store, *sources: Source) -> AsyncIterator[Running]:
    app = create_app(store, sources)
    public, operators = httpx.ASGITransport(app), httpx.ASGITransport(app.state.admin)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=public, base_url="http://test") as http,
        httpx.AsyncClient(transport=operators, base_url="http://test") as admin,
    ):
        yield Running(http, admin, app.state.sources)


# -- answers -----------------------------------------------------------------------------------------------------------


async def test_an_authentic_delivery_is_accepted_and_the_next_one_is_a_duplicate(store: Store) -> None:
    async with running(store, source(options={"identity": ["{{body.id}}"]})) as edge:
        assert (await edge.post()).json()["status"] == "accepted"
        assert (await edge.post()).json()["status"] == "duplicate"
        metrics = (await edge.admin.get("/metrics")).text
    assert 'truto_worker_secret_used_total{position="0",source="s"} 2.0' in metrics


async def test_several_events_are_accepted_together(store: Store) -> None:
    on = source(payload_transform="$merge([$$, {'body': body.list}])", options={"event": {"id": "{{body.n}}"}})
    body = orjson.dumps({"list": [{"event": "a", "n": 1}, {"event": "b", "n": 2}]})
    async with running(store, on) as edge:
        answered = (await edge.post(body)).json()
        assert answered == {"status": "accepted", "events": [{"id": "1", "type": "a"}, {"id": "2", "type": "b"}]}
        more = orjson.dumps({"list": [{"event": "a", "n": 1}, {"event": "c", "n": 3}]})
        assert (await edge.post(more)).json()["status"] == "accepted"
        assert (await edge.post(body)).json()["status"] == "duplicate"
    assert (await store.inspection.overview()).totals["accepted"] == 3


async def test_ids_that_cannot_be_ids_lose_no_event_and_are_told_once(store: Store) -> None:
    on = source(options={"event": {"id": "{{body._id}}"}})
    async with running(store, on) as edge:
        with capture_logs() as logs:
            answers = [
                (await edge.post(orjson.dumps({"event": "x", "n": n, "_id": {"$oid": str(n)}}))).json()
                for n in range(3)
            ]
    assert [answered["status"] for answered in answers] == ["accepted"] * 3
    assert [log["field"] for log in logs if log["event"] == "event_field_unusable"] == ["id"]


async def test_a_refusal_leaves_nothing_but_its_reason(store: Store) -> None:
    async with running(store, source()) as edge:
        answered = await edge.post(x_signature="0" * 64)
        assert (answered.status_code, answered.json()["reason"]) == (401, "signature_mismatch")
        assert (await edge.post(b"nope")).status_code == 400
    assert (await store.inspection.overview()).ready == 0
    told = await store.notes.refusals()
    assert [(one.source, one.status, one.reason) for one in told] == [
        ("s", 400, "not_json"),
        ("s", 401, "signature_mismatch"),
    ]
    assert "nope" not in str(told)


async def test_only_the_last_refusals_are_kept_newest_first(store: Store) -> None:
    from datetime import UTC, datetime

    when = datetime.fromtimestamp(1_700_000_000, UTC)
    await store.notes.note_refusals([Refused(when, "s", 401, str(number)) for number in range(600)])
    told = await store.notes.refusals(1000)
    assert (len(told), told[0].reason, told[0].at) == (500, "599", when)
    assert await store.notes.refusals(0) == []


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
async def test_only_a_post_is_looked_at(store: Store, method: str) -> None:
    async with running(store, source()) as edge:
        assert (await edge.http.request(method, "/webhooks/s")).status_code == 405


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/xml"]
)
async def test_other_media_types_are_refused_unless_the_source_takes_them(store: Store, media: str) -> None:
    async with running(store, source()) as edge:
        assert (await edge.post(content_type=media)).status_code == 415


# -- handshakes --------------------------------------------------------------------------------------------------------


async def test_a_get_handshake_is_answered_where_the_source_needs_one(store: Store) -> None:
    dropbox = read_source("dropbox", {"preset": "dropbox", "secrets": [SECRET]}, {})
    okta = read_source("okta", {"preset": "okta", "secrets": [SECRET]}, {})
    async with running(store, dropbox, okta) as edge:
        asked = await edge.http.get("/webhooks/dropbox", params={"challenge": "<b>hi"})
        assert (asked.status_code, asked.text) == (200, "<b>hi")
        assert asked.headers["x-content-type-options"] == "nosniff"
        asked = await edge.http.get("/webhooks/okta", headers={"x-okta-verification-challenge": "c"})
        assert asked.json() == {"verification": "c"}
        assert (await edge.http.get("/webhooks/dropbox")).status_code == 405


async def test_what_is_known_is_overwritten_only_where_that_is_allowed(store: Store) -> None:
    assert await store.notes.keep_in_context("s", {"a": 1, "b": 2}, overwrite=False)
    assert await store.notes.keep_in_context("s", {"a": 1, "c": 3}, overwrite=False)
    assert not await store.notes.keep_in_context("s", {"d": 4, "a": 2}, overwrite=False)
    assert await store.notes.keep_in_context("s", {"a": 2}, overwrite=True)
    assert await store.notes.source_context("s") == {"a": 2, "b": 2, "c": 3}


async def test_an_expression_that_is_the_proof_refuses_with_its_own_answer(store: Store) -> None:
    on = read_source("hubspot", {"preset": "hubspot-v1", "secrets": [SECRET]}, {})
    async with running(store, on) as edge:
        answered = await edge.http.post("/webhooks/hubspot", content=BODY, headers={"content-type": "application/json"})
        assert answered.status_code == 401
        assert 'reason="handshake_refused"' in (await edge.admin.get("/metrics")).text


async def test_a_meta_delivery_is_answered_and_ignored(store: Store) -> None:
    async with running(store, source(handle_verification="{'type':'meta'}")) as edge:
        assert (await edge.post()).json() == {"status": "ignored", "events": []}
    assert (await store.inspection.overview()).ready == 0


# -- hostile expressions -----------------------------------------------------------------------------------------------

HOSTILE = {
    "regular expression": "$match(body.text, /(a+)+$/) ? {'type':'meta'} : {'type':'meta'}",
    "endless recursion": "($f := function($n) { $f($n + 1) }; $f(1))",
    "long recursion": "($f := function($n) { $n > 0 ? 1 + $f($n - 1) : 0 }; $f(100000))",
    "tail recursion": "($f := function($n) { $f($n) }; $f(1))",
    "huge range": "$count([1..10000000])",
    "huge padding": "$pad('x', 2000000000)",
    "doubling": "($f := function($s, $n) { $n = 0 ? $length($s) : $f($s & $s, $n - 1) }; $f('x', 64))",
    "nested maps": "[1..3000].([1..3000].($ * 2))",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_expression_is_cut_off_while_others_are_answered(store: Store, name: str) -> None:
    body = orjson.dumps({"event": "x", "text": "a" * 50_000 + "!"})
    async with running(store, source("bad", handle_verification=HOSTILE[name]), source("good")) as edge:
        attack = asyncio.gather(*(edge.post(body, to="bad") for _ in range(4)))
        for number in range(3):
            assert (await edge.post(event(str(number)), to="good")).status_code == 200
        answers = await attack
        told = [answer.json()["reason"] for answer in answers if answer.status_code == 400]
    # RE2 answers what would hang another engine.
    assert told == ([] if name == "regular expression" else ["expression_failed"] * 4)
    assert {answer.status_code for answer in answers} <= {200, 400}


class Watched:
    """An expression that says whether it is being evaluated."""

    def __init__(self, expression: Expression | None) -> None:
        assert expression is not None
        self._expression = expression
        self.evaluating = False

    def needs_evaluation(self, context: DeliveryContext) -> bool:
        return True

    def evaluate(self, context: DeliveryContext, *, proven: bool) -> Any:
        self.evaluating = True
        try:
            return self._expression.evaluate(context, proven=proven)
        finally:
            self.evaluating = False


@pytest.mark.parametrize("name", ["endless recursion", "nested maps"])
async def test_whole_deliveries_are_answered_during_one_endless_evaluation(
    store: Store, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The evaluation ends by its own CPU time, which is long enough here for a busy machine to do much else."""
    monkeypatch.setattr("ingress.verification.expressions.LIMITS", replace(LIMITS, seconds=1.5))
    on = source("bad", handle_verification=HOSTILE[name])
    watched = Watched(on.handle)
    async with running(store, replace(on, handle=watched), source("good")) as edge:
        attack = asyncio.create_task(edge.post(to="bad"))
        meanwhile = 0
        while not attack.done() and meanwhile < 3:
            began_during = watched.evaluating
            assert (await edge.post(event(str(meanwhile)), to="good")).status_code == 200
            meanwhile += began_during and watched.evaluating
        assert (await attack).json()["reason"] == "expression_failed"
    assert meanwhile == 3


class Waiting:
    """An expression that has a value only once *answered* is set, which the event loop has to do."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.answered = threading.Event()

    def needs_evaluation(self, context: DeliveryContext) -> bool:
        return True

    def evaluate(self, context: DeliveryContext, *, proven: bool) -> Any:
        self.begun.set()
        assert self.answered.wait(10)
        return {"type": "meta"}


@pytest.mark.bad_input(302)
async def test_a_partner_s_evaluations_leave_a_thread_to_other_sources(store: Store) -> None:
    """What a source has signed may take long, and come often; it waits for itself alone."""
    waiting = Waiting()
    hoarder = replace(source("bad", options={"order": "signature_first"}), handle=waiting)
    handle = "body.n = 1 ? {'type': 'meta'} : {'type': 'payload'}"
    good = source("good", handle_verification=handle, options={"order": "signature_first"})
    async with running(store, hoarder, good) as edge:
        held = [asyncio.create_task(edge.post(event(str(number)), to="bad")) for number in range(10)]
        await until(waiting.begun.is_set)
        assert (await edge.post(event(n=1), to="good")).json()["status"] == "ignored"
        assert not any(one.done() for one in held)
        waiting.answered.set()
        assert {(await one).json()["status"] for one in held} == {"ignored"}


async def test_an_evaluation_that_waits_for_another_delivery_sees_it_answered(store: Store) -> None:
    waiting = Waiting()
    async with running(store, replace(source("bad"), handle=waiting), source("good")) as edge:
        held = [asyncio.create_task(edge.post(to="bad")) for _ in range(2)]
        assert (await edge.post(to="good")).json()["status"] == "accepted"
        assert not any(one.done() for one in held)
        waiting.answered.set()
        assert [(await one).json()["status"] for one in held] == ["ignored", "ignored"]


async def test_deliveries_that_are_no_handshake_do_not_wait_for_those_that_are(store: Store) -> None:
    """A shortcut decides the expression of the preset, so that it takes no thread."""
    slack = read_source("slack", {"preset": "slack", "secrets": [SECRET]}, {})
    challenge = b'{"type":"url_verification","challenge":"c"}'
    async with running(store, slack) as edge:
        share = edge.table._share(slack, proven=True)  # noqa: SLF001
        share._waiting = shares.MAX_PROVEN_WAITING  # noqa: SLF001  as many as may wait
        assert (await edge.post(to="slack", **as_slack(BODY))).status_code == 200
        assert (await edge.post(challenge, to="slack", **as_slack(challenge))).status_code == 503
        share._waiting = 0  # noqa: SLF001
        assert (await edge.post(challenge, to="slack", **as_slack(challenge))).json() == {"challenge": "c"}


@pytest.mark.parametrize("handle", [None, "body.challenge ? {'type':'meta'} : {'type':'payload'}"], ids=["none", "one"])
async def test_a_large_delivery_is_looked_at_beside_the_others(store: Store, handle: str | None) -> None:
    on = source("s", options=None, handle_verification=handle)
    body = event(filler="x" * 300_000)
    async with running(store, on) as edge:
        assert (await edge.post(body)).json()["status"] == "accepted"
        assert (await edge.post(body, x_signature="0" * 64)).status_code == 401


class Recorded:
    """A verifier that remembers the thread in which it was asked."""

    def __init__(self, verifier: Any) -> None:
        self._verifier = verifier
        self.threads: list[threading.Thread] = []

    def check(self, evidence: Any) -> int:
        self.threads.append(threading.current_thread())
        return int(self._verifier.check(evidence))

    def explain(self, evidence: Any) -> list[str]:
        return list(self._verifier.explain(evidence))


@pytest.mark.bad_input(306)
@pytest.mark.parametrize(
    ("media", "body", "apart"),
    [
        ("application/xml", b"<r>" + b"<a/>" * 5_000 + b"</r>", True),
        ("application/x-www-form-urlencoded", b"event=x&a=" + b"%41" * 6_000, True),
        ("application/json", event(filler="x" * 20_000), False),
        ("application/xml", b"<r><a/></r>", False),
    ],
    ids=["XML", "form", "JSON", "little"],
)
async def test_bodies_that_are_slow_to_read_are_read_beside_the_others(
    store: Store, media: str, body: bytes, apart: bool
) -> None:
    on = source("s", options={"media_types": ["xml", "form", "json"]})
    recorded = Recorded(on.verifier)
    async with running(store, replace(on, verifier=recorded)) as edge:
        assert (await edge.post(body, content_type=media)).status_code == 200
    assert [thread is not threading.main_thread() for thread in recorded.threads] == [apart]


async def test_more_evaluations_than_can_wait_are_sent_away_to_come_again(store: Store) -> None:
    slow = "($f := function($n) { $f($n) }; $f(1))"
    on = source(handle_verification=slow)
    async with running(store, on) as edge:
        edge.table._share(on, proven=True)._waiting = shares.MAX_PROVEN_WAITING  # noqa: SLF001
        answered = await edge.post()
    assert (answered.status_code, answered.json()["reason"]) == (503, "busy")
    assert answered.headers["retry-after"] == "2"


async def test_ten_megabytes_of_brackets_are_refused_quickly(store: Store) -> None:
    body = b'{"event":"x","a":[' + b"[]," * 3_300_000 + b"[]]}"
    async with running(store, source()) as edge:
        started = time.thread_time()
        answered = await edge.post(body)
        assert (answered.status_code, answered.json()["reason"]) == (400, "too_complex")
        assert time.thread_time() - started < 0.5


# -- what nothing proves yet -------------------------------------------------------------------------------------------

PRESETS = ("github", "stripe", "svix", "twilio", "zoom", "slack", "asana", "okta", "gitlab")
SECRETS = {"svix": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}


def preset(name: str) -> Source:
    given = {"preset": name, "secrets": [SECRETS.get(name, SECRET)], "options": {"public_url": "https://you.example"}}
    return read_source(name, given, {})


@pytest.mark.bad_input(161)
@pytest.mark.parametrize("name", PRESETS)
async def test_without_a_signature_nothing_of_a_body_is_read(store: Store, name: str) -> None:
    on = preset(name)
    media = "application/json" if "application/json" in on.media_types else "application/x-www-form-urlencoded"
    async with running(store, on) as edge:
        received = []

        async def receive() -> dict[str, Any]:
            received.append(1)
            return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

        sent: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": f"/webhooks/{name}",
            "query_string": b"",
            "headers": [(b"content-type", media.encode())],
        }
        app = edge.http._transport.app  # type: ignore[attr-defined]  # noqa: SLF001
        await app(scope, receive, send)
    assert (sent[0]["status"], received) == (401, [])
    assert (b"connection", b"close") in sent[0]["headers"]


@pytest.mark.bad_input(161)
async def test_truto_s_own_source_reads_nothing_unsigned_either(store: Store) -> None:
    app = create_app(store, [truto_source([SECRET])])
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http,
    ):
        answered = await http.post("/webhooks/truto", content=BODY)
    assert (answered.status_code, answered.headers["connection"]) == (401, "close")
    assert answered.json()["reason"] == "signature_mismatch"


@pytest.mark.bad_input(162)
async def test_of_an_unsigned_handshake_a_little_is_read(store: Store) -> None:
    async with running(store, preset("monday")) as edge:
        headers = {"content-type": "application/json"}
        asked = await edge.http.post("/webhooks/monday", content=b'{"challenge":"c"}', headers=headers)
        assert asked.json() == {"challenge": "c"}
        large = orjson.dumps({"challenge": "c" * 70_000})
        answered = await edge.http.post("/webhooks/monday", content=large, headers=headers)
        assert (answered.status_code, answered.json()["reason"]) == (413, "body_too_large")


async def test_a_handshake_in_the_head_alone_is_answered(store: Store) -> None:
    async with running(store, read_source("asana", {"preset": "asana"}, {})) as edge:
        room = edge.table.room_for(edge.table.get("asana"), [(b"x-hook-secret", SECRET.encode())], "POST")  # type: ignore[arg-type]
        assert room == 64 * 1024


@pytest.mark.bad_input(163)
async def test_one_source_s_unproven_work_is_that_source_s_alone(store: Store) -> None:
    notifications = orjson.dumps({"value": [{"clientState": "x"}] * 4000})
    known = orjson.dumps({"value": [{"changeType": "created", "clientState": SECRET}]})
    challenge = b'{"type":"url_verification","challenge":"c"}'
    graph = read_source("graph", {"preset": "microsoft-graph", "secrets": [SECRET]}, {})
    async with running(store, graph, preset("slack"), source("good")) as edge:
        assert (await edge.post(known, to="graph")).status_code == 200
        attack = asyncio.gather(*(edge.post(notifications, to="graph") for _ in range(60)))
        for number in range(5):
            assert (await edge.post(event(str(number)), to="good")).status_code == 200
            assert (await edge.post(challenge, to="slack", **as_slack(challenge))).json() == {"challenge": "c"}
        answers = await attack
    assert 503 in {answer.status_code for answer in answers} <= {400, 401, 503}
    assert {answer.json()["reason"] for answer in answers if answer.status_code == 503} == {"busy"}


@pytest.mark.bad_input(163)
async def test_deliveries_that_prove_themselves_do_not_live_on_that_share(store: Store) -> None:
    on = source("s", payload_transform="$merge([$$, {'raw_body': raw_body}])")
    async with running(store, on) as edge:
        for number in range(30):
            assert (await edge.post(event(str(number)))).status_code == 200
        share = edge.table._share(on)  # noqa: SLF001
        assert share._seconds == shares.BURST_CPU_SECONDS  # noqa: SLF001
        share._seconds = -1.0  # noqa: SLF001
        answered = await edge.post()
    assert (answered.status_code, answered.headers["connection"]) == (503, "close")


@pytest.mark.bad_input(163)
async def test_what_is_hostile_to_two_sources_keeps_no_third_one_waiting(store: Store) -> None:
    """Two threads are there for what nothing proves yet."""
    quadratic = "{'raw_body': raw_body, 'body': {'event': 'x', 'found': body.items[id in $$.body.wanted]}}"
    rows = [{"id": f"id-{number}", "tags": ["a", "b"]} for number in range(11_000)]
    hostile = orjson.dumps({"items": rows, "wanted": [f"no-{number}" for number in range(60_000)]})
    attacked = [source(name, payload_transform=quadratic) for name in ("a", "b")]
    async with running(store, *attacked, preset("monday")) as edge:
        attack = asyncio.gather(*(edge.post(hostile, to=to) for to in ("a", "b") * 5))
        headers = {"content-type": "application/json"}
        began = time.monotonic()
        asked = await edge.http.post("/webhooks/monday", content=b'{"challenge":"c"}', headers=headers)
        assert asked.json() == {"challenge": "c"}
        waited = time.monotonic() - began
        statuses = [answer.status_code for answer in await attack]
    assert waited < 15  # of CPU, one evaluation takes two seconds at most; there would be minutes of them
    assert sorted(statuses) == [400] * 2 + [503] * 8


# -- exchanging the sources --------------------------------------------------------------------------------------------


def written(file: Path, secret: str) -> None:
    file.write_text(json.dumps({"s": {"webhook": {"signature_verification": HMAC}, "secrets": [secret]}}))


async def until(condition: Any, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_changed_file_is_used_and_a_broken_one_is_not(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    written(path, OTHER)
    file = SourcesFile(path, {})
    async with running(store, *file.load()) as edge:
        following = asyncio.create_task(file.follow(edge.table, every_seconds=0.02))
        assert (await edge.post()).status_code == 401
        first = edge.table.get("s")
        with capture_logs() as logs:
            written(path, SECRET)
            await until(lambda: edge.table.get("s") is not first)
            assert (await edge.post()).status_code == 200
            second = edge.table.get("s")
            path.write_text("s: {preset: nope}")
            await until(lambda: any(line["event"] == "sources_kept" for line in logs))
        assert edge.table.get("s") is second
        assert (await edge.post()).status_code == 200
        assert [line["event"] for line in logs if line["event"].startswith("sources")] == [
            "sources_loaded",
            "sources_kept",
        ]
        written(path, OTHER)
        file.reload()
        await until(lambda: edge.table.get("s") is not second)
        assert (await edge.post()).status_code == 401
        path.unlink()
        following.cancel()


async def test_no_request_is_dropped_while_sources_are_exchanged(store: Store) -> None:
    async with running(store, source()) as edge:

        async def exchange() -> None:
            for _ in range(30):
                await edge.table.replace([source()])
                await asyncio.sleep(0)

        answers, _ = await asyncio.gather(
            asyncio.gather(*(edge.post(event(str(number))) for number in range(100))), exchange()
        )
    assert {answer.status_code for answer in answers} == {200}


# -- public keys -------------------------------------------------------------------------------------------------------

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Issuer:
    """A server of public keys that can misbehave."""

    calls: int = 0
    answered: int = 0
    behaviour: str = "good"
    kids: list[str] = field(default_factory=lambda: ["k1"])

    async def keys(self, request: Request) -> Response:
        self.calls += 1
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key()))
        keys = {"keys": [{**public, "kid": kid, "alg": "RS256"} for kid in self.kids]}
        match self.behaviour:
            case "down":
                return Response(status_code=500)
            case "redirect":
                return RedirectResponse("/other")
            case "nowhere":
                return RedirectResponse("mailto:x")
            case "large":
                return Response(b"x" * 10_000_000)
            case "not-json":
                return Response(b"nope")
            case "no-list":
                return JSONResponse({"keys": {}})
            case "slow":
                await asyncio.sleep(2)
        self.answered += 1
        return JSONResponse(keys)

    async def other(self, request: Request) -> Response:
        self.calls += 100
        return JSONResponse({"keys": []})


@asynccontextmanager
async def issuing(issuer: Issuer) -> AsyncIterator[str]:
    app = Starlette(routes=[Route("/jwks", issuer.keys), Route("/other", issuer.other)])
    async with serve(app) as url:
        yield f"{url}/jwks"


def token(kid: str) -> dict[str, str]:
    now = int(time.time())
    made = jwt.encode({"iat": now, "exp": now + 60}, RSA, algorithm="RS256", headers={"kid": kid})
    return {"authorization": f"Bearer {made}"}


def signing(url: str, *, cooldown: float = 30.0) -> Source:
    given = {
        "webhook": {"signature_verification": {"format": "jwt", "config": {}}},
        "options": {"jwt": {"algorithms": ["RS256"], "jwks_url": url, "jwks_cooldown_seconds": cooldown}},
    }
    return read_source("s", given, {})


@pytest.mark.bad_input(76)
async def test_keys_are_there_before_the_first_delivery_and_unknown_ones_fetch_no_storm(store: Store) -> None:
    issuer = Issuer()
    async with issuing(issuer) as url, running(store, signing(url)) as edge:
        assert (await edge.post(**token("k1"))).status_code == 200
        answers = await asyncio.gather(*(edge.post(**token(f"x{number}")) for number in range(500)))
        assert {answer.status_code for answer in answers} == {401}
        assert (await edge.post(**token("k1"))).status_code == 200
    assert issuer.calls == 1


async def test_a_new_key_is_fetched_beside_the_request_that_names_it(store: Store) -> None:
    issuer = Issuer()
    async with issuing(issuer) as url, running(store, signing(url, cooldown=1.0)) as edge:
        issuer.kids.append("k2")
        assert (await edge.post(**token("k2"))).status_code == 401
        await asyncio.sleep(1.0)
        assert (await edge.post(**token("k2"))).status_code in (200, 401)
        await until(lambda: issuer.calls == 2)
        await asyncio.sleep(0.1)
        assert (await edge.post(**token("k2"))).status_code == 200


@pytest.mark.bad_input(77)
@pytest.mark.parametrize("behaviour", ["down", "redirect", "nowhere", "large", "not-json", "no-list"])
async def test_an_issuer_that_misbehaves_opens_nothing(store: Store, behaviour: str) -> None:
    issuer = Issuer(behaviour=behaviour)
    async with issuing(issuer) as url, running(store, signing(url)) as edge:
        assert (await edge.post(**token("k1"))).status_code == 401
    assert issuer.calls == 1


@pytest.mark.bad_input(290)
@pytest.mark.parametrize("behaviour", ["down", "nowhere", "not-json"])
async def test_an_issuer_that_has_misbehaved_is_asked_again(store: Store, behaviour: str) -> None:
    issuer = Issuer(behaviour=behaviour)
    async with issuing(issuer) as url, running(store, signing(url, cooldown=1.0)) as edge:
        assert (await edge.post(**token("k1"))).status_code == 401
        issuer.behaviour = "good"
        async with asyncio.timeout(5):
            while (await edge.post(**token("k1"))).status_code != 200:  # noqa: ASYNC110  it is asked over HTTP
                await asyncio.sleep(0.05)


@pytest.mark.bad_input(77)
async def test_a_slow_issuer_holds_no_delivery_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingress.sources.table._PREPARING_SECONDS", 0.05)
    issuer = Issuer(behaviour="slow")
    async with issuing(issuer) as url, running(store, signing(url)) as edge:
        assert (await edge.post(**token("k1"))).status_code == 401
        assert (issuer.calls, issuer.answered) == (1, 0)


async def test_keys_that_no_source_wants_any_more_are_let_go(store: Store) -> None:
    issuer = Issuer()
    async with issuing(issuer) as url, running(store, signing(url)) as edge:
        await edge.table.replace([source()])
        assert (await edge.post()).status_code == 200
        assert edge.table._keys == {}  # noqa: SLF001


# -- names of Truto's --------------------------------------------------------------------------------------------------


async def test_an_event_of_another_source_with_a_name_of_trutos_is_taken_under_its_own_and_counted(
    store: Store,
) -> None:
    async with running(store, source("s")) as ingress:
        answer = await ingress.post(event("e-1", event="integrated_account:deleted"))
        assert (answer.status_code, answer.json()["events"][0]["type"]) == (200, "s/integrated_account:deleted")
        await ingress.post(event("e-2", event="paid"))
        metrics = (await ingress.admin.get("/metrics")).text
    assert 'truto_worker_platform_names_total{source="s"} 1.0' in metrics
