"""Read an environment integration: its config, the override that lies over it, and all that is wrong with both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, ValidationError

from truto.errors import BadIntegration, ExpressionError, PlaceholderError
from truto.faults import DefinitionFault, did_you_mean
from truto.integration.credentials import Header
from truto.integration.definition import Action, Config, Method, RateLimit
from truto.integration.expressions import compiled
from truto.integration.pagination import Pagination
from truto.merging import overlay
from truto.placeholders import compile_template

MAX_BYTES = 4 * 1024 * 1024

_DISCRIMINATED = frozenset({"pagination", "authorization"})
_CONFIG_KEYS = frozenset(Config.model_fields)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Integration:
    """A definition that can be run. ``notes`` are what is kept in it without being executed, and what looks odd."""

    name: str
    config: Config = field(repr=False)
    layers: tuple[Mapping[str, Any], ...] = field(repr=False)
    notes: tuple[DefinitionFault, ...] = ()

    def over(self, override: Mapping[str, Any] | None) -> Integration:
        """The same with an account's ``integration_override`` over it. Raises :class:`BadIntegration`."""
        return _integration(self.name, (*self.layers, override)) if override else self

    def method(self, resource: str, method: str) -> Method:
        """One method. Raises :class:`BadIntegration` for one that is not there, with what may have been meant."""
        methods = self.config.resources.get(resource)
        if methods is None:
            raise _missing("resources", resource, self.config.resources)
        if method not in methods:
            raise _missing(f"resources.{resource}", method, methods)
        return methods[method]

    def action(self, name: str) -> Action:
        """One action. Raises :class:`BadIntegration` as :meth:`method` does."""
        if name not in self.config.actions:
            raise _missing("actions", name, self.config.actions)
        return self.config.actions[name]


def _missing(at: str, name: str, known: Mapping[str, Any]) -> BadIntegration:
    near = did_you_mean(name, known)
    listed = ", ".join(sorted(known)[:20]) or "none"
    return BadIntegration([DefinitionFault(at, f"has no {name!r}{f'{near} It' if near else '; it'} has {listed}")])


def read_integration(document: object, *, name: str = "") -> Integration:
    """The integration of *document*, parsed JSON or YAML. Raises :class:`BadIntegration` with every fault.

    Taken are an environment integration (``integration.config`` with ``override``), an integration (``config``), an
    ``override`` alone, and a bare config. *name* is used where the document has none.
    """
    if not isinstance(document, Mapping):
        raise BadIntegration([DefinitionFault("", "must be an object: an environment integration, or a config")])
    try:
        size = len(orjson.dumps(document, option=orjson.OPT_PASSTHROUGH_DATETIME))
    except TypeError as exc:
        raise BadIntegration([DefinitionFault("", f"is not JSON: {exc}; quote dates and keys")]) from None
    if size > MAX_BYTES:
        raise BadIntegration([DefinitionFault("", f"is longer than {MAX_BYTES} bytes")])
    found, layers = _layers(document)
    return _integration(found or name or "integration", layers)


def _layers(document: Mapping[str, Any]) -> tuple[str, tuple[Mapping[str, Any], ...]]:
    integration = document.get("integration")
    override = document.get("override")
    if override is not None and not isinstance(override, Mapping):
        raise BadIntegration([DefinitionFault("override", "must be an object")])
    if integration is not None:
        config = integration.get("config") if isinstance(integration, Mapping) else None
        if not isinstance(config, Mapping):
            raise BadIntegration([DefinitionFault("integration.config", "is missing, or not an object")])
        return str(integration.get("name") or ""), (config, override or {})
    if isinstance(config := document.get("config"), Mapping):
        return str(document.get("name") or ""), (config, override or {})
    if override is not None:
        return str(document.get("name") or ""), (override,)
    if not _CONFIG_KEYS & document.keys():
        raise BadIntegration([DefinitionFault("", "has none of `integration`, `config`, `override` and `base_url`")])
    return "", (document,)


def effective_config(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """The *layers* merged, the last on top: null removes, but where a null has a meaning of its own it stays.

    That is in ``headers``, where it takes a header away that a method sets, and in the ``pagination`` of a method,
    which it switches off (skill). Arrays are replaced.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = overlay(merged, layer)
        for path in _meant_nulls(layer):
            _put_null(merged, path)
    return merged


def _meant_nulls(layer: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, value in _members(layer.get("headers")):
        if value is None:
            yield "headers", name
    for resource, methods in _members(layer.get("resources")):
        for method, found in _members(methods):
            if isinstance(found, Mapping) and "pagination" in found and found["pagination"] is None:
                yield "resources", resource, method, "pagination"


def _put_null(merged: dict[str, Any], path: tuple[str, ...]) -> None:
    for key in path[:-1]:
        merged = merged.setdefault(key, {})
    merged[path[-1]] = None


def _members(value: object) -> Iterator[tuple[str, Any]]:
    yield from value.items() if isinstance(value, Mapping) else ()


def _integration(name: str, layers: tuple[Mapping[str, Any], ...]) -> Integration:
    document = effective_config(*layers)
    try:
        config = Config.model_validate(document)
    except ValidationError as exc:
        errors = exc.errors(include_input=False, include_url=False)
        raise BadIntegration(dict.fromkeys(_fault(dict(error)) for error in errors)) from None
    faults, notes = [], []
    for at, key, near in _unknown(config, ""):
        if near:
            faults.append(DefinitionFault(f"{at}{key}", f"is not known here{near}"))
        else:
            notes.append(DefinitionFault(f"{at}{key}", "is in none of Truto's documents: kept, not executed"))
    faults += [*_contents(config)]
    if faults:
        raise BadIntegration(faults)
    return Integration(name, config, layers, (*notes, *_oddities(config)))


def _fault(error: dict[str, Any]) -> DefinitionFault:
    keys: list[str] = []
    for key in map(str, error["loc"]):
        if keys and keys[-1] in _DISCRIMINATED and key not in ("config", "format"):
            continue  # the tag of a union
        keys.append(key)
    message = str(error["msg"]).removeprefix("Value error, ").replace("Input should ", "must ")
    reason = {"missing": "is missing", "union_tag_not_found": "needs a `format`"}.get(error["type"], message)
    if error["type"] == "union_tag_invalid":
        reason = f"has an unknown `format`; known are {error['ctx']['expected_tags']}"
    return DefinitionFault(".".join(keys), reason)


def _unknown(part: BaseModel, at: str) -> Iterator[tuple[str, str, str]]:
    """Every key that no document names, with what was probably meant."""
    known = [field.alias or name for name, field in type(part).model_fields.items()]
    for key in part.model_extra or {}:
        yield at, key, did_you_mean(key, known)
    for name, field_ in type(part).model_fields.items():
        yield from _unknown_within(getattr(part, name), f"{at}{field_.alias or name}.")


def _unknown_within(value: object, at: str) -> Iterator[tuple[str, str, str]]:
    match value:
        case BaseModel():
            yield from _unknown(value, at)
        case Mapping():
            for key, each in value.items():
                yield from _unknown_within(each, f"{at}{key}.")
        case tuple():
            for index, each in enumerate(value):
                yield from _unknown_within(each, f"{at}{index}.")


# -- what stands in the fields -----------------------------------------------------------------------------------------


def _contents(config: Config) -> Iterator[DefinitionFault]:
    for at, source in _expressions(config):
        try:
            compiled(source)
        except ExpressionError as exc:
            yield DefinitionFault(at, f"is not valid JSONata: {exc}")
    for at, template in _templates(config):
        try:
            compile_template(template)
        except PlaceholderError as exc:
            yield DefinitionFault(at, str(exc))
    for at, action in config.actions.items():
        yield from _step_faults(action, f"actions.{at}")


def _step_faults(action: Action, at: str) -> Iterator[DefinitionFault]:
    for index, step in enumerate(action.steps):
        place = f"{at}.steps.{index}.config"
        if step.type == "request":
            try:
                method = Method.model_validate(step.config)
            except ValidationError as exc:
                errors = exc.errors(include_input=False, include_url=False)
                yield from (DefinitionFault(f"{place}.{_fault(dict(e)).path}", _fault(dict(e)).reason) for e in errors)
                continue
            for inner, source in _of_method(method, place):
                try:
                    compiled(source)
                except ExpressionError as exc:
                    yield DefinitionFault(inner, f"is not valid JSONata: {exc}")
        elif step.type == "transform":
            transform = step.config if isinstance(step.config, str) else (step.config or {}).get("expression")
            if not isinstance(transform, str):
                yield DefinitionFault(place, "must be JSONata, as text or as `expression`")
                continue
            try:
                compiled(transform)
            except ExpressionError as exc:
                yield DefinitionFault(place, f"is not valid JSONata: {exc}")


def _expressions(config: Config) -> Iterator[tuple[str, str]]:
    yield from _of_common(config, "")
    for resource, methods in config.resources.items():
        for name, method in methods.items():
            yield from _of_method(method, f"resources.{resource}.{name}")


def _of_method(method: Method, at: str) -> Iterator[tuple[str, str]]:
    yield from _of_common(method, f"{at}.")


def _of_common(part: Config | Method, at: str) -> Iterator[tuple[str, str]]:
    if part.error_expression is not None:
        yield f"{at}error_expression", part.error_expression
    if isinstance(part.authorization, Header) and part.authorization.config.expression is not None:
        yield f"{at}authorization.config.expression", part.authorization.config.expression
    yield from _texts_of(part.rate_limit, RateLimit.model_fields, f"{at}rate_limit.")
    yield from _of_pagination(part.pagination, f"{at}pagination.config.")


def _of_pagination(pagination: Pagination | None, at: str) -> Iterator[tuple[str, str]]:
    if pagination is not None and pagination.format == "dynamic":
        yield from _texts_of(pagination.config, type(pagination.config).model_fields, at)


def _texts_of(part: BaseModel | None, names: Mapping[str, Any], at: str) -> Iterator[tuple[str, str]]:
    for name in names:
        if isinstance(value := getattr(part, name, None), str):
            yield f"{at}{name}", value


def _templates(config: Config) -> Iterator[tuple[str, Any]]:
    yield from (("base_url", config.base_url or ""), ("headers", config.headers), ("query", config.query))
    for resource, methods in config.resources.items():
        for name, method in methods.items():
            at = f"resources.{resource}.{name}"
            yield f"{at}.path", method.path
            yield f"{at}.headers", method.headers
            yield f"{at}.query", method.query
            if isinstance(method.body, str | Mapping | list):
                yield f"{at}.body", method.body


def _oddities(config: Config) -> Iterator[DefinitionFault]:
    url = urlsplit(config.base_url or "")
    if url.scheme == "http" and url.netloc.rpartition(":")[0] not in _LOOPBACK and url.netloc not in _LOOPBACK:
        yield DefinitionFault("base_url", "is http: whoever is on the way reads the credentials")
    if config.base_url is None and any(m.base_url is None for each in config.resources.values() for m in each.values()):
        yield DefinitionFault("base_url", "is missing, and so are those of some methods: these cannot be called")
    places = [("rate_limit", config.rate_limit)]
    places += [
        (f"resources.{resource}.{name}.rate_limit", method.rate_limit)
        for resource, methods in config.resources.items()
        for name, method in methods.items()
    ]
    for at, limit in places:
        if limit is not None and isinstance(limit.is_rate_limited, bool):
            yield DefinitionFault(
                f"{at}.is_rate_limited", "is a boolean, no expression: `status = 429` is used instead"
            )
