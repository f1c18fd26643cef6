"""Run a definition without a network: its recordings, and the examples that it holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from truto.errors import ApiError, IntegrationFailed, TrutoError
from truto.integration.accounts import Account
from truto.integration.authorizing import authorization_of
from truto.integration.cassettes import Playing, Recording
from truto.integration.definition import Method
from truto.integration.loading import Integration
from truto.integration.requests import NO_BODY, Request, Wish
from truto.integration.session import Session
from truto.integration.wire import Answer
from truto.placeholders import PLACEHOLDER

_ROOTS = frozenset({"query", "body", "id", "pagination", "previous", "steps", "env", "environment_variables", "limit"})
_URL_FIELD = re.compile(r"(?i)url|uri|instance|host|domain")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one test ended: ``why`` it failed, empty where it passed; ``told`` is what it did."""

    name: str
    why: str = ""
    told: str = ""


async def perform(session: Session, call: Mapping[str, Any]) -> Any:
    """Run a recorded ``call``: an action, a list with all its pages (up to ``records``), or a single method."""
    resource, method = str(call.get("resource")), str(call.get("method"))
    wish = Wish(
        id=call.get("id"),
        query=call.get("query") or {},
        body=call.get("body", NO_BODY),
        limit=call.get("limit"),
    )
    if resource == "_":
        return await session.action(method, wish)
    if not is_list(session.integration.method(resource, method), method):
        return (await session.call(resource, method, wish)).data
    found: list[Any] = []
    async for record in session.records(resource, method, wish):
        found.append(record)
        if len(found) == call.get("records"):
            break
    return found


def is_list(method: Method, name: str) -> bool:
    """Whether a method gives pages: ``list``, and what has a pagination of its own."""
    return name == "list" or method.pagination is not None


async def play(integration: Integration, recording: Recording, name: str) -> Outcome:
    """Play *recording*: every request has to be the recorded one, and what comes of them as well."""
    try:
        account = Account.read(recording.account)
        playing = Playing(recording)
        session = Session(integration, account, wire=playing)
        playing.masker = session.masker
        gives = session.masker.value(await _gives(session, recording.call))
    except (TrutoError, ValueError) as exc:
        return Outcome(name, str(exc))
    if playing.left:
        return Outcome(name, f"{playing.left} of the recorded requests were not made")
    if gives != recording.gives:
        return Outcome(name, f"gives {_brief(gives)}, and gave {_brief(recording.gives)} when it was recorded")
    count = f", {_counted(len(gives), 'record')}" if isinstance(gives, list) else ""
    return Outcome(name, told=f"{_counted(playing.played, 'request')}{count}")


async def _gives(session: Session, call: Mapping[str, Any]) -> Any:
    """The result of a call; an error of the product is one as well."""
    try:
        return await perform(session, call)
    except ApiError as exc:
        return error_document(exc)


def error_document(error: ApiError) -> dict[str, Any]:
    """An error of the product as a recording holds it."""
    return {"error": {"status": error.status, "message": error.message}}


async def try_examples(integration: Integration) -> list[Outcome]:
    """Run each method that has an ``examples.response`` against it: one request, one page."""
    found = []
    for resource, methods in integration.config.resources.items():
        for name, method in methods.items():
            if method.examples.response is not None:
                found.append(await _try_example(integration, resource, name, method))
    return found


async def _try_example(integration: Integration, resource: str, name: str, method: Method) -> Outcome:
    at = f"resources.{resource}.{name}.examples"
    try:
        query = _json_of(method.examples.query, f"{at}.query") or {}
        body = _json_of(method.examples.body, f"{at}.body")
        wish = Wish(id="example-id", query=query, body=NO_BODY if body is None else body)
        wire = _Constant((method.examples.response or "").encode())
        session = Session(integration, _example_account(integration), wire=wire)
        if is_list(method, name):
            records = (await session.page(resource, name, wish)).records
        else:
            data = (await session.call(resource, name, wish)).data
            records = [] if data is None else [data]
    except TrutoError as exc:
        return Outcome(at, str(exc))
    if not records:
        return Outcome(at, f"response_path {method.response_path!r} finds nothing in examples.response")
    return Outcome(at, told=_counted(len(records), "record"))


def _json_of(text: str | None, at: str) -> Any:
    if text is None or not text.strip():
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise IntegrationFailed("is not JSON", at=at) from None


def _example_account(integration: Integration) -> Account:
    """An account in which every field that the definition names has a value."""
    context: dict[str, Any] = {"api_key": "example-key", "client_id": "example", "client_secret": "example-secret"}
    config = integration.config
    default, _ = authorization_of(config, Method(path=""), Account({}), "")
    texts = [*_texts(config.model_dump()), *_texts(default.model_dump() if default else {})]
    for path in (path for text in texts for path in _paths(text)):
        if path[0] in ("context", "credentials"):
            path = path[1:]  # noqa: PLW2901
        if path and path[0] not in _ROOTS:
            _put(context, path)
    _put(context, ["oauth", "token", "access_token"])
    _put(context, ["oauth", "token", "access_token_secret"])
    return Account(context, id="example")


def _paths(text: str) -> Iterator[list[str]]:
    for inner in PLACEHOLDER.findall(text):
        for alternative in inner.partition("?:")[0].split("|"):
            yield alternative.partition(":")[0].strip().split(".")


def _put(context: dict[str, Any], path: list[str]) -> None:
    for key in path[:-1]:
        inner = context.setdefault(key, {})
        if not isinstance(inner, dict):
            return
        context = inner
    name = path[-1]
    is_url = name.endswith(("_url", "url")) and _URL_FIELD.search(name)
    context.setdefault(name, "https://example.com" if is_url else f"example-{re.sub('[^a-z0-9]', '-', name.lower())}")


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for each in value.values():
                yield from _texts(each)
        case list() | tuple():
            for each in value:
                yield from _texts(each)


class _Constant:
    """A wire that answers every request in the same way; a token server as well."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def send(self, request: Request) -> Answer:
        """The answer."""
        del request
        return Answer(200, {}, self._content)

    async def aclose(self) -> None:
        """Nothing is open."""


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _brief(value: Any) -> str:
    text = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    return text if len(text) <= 200 else f"{text[:199]}…"
