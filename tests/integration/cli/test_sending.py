"""``truto-worker send`` for the senders of a file: what arrives is what the source takes, or it is said why not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from ingress.sources.loading import load_sources
from ingress.verification.context import Delivery
from ingress.verification.outcome import Accepted, Outcome
from ingress.verification.pipeline import verify_delivery
from tests.integration.cli.commands import Commands

SECRET = "a secret of more than sixteen bytes"
FILE = f"""
github: {{preset: github, secrets: ["{SECRET}"]}}
shopify: {{preset: shopify, secrets: ["{SECRET}"]}}
stripe: {{preset: stripe, secrets: ["{SECRET}"]}}
slack: {{preset: slack, secrets: ["{SECRET}"]}}
xero: {{preset: xero, secrets: ["{SECRET}"]}}
svix: {{preset: svix, secrets: [whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw]}}
square: {{preset: square, secrets: ["{SECRET}"], options: {{public_url: "https://you.example"}}}}
gitlab: {{preset: gitlab, secrets: ["{SECRET}"]}}
own: {{preset: truto, secrets: ["{SECRET}"]}}
monday: {{preset: monday, secrets: ["{SECRET}"]}}
linear: {{preset: linear, secrets: ["{SECRET}"]}}
twilio: {{preset: twilio, secrets: ["{SECRET}"], options: {{public_url: "https://you.example"}}}}
discord: {{preset: discord, secrets: ["3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"]}}
"""


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("REDIS_URL", "TRUTO_WEBHOOK_SECRET", "SOURCES_FILE", "PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    Path("sources.yaml").write_text(FILE)


class _Receiver(BaseHTTPRequestHandler):
    got: list[tuple[str, dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def receiving() -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    got: list[tuple[str, dict[str, str], bytes]] = []
    server = HTTPServer(("127.0.0.1", 0), type("Receiver", (_Receiver,), {"got": got}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def outcome(name: str, path: str, headers: dict[str, str], body: bytes) -> Outcome:
    """What the ingress would make of it."""
    import time

    source = load_sources(Path("sources.yaml"), {})[name]
    raw = [(key.encode(), value.encode("latin-1")) for key, value in headers.items()]
    return verify_delivery(source, Delivery(raw, body, path=path), source.account({}), now=time.time())


@pytest.mark.parametrize(
    "name", ["github", "shopify", "stripe", "slack", "xero", "svix", "square", "gitlab", "own", "monday", "linear"]
)
def test_what_is_sent_is_taken_by_the_source(commands: Commands, name: str) -> None:
    with receiving() as (url, got):
        printed = commands("send", "--source", name, "--url", url, "--json")
    assert (printed.code, printed.json["status"]) == (0, 200)
    ((path, headers, body),) = got
    assert path == f"/webhooks/{name}"
    assert isinstance(outcome(name, path, headers, body), Accepted)


@pytest.mark.parametrize(
    ("name", "event", "header"),
    [("github", "push", "x-github-event"), ("shopify", "orders/paid", "x-shopify-topic")],
)
def test_the_event_s_type_is_in_the_header_of_the_sender(
    commands: Commands, name: str, event: str, header: str
) -> None:
    Path("body.json").write_text('{"zen": "Keep it logically awesome."}')
    with receiving() as (url, got):
        commands("send", "--source", name, "--event", event, "--data", "body.json", "--url", url)
    ((path, headers, body),) = got
    assert (headers[header], body) == (event, Path("body.json").read_bytes())
    taken = outcome(name, path, headers, body)
    assert isinstance(taken, Accepted)
    assert taken.events[0].type == event


@pytest.mark.parametrize(("name", "event"), [("stripe", "charge.paid"), ("xero", "INVOICE"), ("own", "record:created")])
def test_the_event_s_type_is_in_the_field_of_the_sender(commands: Commands, name: str, event: str) -> None:
    with receiving() as (url, got):
        commands("send", event, "--source", name, "--url", url)
    taken = outcome(name, *got[0])
    assert isinstance(taken, Accepted)
    assert taken.events[0].type == event


@pytest.mark.parametrize("name", ["github", "shopify", "stripe", "svix", "own"])
def test_each_sending_is_an_event_of_its_own(commands: Commands, name: str) -> None:
    with receiving() as (url, got):
        for _ in range(2):
            commands("send", "--source", name, "--url", url)
    found = [outcome(name, *each) for each in got]
    assert len({each.events[0].id for each in found if isinstance(each, Accepted)}) == 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--source", "twilio"], "twilio: the source signs the fields of forms only"),
        (["--source", "discord"], "discord: only the sender"),
        (["--source", "stripe", "--event", "x", "--data", "body.json"], "write it there instead of --event"),
        (["--source", "github", "--data", "none.json"], "--data none.json: No such file"),
        (["--source", "gihtub"], "did you mean github?"),
    ],
    ids=["form", "private-key", "type-in-the-body", "no-file", "misspelt"],
)
def test_what_cannot_be_sent_is_refused_with_the_reason(commands: Commands, arguments: list[str], why: str) -> None:
    Path("body.json").write_text("{}")
    with receiving() as (url, got):
        printed = commands("send", *arguments, "--url", url)
    assert (printed.code, got) == (2, [])
    assert why in printed.err
    assert SECRET not in printed.err


def test_an_event_type_is_named_once(commands: Commands) -> None:
    printed = commands("send", "push", "--event", "push", "--source", "github")
    assert (printed.code, "name the event type once" in printed.err) == (2, True)


def test_nobody_there_is_a_failure(commands: Commands) -> None:
    printed = commands("send", "--source", "github", "--url", "http://127.0.0.1:1", "--json")
    assert printed.code == 1
    assert json.loads(printed.out)["status"] is None


def test_a_misspelt_event_of_truto_is_guessed(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUTO_WEBHOOK_SECRET", SECRET)
    with receiving() as (url, _):
        printed = commands("send", "integrated_account:activ", "--url", url)
    assert printed.code == 0
    assert "did you mean integrated_account:active?" in printed.err
