"""``POST /batch-request``: many calls of one account's data in one (docs: batch-requests; skill: proxy).

Resource definitions are requests; ``transform``, ``spool`` and ``recurse`` are not imitated and refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.routing import Route

from sandbox import fields
from sandbox.answers import Answer, answer, invalid
from sandbox.calls import Call, Endpoints
from sandbox.errors import Refusal
from sandbox.provider import FORMATS, MAX_LIMIT, Provider
from sandbox.query import text_of
from sandbox.state import Row
from sandbox.wishes import Wish
from truto.errors import PlaceholderError
from truto.placeholders import compile_template

_BODY = {
    "integrated_account_id": fields.text(required=True),
    "resources": fields.objects(required=True),
    "args": fields.mapping(),
}
_DEFINITION = {
    "name": fields.text(),
    "type": fields.choice("request", default="request"),
    "resource": fields.text(required=True),
    "method": fields.text(default="list"),
    "id": fields.text(),
    "query": fields.mapping(),
    "body": fields.mapping(),
    "depends_on": fields.one_or_many_texts(),
    "loop_on": fields.text(),
    "persist": fields.flag(default=True),
    "response_format": fields.choice(*FORMATS, default="unified"),
}
_NOT_IMITATED = ("recurse",)
_MAX_DEFINITIONS = 100
_MAX_REPETITIONS = 100

Definition = dict[str, Any]


class Batches:
    """Runs the definitions of a batch, each after those it depends on."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def routes(self, endpoint: Endpoints) -> list[Route]:
        """The one route."""
        return [Route("/batch-request", endpoint(self.run, body=_BODY, shape="Batch"), methods=["POST"])]

    async def run(self, call: Call) -> Answer:
        """``{result: {name: []}, errors: {name: []}}``; what fails leaves the rest alone.

        A definition whose dependency failed is not run and has an error that says so. Lists are followed to
        their last page.
        """
        wanted = call.read()
        account = self._provider.account(wanted["integrated_account_id"])
        definitions = ordered(read_definitions(wanted["resources"]))
        context: dict[str, Any] = {"args": wanted["args"] or {}, "resources": {}}
        result: dict[str, list[Any]] = {}
        errors: dict[str, list[Any]] = {}
        for definition in definitions:
            name = definition["name"]
            records, failed = await self._run(account, {**definition, "url": call.url}, context, errors)
            context["resources"][name] = records
            if failed:
                errors[name] = failed
            if definition["persist"]:
                result[name] = records
        return answer({"result": result, "errors": errors})

    async def _run(
        self, account: Row, definition: Definition, context: dict[str, Any], errors: Mapping[str, Any]
    ) -> tuple[list[Any], list[Any]]:
        if broken := [name for name in definition["depends_on"] if name in errors]:
            return [], [Refusal(424, f"It depends on {', '.join(broken)}, which failed").body()]
        records: list[Any] = []
        failed: list[Any] = []
        try:
            scopes = _repetitions(definition, context)
        except Refusal as refusal:
            return [], [refusal.body()]
        for scope in scopes:
            try:
                records += await self._perform(account, definition, scope)
            except Refusal as refusal:
                failed.append(refusal.body())
            except PlaceholderError as exc:
                failed.append(Refusal(400, str(exc)).body())
        return records, failed

    async def _perform(self, account: Row, definition: Definition, scope: Mapping[str, Any]) -> list[Any]:
        wish = _wish(definition, scope)
        found = (await self._provider.perform(account, wish)).body
        if wish.method != "list":
            return [found["result"] if set(found) == {"result"} else found]
        records = list(found["result"])
        while found["next_cursor"]:
            query = [*wish.query, ("next_cursor", found["next_cursor"])]
            found = (await self._provider.perform(account, replace(wish, query=query))).body
            records += found["result"]
        return records


def read_definitions(resources: list[Row]) -> list[Definition]:
    """The definitions, checked; each has a name, that of its resource unless it says another."""
    if len(resources) > _MAX_DEFINITIONS:
        raise invalid("resources", f"may hold {_MAX_DEFINITIONS} definitions here")
    found: dict[str, Definition] = {}
    for number, each in enumerate(resources):
        try:
            definition = fields.read(each, _DEFINITION)
        except Refusal as refusal:
            failures = [{**failure, "path": f"resources.{number}.{failure['path']}"} for failure in refusal.failures]
            raise Refusal(400, refusal.message, failures=failures) from None
        if unknown := [name for name in _NOT_IMITATED if name in each]:
            raise invalid(f"resources.{number}.{unknown[0]}", "is not imitated by the sandbox")
        name = definition["name"] = definition["name"] or definition["resource"]
        if name in found:
            raise invalid(f"resources.{number}.name", "is that of another definition")
        depends_on = definition["depends_on"] or []
        definition["depends_on"] = [depends_on] if isinstance(depends_on, str) else depends_on
        found[name] = definition
    return list(found.values())


def ordered(definitions: list[Definition]) -> list[Definition]:
    """Each after those it depends on, else as given. A 400 :class:`Refusal` for unknown names and circles."""
    names = {each["name"] for each in definitions}
    for each in definitions:
        if unknown := [name for name in each["depends_on"] if name not in names]:
            raise invalid("depends_on", f"names {unknown[0]}, which is not in this batch")
    done: dict[str, Definition] = {}
    while len(done) < len(definitions):
        ready = [each for each in definitions if each["name"] not in done and done.keys() >= set(each["depends_on"])]
        if not ready:
            raise invalid("depends_on", "goes in a circle")
        done |= {each["name"]: each for each in ready}
    return list(done.values())


def _repetitions(definition: Definition, context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One scope per call: with ``loop_on``, one for each element of that array among the arguments (docs)."""
    name = definition["loop_on"]
    if not name:
        return [dict(context)]
    values = context["args"].get(name)
    if not isinstance(values, list):
        raise invalid("loop_on", f"names {name}, which is not an array in args")
    if len(values) > _MAX_REPETITIONS:
        raise invalid("loop_on", f"repeats at most {_MAX_REPETITIONS} times here")
    return [{**context, "args": {**context["args"], name: value}, name: value} for value in values]


def _wish(definition: Definition, scope: Mapping[str, Any]) -> Wish:
    """The call with its placeholders filled in; ``model/resource`` is unified, a bare name is the provider's."""
    model, _, resource = definition["resource"].rpartition("/")
    filled = compile_template(
        {"id": definition["id"] or "", "query": definition["query"] or {}, "body": definition["body"] or {}}
    ).render(scope)
    # A `$truto_merge` may turn what was an object into something else.
    asked, body = (filled[name] if isinstance(filled.get(name), dict) else {} for name in ("query", "body"))
    given = {"limit": MAX_LIMIT, "truto_response_format": definition["response_format"], **asked}
    query = [(name, text_of(value)) for name, value in given.items()]
    record_id = text_of(filled["id"]) if filled.get("id") else None
    api = "unified" if model else "proxy"
    return Wish(api, resource, definition["method"], record_id, query, body, url=definition["url"], model=model)
