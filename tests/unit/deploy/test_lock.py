"""What is installed by hash is all that runs, in the versions that the tests have run with."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import requires
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.unit.deploy.tree import ROOT, locked, normal

CONSTRAINTS = {
    normal(name): version
    for name, _, version in (line.partition("==") for line in (ROOT / "constraints.txt").read_text().split())
}


def _pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def _needed(lines: list[str]) -> set[str]:
    """The names of everything that *lines*, and what they ask for in turn, need on this interpreter."""
    found: set[str] = set()
    waiting = [Requirement(line) for line in lines]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        key = normal(wanted.name), frozenset(wanted.extras)
        if key in seen:
            continue
        seen.add(key)
        found.add(key[0])
        for line in requires(wanted.name) or []:
            further = Requirement(line)
            extras = wanted.extras or {""}
            if further.marker is None or any(further.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(further)
    return found


def test_the_lock_has_every_distribution_that_the_service_needs() -> None:
    needed = _needed(_pyproject()["project"]["dependencies"])
    assert {"starlette", "arq", "redis", "hiredis", "h11"} <= needed
    assert needed - locked().keys() == set()


@pytest.mark.parametrize("name", ["requirements.txt", "build-requirements.txt"])
def test_each_has_a_hash(name: str) -> None:
    assert [distribution for distribution, (_, hashes) in locked(name).items() if not hashes] == []


@pytest.mark.parametrize("name", ["requirements.txt", "build-requirements.txt"])
def test_a_locked_version_is_the_one_that_is_tested_with(name: str) -> None:
    differing = {d: v for d, (v, _) in locked(name).items() if d in CONSTRAINTS and CONSTRAINTS[d] != v}
    assert differing == {}


def test_what_the_lock_has_besides_is_for_other_systems() -> None:
    assert locked().keys() - CONSTRAINTS.keys() == {"colorama"}


def test_the_lock_of_the_build_is_for_what_the_build_requires() -> None:
    build = _pyproject()["build-system"]["requires"]
    assert _pyproject()["dependency-groups"]["build"] == build
    assert {normal(Requirement(line).name) for line in build} <= locked("build-requirements.txt").keys()


def test_make_has_targets_that_renew_the_lock_and_look_for_known_holes() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert "--generate-hashes" in makefile
    (audit,) = re.findall(r"pip-audit (.*)", makefile)
    assert {"--strict", "--require-hashes", "deploy/requirements.txt", "deploy/build-requirements.txt"} <= set(
        audit.split()
    )
