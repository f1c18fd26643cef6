"""``make pin-images``: digests come from the registry, or nothing changes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.deploy.tree import DEPLOY

FILES = ["Dockerfile", "compose.yaml", "kubernetes/redis.yaml"]
ONE, TWO = "sha256:" + "1a" * 32, "sha256:" + "2b" * 32


class Deploy:
    """A copy of the deploy files, and a ``docker`` that answers with what it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "deploy"
        shutil.copytree(DEPLOY, self.folder)
        self.programs = folder / "bin"
        self.programs.mkdir()

    def pin(self, answer: str) -> subprocess.CompletedProcess[str]:
        docker = self.programs / "docker"
        docker.write_text(f"#!/bin/sh\n{answer}\n")
        docker.chmod(0o755)
        path = f"{self.programs}:/usr/bin:/bin"
        return subprocess.run(
            [self.folder / "pin-images.sh"], env={"PATH": path}, capture_output=True, text=True, timeout=20
        )

    def texts(self) -> list[str]:
        return [(self.folder / name).read_text() for name in FILES]


@pytest.fixture
def deploy(tmp_path: Path) -> Deploy:
    return Deploy(tmp_path)


def test_every_base_image_gets_its_digest(deploy: Deploy) -> None:
    assert deploy.pin(f"echo {ONE}").returncode == 0
    dockerfile, compose, redis = deploy.texts()
    assert dockerfile.count(f"FROM python:3.12-slim-bookworm@{ONE} AS ") == 2
    assert f"image: redis:7.4-alpine@{ONE}" in compose
    assert f"image: redis:7.4-alpine@{ONE}" in redis


def test_pinning_again_moves_on_to_the_new_digest(deploy: Deploy) -> None:
    deploy.pin(f"echo {ONE}")
    first = deploy.texts()
    deploy.pin(f"echo {TWO}")
    assert deploy.texts() == [text.replace(ONE, TWO) for text in first]


@pytest.mark.parametrize("answer", ["exit 1", "echo", "echo latest", f"echo {ONE}; echo more", "echo sha256:abc"])
def test_without_a_digest_nothing_is_changed(deploy: Deploy, answer: str) -> None:
    before = deploy.texts()
    assert deploy.pin(answer).returncode != 0
    assert deploy.texts() == before


def test_one_image_without_a_digest_leaves_all_as_they_were(deploy: Deploy) -> None:
    before = deploy.texts()
    assert deploy.pin(f'case "$4" in python*) echo {ONE};; *) exit 1;; esac').returncode != 0
    assert deploy.texts() == before


def test_every_image_of_others_is_one_that_is_pinned() -> None:
    script = (DEPLOY / "pin-images.sh").read_text()
    lines = [line.split() for name in FILES for line in (DEPLOY / name).read_text().splitlines()]
    images = {words[1].partition("@")[0] for words in lines if words[:1] in (["FROM"], ["image:"])}
    others = {image for image in images if not image.startswith("truto-worker")}
    assert others == {"python:3.12-slim-bookworm", "redis:7.4-alpine"}
    assert all(image in script for image in others)
