"""A REDIS_URL becomes a client with timeouts, or a message that repeats nothing of it."""

from __future__ import annotations

import contextlib
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import DataError

from events.connecting import check_url, connect, read_sentinel_url
from events.errors import BadStoreURL


def options_of(url: str) -> dict[str, Any]:
    return dict(connect(url, answer_seconds=3).connection_pool.connection_kwargs)


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://localhost:6379/2",
        "redis://user:word@localhost:6379/",
        "rediss://localhost?ssl_cert_reqs=none",
        "unix:///run/redis.sock?db=1",
        "redis+sentinel://a/events",
    ],
)
def test_every_way_to_redis_gives_up_in_time(url: str) -> None:
    options = options_of(url)
    assert options["socket_timeout"] == 3
    assert 0 < options["socket_connect_timeout"] <= 5


def test_what_the_url_says_wins() -> None:
    assert options_of("redis://localhost?socket_timeout=9")["socket_timeout"] == 9


def test_user_password_and_database_are_read() -> None:
    options = options_of("redis://user:p%40ss@host:1/2")
    assert [options[name] for name in ("username", "password", "host", "port", "db")] == ["user", "p@ss", "host", 1, 2]


def test_a_sentinel_url_is_read() -> None:
    address = read_sentinel_url("redis+sentinel://:w%40rd@a:1,b,[::1]:3/my-master/2?sentinel_password=s%26t")
    assert address.sentinels == (("a", 1), ("b", 26379), ("::1", 3))
    assert (address.master, address.db) == ("my-master", 2)
    assert address.login == {"password": "w@rd"}
    assert address.sentinel_login == {"password": "s&t"}


def test_users_are_read_from_a_sentinel_url() -> None:
    address = read_sentinel_url("redis+sentinel://me:word@a/m?sentinel_username=you&sentinel_password=t")
    assert address.login == {"username": "me", "password": "word"}
    assert address.sentinel_login == {"username": "you", "password": "t"}


def test_without_words_nothing_is_sent() -> None:
    address = read_sentinel_url("redis+sentinel://a/m")
    assert (address.login, address.sentinel_login, address.db) == ({}, {}, 0)


def test_an_address_does_not_print_its_passwords() -> None:
    assert "hunter2" not in repr(read_sentinel_url("redis+sentinel://:hunter2@a/m?sentinel_password=hunter2"))


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_any_encoded_password_is_read_back(password: str) -> None:
    try:
        encoded = quote(password, safe="")
    except UnicodeEncodeError:
        return
    assert read_sentinel_url(f"redis+sentinel://:{encoded}@a:1/m").login == {"password": password}


BAD = {
    "no-scheme": "hunter2",
    "other-scheme": "http://:hunter2@host",
    "password-with-slash": "redis://:hunter2/x@host:1",
    "password-with-question-mark": "redis://:hunter2?x@host:1",
    "port": "redis://:hunter2@host:port",
    "port-too-high": "redis://:hunter2@host:99999",
    "database": "redis://:hunter2@host:1/hunter2",
    "option": "redis://:hunter2@host:1?hunter2=1",
    "option-value": "redis://:hunter2@host:1?socket_timeout=hunter2",
    "brackets": "redis://:hunter2@[host:1",
    "sentinel-without-master": "redis+sentinel://:hunter2@a:1",
    "sentinel-with-empty-master": "redis+sentinel://:hunter2@a:1/",
    "sentinel-with-odd-master": "redis+sentinel://:hunter2@a:1/my master",
    "sentinel-database": "redis+sentinel://:hunter2@a:1/m/hunter2",
    "sentinel-without-host": "redis+sentinel://:hunter2@/m",
    "sentinel-with-comma-at-the-end": "redis+sentinel://:hunter2@a:1,/m",
    "sentinel-port": "redis+sentinel://:hunter2@a:hunter2/m",
    "sentinel-port-zero": "redis+sentinel://:hunter2@a:0/m",
    "sentinel-port-too-high": "redis+sentinel://:hunter2@a:65536/m",
    "sentinel-password-with-slash": "redis+sentinel://:hunter2/x@a:1/m",
    "sentinel-option": "redis+sentinel://a:1/m?hunter2=x",
    "sentinel-empty-option": "redis+sentinel://:hunter2@a:1/m?sentinel_password=",
}


@pytest.mark.parametrize("url", BAD.values(), ids=BAD)
def test_a_url_that_leads_nowhere_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(BadStoreURL) as caught:
        check_url(url)
    assert "hunter2" not in "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@given(st.text())
def test_no_text_is_anything_but_taken_or_refused(rest: str) -> None:
    for scheme in ("redis+sentinel://", "redis://", "unix://", ""):
        with contextlib.suppress(BadStoreURL):
            check_url(scheme + rest)


ARGUMENTS = st.text() | st.binary(max_size=20) | st.integers() | st.floats(allow_nan=False)


def connection_to(url: str) -> AbstractConnection:
    pool: Any = connect(url, answer_seconds=1).connection_pool  # redis-py leaves its methods untyped
    connection: AbstractConnection = pool.make_connection()
    return connection


@given(words=st.sampled_from(["EVALSHA", "CONFIG GET", b"CLIENT NO-EVICT"]), arguments=st.lists(ARGUMENTS))
def test_a_command_is_packed_as_redis_py_packs_it(words: str | bytes, arguments: list[Any]) -> None:
    ours, theirs = connection_to("unix:///nowhere"), UnixDomainSocketConnection(path="/nowhere")
    assert b"".join(ours.pack_command(words, *arguments)) == b"".join(theirs.pack_command(words, *arguments))


@pytest.mark.parametrize("url", ["redis://here", "rediss://here", "unix:///here", "redis+sentinel://here/master"])
def test_an_argument_that_is_none_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(DataError):
        connection_to(url).pack_command("SET", "key", None)  # type: ignore[arg-type]  # the mistake


@pytest.mark.parametrize("scheme", ["redis://h/0", "rediss://h/0", "unix:///run/redis.sock"])
@pytest.mark.parametrize("option", ["decode_responses=True", "encoding=latin-1", "encoding_errors=ignore"])
def test_what_another_program_says_of_reading_answers_counts_for_nothing(scheme: str, option: str) -> None:
    options = options_of(f"{scheme}?{option}")
    reading = [options[name] for name in ("decode_responses", "encoding", "encoding_errors")]
    assert reading == [False, "utf-8", "strict"]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://:hunter2@h:6379/0?ssl_cert_reqs=none", "sets ssl_cert_reqs, which is for rediss:// alone"),
        ("rediss://:hunter2@h:6379/0?ssl_cert_reqs=CERT_NONE", "it cannot be: none, optional or required"),
    ],
)
def test_a_tls_option_that_cannot_be_is_told_as_what_it_is(url: str, told: str) -> None:
    with pytest.raises(BadStoreURL, match=told) as caught:
        check_url(url)
    assert "hunter2" not in str(caught.value)


def test_tls_options_that_can_be_are_taken() -> None:
    assert options_of("rediss://h/0?ssl_cert_reqs=optional")["ssl_cert_reqs"] == "optional"


@pytest.mark.parametrize(
    ("query", "checked"),
    [
        ("", True),
        ("?ssl_cert_reqs=required", True),
        ("?ssl_check_hostname=false", False),
        ("?ssl_cert_reqs=none", False),
    ],
)
def test_a_server_has_to_prove_its_name_unless_the_url_says_otherwise(query: str, checked: bool) -> None:
    assert options_of(f"rediss://h/0{query}")["ssl_check_hostname"] is checked


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile"])
@pytest.mark.parametrize("contents", [None, b"", b"no certificate"], ids=["absent", "empty", "no-pem"])
def test_a_file_of_certificates_that_cannot_be_used_is_found_at_start(
    tmp_path: Path, option: str, contents: bytes | None
) -> None:
    file = tmp_path / "hunter2.pem"
    if contents is not None:
        file.write_bytes(contents)
    with pytest.raises(BadStoreURL, match=rf"files that cannot be used \({option}\)") as caught:
        check_url(f"rediss://h/0?{option}={file}")
    assert "hunter2" not in str(caught.value)
