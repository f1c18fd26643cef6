"""``TRUTO_WEBHOOK_SECRET=stored``: the secret that ``connect`` has put into Redis, for all commands that need one."""

from __future__ import annotations

import json

import pytest
from redis import Redis

from tests.integration.cli.commands import Commands

SECRET = "6e17561c-a20c-44ce-b8b5-caff0bf786fe"


@pytest.fixture
def stored(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """With two secrets in Redis, the newer one in front."""
    monkeypatch.setenv("TRUTO_WEBHOOK_SECRET", "stored")
    with Redis.from_url(commands.url) as redis:
        redis.hset("tw:context:truto", "webhook_secret", json.dumps(f"{SECRET},an-older-secret-of-the-webhook"))
    return commands


def test_samples_are_signed_with_the_stored_secret(stored: Commands) -> None:
    told = stored("sources", "test", "truto", "--json")
    assert told.json["ok"] is True


def test_send_signs_with_the_stored_secret(stored: Commands) -> None:
    told = stored("send", "record:created", "--url", "http://127.0.0.1:9", "--json")
    assert (told.code, told.json["status"]) == (1, None)


def test_without_a_stored_secret_there_is_nothing_to_sign_with(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUTO_WEBHOOK_SECRET", "stored")
    assert commands("send", "record:created").code == 2
