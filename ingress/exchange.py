"""One request and its answer, as the application sees them: the body comes whole, the answer goes out as one packet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from uvicorn.protocols.http.httptools_impl import HEADER_VALUE_RE, STATUS_LINE, RequestResponseCycle

from ingress.answers import Refusal
from ingress.budget import BodyBudget, Holding
from ingress.errors import BodyRefused

_PLAIN_NAMES = re.compile(rb"[a-z0-9-]+")


def whole_answer(
    status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, last: bool = False
) -> bytes | None:
    """The answer as one packet; ``None`` where that takes more thought. The *last* one tells that the connection ends.

    Plain is a head that declares the length of *body*, says nothing about the connection, and holds no byte that
    could end a line.
    """
    names, values, lines = [], [], [STATUS_LINE[status]]
    length: bytes | None = None
    for name, value in headers:
        if name == b"content-length":
            if length is not None:
                return None  # of two, uvicorn judges each
            length = value
        elif name in (b"connection", b"transfer-encoding"):
            return None
        names.append(name)
        values.append(value)
        lines += name, b": ", value, b"\r\n"
    if length != b"%d" % len(body) or not _PLAIN_NAMES.fullmatch(b"".join(names)):
        return None
    if HEADER_VALUE_RE.search(b"".join(values)):
        return None
    lines += b"connection: close\r\n\r\n" if last else b"\r\n", body
    return b"".join(lines)


class Exchange(RequestResponseCycle):
    """One request and its answer. A head waits for the first of its body: one packet costs half of two.

    Its share of the :class:`BodyBudget` is released when the application has finished, also after an error.
    """

    size = 0
    """Bytes of the body that have come."""
    wanted = False
    """Whether the application has asked for the body."""
    given = False
    refusal: Refusal | None = None
    """Why there will be no body."""
    budget: BodyBudget
    pieces: list[bytes]
    """What has come of the body; who makes an exchange gives it both of these."""
    holding: Holding | None = None
    overhead = 0
    """Bytes of the request without its body."""
    held = 0
    """What a body that came whole and small holds, without a :class:`Holding` of its own."""
    _head: Any = None

    # -- the request ---------------------------------------------------------------------------------------------------

    def whole(self) -> bytes:
        """The body, which has come."""
        if len(self.pieces) != 1:
            self.pieces = [b"".join(self.pieces)]
        return self.pieces[0]

    async def receive(self) -> Any:
        """The whole body as one message, then ``http.disconnect``. Raises :class:`BodyRefused`."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not self.wanted:
            self.wanted = True
            self.flow.resume_reading()
        while (self.more_body or self.given) and not (self.disconnected or self.response_complete or self.refusal):
            await self.message_event.wait()
            self.message_event.clear()
        if self.refusal is not None:
            raise BodyRefused(self.refusal)
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        self.given = True
        return {"type": "http.request", "body": self.whole(), "more_body": False}

    def refuse(self, refusal: Refusal) -> None:
        """Drop the body, and let the application answer with *refusal*."""
        self.refusal = refusal
        self.flow.pause_reading()
        self.release_body()
        self.message_event.set()

    def release_body(self) -> None:
        """Drop the body, and release its memory. A second call does nothing."""
        self.pieces = []
        if self.held:
            self.budget.give_back(self.held)
            self.held = 0
        if self.holding is not None:
            self.budget.release(self.holding)
            self.holding = None

    async def run_asgi(self, app: Any) -> None:
        """Have *app* answer. An idle connection keeps nothing of the request that was."""
        try:
            await super().run_asgi(app)
        finally:
            if self.holding is not None:
                self.release_body()
            elif self.held:
                self.budget.held -= self.held
                self.held = 0
            self.pieces = []
            self.scope.clear()  # type: ignore[attr-defined]  # a plain dict, which the protocol knows too

    # -- the answer ----------------------------------------------------------------------------------------------------

    async def send(self, message: Any) -> None:
        """Take the next part of the answer; uvicorn's own way wherever it is not the plain and whole one."""
        if message["type"] == "http.response.start" and not self.response_started:
            # The unread rest of the body would be read as the next request, or endlessly.
            if self.more_body:
                self.keep_alive = False
            self._head = message
            return
        if self.transport.is_closing():
            self.disconnected = True  # the protocol learns it a moment later
        head, self._head = self._head, None
        if head is not None:
            is_whole = not message.get("more_body")
            if is_whole and self.answer(head["status"], head.get("headers", ()), message.get("body", b"")):
                return
            await super().send(head)
        await super().send(message)

    def answer(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Send a whole answer as one packet; false where only uvicorn's own way will do, and nothing was sent."""
        if self.response_started or self.disconnected or self.flow.write_paused or self.transport.is_closing():
            return False
        if self.scope["method"] == "HEAD":
            return False
        answer = whole_answer(status, [*self.default_headers, *headers], body, last=not self.keep_alive)
        if answer is None:
            return False
        self.transport.write(answer)
        if not self.keep_alive:
            self.transport.close()
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.message_event.set()
        self.on_response()
        return True
