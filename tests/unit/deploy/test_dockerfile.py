"""The image: small, not root, and the process itself receives the signals."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from tests.unit.deploy.tree import ROOT, Instruction, of_kind, project_version, stages
from tests.unit.deploy.tree import compose as compose_file
from tests.unit.test_imports import MAY_IMPORT


def _last(word: str, stage: list[Instruction]) -> Instruction:
    return [instruction for instruction in stage if instruction.word == word][-1]


def test_the_wheel_is_built_in_a_stage_of_its_own_and_only_its_environment_is_copied() -> None:
    builder, runtime = stages()
    assert builder[0].rest.endswith(" AS builder")
    copies = [instruction.rest for instruction in runtime if instruction.word == "COPY"]
    assert copies == ["--from=builder /opt/venv /opt/venv"]


def test_everything_that_is_installed_is_a_wheel_with_a_known_hash() -> None:
    installs = re.findall(r"pip install ([^&]*)", " && ".join(i.rest for i in stages()[0] if i.word == "RUN"))
    from_elsewhere = [install for install in installs if "--no-index" not in install]
    assert [install.split()[-1] for install in from_elsewhere] == [
        "deploy/build-requirements.txt",
        "deploy/requirements.txt",
    ]
    assert all("--require-hashes --only-binary :all: -r" in install for install in from_elsewhere)
    assert [install.split()[-1] for install in installs if install not in from_elsewhere] == ["/wheels/*.whl"]


def test_our_own_wheel_is_built_with_what_was_installed_by_hash_alone() -> None:
    (wheel,) = re.findall(r"pip wheel ([^&]*)", _last("RUN", stages()[0]).rest)
    assert {"--no-build-isolation", "--no-deps"} <= set(wheel.split())


@pytest.mark.parametrize("stage", stages(), ids=lambda stage: stage[0].rest.split()[-1])
def test_each_base_image_is_pinned_to_a_slim_minor_version(stage: list[Instruction]) -> None:
    assert re.match(r"python:3\.\d+-slim-\w+(@sha256:[0-9a-f]{64})? AS \w+$", stage[0].rest)


def test_the_user_is_a_number_that_is_not_root_and_is_set_before_the_entrypoint() -> None:
    runtime = stages()[-1]
    user, group = _last("USER", runtime).rest.split(":")
    assert int(user) > 0
    assert int(group) > 0
    words = [instruction.word for instruction in runtime]
    assert len(words) - words[::-1].index("USER") - 1 < words.index("ENTRYPOINT")


def test_entrypoint_and_command_are_in_exec_form() -> None:
    runtime = stages()[-1]
    assert json.loads(_last("ENTRYPOINT", runtime).rest) == ["truto-worker"]
    assert json.loads(_last("CMD", runtime).rest) == ["ingress"]


def test_output_is_not_buffered() -> None:
    assert "PYTHONUNBUFFERED=1" in _last("ENV", stages()[-1]).rest.split()


def test_every_package_of_the_wheel_is_copied_and_admitted_to_the_build() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert packages == set(MAY_IMPORT)
    copied = {instruction.rest.split()[0].rstrip("/") for instruction in stages()[0] if instruction.word == "COPY"}
    admitted = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert packages <= copied
    locks = {"deploy/requirements.txt", "deploy/build-requirements.txt"}
    assert packages | locks | {"pyproject.toml", "README.md", "LICENSE"} == admitted


def test_the_build_starts_from_nothing_so_that_no_secret_file_can_enter() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert "**/.env" in lines


def test_every_use_of_our_image_carries_the_version_of_the_project() -> None:
    services = compose_file()["services"].values()
    pods = [document["spec"]["template"]["spec"] for document in of_kind("Deployment")]
    images = [service["image"] for service in services] + [c["image"] for pod in pods for c in pod["containers"]]
    ours = {image for image in images if image.startswith("truto-worker")}
    assert ours == {f"truto-worker:{project_version()}"}
    (kustomization,) = of_kind("Kustomization")
    assert [image["newTag"] for image in kustomization["images"]] == [project_version()]
