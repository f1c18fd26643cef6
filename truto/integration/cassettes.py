"""Recordings of a call: what was asked, what went over the wire and what came of it, without secrets.

A recording is made of a trace, in which secrets are masked already, and played as a wire that compares each request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from truto.errors import IntegrationFailed
from truto.expressions.tracing import TraceEntry
from truto.integration.accounts import Account
from truto.integration.masking import MASK, Masker
from truto.integration.requests import Request
from truto.integration.wire import Answer

TOKEN_SERVER = "the token server"  # noqa: S105  a name
_TOKEN = {"access_token": MASK, "refresh_token": MASK, "expires_in": 3600}


@dataclass(frozen=True, slots=True)
class Recording:
    """One call: ``account`` is its masked context, ``gives`` the masked result."""

    call: Mapping[str, Any]
    account: Mapping[str, Any] = field(repr=False)
    exchanges: Sequence[Mapping[str, Any]] = field(repr=False)
    gives: Any = field(repr=False)

    def document(self) -> dict[str, Any]:
        """The recording as a file holds it."""
        return {
            "call": dict(self.call),
            "account": dict(self.account),
            "exchanges": [dict(each) for each in self.exchanges],
            "gives": self.gives,
        }

    @classmethod
    def read(cls, document: object) -> Recording:
        """The recording that *document* holds. Raises :class:`ValueError` that says what is wrong with it."""
        if not isinstance(document, Mapping):
            raise ValueError("must be an object")
        call, account, exchanges = (document.get(name) for name in ("call", "account", "exchanges"))
        if not isinstance(call, Mapping) or not isinstance(account, Mapping) or not isinstance(exchanges, list):
            raise ValueError("must have `call`, `account` and `exchanges`")
        for index, each in enumerate(exchanges):
            parts = (each.get("request"), each.get("answer")) if isinstance(each, Mapping) else (None,)
            if not all(isinstance(part, Mapping) for part in parts):
                raise ValueError(f"exchanges.{index} must have `request` and `answer`")
        return cls(call, account, exchanges, document.get("gives"))


def masked_account(account: Account, masker: Masker) -> dict[str, Any]:
    """The account for a recording: its secrets are masked, everything else can be used again."""
    found = {
        "context": masker.value(dict(account.context)),
        "authentication_method": account.authentication_method,
        "integration_override": masker.value(account.integration_override),
    }
    return {name: value for name, value in found.items() if value is not None}


def exchanges_of(trace: Sequence[TraceEntry]) -> list[dict[str, Any]]:
    """The requests of a *trace*, each with the answer that followed it."""
    found: list[dict[str, Any]] = []
    for entry in trace:
        if "request" in entry:
            found.append({"request": entry["request"]})
        elif "answer" in entry and found:
            found[-1]["answer"] = entry["answer"]
    return [each for each in found if "answer" in each]


class Playing:
    """A wire that gives recorded answers. Each request has to be the one that was recorded.

    Raises :class:`IntegrationFailed` that names the first difference.
    """

    def __init__(self, recording: Recording) -> None:
        self._exchanges = list(recording.exchanges)
        self._played = 0
        self.masker = Masker([])
        """That of the session: what is compared is masked on both sides."""

    @property
    def left(self) -> int:
        """How many recorded exchanges nobody has asked for."""
        return len(self._exchanges) - self._played

    @property
    def played(self) -> int:
        """How many were."""
        return self._played

    async def send(self, request: Request) -> Answer:
        """The next recorded answer."""
        if not self.left:
            raise IntegrationFailed(f"request {self._played + 1} is one more than was recorded")
        exchange = self._exchanges[self._played]
        self._played += 1
        if fault := _difference(exchange["request"], request, self.masker):
            raise IntegrationFailed(f"request {self._played} is another one than was recorded: {fault}")
        return _answer(exchange["answer"])

    async def aclose(self) -> None:
        """Nothing is open."""


def _difference(recorded: Mapping[str, Any], request: Request, masker: Masker) -> str:
    now = {"method": request.method, "url": masker.text(request.url), "body": masker.value(_parsed(request.content))}
    for name, value in now.items():
        before = masker.text(recorded.get(name) or "") if name == "url" else recorded.get(name)
        if before != value:
            return f"{name} was {_brief(before)}, and is {_brief(value)}"
    names = set(recorded.get("headers", {}))
    if names != set(request.headers):
        changed = ", ".join(sorted(names ^ set(request.headers)))
        return f"the headers {changed} are there only once"
    shown = masker.headers(request.headers)
    for name, value in recorded.get("headers", {}).items():
        if MASK not in (value, shown[name]) and masker.text(value) != shown[name]:
            return f"the header {name} was {_brief(value)}, and is {_brief(shown[name])}"
    return ""


def _answer(recorded: Mapping[str, Any]) -> Answer:
    headers = {str(name).lower(): str(value) for name, value in recorded.get("headers", {}).items()}
    if recorded.get("from") == TOKEN_SERVER:
        body: Any = _TOKEN if recorded.get("status", 200) < 300 else {"error": "refused"}
    else:
        body = recorded.get("body")
    content = b"" if body is None else body.encode() if isinstance(body, str) else orjson.dumps(body)
    return Answer(int(recorded.get("status", 200)), headers, content)


def _parsed(content: bytes) -> Any:
    if not content:
        return None
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return content.decode(errors="replace")


def _brief(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= 200 else f"{text[:199]}…"
