"""The errors of each package are one tree, in its ``errors.py``, and drawn at the head of that file."""

from __future__ import annotations

import ast
import builtins
import importlib

import pytest

from tests.unit.test_imports import MAY_IMPORT, ROOT, modules

TREES = sorted(package for package in MAY_IMPORT if (ROOT / package / "errors.py").exists())
BUILT_IN = {name for name, found in vars(builtins).items() if isinstance(found, type) and issubclass(found, Exception)}


def defined(package: str) -> dict[str, type[Exception]]:
    """The errors that *package* defines in its ``errors.py``."""
    module = importlib.import_module(f"{package}.errors")
    return {
        name: found
        for name, found in vars(module).items()
        if isinstance(found, type) and issubclass(found, Exception) and found.__module__ == module.__name__
    }


def drawn(docstring: str) -> dict[str, str | None]:
    """The names in the drawing, each with the name it hangs from."""
    parents: dict[str, str | None] = {}
    above: list[str] = []
    for line in docstring.split("::\n", 1)[1].splitlines():
        name = line.lstrip(" │├└─").partition(" ")[0]
        if not name or not (line.startswith("    ") and (("─ " in line) or not above)):
            continue
        depth = (line.index("─ ") + 2) // 4 - 1 if "─ " in line else 0
        del above[depth:]
        parents[name] = above[-1] if above else None
        above.append(name)
    return parents


def errors_elsewhere(source: str, known: set[str]) -> list[str]:
    """The classes in *source* that are errors."""
    classes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    return [node.name for node in classes if {ast.unparse(b).rpartition(".")[2] for b in node.bases} & known]


KNOWN = BUILT_IN | {name for package in TREES for name in defined(package)}


@pytest.mark.parametrize("package", TREES)
def test_every_error_is_drawn_beneath_the_one_it_is_a_kind_of(package: str) -> None:
    errors = defined(package)
    parents = drawn(importlib.import_module(f"{package}.errors").__doc__ or "")
    assert set(parents) == set(errors)
    for name, parent in parents.items():
        if parent is not None:
            assert errors[parent] in errors[name].__bases__


@pytest.mark.parametrize("package", TREES)
def test_a_package_s_errors_have_one_root(package: str) -> None:
    errors = defined(package)
    (root,) = (
        name for name, parent in drawn(importlib.import_module(f"{package}.errors").__doc__ or "").items() if not parent
    )
    assert all(issubclass(found, errors[root]) for found in errors.values())


@pytest.mark.parametrize("module", sorted(name for name in modules() if not name.endswith(".errors")))
def test_no_error_is_defined_elsewhere(module: str) -> None:
    assert errors_elsewhere(modules()[module].read_text(), KNOWN) == []


def test_a_package_without_errors_of_its_own_raises_those_of_others() -> None:
    assert set(MAY_IMPORT) - set(TREES) == {"handlers", "truto_worker"}


@pytest.mark.parametrize(
    "source",
    ["class A(Exception): ...", "class A(events.ConfigError): ...", "def f():\n    class A(ValueError, B): ..."],
    ids=["root", "kind", "local"],
)
def test_the_check_finds_an_error_elsewhere(source: str) -> None:
    assert errors_elsewhere(source, KNOWN) == ["A"]


def test_the_drawing_is_read_as_it_looks() -> None:
    drawing = "::\n\n    Root\n    ├── One     said\n    │   └── Two … said\n    └── Three   said\n\nMore."
    assert drawn(drawing) == {"Root": None, "One": "Root", "Two": "One", "Three": "Root"}
