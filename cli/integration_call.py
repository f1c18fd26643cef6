"""``truto-worker integrations call``: run one method for one account, and show what happens."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from cli.integrations import IntegrationFile, read_file, the_only_file
from cli.printing import counted, print_json, printable, printable_json
from cli.settings import IntegrationSettings, read_settings
from events import ConfigError
from truto import ApiError, TrutoError
from truto.documents import write_document
from truto.integration import Account, Allowed, BadIntegration, Session, Wish
from truto.integration.cassettes import Recording, exchanges_of, masked_account
from truto.integration.offline import error_document, is_list

_LONGEST = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """What is asked for. *records* is how many of a list at most, 0 all; *wait_seconds* is for rate limits."""

    resource: str
    method: str
    integration: Path | None
    account: Path
    id: str | None = None
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    has_body: bool = False
    records: int = 100
    wait_seconds: float = 60.0
    shows_trace: bool = False
    records_call: bool = False
    as_json: bool = False

    def wish(self) -> Wish:
        """The same for a session."""
        given = {"body": self.body} if self.has_body else {}
        return Wish(id=self.id, query=self.query, limit=self.records or None, **given)

    def call(self) -> dict[str, Any]:
        """The same for a recording."""
        found = {
            "resource": self.resource,
            "method": self.method,
            "id": self.id,
            "query": dict(self.query),
            "limit": self.records or None,
            "records": self.records or None,
            **({"body": self.body} if self.has_body else {}),
        }
        return {name: value for name, value in found.items() if value not in (None, {})}


def call_method(options: CallOptions) -> int:
    """Run it; 1 when the product or the definition refuses. Raises ``ConfigError``."""
    file = the_only_file(options.integration)
    allowed = Allowed.parse(read_settings(IntegrationSettings).integrations_http_allow)
    account = _read_account(options.account)
    before = account.context
    account.changed = lambda changed: _keep(options.account, changed, before)
    _check_name(file, options)
    return asyncio.run(_Run(file, account, options).run(allowed))


def _check_name(file: IntegrationFile, options: CallOptions) -> None:
    try:
        if options.resource == "_":
            file.integration.action(options.method)
        else:
            file.integration.method(options.resource, options.method)
    except BadIntegration as exc:
        raise ConfigError("\n".join(f"{file.path}: {fault}" for fault in exc.faults)) from None


def read_query(pairs: list[str]) -> dict[str, Any]:
    """``name=value`` texts as a query; a name that is given twice is a list. Raises ``ConfigError``."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not name or not sign:
            raise ConfigError(f"--query {pair}: must be NAME=VALUE")
        before = found.get(name)
        found[name] = value if before is None else [*(before if isinstance(before, list) else [before]), value]
    return found


def read_body(given: str) -> Any:
    """JSON, ``@FILE`` or ``-`` for standard input. Raises ``ConfigError``."""
    if given.startswith("@"):
        return read_file(Path(given[1:]))
    text = sys.stdin.read() if given == "-" else given
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise ConfigError(f"--body: is not JSON ({exc}); @FILE reads a file, - standard input") from None


# -- the account's file ------------------------------------------------------------------------------------------------


def _read_account(path: Path) -> Account:
    document = read_file(path)
    try:
        if not isinstance(document, Mapping):
            raise ValueError("must be an object with a `context`")
        account = Account.read(document)
    except ValueError as exc:
        raise ConfigError(f"{path}: {exc}") from None
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        print(f"note: others can read {printable(path)}, which holds credentials: chmod 600 it", file=sys.stderr)
    return account


def _keep(path: Path, account: Account, before: Mapping[str, Any]) -> None:
    """Write new credentials back at once: the refresh token that got them may work no second time."""
    if account.context == before:
        return
    document = read_file(path)
    kept = {**document, "context": dict(account.context)} if "context" in document else dict(account.context)
    text = orjson.dumps(kept, option=orjson.OPT_INDENT_2).decode() if path.suffix == ".json" else write_document(kept)
    mode = stat.S_IMODE(path.stat().st_mode)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(name).chmod(mode)
    Path(name).replace(path)
    print(f"note: {printable(path)} has new credentials", file=sys.stderr)


# -- the call ----------------------------------------------------------------------------------------------------------


class _Run:
    """One call, its trace, and what it printed."""

    def __init__(self, file: IntegrationFile, account: Account, options: CallOptions) -> None:
        self._file = file
        self._account = account
        self._options = options
        self._trace: list[dict[str, Any]] = []
        self._requests = 0
        self._given: list[Any] = []

    async def run(self, allowed: Allowed) -> int:
        try:
            session = Session(
                self._file.integration,
                self._account,
                allowed=allowed,
                wait_seconds=self._options.wait_seconds,
                trace=self._tell,
            )
        except BadIntegration as exc:  # of the account's override
            raise ConfigError("\n".join(f"{self._options.account}: {fault}" for fault in exc.faults)) from None
        # What a recording will need of the account is what it was before the call changed it.
        before = masked_account(self._account, session.masker) if self._options.records_call else {}
        async with session:
            gives: Any
            try:
                gives = await self._perform(session)
                code = 0
            except TrutoError as exc:
                told = session.masker.text(str(exc))
                gives = error_document(exc) if isinstance(exc, ApiError) else None
                code = self._fail(told)
            if self._options.records_call and gives is not None:
                recording = Recording(
                    self._options.call(), before, exchanges_of(self._trace), session.masker.value(gives)
                )
                self._write(recording)
        return code

    async def _perform(self, session: Session) -> Any:
        options = self._options
        if options.resource == "_":
            return self._print_one(await session.action(options.method, options.wish()))
        if not is_list(session.integration.method(options.resource, options.method), options.method):
            return self._print_one((await session.call(options.resource, options.method, options.wish())).data)
        return await self._print_list(session.records(options.resource, options.method, options.wish()))

    def _print_one(self, value: Any) -> Any:
        if self._options.as_json:
            print_json({"result": value, "requests": self._requests, **self._traced()})
        else:
            print(printable_json(value))
        return value

    async def _print_list(self, records: AsyncIterator[Any]) -> list[Any]:
        count = 0
        keeps = self._options.as_json or self._options.records_call
        async for record in records:
            count += 1
            if keeps:
                self._given.append(record)
            if not self._options.as_json:
                print_json(record)
            if count == self._options.records:
                break
        if self._options.as_json:
            print_json({"records": self._given, "requests": self._requests, **self._traced()})
        else:
            more = " (the limit)" if count == self._options.records else ""
            told = f"{counted(count, 'record')}{more}, {counted(self._requests, 'request')}"
            print(told, file=sys.stderr)
        return self._given

    def _fail(self, told: str) -> int:
        name = f"{self._options.resource}.{self._options.method}"
        if self._options.as_json:
            print_json({"error": told, "requests": self._requests, **self._traced()})
        print(f"{printable(name)} failed: {printable(told, 1000)}", file=sys.stderr)
        return 1

    def _traced(self) -> dict[str, Any]:
        return {"trace": self._trace} if self._options.shows_trace else {}

    def _tell(self, entry: dict[str, Any]) -> None:
        self._requests += "request" in entry
        if self._options.records_call or (self._options.shows_trace and self._options.as_json):
            self._trace.append(entry)
        if self._options.shows_trace and not self._options.as_json:
            print("\n".join(trace_lines(entry)), file=sys.stderr)
        elif "note" in entry:
            print(f"note: {printable(entry['note'])}", file=sys.stderr)

    def _write(self, recording: Recording) -> None:
        folder = self._file.cassettes
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{self._options.resource.strip('_') or 'action'}-{self._options.method}"
        path = folder / f"{''.join(c if c.isalnum() or c in '-_.' else '-' for c in name)}.json"
        path.write_bytes(orjson.dumps(recording.document(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        print(f"recorded {printable(path)}: read it before you share it", file=sys.stderr)


def trace_lines(entry: Mapping[str, Any]) -> list[str]:
    """One entry of a trace for people, in the manner of curl."""
    if request := entry.get("request"):
        lines = [f"> {request['method']} {request['url']}", *_headers(">", request["headers"])]
        return [printable(line, _LONGEST) for line in [*lines, *_body(">", request.get("body"))]]
    if answer := entry.get("answer"):
        came = f" from {answer['from']}" if "from" in answer else ""
        lines = [f"< {answer['status']}{came}", *_headers("<", answer.get("headers", {}))]
        return [printable(line, _LONGEST) for line in [*lines, *_body("<", answer.get("body"))]]
    if expression := entry.get("expression"):
        seen = [f"{name} is {_json(value)}" for name, value in expression["inputs"].items()]
        seen += [f"{name} is missing" for name in expression.get("missing", ())]
        gave = _json(expression["value"]) if "value" in expression else "nothing"
        line = f"= {expression['at']}: {gave}" + (f" ({', '.join(seen)})" if seen else "")
        return [printable(line, _LONGEST)]
    return [printable(f"! {entry.get('note', entry)}", _LONGEST)]


def _headers(sign: str, headers: Mapping[str, str]) -> list[str]:
    return [f"{sign}   {name}: {value}" for name, value in headers.items()]


def _body(sign: str, body: Any) -> list[str]:
    return [] if body is None else [f"{sign}   {_json(body)}"]


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
