"""HTTP/1.1 as bytes: what a request is on the wire, and what the bytes of an answer say. Performs no I/O.

llhttp (through httptools) reads heads and chunks, in its strict mode. Where a head ends, how long a body is and whether
the connection is still in step afterwards is decided here, because the next answer on the connection depends on it.
"""

from __future__ import annotations

import re
from collections import deque
from functools import lru_cache

import httptools
import httpx

MOST_HEAD_BYTES = 64 * 1024
MOST_HEAD_LINES = 100
MOST_PIECE_BYTES = 64 * 1024
"""A piece of a body is no larger: what is packed in one may be a thousand times that when it is unpacked."""

# As many as a 64-bit number has. llhttp reads any number of zeros before it, int() does not.
_MOST_LENGTH_DIGITS = 20
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(rb"/[!-~]*")
_FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding"})
_START = b"HTTP/1."
_SWITCHING_PROTOCOLS = 101
_NO_CONTENT, _NOT_MODIFIED = 204, 304


def encode_head(request: httpx.Request) -> tuple[bytes, int | None]:
    """The head of *request*, and how many bytes its body has: ``None`` if that comes in chunks.

    Raises :class:`httpx.LocalProtocolError` for what would be read as more, less or another thing than this request.
    """
    method = request.method.encode("ascii", "replace")  # "?" is no token
    target = request.url.raw_path
    if not _TOKEN.fullmatch(method) or not _TARGET.fullmatch(target):
        raise httpx.LocalProtocolError("the method or target of the request cannot be written")
    lines = [b"%b %b HTTP/1.1" % (method, target)]
    framing: dict[bytes, bytes] = {}
    for name, value in request.headers.raw:
        lowered = _lowered(name)
        if lowered in _FRAMING:
            if lowered in framing:
                raise httpx.LocalProtocolError(f"the request has two {lowered.decode()} headers")
            framing[lowered] = value
        lines.append(name + b": " + value)
    lines += (b"", b"")
    head = b"\r\n".join(lines)
    breaks = len(lines) - 1
    if head.count(b"\r") != breaks or head.count(b"\n") != breaks or b"\0" in head:
        raise httpx.LocalProtocolError("the value of a header holds a line break or NUL")
    if b"host" not in framing:
        raise httpx.LocalProtocolError("the request has no host header")
    return head, _announced(framing)


@lru_cache(maxsize=256)
def _lowered(name: bytes) -> bytes:
    if not _TOKEN.fullmatch(name):
        raise httpx.LocalProtocolError("the name of a header cannot be written")
    return name.lower()


def _announced(framing: dict[bytes, bytes]) -> int | None:
    coding, length = framing.get(b"transfer-encoding"), framing.get(b"content-length")
    if coding is None and length is None:
        return 0
    if coding is not None and (length is not None or coding.lower() != b"chunked"):
        raise httpx.LocalProtocolError("the body of the request is chunked or has a length, nothing else")
    if length is not None and not (length.isdigit() and len(length) <= _MOST_LENGTH_DIGITS):
        raise httpx.LocalProtocolError("the length of the request's body is no number")
    return None if length is None else int(length)


class _Told:
    """What llhttp tells of one answer. Trailers, and what follows the answer's end, are left out."""

    __slots__ = ("body", "complete", "head_complete", "headers")

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []
        self.head_complete = self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.head_complete:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.head_complete = True

    def on_body(self, piece: bytes) -> None:
        if not self.complete:
            self.body.append(piece)

    def on_message_complete(self) -> None:
        self.complete = True


class Answer:
    """One answer, as its bytes come in. However they are cut into pieces, the result is the same.

    ``status`` is 0 until the head is there; interim answers (1xx) are skipped. ``unread`` bytes of the body are held
    until :meth:`take` takes them out. ``reusable`` tells, once the answer is ``complete``, whether the connection is
    certain to be in step: an answer that leaves doubts about where it ends makes it false.
    """

    __slots__ = (
        "_chunks",
        "_head_bytes",
        "_head_lines",
        "_held",
        "_left",
        "_method",
        "_pieces",
        "_without_body",
        "begun",
        "complete",
        "headers",
        "reusable",
        "status",
        "unread",
    )

    def __init__(self, method: str) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.unread = 0
        self.begun = self.complete = self.reusable = False
        self._pieces: deque[bytes] = deque()
        self._method = method
        self._held = bytearray()
        self._head_bytes = self._head_lines = 0
        # A body has a length of which some is left, or comes in chunks, or else ends with the connection.
        self._left: int | None = None
        self._chunks: tuple[httptools.HttpResponseParser, _Told] | None = None
        self._without_body = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes; raises :class:`httpx.RemoteProtocolError` if they are no answer."""
        self.begun = True
        if not self.complete and not self.status:
            data = self._feed_head(data)
            if not self.status:
                return
        if self.complete:
            self.reusable = self.reusable and not data
        elif self._chunks is not None:
            self._feed_chunks(data, *self._chunks)
        elif self._left is None:
            self._hold(data)
        else:
            self._feed_counted(data, self._left)

    def feed_end(self) -> None:
        """The server has closed: the end of a body without a length, else :class:`httpx.RemoteProtocolError`."""
        if self.complete:
            return
        if not self.begun:
            raise httpx.RemoteProtocolError("the server closed the connection without an answer")
        if not self.status or self._chunks is not None or self._left is not None:
            raise httpx.RemoteProtocolError("the server closed the connection within its answer")
        self.complete = True

    def take(self) -> bytes:
        """The next piece of the body; only while there are ``unread`` bytes."""
        piece = self._pieces.popleft()
        self.unread -= len(piece)
        return piece

    def _feed_head(self, data: bytes) -> bytes:
        """Take what belongs to heads, and answer what follows the one that counts."""
        held = self._held
        while data and not self.status:
            searched = max(0, len(held) - 3)
            held += data
            if held[:7] != _START[: len(held)]:
                raise httpx.RemoteProtocolError("the answer is not HTTP/1")
            end = held.find(b"\r\n\r\n", searched) + 4
            if self._head_bytes + max(end, len(held) if end < 4 else 0) > MOST_HEAD_BYTES:
                raise httpx.RemoteProtocolError(f"the answer's head is larger than {MOST_HEAD_BYTES} bytes")
            if end < 4:
                return b""
            head, data = bytes(held[:end]), bytes(held[end:])
            held.clear()
            self._read_head(head)
        return data

    def _read_head(self, head: bytes) -> None:
        self._head_bytes += len(head)
        self._head_lines += head.count(b"\n") - 2
        if self._head_lines > MOST_HEAD_LINES:
            raise httpx.RemoteProtocolError(f"the answer has more than {MOST_HEAD_LINES} headers")
        told = _Told()
        parser = httptools.HttpResponseParser(told)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            raise httpx.RemoteProtocolError("the server wants to speak another protocol") from None
        except httptools.HttpParserError as exc:
            raise httpx.RemoteProtocolError(f"the answer's head cannot be read: {exc}") from None
        status = parser.get_status_code()
        if not told.head_complete or told.body or status < 100 or status == _SWITCHING_PROTOCOLS:
            raise httpx.RemoteProtocolError("the answer's head is not that of an HTTP/1.1 answer")
        if status >= 200:
            self.status, self.headers = status, told.headers
            self._begin_body(parser, told, is_old=head.startswith(_START + b"0"))

    def _begin_body(self, parser: httptools.HttpResponseParser, told: _Told, *, is_old: bool) -> None:
        """Decide how the body ends. llhttp has refused lengths that are no number, are doubled, or stand by chunks."""
        length: bytes | None = None
        codings: list[bytes] = []
        options: list[bytes] = []
        for name, value in told.headers:
            match name.lower():
                case b"content-length":
                    length = value.strip()
                case b"transfer-encoding":
                    codings.append(value.strip().lower())
                case b"connection":
                    options += [option.strip() for option in value.lower().split(b",")]
        if codings and (codings != [b"chunked"] or is_old):
            raise httpx.RemoteProtocolError("the answer's Transfer-Encoding is another one than chunked")
        if length is not None and len(length) > _MOST_LENGTH_DIGITS:
            raise httpx.RemoteProtocolError("the answer's Content-Length has too many digits")
        self.reusable = b"close" not in options and (not is_old or b"keep-alive" in options)
        if self._method == "HEAD" or self.status in (_NO_CONTENT, _NOT_MODIFIED):
            self.complete = True
            # A body that is sent all the same would be taken for the next answer.
            self.reusable = self.reusable and self._method != "HEAD" and not codings and not int(length or 0)
        elif codings:
            self._chunks = parser, told
        elif length is not None:
            self._left = int(length)
            self.complete = not self._left
        else:
            self.reusable = False

    def _feed_counted(self, data: bytes, left: int) -> None:
        if len(data) > left:
            data, self.reusable = data[:left], False
        self._hold(data)
        self._left = left - len(data)
        self.complete = not self._left

    def _feed_chunks(self, data: bytes, parser: httptools.HttpResponseParser, told: _Told) -> None:
        surplus = False
        # The last byte by itself: nothing follows the answer only if that is the one which completes it.
        for part in (data[:-1], data[-1:]):
            surplus = told.complete
            try:
                parser.feed_data(part)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
                if not told.complete:
                    raise httpx.RemoteProtocolError(f"the answer's chunks cannot be read: {exc}") from None
        body, told.body = told.body, []
        self._hold(body[0] if len(body) == 1 else b"".join(body))
        # Extensions of chunks and trailers: of no use to anyone, and without an end if the server likes.
        self._without_body = 0 if body else self._without_body + len(data)
        if told.complete:
            self.complete, self._chunks = True, None
            self.reusable = self.reusable and not surplus
        elif self._without_body > MOST_HEAD_BYTES:
            raise httpx.RemoteProtocolError("the answer has too much between the chunks of its body")

    def _hold(self, body: bytes) -> None:
        self.unread += len(body)
        if len(body) > MOST_PIECE_BYTES:
            self._pieces.extend(
                body[start : start + MOST_PIECE_BYTES] for start in range(0, len(body), MOST_PIECE_BYTES)
            )
        elif body:
            self._pieces.append(body)
