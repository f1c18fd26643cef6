"""Find what an expression reads of its scope, from its tree, without evaluating it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

# What may reach anything below the root: `$`, `$$`, wildcards, and text that becomes an expression.
_WHOLE_TYPES = frozenset({"wildcard", "descendant", "parent"})
_WHOLE_VARIABLES = frozenset({"", "$", "eval"})
_UNSTABLE = frozenset({"now", "millis", "random", "shuffle", "uuid", "eval", "dtFromIso", "dtFromFormat"})
_LINKS = frozenset({"_outer_instance", "outer_instance", "ancestor"})


class Inputs(NamedTuple):
    """The paths that an expression names, in the order in which it does, and two things that follow from its tree.

    With ``whole`` it may read what it does not name. ``stable`` says that the same scope gives the same value: no
    clock, no random numbers.
    """

    paths: tuple[tuple[str, ...], ...]
    whole: bool
    stable: bool

    @property
    def roots(self) -> frozenset[str]:
        """The first name of each path. Names that only occur inside of a filter or function may be among them."""
        return frozenset(path[0] for path in self.paths)


def read_inputs(tree: Any) -> Inputs:
    """What the expression with this compiled *tree* reads."""
    paths: dict[tuple[str, ...], None] = {}
    whole, stable = False, True
    for node in _nodes(tree):
        kind, value = getattr(node, "type", None), getattr(node, "value", None)
        if kind == "path":
            if path := _path(node.steps):
                paths[path] = None
        elif kind == "variable":
            whole = whole or value in _WHOLE_VARIABLES
            stable = stable and value not in _UNSTABLE
        elif kind in _WHOLE_TYPES:
            whole = True
    return Inputs(tuple(paths), whole, stable)


def _path(steps: Any) -> tuple[str, ...]:
    names: list[str] = []
    for step in steps:
        if step.type != "name":
            break
        names.append(step.value)
        if getattr(step, "stages", None) or getattr(step, "predicate", None):
            break
    return tuple(names)


def _nodes(tree: Any) -> Iterator[Any]:
    """Every node once; not by recursion, since sources may be nested deeply."""
    waiting, seen = [tree], {id(tree)}
    while waiting:
        node = waiting.pop()
        if isinstance(node, list | tuple):
            inner: Any = reversed(node)
        elif hasattr(node, "__dict__"):
            yield node
            inner = [value for name, value in reversed(vars(node).items()) if name not in _LINKS]
        else:
            continue
        for each in inner:
            if (isinstance(each, list | tuple) or hasattr(each, "__dict__")) and id(each) not in seen:
                seen.add(id(each))
                waiting.append(each)
