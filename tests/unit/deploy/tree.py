"""Read the files of ``deploy/`` as the tools they are meant for would."""

from __future__ import annotations

import configparser
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One Dockerfile instruction: its upper-case word and the rest, continuation lines joined."""

    word: str
    rest: str


def load(path: Path) -> list[Document]:
    """Every YAML document of *path*; a key given twice is an error, where YAML itself lets the last one win."""
    return [document for document in yaml.load_all(path.read_text(), _UniqueKeys) if document]


def kubernetes_documents() -> list[Document]:
    """Every object under ``deploy/kubernetes``, those outside the kustomization included."""
    return [document for path in sorted(KUBERNETES.glob("*.yaml")) for document in load(path)]


def of_kind(*kinds: str) -> list[Document]:
    """The Kubernetes objects of these kinds."""
    return [document for document in kubernetes_documents() if document["kind"] in kinds]


def compose() -> Document:
    """The compose file, anchors and merges resolved."""
    (document,) = load(DEPLOY / "compose.yaml")
    return document


def dockerfile() -> list[Instruction]:
    """The Dockerfile's instructions, without comments."""
    lines = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    logical = "\n".join(lines).replace("\\\n", " ").splitlines()
    split = [line.strip().split(None, 1) for line in logical if line.strip()]
    return [Instruction(parts[0].upper(), parts[1]) for parts in split]


def stages() -> list[list[Instruction]]:
    """The Dockerfile cut at each ``FROM``, which opens its stage."""
    cut: list[list[Instruction]] = []
    for instruction in dockerfile():
        if instruction.word == "FROM":
            cut.append([])
        cut[-1].append(instruction)
    return cut


def unit(name: str) -> configparser.ConfigParser:
    """A systemd unit; of a directive given several times the last one counts."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((DEPLOY / "systemd" / name).read_text())
    return parser


def unit_environment(name: str) -> dict[str, str]:
    """What all the ``Environment=`` lines of a unit set."""
    lines = (DEPLOY / "systemd" / name).read_text().splitlines()
    words = [w for line in lines if line.startswith("Environment=") for w in shlex.split(line.partition("=")[2])]
    return dict(word.split("=", 1) for word in words)


def env_example(process: str) -> dict[str, str]:
    """Every setting in the example file of ``ingress`` or ``worker``, whether its line is commented out or not."""
    text = (DEPLOY / f"{process}.env.example").read_text()
    pairs = [line.removeprefix("#").partition("=") for line in text.splitlines() if "=" in line]
    return {name: value for name, _, value in pairs if name.isupper()}


def locked(name: str = "requirements.txt") -> dict[str, tuple[str, int]]:
    """Version and number of hashes of each distribution in a lock of ``deploy/``, by its normal name."""
    logical = (DEPLOY / name).read_text().replace("\\\n", " ").splitlines()
    lines = [line.split() for line in logical if line.strip() and not line.startswith("#")]
    named = {line[0].partition("=="): sum(word.startswith("--hash=sha256:") for word in line) for line in lines}
    return {normal(name): (version, hashes) for (name, _, version), hashes in named.items()}


def normal(name: str) -> str:
    """A distribution's name as all of its spellings come out (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def project_version() -> str:
    """The version in ``pyproject.toml``."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


class _UniqueKeys(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        # A merged mapping may be overridden; only what is written here twice is a mistake.
        if not getattr(node, "flattened", False) and len(keys) != len(set(keys)):
            raise yaml.constructor.ConstructorError(None, None, f"a key is given twice in {keys}", node.start_mark)
        node.flattened = True  # type: ignore[attr-defined]
        return super().construct_mapping(node, deep)
