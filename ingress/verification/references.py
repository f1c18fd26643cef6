"""A short way for the templates of most fields: plain references, and text.

``{{raw_body}}``, ``{{headers.x-signature}}`` or ``{{body.event.type|body.type}}`` are looked up directly, and what is
found is what the template would give; whatever is missing, empty or of another kind is left to the template, which says
what is wrong. Text without braces is always itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from truto.errors import PlaceholderError, UnusableValue
from truto.placeholders import Template, compile_template
from truto.references import translate_references

# Numbers address arrays and are left to the template.
_PATH = r"[A-Za-z_-][A-Za-z0-9_-]*(?:\.[A-Za-z_-][A-Za-z0-9_-]*)*"
_PLAIN = re.compile(rf"\{{\{{({_PATH}(?:\|{_PATH})*)\}}\}}")
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Reference(Template):
    """A template that is nothing but ``{{name}}``, ``{{name.name}}`` or several of them, of which the first counts."""

    paths: tuple[tuple[str, ...], ...]

    def value(self, context: Mapping[str, Any]) -> Any:
        """What is there, of any kind; ``None`` where nothing is."""
        for first, *others in self.paths:
            found = context.get(first, _MISSING)
            for name in others:
                # A look at the type spares most values the slower question.
                if type(found) is not dict and not isinstance(found, Mapping):
                    found = _MISSING
                    break
                found = found.get(name, _MISSING)
            if found is not _MISSING:
                return found
        return None

    def render_text_or_fail(self, context: Mapping[str, Any]) -> str:
        """As :meth:`Template.render_text_or_fail`."""
        value = self.value(context)
        if type(value) is str and value and "{{" not in value:
            return value
        return Template.render_text_or_fail(self, context)

    def render_bytes_or_fail(self, context: Mapping[str, Any]) -> bytes:
        """As :meth:`Template.render_bytes_or_fail`."""
        value = self.value(context)
        if type(value) is bytes:
            return value
        if type(value) is str and value.isascii():
            return value.encode()
        return Template.render_bytes_or_fail(self, context)


@dataclass(frozen=True, slots=True)
class Text(Template):
    """A template without placeholders."""

    text: bytes

    def render_bytes_or_fail(self, context: Mapping[str, Any]) -> bytes:
        """As :meth:`Template.render_bytes_or_fail`."""
        del context
        return self.text


def text_or_none(template: Template, context: Mapping[str, Any]) -> str | None:
    """The text of a field that a delivery may lack. Raises :class:`UnusableValue` where it is there, and no text."""
    if isinstance(template, Reference) and template.value(context) is None:
        return None  # the usual case, told without raising
    try:
        return template.render_text_or_fail(context)
    except UnusableValue:
        raise
    except PlaceholderError:
        return None


def compile_reference(text: str) -> Template:
    """The template that *text* is, in either spelling of references. Raises as :func:`compile_template` does."""
    translated = translate_references(text)
    root = compile_template(translated)._root  # noqa: SLF001  the same template, with a shorter way
    if "{" not in translated:
        return Text(root, translated.encode("utf-8", "surrogatepass"))
    found = _PLAIN.fullmatch(translated)
    if found is None:
        return Template(root)
    return Reference(root, tuple(tuple(path.split(".")) for path in found[1].split("|")))
