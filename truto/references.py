"""The other spelling of placeholders, of Truto's skill documents. Performs no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from truto.placeholders import PLACEHOLDER

_NAME = r"[A-Za-z0-9_-]+"
_DOLLAR = re.compile(
    rf"\$(?:(?P<body>body)(?P<rest>(?:\.{_NAME})*)|(?P<root>headers?|query)\.(?P<name>{_NAME}))(?![\w-])"
)
_ALIAS = re.compile(r"(?P<before>^|\|)(?P<space>\s*)(?P<root>env|credentials)\.")
_ALIASES = {"env": "environment_variables", "credentials": "context"}


def translate_references(value: Any) -> Any:
    """Rewrite the spellings of Truto's skill documents into the placeholders of its API schema.

    ``$body`` is ``{{raw_body}}`` and ``$body.a`` is ``{{body.a}}``; ``$header.NAME`` and ``$headers.NAME`` are the
    lower-cased header, ``$query.NAME`` is a query parameter, also inside longer text (``v0=$header.x-signature``).
    ``{{env.K}}`` is ``{{environment_variables.K}}`` and ``{{credentials.X}}`` is ``{{context.X}}``. Lists and objects
    are translated deeply; whatever is neither spelling stays. Call it on webhook verification settings only:
    elsewhere a dollar sign is text (skill: authoring-integrations; seed: Environment Integrations object).
    """
    match value:
        case str():
            return PLACEHOLDER.sub(_translate_alias, _DOLLAR.sub(_translate_dollar, value))
        case list():
            return [translate_references(item) for item in value]
        case Mapping():
            return {key: translate_references(item) for key, item in value.items()}
        case _:
            return value


def _translate_dollar(found: re.Match[str]) -> str:
    if found["body"]:
        return f"{{{{body{found['rest']}}}}}" if found["rest"] else "{{raw_body}}"
    if found["root"] == "query":
        return f"{{{{query.{found['name']}}}}}"
    return f"{{{{headers.{found['name'].lower()}}}}}"


def _translate_alias(found: re.Match[str]) -> str:
    inner, separator, default = found[1].partition("?:")
    inner = _ALIAS.sub(lambda hit: f"{hit['before']}{hit['space']}{_ALIASES[hit['root']]}.", inner)
    return f"{{{{{inner}{separator}{default}}}}}"
