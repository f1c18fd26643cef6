"""Basic and bearer: the exact credentials behind one word and one space, and nothing that resembles them."""

from __future__ import annotations

import base64

import pytest

from ingress.answers import Refusal
from ingress.sources.loading import read_source
from ingress.verification.outcome import Accepted
from tests.unit.ingress.sources.senders import SECRET, of_headers, verify

BODY = b'{"event":"ping"}'
PASSWORD = "pass:word:with:colons"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def block(name: str) -> dict[str, object]:
    return {"signature_verification": {"format": name, "config": {}}}


BEARER = read_source("s", {"webhook": block("bearer"), "secrets": [SECRET]}, {})
CONTEXT = {"webhook_username": "user", "webhook_password": PASSWORD}
BASIC = read_source("s", {"webhook": block("basic"), "context": CONTEXT}, {})


@pytest.mark.parametrize("word", ["Bearer", "bearer", "BEARER", "Token"])
def test_a_token_is_taken_behind_any_word(word: str) -> None:
    assert isinstance(verify(BEARER, of_headers({"authorization": f"{word} {SECRET}"}, BODY)), Accepted)


@pytest.mark.parametrize("word", ["Basic", "basic"])
def test_credentials_are_taken_with_all_their_colons(word: str) -> None:
    assert isinstance(verify(BASIC, of_headers({"authorization": f"{word} {b64('user:' + PASSWORD)}"}, BODY)), Accepted)


@pytest.mark.parametrize(
    "value",
    [
        "",
        SECRET.replace(" ", ""),
        f" {SECRET}",
        f"Bearer  {SECRET}",
        f"Bearer\t{SECRET}",
        "Bearer",
        "Bearer ",
        f"Bearer {SECRET[:-1]}",
        f"Bearer {SECRET}x",
        f"Bearer {SECRET}\0",
        f"Bearer {SECRET.upper()}",
        f"Basic {b64('user:' + SECRET)}",
        "Bearer {{context.webhook_secret}}",
    ],
    ids=[
        *("empty", "no-word", "no-first-word", "two-spaces", "tab", "no-token", "empty-token", "cut", "longer", "nul"),
        *("capitals", "basic", "placeholder"),
    ],
)
def test_anything_but_the_token_is_refused(value: str) -> None:
    outcome = verify(BEARER, of_headers({"authorization": value}, BODY))
    assert isinstance(outcome, Refusal)
    assert (outcome.status, outcome.reason) == (401, "signature_mismatch")


@pytest.mark.parametrize(
    "value",
    [
        f"Bearer {b64('user:' + PASSWORD)}",
        b64("user:" + PASSWORD),
        f"Basic user:{PASSWORD}",
        f"Basic {b64('user' + PASSWORD)}",
        f"Basic {b64('user:wrong')}",
        f"Basic {b64('wrong:' + PASSWORD)}",
        f"Basic {b64(':')}",
        "Basic !!!!",
        f"Basic {base64.b64encode(b'user:' + bytes([0xE9])).decode()}",
        f"Basic {b64('user:' + PASSWORD)}=",
        f"Basic {b64('user:' + PASSWORD).rstrip('=')} ",
        f"Bearer {SECRET}",
    ],
    ids=[
        *("other-word", "no-word", "plain", "no-colon", "wrong-password", "wrong-user", "empty", "no-base64"),
        *("no-utf8", "padded", "space", "bearer"),
    ],
)
def test_anything_but_the_credentials_is_refused_alike(value: str) -> None:
    outcome = verify(BASIC, of_headers({"authorization": value}, BODY))
    assert isinstance(outcome, Refusal)
    assert (outcome.status, outcome.reason) == (401, "signature_mismatch")


def test_a_token_in_the_query_string_is_not_looked_at() -> None:
    query = b"token=" + SECRET.replace(" ", "+").encode()
    assert isinstance(verify(BEARER, of_headers({}, BODY, query=query)), Refusal)
