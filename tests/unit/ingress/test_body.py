"""Reading a body: whole, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from starlette.types import Message, Receive, Scope

from ingress.answers import Refusal
from ingress.body import HERE, read_body
from ingress.errors import ClientGone


def scope_with(*lengths: bytes) -> Scope:
    return {"type": "http", "headers": [(b"content-length", length) for length in lengths]}


def arriving(messages: Iterable[Message]) -> Receive:
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    return receive


def chunk(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def read(*messages: Message, lengths: tuple[bytes, ...] = (), most: int = 10) -> bytes | Refusal:
    return await read_body(scope_with(*lengths), arriving(messages), max_bytes=most, seconds=1)


async def test_a_body_in_pieces_is_put_together() -> None:
    assert await read(chunk(b"ab", more=True), chunk(b"", more=True), chunk(b"cd")) == b"abcd"


async def test_a_body_as_large_as_allowed_is_read() -> None:
    assert await read(chunk(b"x" * 10), lengths=(b"10",)) == b"x" * 10


async def test_messages_without_fields_mean_an_empty_body() -> None:
    assert await read({"type": "http.request"}) == b""


@pytest.mark.parametrize(
    "length", [b"11", b"0011", b"9" * 30, b"9" * 5000], ids=["one-more", "zeros", "huge", "5000-digits"]
)
async def test_a_body_declared_too_large_is_refused_and_not_read(length: bytes) -> None:
    refusal = await read(lengths=(length,))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.reason, refusal.close) == (413, "body_too_large", True)


@pytest.mark.parametrize("length", [b"-1", b"+2", b"0x2", b"1_7", b"", b" 2", b"\xef\xbc\x91", b"0" * 5000], ids=repr)
async def test_a_length_that_is_no_number_decides_nothing(length: bytes) -> None:
    assert await read(chunk(b"ab"), lengths=(length,)) == b"ab"


async def test_of_several_lengths_the_largest_counts() -> None:
    refusal = await read(lengths=(b"2", b"11"))
    assert isinstance(refusal, Refusal)


async def test_a_body_that_grows_too_large_is_refused_at_that_point() -> None:
    refusal = await read(chunk(b"x" * 6, more=True), chunk(b"x" * 5, more=True))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.close) == (413, True)


async def test_a_sender_that_hangs_up_leaves_nothing() -> None:
    with pytest.raises(ClientGone):
        await read(chunk(b"ab", more=True), {"type": "http.disconnect"})


async def test_a_body_that_does_not_come_is_refused_in_time() -> None:
    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    refusal = await read_body(scope_with(), never, max_bytes=10, seconds=0.01)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.reason, refusal.close) == (408, "body_too_slow", True)


def scope_with_body(body: bytes) -> Scope:
    return {**scope_with(), "extensions": {HERE: {"body": body}}}


async def test_a_body_that_is_here_is_not_waited_for() -> None:
    assert await read_body(scope_with_body(b"ab"), arriving([]), max_bytes=2, seconds=0) == b"ab"


async def test_a_body_that_is_here_may_be_too_large_all_the_same() -> None:
    refusal = await read_body(scope_with_body(b"x" * 11), arriving([]), max_bytes=10, seconds=1)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "body_too_large"
