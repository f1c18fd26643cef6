"""``{{path}}`` placeholders: Truto's templating language for configuration. Performs no I/O.

A template is text, or lists and objects of text. It is compiled once and rendered for each context. The semantics are
those of the package @truto/replace-placeholders 1.0.11, which resolves placeholders in Truto (lib: source and runs),
except where that would be unsafe on a server:

* one pass from left to right; a value that holds ``{{…}}`` or ``$&`` is inserted as it is;
* own keys only, so no context leaks members of its objects;
* several paths separated by spaces, and ``/regular expressions/`` as keys, are refused when the template is compiled.

Outside fields that decide about trust, a placeholder that finds nothing stays in the text. For those fields use
:meth:`Template.render_text_or_fail` and :meth:`Template.render_bytes_or_fail`, which fail closed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from truto import javascript
from truto.errors import PlaceholderError, UnusableValue
from truto.exact_text import exact_text, kind_of

PLACEHOLDER = re.compile(r"\{\{([A-Za-z0-9_\-./|:?\s]+)\}\}")
"""One placeholder in a text; its group is what stands between the braces."""

_LEFTOVER = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_MODIFIER = re.compile(r":(?=[\w\s])")
_INDEX = re.compile(r"-?[0-9]{1,9}")
_MERGE = "$truto_merge"
_MAX_DEPTH = 64


class _NoValue:
    """What ``{{path:undefined}}`` gives when the path finds nothing."""

    def __repr__(self) -> str:
        return "NO_VALUE"

    def __bool__(self) -> bool:
        return False


NO_VALUE: Final = _NoValue()
"""A template that has no value at all, as opposed to ``None``, which is ``null``. It is false."""


@dataclass(frozen=True, slots=True)
class _Alternative:
    keys: tuple[str, ...] | None  # None: no path was written
    type: str


@dataclass(frozen=True, slots=True)
class _Placeholder:
    text: str
    path: str
    alternatives: tuple[_Alternative, ...]
    default: str | None  # None: nothing is written, which is no default
    default_type: str
    undefined: bool
    null: bool
    ignore_empty: bool

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(".".join(each.keys) or "." for each in self.alternatives if each.keys is not None)

    def error(self, message: str) -> PlaceholderError:
        return PlaceholderError(f"{self.text}: {message}", placeholder=self.text, path=self.path)

    def unusable(self, message: str) -> UnusableValue:
        return UnusableValue(f"{self.text}: {message}", placeholder=self.text, path=self.path)

    def find(self, context: Any) -> tuple[Any, str]:
        """The value and the type it is to be cast to; ``NO_VALUE`` when there is none."""
        for alternative in self.alternatives:
            if alternative.keys is None:
                raise self.error("the path is empty")
            value = _look_up(context, alternative.keys)
            if value is NO_VALUE or (self.ignore_empty and value == ""):
                continue
            return value, alternative.type
        return (NO_VALUE, "str") if self.default is None else (self.default, self.default_type)

    def whole(self, context: Any) -> Any:
        value, kind = self.find(context)
        if value is not NO_VALUE:
            return self._cast(value, kind)
        if self.undefined:
            return NO_VALUE
        return None if self.null else self.text

    def inside(self, context: Any) -> str:
        value, kind = self.find(context)
        if value is NO_VALUE:
            return "" if self.undefined else "null" if self.null else self.text
        if kind == "null":
            return "null"
        if kind == "json":  # JSON stays text inside of text
            return self._as_text(javascript.trimmed(value) if isinstance(value, str) else value)
        return self._as_text(self._cast(value, kind))

    def required(self, context: Any, *, allow_empty: bool) -> str | bytes:
        value, kind = self.find(context)
        if value is NO_VALUE:
            raise self.error("has no value")
        found = value if isinstance(value, bytes) else exact_text(value)
        if found is None:
            raise self.unusable(f"is {kind_of(value)}: only text, and numbers with one spelling, decide about trust")
        if kind != "str" and isinstance(found, str) and javascript.text(self._cast(value, kind)) != found:
            raise self.unusable(f"`:{kind}` changes the value, so that several values would pass for one")
        if not allow_empty and not found:
            raise self.error("is empty")
        return found

    def _as_text(self, value: Any) -> str:
        if not isinstance(value, bytes):
            return javascript.text(value)
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise self.error("holds bytes that are not UTF-8") from error

    def _cast(self, value: Any, kind: str) -> Any:
        if value is None or isinstance(value, bytes):
            return value
        if kind == "str":
            return javascript.lodash_text(value)
        value = javascript.trimmed(value) if isinstance(value, str) else value
        match kind:
            case "int":
                return _number_or_same(value, javascript.leading_integer)
            case "num":
                return _number_or_same(value, javascript.leading_number)
            case "bool":
                return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
            case "json":
                return _parse(value) if isinstance(value, str) else value
            case "null":
                return None if value == "null" else value
            case "undefined" | "ignore-empty-str" | "any":
                return value
            case _:
                raise self.error(f"Unsupported type: {kind}")


def _number_or_same(value: Any, read: Any) -> Any:
    if isinstance(value, bool | Mapping):
        return value
    number = read(javascript.text(value))
    return value if number is None else number


def _parse(value: str) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _look_up(value: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            # A number addresses arrays only, even where an object has such a key.
            value = NO_VALUE if _INDEX.fullmatch(key) else value.get(key, NO_VALUE)
        elif isinstance(value, list) and (key == "length" or _INDEX.fullmatch(key)):
            value = _element(value, key)
        else:
            return NO_VALUE
    return value


def _element(values: list[Any], key: str) -> Any:
    """One element of an array, or its ``length``; a negative index before the first element names the first (lib)."""
    if key == "length":
        return len(values)
    # `-0` counts from the end, behind the last element.
    index = max(len(values) + int(key), 0) if key.startswith("-") else int(key)
    return values[index] if index < len(values) else NO_VALUE


def _compile_placeholder(inner: str, text: str, path: str) -> _Placeholder:
    wanted, *rest = inner.split("?:")
    default, default_type = _split_modifier(rest[0]) if rest and rest[0] else (None, "str")
    return _Placeholder(
        text=text,
        path=path,
        alternatives=tuple(_compile_alternative(part, text, path) for part in wanted.split("|")),
        default=default,
        default_type=default_type,
        undefined=":undefined" in wanted,
        null=":null" in wanted,
        ignore_empty=":ignore-empty-str" in wanted,
    )


def _split_modifier(part: str) -> tuple[str, str]:
    pieces = _MODIFIER.split(part)
    return pieces[0], pieces[1] if len(pieces) > 1 else "str"


def _compile_alternative(part: str, text: str, path: str) -> _Alternative:
    query, kind = (piece.strip() for piece in _split_modifier(part))
    if query in ("", "."):
        return _Alternative(() if query else None, kind)
    if re.search(r"\s", query):
        raise PlaceholderError(f"{text}: several paths in one are not supported", placeholder=text, path=path)
    keys = tuple(query.removeprefix(".").split("."))
    if any(key.startswith("/") for key in keys):
        raise PlaceholderError(f"{text}: regular expressions are not supported", placeholder=text, path=path)
    return _Alternative(keys, kind)


@dataclass(frozen=True, slots=True)
class _Text:
    path: str
    parts: tuple[str | _Placeholder, ...]

    def render(self, context: Any) -> Any:
        match self.parts:
            case (_Placeholder() as only,):
                return only.whole(context)
            case parts:
                return "".join(part if isinstance(part, str) else part.inside(context) for part in parts)

    def required(self, context: Any, *, allow_empty: bool) -> list[str | bytes]:
        found: list[str | bytes] = []
        for part in self.parts:
            if isinstance(part, _Placeholder):
                found.append(part.required(context, allow_empty=allow_empty))
            elif left := _LEFTOVER.search(part):
                raise PlaceholderError(f"{left[0]}: is not a placeholder", placeholder=left[0], path=self.path)
            else:
                found.append(part)
        return found


@dataclass(frozen=True, slots=True)
class _Constant:
    value: Any

    def render(self, context: Any) -> Any:
        del context
        return self.value


@dataclass(frozen=True, slots=True)
class _Array:
    items: tuple[_Node, ...]

    def render(self, context: Any) -> Any:
        rendered = (item.render(context) for item in self.items)
        return [None if value is NO_VALUE else value for value in rendered]


@dataclass(frozen=True, slots=True)
class _Object:
    members: tuple[tuple[str, _Node], ...]
    merged: _Node | None

    def render(self, context: Any) -> Any:
        rendered = ((key, node.render(context)) for key, node in self.members)
        result = {key: value for key, value in rendered if value is not NO_VALUE}
        if self.merged is None:
            return result
        addition = self.merged.render(context)
        # A placeholder that gives an array is skipped; only an array that is written out merges its objects.
        additions = addition if isinstance(self.merged, _Array) else [addition]
        for each in additions:
            if isinstance(each, Mapping):
                result = _merge(result, each)
        return result


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """What deepmerge 4.3.1 does by default: arrays are joined, objects merged, anything else replaced (lib)."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            merged[key] = [*old, *value]
        else:
            merged[key] = value
    return merged


_Node = _Text | _Constant | _Array | _Object


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template; immutable, may be rendered any number of times and from several threads."""

    _root: _Node

    def render(self, context: Mapping[str, Any]) -> Any:
        """The template with its placeholders resolved against *context*, or :data:`NO_VALUE`.

        Text that is exactly one placeholder gives the typed value, and bytes as the same bytes. Objects lose the keys
        that have no value, arrays keep ``None`` in their place. Nothing of *context* is changed. Raises
        :class:`PlaceholderError` for an unknown type, an empty path and bytes inside text that are not UTF-8.
        """
        return self._root.render(context)

    def render_text_or_fail(self, context: Mapping[str, Any]) -> str:
        """Render a field that decides about trust: a secret, a user name, the value to compare with.

        Raises :class:`PlaceholderError`, naming the placeholder, when one of them has no value or an empty one, and
        when the result is empty or still holds ``{{…}}``: anybody could sign with such a key. Raises
        :class:`UnusableValue` for values without :func:`exact_text`, and for a modifier that changes its value.
        """
        parts = self._text().required(context, allow_empty=False)
        try:
            result = "".join(part.decode() if isinstance(part, bytes) else part for part in parts)
        except UnicodeDecodeError as error:
            raise PlaceholderError("the value is not UTF-8", path=self._text().path) from error
        if not result or _LEFTOVER.search(result):
            raise PlaceholderError("the value is empty or holds a placeholder", path=self._text().path)
        return result

    def render_bytes_or_fail(self, context: Mapping[str, Any]) -> bytes:
        """Render a piece of what was signed: text as UTF-8, a body as the bytes that came.

        It may be empty, and values may hold braces, for senders sign what they like. Raises
        :class:`PlaceholderError` when a placeholder has no value, and :class:`UnusableValue` as the text does.
        """
        parts = self._text().required(context, allow_empty=True)
        return b"".join(part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass") for part in parts)

    @property
    def alternatives(self) -> tuple[tuple[str, ...], ...]:
        """For each placeholder of a text, the paths of which the first that is there counts; ``.`` is everything."""
        parts = self._root.parts if isinstance(self._root, _Text) else ()
        return tuple(part.paths for part in parts if isinstance(part, _Placeholder))

    def _text(self) -> _Text:
        if not isinstance(self._root, _Text):
            raise PlaceholderError("the template is not text")
        return self._root


def compile_template(value: Any) -> Template:
    """Compile text, a list or an object; keys of objects are never templated.

    Numbers, booleans and ``None`` are constants inside an object, and an error as the whole template or in a list that
    is not inside of an object (lib: "Invalid type"). Raises :class:`PlaceholderError` for that, for paths this module
    refuses, and for templates nested deeper than 64 levels or holding themselves.
    """
    _check_outside_objects(value, ())
    return Template(_compile(value, ()))


def _check_outside_objects(value: Any, path: tuple[str, ...]) -> None:
    if isinstance(value, list) and len(path) <= _MAX_DEPTH:
        for index, item in enumerate(value):
            _check_outside_objects(item, (*path, str(index)))
    elif not isinstance(value, str | list | Mapping):
        raise PlaceholderError("Invalid type: a template is text, a list or an object", path=".".join(path))


def _compile(value: Any, path: tuple[str, ...]) -> _Node:
    if len(path) > _MAX_DEPTH:
        raise PlaceholderError(f"the template is nested deeper than {_MAX_DEPTH} levels")
    match value:
        case str():
            return _compile_text(value, ".".join(path))
        case list():
            return _Array(tuple(_compile(item, (*path, str(index))) for index, item in enumerate(value)))
        case Mapping():
            nodes = [(key, _compile(item, (*path, str(key)))) for key, item in value.items()]
            members = tuple((key, node) for key, node in nodes if key != _MERGE)
            return _Object(members, next((node for key, node in nodes if key == _MERGE), None))
        case _:
            return _Constant(value)


def _compile_text(value: str, path: str) -> _Text:
    parts: list[str | _Placeholder] = []
    end = 0
    for found in PLACEHOLDER.finditer(value):
        if found.start() > end:
            parts.append(value[end : found.start()])
        parts.append(_compile_placeholder(found[1], found[0], path))
        end = found.end()
    if end < len(value) or not parts:
        parts.append(value[end:])
    return _Text(path, tuple(parts))
