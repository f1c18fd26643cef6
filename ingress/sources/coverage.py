"""Whether a signature covers what a template refers to, told from the configuration alone."""

from __future__ import annotations

from collections.abc import Iterable

from truto.placeholders import Template

Names = tuple[str, ...]
"""The paths of one placeholder, of which the first that is there counts."""

RAW_BODY: frozenset[Names] = frozenset({("raw_body",)})

_READ_FROM = {"body": ("raw_body",), "query": ("url",)}


def named_in(templates: Iterable[Template]) -> frozenset[Names]:
    """What *templates* refer to."""
    return frozenset(names for template in templates for names in template.alternatives)


def uncovered(template: Template, signed: frozenset[Names]) -> list[str]:
    """What *template* refers to and *signed* does not cover: whoever replays a delivery can put there what they like.

    A placeholder is covered when the same one is signed, or each of its paths for itself. Fields of the body are
    covered by ``raw_body``, those of the query by ``url``.
    """
    return [
        path
        for names in template.alternatives
        if names not in signed
        for path in names
        if not _is_covered(path, signed)
    ]


def _is_covered(path: str, signed: frozenset[Names]) -> bool:
    return (path,) in signed or _READ_FROM.get(path.partition(".")[0]) in signed
