"""Write ``truto/sync.pyi``, the types of the blocking client, from the source of the asyncio client.

Run it after a change there: ``python -m tests.unit.truto.sync_stub``.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
STUB = ROOT / "truto" / "sync.pyi"
SOURCES = ("pages", "downloads", "endpoints", "records", "resources", "mcp", "client")
# What only the asyncio client is made of, or what has no face of its own.
LEFT_OUT = {"Requester", "Route", "CircleWatch", "BatchCall"}
RENAMED = {
    "AsyncTruto": "Truto",
    "AsyncIterator": "Iterator",
    "aclose": "close",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
}
DUNDERS = {"__aenter__", "__aexit__", "__aiter__"}
NOTE = "# Written by tests/unit/truto/sync_stub.py from the asyncio client: do not edit.\n\n"


class _Plain(ast.NodeTransformer):
    """Annotations without asyncio."""

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(RENAMED.get(node.id, node.id))

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id == "AsyncGenerator" and isinstance(node.slice, ast.Tuple):
            return ast.Subscript(ast.Name("Iterator"), self.visit(node.slice.elts[0]))
        return self.generic_visit(node)


def stub() -> str:
    """The text of the stub, before formatting."""
    imports: dict[str, ast.stmt] = {}
    classes: list[ast.stmt] = []
    for source in SOURCES:
        tree = ast.parse((ROOT / "truto" / f"{source}.py").read_text())
        for node in tree.body:
            match node:
                case ast.ImportFrom() | ast.Import():
                    imports |= {(alias.asname or alias.name): _import(node, alias) for alias in node.names}
                case ast.ClassDef() if node.name not in LEFT_OUT and not node.name.startswith("_"):
                    classes.append(_class(node))
                case ast.ClassDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
                    imports[name] = ast.parse(f"from truto.{source} import {name}").body[0]
                case ast.AnnAssign(target=ast.Name(id=name)):
                    imports[name] = ast.parse(f"from truto.{source} import {name}").body[0]
    imports["Iterator"] = ast.parse("from collections.abc import Iterator").body[0]
    own = {node.name for node in classes if isinstance(node, ast.ClassDef)}
    used = {node.id for item in classes for node in ast.walk(item) if isinstance(node, ast.Name)}
    lines = sorted({ast.unparse(imports[name]) for name in (used - own) & imports.keys()})
    return NOTE + "\n".join([*lines, "", *(ast.unparse(item) for item in classes)]) + "\n"


def _import(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> ast.stmt:
    return ast.ImportFrom(node.module, [alias], 0) if isinstance(node, ast.ImportFrom) else ast.Import([alias])


def _class(node: ast.ClassDef) -> ast.ClassDef:
    body = [ast.Expr(ast.Constant(_words(node)))]
    bases = [_Plain().visit(base) for base in node.bases]
    name = RENAMED.get(node.name, node.name)
    members: list[ast.stmt] = [*body, *(made for member in node.body for made in _member(node.name, member))]
    return ast.ClassDef(name, bases, [], members, [])


def _member(owner: str, node: ast.stmt) -> Iterator[ast.stmt]:
    match node:
        case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Subscript(value=ast.Name(id="Route"), slice=kind)):
            yield _function(name, ast.parse("def f(self): ...").body[0].args, kind, None, [ast.Name("property")])  # type: ignore[attr-defined] # it is a function
        case ast.FunctionDef(name="__init__") if owner == "AsyncTruto":
            yield _function("__init__", _arguments(node.args), ast.Constant(None), None, [])
        case ast.FunctionDef() | ast.AsyncFunctionDef() if node.name in DUNDERS or not node.name.startswith("_"):
            returns = _Plain().visit(node.returns or ast.Constant(None))
            name = RENAMED.get(node.name, node.name)
            yield _function(name, _arguments(node.args), returns, _words(node), node.decorator_list)


def _words(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
    words = ast.get_docstring(node)
    return None if words is None else re.sub(r"\b(async|await) ", "", words)


def _arguments(arguments: ast.arguments) -> ast.arguments:
    plain: ast.arguments = _Plain().visit(arguments)
    return plain


def _function(
    name: str, arguments: ast.arguments, returns: ast.expr, doc: str | None, decorators: list[ast.expr]
) -> ast.FunctionDef:
    body: list[ast.stmt] = [ast.Expr(ast.Constant(doc if doc is not None else ...))]
    made = ast.FunctionDef(name, arguments, body, decorators, returns)
    return ast.fix_missing_locations(made)


def main() -> None:
    """Write the stub, formatted."""
    STUB.write_text(stub())
    ruff = str(Path(sys.executable).with_name("ruff"))
    for command in (["format"], ["check", "--fix"], ["format"]):
        subprocess.run([ruff, *command, "--quiet", str(STUB)], check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
