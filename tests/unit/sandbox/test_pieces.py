"""The parts of the sandbox that decide without I/O."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Scope

import sandbox.calls as calls_module
from sandbox import SandboxConfig, create_app
from sandbox.answers import Answer, answer
from sandbox.background import Background
from sandbox.calls import Replies, parse_object
from sandbox.config import is_http_url
from sandbox.dataset import RESOURCES, batches, native, unified
from sandbox.errors import Refusal
from sandbox.faults import Faults
from sandbox.inbox import verify
from sandbox.page import render
from sandbox.runs import resource_names
from sandbox.state import Journal, State, Table, without_credentials

TENANT_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize(
    "settings",
    [
        {"token": ""},
        {"webhook_url": "http://127.0.0.1/hook"},
        {"webhook_secret": "s"},
        {"webhook_url": "nowhere", "webhook_secret": "s"},
        {"step_seconds": -1},
        {"retry_delays": (1.0, -1.0)},
        {"deactivate_after": 0},
        {"log_size": 0},
        {"signature_encoding": "rot13"},
        {"tenant_secret": "whsec_"},
        {"tenant_secret": "whsec_é"},
    ],
    ids="+".join,
)
def test_a_sandbox_that_could_not_work_is_not_made(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        SandboxConfig(**settings)


def test_a_configuration_shows_no_secret() -> None:
    shown = repr(
        SandboxConfig(token="tok-1", tenant_secret=TENANT_SECRET, webhook_url="http://h", webhook_secret="sec-1")
    )
    assert not any(secret in shown for secret in ("tok-1", TENANT_SECRET, "sec-1"))


@given(st.text())
def test_no_text_can_crash_the_check_of_an_address(text: str) -> None:
    assert is_http_url(text) in (True, False)


@given(st.binary(max_size=200))
def test_no_bytes_can_crash_the_parser(raw: bytes) -> None:
    """A JSON object or our own refusal."""
    with contextlib.suppress(Refusal):
        assert isinstance(parse_object(raw), dict)


@given(
    st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text(max_size=40)),
    st.binary(max_size=40),
)
def test_no_stranger_can_crash_or_pass_the_inbox(headers: dict[str, str], body: bytes) -> None:
    assert verify([TENANT_SECRET], body, headers) is False


@pytest.mark.parametrize(
    "body",
    [
        {"speed": 1},
        {"outage": 1},
        {"error_rate": 2},
        {"error_rate": True},
        {"provider_status": 200},
        {"provider_status": True},
        {"provider_status": [500]},
    ],
    ids=str,
)
def test_a_fault_that_does_not_exist_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        Faults.parse(body)


def test_a_provider_s_status_is_a_whole_number() -> None:
    assert Faults.parse({"provider_status": 429.0}).as_dict()["provider_status"].__class__ is int


@pytest.mark.parametrize(("chance", "status"), [(0.2, 500), (0.3, None), (0.9, None)], ids=str)
def test_an_error_rate_fails_its_share_of_the_calls(chance: float, status: int | None) -> None:
    refusal = Faults(error_rate=0.3).refusal(chance)
    assert (refusal.status if refusal else None) == status


@pytest.mark.parametrize(
    ("resources", "names"),
    [
        (["crm/contacts", {"resource": "crm/users"}, {"other": 1}, 7, ""], ["crm/contacts", "crm/users"]),
        ("crm/contacts", []),
        (None, []),
    ],
    ids=["mixed", "text", "none"],
)
def test_resource_names_pass_over_what_has_none(resources: object, names: list[str]) -> None:
    assert resource_names(resources) == names


def test_the_data_is_the_same_every_time() -> None:
    for resource in RESOURCES:
        assert native(resource) == native(resource)
        assert sum(map(len, batches(unified(resource)))) == len(unified(resource))
    assert native("dragons") == []


def test_credentials_are_removed_and_the_rest_stays() -> None:
    context = {
        "api_key": "k",
        "plan": "gold",
        "oauth": {"scope": ["read"], "token": {"access_token": "t", "refresh_token": "r", "token_type": "bearer"}},
    }
    account = {"context": context}
    shown = without_credentials(account)["context"]
    assert shown == {"plan": "gold", "oauth": {"scope": ["read"], "token": {"token_type": "bearer"}}}
    assert account["context"]["api_key"] == "k"


@pytest.mark.parametrize("oauth", [None, "text", {"token": "text"}], ids=str)
def test_a_context_of_another_shape_is_shown_as_it_is(oauth: object) -> None:
    assert without_credentials({"context": {"oauth": oauth}})["context"] == {"oauth": oauth}


def test_a_journal_keeps_the_last_entries_and_their_positions() -> None:
    journal = Journal(2)
    for number in range(4):
        journal.add({"n": number})
    assert journal.entries() == [(3, {"n": 2}), (4, {"n": 3})]


@pytest.mark.parametrize("row_id", [None, 7, ["a"], "unknown"], ids=str)
def test_a_table_has_no_row_for_what_is_no_id(row_id: object) -> None:
    assert Table().get(row_id) is None


def test_an_empty_page_says_how_to_begin() -> None:
    assert "POST /webhook registers one." in render(State.seeded(SandboxConfig()))


async def test_a_failed_task_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError("boom")

    background = Background()
    with caplog.at_level(logging.ERROR):
        background.spawn(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert [record.message for record in caplog.records] == ["sandbox_task_failed"]


async def test_closing_cancels_what_still_runs() -> None:
    background = Background()
    ended = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    background.spawn(wait())
    await asyncio.sleep(0)
    await background.close()
    assert ended.is_set()


async def test_old_keys_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_module, "_REMEMBERED_KEYS", 2)
    replies = Replies()
    made: list[str] = []

    async def act(key: str) -> Answer:
        made.append(key)
        return answer({})

    for key in ("a", "b", "a", "c", "a"):
        await replies.once((key,), lambda key=key: act(key))  # type: ignore[misc]
    assert made == ["a", "b", "c", "a"]


@pytest.mark.parametrize("scope", [{"type": "websocket", "path": "/ping"}, {"type": "http", "path": "*"}], ids=str)
async def test_odd_requests_are_turned_away_quietly(scope: dict[str, Any]) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await create_app(SandboxConfig())({"method": "OPTIONS", "headers": [], **scope}, receive, send)
    assert sent[0].get("status", sent[0].get("code")) in (401, 1000)


@pytest.mark.parametrize("path", ["/sandbox/connect", "/inbox/acme-1"])
async def test_a_body_that_ends_early_is_a_400(path: str) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [],
    }
    await create_app(SandboxConfig())(scope, receive, send)
    assert sent[0]["status"] == 400
