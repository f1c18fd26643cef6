"""The fields a request body may carry, and the check of one against them. Performs no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.config import is_http_url
from sandbox.errors import Refusal

_VERSION = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Field:
    """One writable field. ``null`` stands for *default*, on create as on update.

    *schema* says the same as *accepts* in JSON Schema, as far as that can.
    """

    expected: str
    accepts: Callable[[Any], bool]
    schema: Mapping[str, Any]
    required: bool = False
    default: Any = None
    stored: Callable[[Any], Any] | None = None
    """What is kept of an accepted value; the value itself unless said."""

    def json_schema(self) -> dict[str, Any]:
        """What this field takes, with its default; anything but a required field also takes null."""
        if self.required:
            return dict(self.schema)
        shown: dict[str, Any] = {"anyOf": [dict(self.schema), {"type": "null"}]}
        return shown if self.default is None else {**shown, "default": self.default}


def json_schema(fields: Mapping[str, Field], *, partial: bool = False) -> dict[str, Any]:
    """The JSON Schema of a body that :func:`read` takes."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: field.json_schema() for name, field in fields.items()},
    }
    required = [name for name, field in fields.items() if field.required]
    return {**schema, "required": required} if required and not partial else schema


def read(body: Mapping[str, Any], fields: Mapping[str, Field], *, partial: bool = False) -> dict[str, Any]:
    """The values of *fields* in *body*, defaults filled in; with *partial* only those that are there.

    Other keys are left out without complaint, since no source says that Truto refuses them. Raises one 400
    :class:`Refusal` that lists every failure.
    """
    values: dict[str, Any] = {}
    failures = []
    for name, field in fields.items():
        value = body.get(name)
        if partial and name not in body:
            continue
        if value is None and field.required:
            failures.append({"path": name, "message": "is required"})
        elif value is not None and not field.accepts(value):
            failures.append({"path": name, "message": f"must be {field.expected}"})
        else:
            values[name] = field.default if value is None else field.stored(value) if field.stored else value
    if failures:
        raise Refusal(400, "Validation failed", failures=failures)
    return values


def text(*, required: bool = False, default: str | None = None) -> Field:
    """A string with something in it."""
    return Field(
        "a non-empty string",
        lambda value: isinstance(value, str) and value != "",
        {"type": "string", "minLength": 1},
        required,
        default,
    )


def flag(*, default: bool) -> Field:
    """True or false."""
    return Field("true or false", lambda value: isinstance(value, bool), {"type": "boolean"}, default=default)


def number(*, default: int | None = None) -> Field:
    """A whole number."""
    return Field(
        "a whole number",
        lambda value: isinstance(value, int) and not isinstance(value, bool),
        {"type": "integer"},
        default=default,
    )


def version() -> Field:
    """The version of a runtime: a text (sdk: ts), written as a number in some samples (skill: sync-jobs)."""
    return Field(
        "a version such as 4",
        lambda value: type(value) in (str, int) and _VERSION.fullmatch(str(value)) is not None,
        {"anyOf": [{"type": "string", "pattern": "^[0-9]{1,9}$"}, {"type": "integer", "minimum": 0}]},
        default="3",
        stored=str,
    )


def mapping(*, required: bool = False) -> Field:
    """A JSON object."""
    return Field("an object", lambda value: isinstance(value, dict), {"type": "object"}, required)


def anything(*, required: bool = False) -> Field:
    """Any JSON value but null."""
    return Field("a value", lambda value: True, {"not": {"type": "null"}}, required)


def array(*, required: bool = False) -> Field:
    """A JSON array."""
    return Field("an array", lambda value: isinstance(value, list), {"type": "array"}, required)


def objects(*, required: bool = False) -> Field:
    """An array of objects."""
    return Field(
        "an array of objects",
        lambda value: isinstance(value, list) and all(isinstance(each, dict) for each in value),
        {"type": "array", "items": {"type": "object"}},
        required,
    )


def texts(*, required: bool = False) -> Field:
    """An array of strings."""
    return Field(
        "an array of strings",
        lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value),
        {"type": "array", "items": {"type": "string"}},
        required,
    )


def one_or_many_texts() -> Field:
    """A string or an array of strings, where the sources disagree."""
    return Field(
        "a string or an array of strings",
        lambda value: (
            isinstance(value, str) or (isinstance(value, list) and all(isinstance(each, str) for each in value))
        ),
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
    )


def url(*, required: bool = False) -> Field:
    """An http or https address."""
    return Field("an http or https URL", is_http_url, {"type": "string", "format": "uri"}, required)


def choice(*options: str, required: bool = False, default: str | None = None) -> Field:
    """One of *options*."""
    return Field(
        f"one of {', '.join(options)}",
        lambda value: isinstance(value, str) and value in options,
        {"type": "string", "enum": list(options)},
        required,
        default,
    )


def cron(*, required: bool = False) -> Field:
    """A cron expression of five fields, in UTC (skill: sync-jobs)."""
    return Field(
        "a cron expression of five fields",
        lambda value: isinstance(value, str) and len(value.split()) == 5,
        {"type": "string", "pattern": r"^\s*\S+(\s+\S+){4}\s*$"},
        required,
    )
