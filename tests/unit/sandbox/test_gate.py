"""The door's decisions: rate limits, origins, hosts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import SandboxConfig
from sandbox.calls import base_url
from sandbox.errors import Refusal
from sandbox.gate import is_cross_origin
from sandbox.limits import Limit


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its one number is the time in seconds."""
    now = [1000.0]
    monkeypatch.setattr("sandbox.limits.time.monotonic", lambda: now[0])
    return now


def test_a_limit_counts_down_and_refuses(clock: list[float]) -> None:
    limit = Limit(2)
    assert [limit.take("a")["ratelimit-remaining"] for _ in range(2)] == ["1", "0"]
    clock[0] += 4
    with pytest.raises(Refusal) as caught:
        limit.take("a")
    assert caught.value.headers == {
        "ratelimit-limit": "2",
        "ratelimit-remaining": "0",
        "ratelimit-reset": "6",
        "Retry-After": "10",
    }


def test_keys_do_not_share_a_limit(clock: list[float]) -> None:
    limit = Limit(1)
    limit.take("a")
    assert limit.take("b")["ratelimit-remaining"] == "0"


def test_after_what_retry_after_says_there_is_room_again(clock: list[float]) -> None:
    limit = Limit(1)
    limit.take("a")
    with pytest.raises(Refusal):
        limit.take("a")
    clock[0] += 10
    assert limit.take("a")["ratelimit-reset"] == "10"


@given(st.dictionaries(st.sampled_from(["origin", "host", "sec-fetch-site"]), st.text(max_size=30)))
def test_no_headers_can_crash_the_check_of_the_origin(headers: dict[str, str]) -> None:
    assert is_cross_origin(headers) in (True, False)


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("127.0.0.1:8100", "http://127.0.0.1:8100"),
        ("[::1]:8100", "http://[::1]:8100"),
        ("sandbox.example", "http://sandbox.example"),
        ("[", "http://localhost"),
        ("a/b", "http://localhost"),
        ("", "http://localhost"),
        ("a:b", "http://localhost"),
    ],
)
def test_an_address_is_made_of_a_proper_host_only(host: str, found: str) -> None:
    assert base_url("http", host) == found


def test_a_link_token_url_has_to_be_one() -> None:
    with pytest.raises(ValueError, match="link_token_url"):
        SandboxConfig(link_token_url="nowhere")


def test_a_configuration_does_not_show_the_link_token_key() -> None:
    assert "key-1" not in repr(SandboxConfig(link_token_key="key-1"))
