"""A short way for templates that are one plain reference, such as ``{{raw_body}}`` or ``{{headers.x-signature}}``.

Most fields of most sources are such a reference. What is looked up directly is what the template would give; whatever
is missing, empty or of another kind is left to the template, which says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from truto.placeholders import Template, compile_template, translate_references

_PLAIN = re.compile(r"\{\{(?:(headers|body|query|signature_fields)\.([A-Za-z_-][A-Za-z0-9_-]*)|(raw_body))\}\}")


@dataclass(frozen=True, slots=True)
class Reference(Template):
    """A template that is nothing but ``{{root}}`` or ``{{root.name}}``."""

    root: str
    name: str | None

    def _value(self, context: Mapping[str, Any]) -> Any:
        try:
            found = context[self.root]
            return found if self.name is None else found[self.name]
        except (KeyError, TypeError, IndexError):
            return None

    def render_text_or_fail(self, context: Mapping[str, Any]) -> str:
        """As :meth:`Template.render_text_or_fail`."""
        value = self._value(context)
        if type(value) is str and value and "{{" not in value:
            return value
        return Template.render_text_or_fail(self, context)

    def render_bytes_or_fail(self, context: Mapping[str, Any]) -> bytes:
        """As :meth:`Template.render_bytes_or_fail`."""
        value = self._value(context)
        if type(value) is bytes:
            return value
        return (
            value.encode() if type(value) is str and value.isascii() else Template.render_bytes_or_fail(self, context)
        )


def compile_reference(text: str) -> Template:
    """The template that *text* is, in either spelling of references. Raises as :func:`compile_template` does."""
    translated = translate_references(text)
    template = compile_template(translated)
    found = _PLAIN.fullmatch(translated)
    if found is None:
        return template
    return Reference(template._root, found[1] or found[3], found[2])  # noqa: SLF001  the same template, looked at first
