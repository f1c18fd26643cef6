"""Read YAML and JSON files. A duplicate key is refused, where YAML would use the last one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from truto.errors import NotADocument

SUFFIXES = frozenset({".yaml", ".yml", ".json"})

_MAX_VALUES = 100_000


def document_paths(folder: Path) -> list[Path]:
    """The files of *folder* that are YAML or JSON, by name; hidden ones are not. None where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES and not p.name.startswith(".") and p.is_file())


class UniqueKeys(yaml.SafeLoader):
    """Refuses a mapping that has a key twice, and keys that are no text."""


def _mapping(loader: UniqueKeys, node: yaml.MappingNode) -> dict[str, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    known: set[str] = set()
    for key in keys:
        if not isinstance(key, str):
            raise yaml.MarkedYAMLError(problem=f"the key {key!r} is not text", problem_mark=node.start_mark)
        if key in known:
            raise yaml.MarkedYAMLError(problem=f"the key {key!r} is there twice", problem_mark=node.start_mark)
        known.add(key)
    return dict(loader.construct_pairs(node, deep=True))


UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(text: str) -> Any:
    """*text* as YAML, which JSON is too. Raises :class:`yaml.YAMLError`."""
    return yaml.load(text, UniqueKeys)  # noqa: S506  a SafeLoader


def read_document(text: str) -> Any:
    """*text* as YAML or JSON. Raises :class:`NotADocument`, also for aliases that unfold to over 100,000 values."""
    try:
        document = read_yaml(text)
    except yaml.MarkedYAMLError as exc:
        line = f"line {exc.problem_mark.line + 1}: " if exc.problem_mark else ""
        raise NotADocument(f"{line}{exc.problem or exc.context}") from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise NotADocument("is not YAML") from None
    left = _MAX_VALUES
    level = [document]
    while level:
        left -= len(level)
        if left < 0:
            raise NotADocument(f"has more than {_MAX_VALUES} values")
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
        ]
    return document


def write_document(document: Any) -> str:
    """*document* as YAML for people: keys in their order, texts of several lines as such."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
