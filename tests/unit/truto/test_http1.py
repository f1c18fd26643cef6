"""What goes over the wire, decided on bytes alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import httptools
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from truto.http1 import MOST_HEAD_BYTES, MOST_HEAD_LINES, MOST_PIECE_BYTES, Answer, encode_head

URL = "http://api.test/a%20b?c=d"


class Result(NamedTuple):
    """All that a transport may learn of an answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    complete: bool
    reusable: bool


def read(*pieces: bytes, method: str = "GET", end: bool = True) -> Result:
    answer = Answer(method)
    for piece in pieces:
        answer.feed(piece)
    if end:
        answer.feed_end()
    body = []
    while answer.unread:
        body.append(answer.take())
    return Result(answer.status, answer.headers, b"".join(body), answer.complete, answer.reusable)


def outcome(*pieces: bytes, method: str) -> Result | type[Exception]:
    try:
        return read(*pieces, method=method)
    except httpx.RemoteProtocolError as error:
        return type(error)


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH = OK + b"Content-Length: 5\r\n\r\n"

GOOD: dict[str, tuple[bytes, bytes, bool]] = {
    "length": (LENGTH + b"hello", b"hello", True),
    "length-0": (OK + b"Content-Length: 0\r\n\r\n", b"", True),
    "length-with-spaces": (OK + b"Content-Length: \t5 \r\n\r\nhello", b"hello", True),
    "chunks": (CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello", True),
    "no-chunks": (CHUNKED + b"0\r\n\r\n", b"", True),
    "chunk-extensions": (CHUNKED + b'5;a=b;c="d"\r\nhello\r\n0\r\n\r\n', b"hello", True),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\nRetry-After: 9\r\n\r\n", b"hello", True),
    "until-closed": (OK + b"\r\nhello", b"hello", False),
    "nothing-until-closed": (OK + b"\r\n", b"", False),
    "204": (b"HTTP/1.1 204 X\r\n\r\n", b"", True),
    "204-announces": (b"HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\nhello", b"", False),
    "304-announces": (b"HTTP/1.1 304 X\r\nTransfer-Encoding: chunked\r\n\r\n", b"", False),
    "no-reason": (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"", True),
    "close": (OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
    "close-in-a-list": (OK + b"Connection: foo, Close\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
    "1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
    "1.0-kept": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", b"hello", True),
    "100": (b"HTTP/1.1 100 Continue\r\n\r\n" + LENGTH + b"hello", b"hello", True),
    "103-twice": (b"HTTP/1.1 103 E\r\nLink: x\r\n\r\n" * 2 + LENGTH + b"hello", b"hello", True),
    "upgrade-offered": (OK + b"Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n", b"", True),
    "surplus": (LENGTH + b"hello!", b"hello", False),
    "surplus-line": (LENGTH + b"hello\r\n", b"hello", False),
    "surplus-answer": (LENGTH + b"hello" + LENGTH + b"other", b"hello", False),
    "surplus-after-chunks": (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n!", b"hello", False),
    "surplus-line-after-chunks": (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n\r\n", b"hello", False),
    "surplus-answer-after-chunks": (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n" + LENGTH + b"other", b"hello", False),
    "upgrade-after-chunks": (
        CHUNKED + b"5\r\nhello\r\n0\r\n\r\nHTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"hello",
        False,
    ),
    "surplus-after-204": (b"HTTP/1.1 204 X\r\n\r\nx", b"", False),
}


@pytest.mark.parametrize("name", GOOD)
def test_an_answer_has_its_body_and_says_whether_another_may_follow(name: str) -> None:
    wire, body, reusable = GOOD[name]
    found = read(wire)
    assert (found.body, found.complete, found.reusable) == (body, True, reusable)


@pytest.mark.parametrize("name", [name for name in GOOD if "until" not in name])
def test_an_answer_that_tells_its_end_needs_no_closing(name: str) -> None:
    assert read(GOOD[name][0], end=False).complete


BAD: dict[str, bytes] = {
    "nothing": b"",
    "another-protocol": b"220 mail.test ESMTP\r\n",
    "a-line-first": b"\r\n" + LENGTH + b"hello",
    "http-2": b"HTTP/2.0 200 OK\r\n\r\n",
    "http-1.2": b"HTTP/1.2 200 OK\r\n\r\n",
    "lower-case": b"http/1.1 200 OK\r\n\r\n",
    "no-status": b"HTTP/1.1 OK\r\n\r\n",
    "status-99": b"HTTP/1.1 099 X\r\n\r\n",
    "status-2000": b"HTTP/1.1 2000 X\r\n\r\n",
    "101": b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "101-alone": b"HTTP/1.1 101 X\r\n\r\n",
    "interim-only": b"HTTP/1.1 100 Continue\r\n\r\n",
    "half-a-head": OK + b"Content-Le",
    "half-a-body": LENGTH + b"hell",
    "half-a-chunk": CHUNKED + b"5\r\nhell",
    "no-last-chunk": CHUNKED + b"5\r\nhello\r\n",
    "no-end-of-trailers": CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\n",
    "two-lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "one-length-twice": OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "list-of-lengths": OK + b"Content-Length: 5, 5\r\n\r\nhello",
    "signed-length": OK + b"Content-Length: +5\r\n\r\nhello",
    "hex-length": OK + b"Content-Length: 0x5\r\n\r\nhello",
    "empty-length": OK + b"Content-Length:\r\n\r\nhello",
    "length-after-zeros": OK + b"Content-Length: " + b"0" * 5000 + b"5\r\n\r\nhello",
    "endless-length": OK + b"Content-Length: 99999999999999999999\r\n\r\nhello",
    "length-and-chunks": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks-and-length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "another-coding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding-after-chunks": OK + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "coding-in-two-lines": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "vertical-tab-coding": OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks-in-1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space-before-colon": OK + b"Content-Length : 5\r\n\r\nhello",
    "folded-line": OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "bare-line-feeds": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello\r\n\r\n",
    "bare-line-feed": OK + b"A: b\nContent-Length: 5\r\n\r\nhello",
    "bare-return": OK + b"A: b\rContent-Length: 5\r\n\r\nhello",
    "nul": OK + b"A: \x00\r\n\r\n",
    "no-name": OK + b": b\r\n\r\n",
    "no-colon": OK + b"A\r\n\r\n",
    "signed-chunk": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "no-size": CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    "chunk-too-long": CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n",
    "chunk-with-line-feed": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "endless-chunk": CHUNKED + b"f" * 17 + b"\r\n",
    "length-in-trailers": CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n",
    "large-head": OK + b"A: " + b"a" * MOST_HEAD_BYTES + b"\r\n\r\n",
    "many-headers": OK + b"A: b\r\n" * (MOST_HEAD_LINES + 1) + b"\r\n",
    "large-interim-heads": (b"HTTP/1.1 103 E\r\nA: " + b"a" * 30_000 + b"\r\n\r\n") * 3 + LENGTH + b"hello",
    "many-interim-headers": (b"HTTP/1.1 103 E\r\n" + b"A: b\r\n" * 60 + b"\r\n") * 2 + LENGTH + b"hello",
    "endless-extension": CHUNKED + b"5;" + b"a" * (MOST_HEAD_BYTES + 1),
    "endless-trailers": CHUNKED + b"0\r\n" + b"A: b\r\n" * MOST_HEAD_BYTES,
}


@pytest.mark.parametrize("name", BAD)
def test_what_leaves_a_doubt_is_no_answer(name: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        read(BAD[name])


def test_an_error_quotes_nothing_of_the_answer() -> None:
    with pytest.raises(httpx.RemoteProtocolError) as caught:
        read(OK + b"secret-name\x00: secret-value\r\n\r\n")
    assert "secret" not in f"{caught.value!r}{caught.value.__cause__!r}"


WIRES = {**{name: wire for name, (wire, *_) in GOOD.items()}, **BAD}
SHORT = {name: wire for name, wire in WIRES.items() if len(wire) < 1000}


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_bytes_that_come_one_by_one_are_the_same_answer(name: str, method: str) -> None:
    wire = SHORT[name]
    single = [wire[place : place + 1] for place in range(len(wire))]
    assert outcome(*single, method=method) == outcome(*filter(None, [wire]), method=method)


@given(
    wire=st.sampled_from(list(SHORT.values())),
    cuts=st.lists(st.integers(0, 300)),
    method=st.sampled_from(["GET", "HEAD"]),
)
def test_the_pieces_do_not_matter(wire: bytes, cuts: list[int], method: str) -> None:
    edges = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    pieces = [wire[start:end] for start, end in pairwise(edges)]
    assert outcome(*pieces, method=method) == outcome(*filter(None, [wire]), method=method)


TOKENS = [
    b"HTTP/1.1 200 OK", b"HTTP/1.1 100 C", b"HTTP/1.1 204 N", b"HTTP/1.0 200", b"\r\n", b"\n", b"\r", b" ", b":", b"\0",
    b"Content-Length", b"Transfer-Encoding", b"chunked", b"Connection", b"close", b"5", b"0", b"hello", b";", b"\xff",
]  # fmt: skip


@given(
    wire=st.lists(st.sampled_from(TOKENS), max_size=30).map(b"".join) | st.binary(max_size=200),
    cut=st.integers(0, 200),
    method=st.sampled_from(["GET", "HEAD"]),
)
@example(wire=LENGTH + b"hello", cut=30, method="GET")
def test_garbage_is_refused_or_the_same_answer_however_it_is_cut(wire: bytes, cut: int, method: str) -> None:
    assert outcome(*filter(None, [wire[:cut], wire[cut:]]), method=method) == outcome(
        *filter(None, [wire]), method=method
    )


@given(
    trailing=st.binary(min_size=1, max_size=50), name=st.sampled_from([n for n, (_, _, kept) in GOOD.items() if kept])
)
def test_whatever_follows_an_answer_its_connection_is_given_up(trailing: bytes, name: str) -> None:
    wire, body, _ = GOOD[name]
    found = read(wire + trailing)
    assert (found.body, found.complete, found.reusable) == (body, True, False)


@pytest.mark.parametrize("late", [b"\r\n", b"x", LENGTH], ids=["line", "byte", "answer"])
def test_what_comes_after_an_answer_changes_nothing_but_that(late: bytes) -> None:
    found = read(LENGTH, b"hello", late)
    assert (found.body, found.reusable) == (b"hello", False)


@pytest.mark.parametrize("name", GOOD)
def test_an_answer_to_head_is_its_head(name: str) -> None:
    wire, _, _ = GOOD[name]
    found = read(wire, method="HEAD", end=False)
    assert (found.body, found.complete, found.reusable) == (b"", True, False)


def test_trailers_are_no_headers() -> None:
    found = read(CHUNKED + b"5\r\nhello\r\n0\r\nRetry-After: 9\r\nX-A: b\r\n\r\n")
    assert found.headers == [(b"Transfer-Encoding", b"chunked")]


def test_interim_headers_are_not_the_answers() -> None:
    found = read(b"HTTP/1.1 103 E\r\nSet-Cookie: a\r\n\r\n", LENGTH, b"hello")
    assert found.headers == [(b"Content-Length", b"5")]


def test_an_empty_value_is_kept_apart_from_the_next_name() -> None:
    found = read(OK + b"A:\r\nContent-Length: 0\r\n\r\n")
    assert found.headers == [(b"A", b""), (b"Content-Length", b"0")]


def test_a_head_of_the_largest_size_is_read() -> None:
    start, end = OK + b"A: ", b"\r\nContent-Length: 0\r\n\r\n"
    assert read(start + b"a" * (MOST_HEAD_BYTES - len(start + end)) + end).complete
    with pytest.raises(httpx.RemoteProtocolError, match="larger"):
        read(start + b"a" * (MOST_HEAD_BYTES - len(start + end) + 1) + end)


def test_as_many_headers_as_are_allowed_are_read() -> None:
    assert len(read(OK + b"A: b\r\n" * (MOST_HEAD_LINES - 1) + b"Content-Length: 0\r\n\r\n").headers) == MOST_HEAD_LINES


@pytest.mark.parametrize(
    "wire",
    [
        OK + b"Content-Length: 300000\r\n\r\n" + b"x" * 300_000,
        CHUNKED + b"493e0\r\n" + b"x" * 300_000 + b"\r\n0\r\n\r\n",
        OK + b"\r\n" + b"x" * 300_000,
    ],
    ids=["length", "chunks", "until-closed"],
)
def test_a_body_is_handed_out_in_pieces_of_bounded_size(wire: bytes) -> None:
    answer = Answer("GET")
    answer.feed(wire)
    sizes = []
    while answer.unread:
        sizes.append(len(answer.take()))
    assert max(sizes) <= MOST_PIECE_BYTES
    assert sum(sizes) == 300_000


def request(method: str = "GET", **options: Any) -> httpx.Request:
    return httpx.Request(method, URL, **options)


async def two() -> Any:
    yield b"a"


def test_a_request_is_its_line_and_its_headers() -> None:
    head, length = encode_head(request(headers={"X-A": "b c"}))
    assert head == b"GET /a%20b?c=d HTTP/1.1\r\nHost: api.test\r\nX-A: b c\r\n\r\n"
    assert length == 0


@pytest.mark.parametrize(
    ("content", "length"), [(None, 0), (b"hello", 5), (two(), None)], ids=["none", "bytes", "iterator"]
)
def test_a_request_says_how_long_its_body_is(content: Any, length: int | None) -> None:
    head, announced = encode_head(request("POST", content=content))
    assert announced == length
    assert (b"Content-Length: %d\r\n" % length if length is not None else b"Transfer-Encoding: chunked\r\n") in head


REFUSED: dict[str, httpx.Request] = {
    "method-with-space": request("GET / HTTP/1.1\r\nA:"),
    "method-empty": request(""),
    "method-not-ascii": request("GÉT"),
    "line-break": request(headers={"a": "b\r\nc: d"}),
    "line-feed": request(headers={"a": "b\nc: d"}),
    "return": request(headers={"a": "b\rc"}),
    "nul": request(headers={"a": "b\0"}),
    "line-break-in-name": request(headers={"a\r\nb": "c"}),
    "colon-in-name": request(headers={"transfer-encoding: chunked\r\nx": "c"}),
    "space-in-name": request(headers={"transfer-encoding ": "chunked"}),
    "empty-name": request(headers={"": "c"}),
    "two-hosts": request(headers=[("host", "a"), ("Host", "b")]),
    "two-lengths": request(headers=[("content-length", "0"), ("Content-Length", "5")], stream=httpx.ByteStream(b"")),
    "length-and-chunks": request(headers={"content-length": "0", "transfer-encoding": "chunked"}),
    "another-coding": request(headers={"transfer-encoding": "gzip, chunked"}),
    "signed-length": request(headers={"host": "a", "content-length": "-1"}, stream=httpx.ByteStream(b"")),
    "endless-length": request(headers={"host": "a", "content-length": "0" * 5000}, stream=httpx.ByteStream(b"")),
    "no-host": request(stream=httpx.ByteStream(b"")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_would_be_read_as_another_is_not_written(name: str) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        encode_head(REFUSED[name])


class _Seen:
    def __init__(self) -> None:
        self.targets: list[bytes] = []
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.targets.append(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))


@given(name=st.binary(max_size=20), value=st.binary(max_size=40))
@example(name=b"a", value=b"b\r\n\r\nGET /other HTTP/1.1\r\nhost: x")
def test_a_header_is_written_as_itself_or_not_at_all(name: bytes, value: bytes) -> None:
    if name.lower() in (b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"host"):
        return
    try:
        head, _ = encode_head(request(headers=[(name, value)]))
    except httpx.LocalProtocolError:
        return
    seen = _Seen()
    try:
        httptools.HttpRequestParser(seen).feed_data(head)
    except httptools.HttpParserError:
        return  # refused by the server as a whole
    assert seen.targets == [b"/a%20b?c=d"]
    assert [(key, text.strip(b" \t")) for key, text in seen.headers] == [
        (b"Host", b"api.test"),
        (name, value.strip(b" \t")),
    ]
