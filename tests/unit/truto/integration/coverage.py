"""Which property of Truto's schema is run, and which test holds it: the list in docs/integration-coverage.md.

``make docs`` writes it, from the models that definitions are read with and from the ``schema`` marks of the tests.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from truto.integration import credentials as c
from truto.integration import definition as d
from truto.integration import pagination as p

ROOT = Path(__file__).parents[4]
TESTS = [ROOT / "tests" / "integration" / "integrations", ROOT / "tests" / "unit" / "truto" / "integration"]

STORED = {
    "config.label": "shown to people, in no request",
    "config.logo": "shown to people, in no request",
    "config.icon": "shown to people, in no request",
    "config.description": "shown in the catalog, in no request",
    "config.tags": "shown in the catalog, in no request",
    "config.show_in_catalog": "shows or hides the entry of the catalog; push and pull carry it",
    "config.tool_tags": "labels of Truto's MCP tools, in no request",
    "config.webhook": "the inbound half: the ingress runs it (docs/sources.md)",
    "credentials.config.documentation_link": "shown to the person who connects",
    "credentials.config.permissions_text": "shown to the person who connects",
    "field.label": "shown to the person who connects",
    "field.placeholder": "shown to the person who connects",
    "field.help_text": "shown to the person who connects",
    "field.options.label": "shown to the person who connects",
    "method.description": "for people and Truto's tools, in no request",
    "method.api_documentation_url": "for people, in no request",
    "method.scopes": "what Truto names when a 403 shows that one is missing; no request depends on it",
    "method.query_schema": "a description for people and tools, in no request",
    "method.body_schema": "a description for people and tools, in no request",
    "method.response_schema": "a description for people and tools, in no request",
}
"""What is kept as it is, each with the reason why nothing runs it."""

_PAGINATIONS: dict[str, type[BaseModel]] = {
    "page": p.PageConfig,
    "cursor": p.CursorConfig,
    "link_header": p.LinkHeaderConfig,
    "offset": p.OffsetConfig,
    "range": p.RangeConfig,
    "dynamic": p.DynamicConfig,
}
_AUTHORIZATIONS: dict[str, type[BaseModel]] = {
    "bearer": c.BearerConfig,
    "basic": c.BasicConfig,
    "header": c.HeaderConfig,
}

_INNER: dict[str, type[BaseModel]] = {"client": c.Client, "auth": c.Auth, "options": c.OAuthOptions}


def names(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    """The properties of *model*, as a definition writes them."""
    yield from (f"{prefix}.{field.alias or name}" for name, field in model.model_fields.items())


def properties() -> list[str]:
    """Every property that a definition is read with."""
    found = [*names("config", d.Config)]
    found += [f"credentials.{name}" for name in get_args(c.CredentialsFormat)]
    for name in names("credentials.config", c.CredentialsConfig):
        inner = _INNER.get(name.rpartition(".")[2])
        found += [name] if inner is None else [*names(name, inner)]
    for name in names("field", c.FormField):
        found += [*names(name, c.Option)] if name == "field.options" else [name]
    for kind, authorization in _AUTHORIZATIONS.items():
        found += [f"authorization.{kind}", *names(f"authorization.{kind}.config", authorization)]
    for kind, pagination in _PAGINATIONS.items():
        found += [f"pagination.{kind}", *names(f"pagination.{kind}.config", pagination)]
    found += names("rate_limit", d.RateLimit)
    for name in names("method", d.Method):
        if name == "method.body_format":
            found += [f"{name}.{kind}" for kind in ("json", "form", "multipart", "raw", "xml")]
        else:
            found += [*names(name, d.Examples)] if name == "method.examples" else [name]
    found += ["action.steps", *(f"action.{name}" for name in sorted(d.LIFECYCLE))]
    found += [*names("step", d.Step), *(f"step.{kind}" for kind in get_args(d.Step.model_fields["type"].annotation))]
    return found


def covered() -> dict[str, list[str]]:
    """The properties that tests are marked with, each with the names of these tests."""
    found: dict[str, list[str]] = {}
    for path in sorted(path for folder in TESTS for path in folder.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for name in _marked(node):
                    found.setdefault(name, []).append(node.name)
    return found


def _marked(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.schema":
            yield from (ast.literal_eval(argument) for argument in decorator.args)


def page() -> str:
    """The document."""
    tests = covered()
    lines = [
        "# Coverage of an integration's schema",
        "",
        "Every property of an integration's config, outbound half, that Truto's documents name: the test that holds",
        "it, or why nothing runs it. Written by `make docs` from the models and the marks of the tests.",
        "",
        "| Property | Held by |",
        "|---|---|",
    ]
    for name in properties():
        held = ", ".join(f"`{test}`" for test in tests.get(name, []))
        lines.append(f"| `{name}` | {held or 'stored, not executed: ' + STORED.get(name, '?')} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())
